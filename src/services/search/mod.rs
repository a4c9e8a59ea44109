//! Finding messages in a folder, by the conditions of SEARCH (RFC 9051 §6.4.4, RFC 5032, RFC 7162 §3.1.5), and putting
//! them in order or into trees (RFC 5256), or following what changes in the result (RFC 5267).
//!
//! Most conditions are decided by rows in memory. What is left asks the cached summaries, and only then files are
//! read, in batches of bounded size on a blocking thread. Called by `protocols::imap` and by the webmail; takes no locks.

mod condition;
mod day;
mod find;
mod gathering;
mod heading;
mod sort;
mod standing;
mod text;
mod thread;

pub use condition::{Condition, Wording, system_flag};
pub use find::{Found, Hit, find};
pub use sort::sort;
pub use standing::{Changes, Run, Standing, StandingLimits, Unfollowed, Wish};
pub use thread::{Forest, Letter, Threader, thread};

/// Why a search makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The charset has no meaning here.
    #[error("this charset is not known here")]
    UnknownCharset,
    /// The octets are no text of the charset.
    #[error("the text to search for is not in its charset")]
    NotInCharset,
}
