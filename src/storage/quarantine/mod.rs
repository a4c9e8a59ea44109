//! Quarantined messages, recorded until their recipients have been told.
//!
//! Promises: a note is on disk when a call returns, once per message and account, with texts of bounded length. An
//! account's notes are claimed before a letter about them is sent, so that only one of several processes sends it; a
//! claim expires by itself. Called by intake, which records, and by `services::digest`, which sends the letters.
//! Failures are returned, nothing is logged.

mod notes;

pub use notes::{Note, QuarantineNotes};
