//! The reputation of senders: how much wanted and unwanted mail has come from an address, a domain, a signing domain
//! and a network, and to whom our own users have written.
//!
//! Promises: an unverified name counts only together with the network it came from; people's judgements
//! (moves into and out of Junk) outweigh verdicts, whose total weight is limited; old experience
//! fades by half every 30 days. Judging a message costs at most one SELECT, and none when its sender was seen recently; noting
//! costs a few look-ups in memory, whose size the settings limit. What is noted reaches the table within seconds; a
//! crash loses those seconds, which only means that a sender is a little less known.
//!
//! The pipeline reads and writes [`Book`]. If the database is down, senders are unknown, with one warning.

mod book;
mod evidence;
mod party;
mod settings;
mod standing;

pub use book::{Book, Found};
pub use evidence::Evidence;
pub use party::{Claims, Party, PartyKind};
pub use settings::ReputationSettings;
pub use standing::{Standing, standing};
