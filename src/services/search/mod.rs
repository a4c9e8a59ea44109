//! Finding messages in a folder, by the conditions of SEARCH (RFC 9051 §6.4.4, RFC 5032, RFC 7162 §3.1.5), and sorting
//! or threading them (RFC 5256), or following changes of the result (RFC 5267).
//!
//! Most conditions are decided by rows in memory. The others need the cached summaries, and only as a last resort are files
//! read, in batches of bounded size on a blocking thread. Called by `protocols::imap` and by the webmail; takes no locks.

mod condition;
mod day;
mod find;
mod headings;
mod references;
mod sort;
mod standing;
mod text;
mod thread;

pub use condition::{Condition, Wording, system_flag};
pub use find::{Found, Hit, find};
pub use sort::sort;
pub use standing::{Changes, Run, SearchRequest, StandingLimits, StandingSearch, Unfollowed};
pub use thread::{Forest, Letter, Threader, thread};

/// Why a search is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The charset is unknown here.
    #[error("this charset is not known here")]
    UnknownCharset,
    /// The octets are not valid text in the charset.
    #[error("the text to search for is not in its charset")]
    NotInCharset,
}
