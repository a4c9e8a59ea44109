//! The monitoring page and its JSON interface: how the server is doing, read-only.
//!
//! Promises: it changes nothing and has no access to mail; it makes no request to any other host, and its pages may run and
//! load nothing but their own resources (`Content-Security-Policy`). Viewers log in with the administrator's password; if none
//! is set, only this machine is served, under its own names. The data comes from `/api/v1/`, described by
//! `/api/v1/openapi.json`; the page is one client of it among others. Logins are counted by the guard. Called by listeners of
//! the protocol `dashboard`. Its locks protect cached logins and allow one login at a time.

mod api;
mod door;
mod login;
mod serve;
mod settings;

pub use serve::{Asking, Needs, Readiness, Room, run};
pub use settings::DashboardSettings;
