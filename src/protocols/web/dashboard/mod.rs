//! The monitoring page and its JSON interface: how the server is doing, read-only.
//!
//! Promises: nothing it does changes anything, and it has no access to mail; it makes no request to any other host, and
//! its pages may run and load nothing but what they bring (`Content-Security-Policy`). Whoever looks has logged in with the
//! administrator's password; where none is set, only this machine is served, under its own names. The data come from
//! `/api/v1/`, described by `/api/v1/openapi.json`; the page is one user of it among others. Logins are counted by the guard.
//! Called by listeners of the protocol `dashboard`. Its locks guard what is known of logins and the one
//! login at a time.

mod api;
mod door;
mod login;
mod serve;
mod settings;

pub use serve::{Asking, Needs, Readiness, Room, run};
pub use settings::DashboardSettings;
