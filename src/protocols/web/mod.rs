//! Everything served over HTTP: pages for people, interfaces for programs, and policies for other servers.
//!
//! - `webmail`: mail in a browser, with its interface `/api/`; `dav` stands before it on the same listeners;
//! - `site`: HTTP and HTTPS for everybody (autoconfig, MTA-STS, links to choose a password by, ACME's challenges), and the
//!   webmail and `dav` behind them;
//! - `dashboard`: the monitoring page, in the read-only role;
//! - `passing`: requests that go on to the node which has the mailboxes.
//!
//! The rest is shared by these. Each of them documents its promises, locks and log lines.

mod bodies;
mod caller;
mod form;
mod logins;
mod passing;
mod refused;
mod token;
mod turns;

pub mod dashboard;
pub mod dav;
pub mod site;
pub mod webmail;

pub use bodies::Bodies;
pub use caller::Scheme;
