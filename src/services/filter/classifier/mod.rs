//! A statistical classifier: learns from messages that people have marked as wanted or unwanted, and says how likely a new
//! one is unwanted.
//!
//! Promises: memory is bounded by the settings (16 octets per token on disk, about 40 in memory); classifying needs no SQL;
//! learning is durable when it returns; learning a message twice changes nothing, and what was learned wrongly
//! can be unlearned. What it learns from is words, pairs of words, links, structure and parts of the header; no
//! text of a message can be read back from the stored hashes.
//!
//! Called by the pipeline for scoring, and for learning when a person has judged (a move into or out of Junk, `postrider
//! spam learn`). If the database is down, learning fails and scoring continues as before.

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
