//! Removing what has been in users' folders for trash and junk for long enough.
//!
//! Promises: nothing goes unless the administrator has set how long it is kept (`mailbox.keep_trash`, `mailbox.keep_junk`).
//! What counts is when a message came into the folder, not its own date; a message of which that is unknown stays, and so does
//! one that came after a message that is too new. Nothing goes for a while after the clock has jumped, and nothing of archived
//! accounts. What goes is an event. One user's folder that cannot be read stops no other; the next round tries it again.
//!
//! Runs where the mailboxes are. One of several nodes leaves out users whom another one has.

mod sweep;

pub use sweep::{Error, Tidying, TidyingParts};
