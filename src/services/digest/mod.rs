//! Letters to users about what was put into quarantine for them since the last one.
//!
//! Promises: a letter lists each message once, goes into the user's own mailbox by way of the queue, and holds no link: what
//! it lists is released by moving it, or by asking. Notes that intake has made are claimed before a letter is queued and forgotten
//! after it, so of several processes one sends it, and a restart neither loses nor repeats it; only a crash between
//! the two may repeat it. What cannot be read or queued stays noted, is one warning, and is tried again.
//!
//! Runs where the queue is.

mod letter;
mod send;

pub use send::{Digest, DigestParts};
