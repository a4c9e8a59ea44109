//! May this sender send, and may this recipient be written to? Asked at MAIL and RCPT, before any content.
//!
//! Promises: a recipient outside our domains is taken only from those who may relay; postmaster is always ours
//! (RFC 5321 §4.5.1, which routing sees to); when the directory cannot be asked the answer is 451, never a permanent one.
//! Called by `protocols::smtp`. Reads the directory and the mailboxes' usage, changes nothing. Refusals are events of the caller.

mod accept;
mod settings;

pub use accept::{Acceptance, Relaying};
pub use settings::{AcceptanceSettings, NullSender};
