//! What is remembered of senders: how much wanted and unwanted mail has come from an address, a domain, a signature's domain
//! and a network, and to whom our own users have written.
//!
//! Promises: a name that anyone can write is believed only together with the network it came from; what people have said
//! (moves into and out of Junk) outweighs what verdicts have, whose part is bounded however often they come; old experience
//! fades by half every 30 days. Judging a message costs at most one SELECT, and none when its sender was seen lately; noting
//! costs a few look-ups in memory, which is bounded by the settings. What is noted reaches the table within seconds; a
//! crash loses those seconds, which only means that a sender is a little less known.
//!
//! [`Book`] is asked and told by the pipeline. A database that is down leaves senders unknown, with one warning.

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
