//! What was put into quarantine, noted until its recipient has been told.
//!
//! Promises: a note is on disk when a call returns, each message once for each account, with texts of bounded length.
//! An account's notes are claimed before a letter about them is sent, so that of several processes one sends it; a claim ends by
//! itself. Called by intake, which notes, and by `services::digest`, which tells. Failures are returned, nothing is logged.

mod notes;

pub use notes::{Note, QuarantineNotes};
