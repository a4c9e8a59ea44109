//! A statistical classifier: learns from messages that people have called wanted or unwanted, and tells how likely a new
//! one is unwanted.
//!
//! Promises: memory is bounded by the settings (16 octets a token on disk, about 40 in memory); classifying costs no SQL;
//! learning is durable when it returns; learning a message twice changes nothing, and what was learned wrongly
//! can be unlearned. What it learns from is words, pairs of words, links, structure and parts of the header; no
//! text of a message can be read back from the stored hashes.
//!
//! Called by the pipeline for scoring, and by whoever notices a person's judgement (a move into or out of Junk, `postrider
//! spam learn`) for learning. A database that is down makes learning fail and leaves scoring as it was.

mod chi;
mod packed;
mod spamassassin;
mod store;
mod table;
mod tokens;

pub(super) use spamassassin::tokens as spamassassin_tokens;
pub use spamassassin::{ImportError, read as read_spamassassin};
pub use store::{Error, Learned, Limits, Owner, Store};
pub use table::{Class, Table};
pub use tokens::{Token, tokens};

#[cfg(test)]
mod tests;
