//! What is served over HTTP: pages for people, interfaces for programs, and policies for other servers.
//!
//! - `webmail`: mail in a browser, with its interface `/api/`; `dav` stands before it on the same listeners;
//! - `site`: HTTP and HTTPS for everybody (autoconfig, MTA-STS, links to choose a password by, ACME's challenges), and the
//!   webmail and `dav` behind them;
//! - `dashboard`: the monitoring page, in the role that reads only;
//! - `passing`: requests that go on to the node which has the mailboxes.
//!
//! The rest is what these share. Promises, locks and log lines are told by each of them.

mod bodies;
mod caller;
mod form;
mod logins;
mod passing;
mod token;
mod turns;

pub mod dashboard;
pub mod dav;
pub mod site;
pub mod webmail;

pub use bodies::Bodies;
