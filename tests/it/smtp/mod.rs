//! The SMTP server with real services over a database, tested line by line.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod delivery;
mod forwarding;
pub(crate) mod milters;
mod promises;
mod senders;
mod talks;
mod world;
