//! Where is my message, and why: its journey through this server, in plain words.
//!
//! Reads the journal and nothing else, so it answers whether or not the server runs, for as long as events are kept.
//! What is asked for may be a Message-ID, an address, a queue id, a mail id or a session id. Called by the command line
//! and the pages. Never changes anything.

mod asked;
mod expunged;
mod journey;
mod words;

pub use asked::{Asked, InvalidAsked};
pub use expunged::expunged;
pub use journey::{Found, Journey, Period, Step, Trace, Traced, Wording};
