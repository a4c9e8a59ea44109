//! The queue: messages that wait, when each recipient is tried, and what the sender is told.
//!
//! One task ([`Queue::start`]) claims recipients that are due from the spool, a bounded number of them, and sorts them
//! into lanes, one for each destination. Workers take groups (recipients of one message and one destination) from a
//! lane, pass them to `outbound` or to the mailboxes, and record the result for each recipient before they take the
//! next. A lane starts with a few workers, gets more while its destination takes mail, fewer when it does not, and
//! rests after repeated failures to talk to it at all. Lanes take turns, and so do senders when recipients are claimed,
//! so that a large one does not keep the others waiting. Nor does a host that takes long to say its greeting or to take
//! a message: after a while its worker steps aside and leaves its place to others. If too many have done so, the one
//! that has taken longest is given up for now. Some places and some memory are kept for destinations that lately took
//! mail without taking long.
//!
//! Promises: nothing acknowledged is lost; a crash may repeat the transmissions that were in flight, one for each
//! connection, and the next start says which (an event `queue-changed` with `possible_duplicate`). While the database cannot be
//! written, nothing is sent; what was in flight when that began is noted beside the spool (`settling`). However many messages
//! wait, only so many are in memory. A sender gets one notification for all recipients that fail together, and
//! notifications are never answered by notifications.
//!
//! As one of several nodes it holds a lease on what it claims, and frees what nodes had claimed whose lease has ended (`neighbours`).
//!
//! Called by intake and submission through [`Queueing`](crate::services::handover::Queueing), and by the command line.
//! Locks: the lanes' mutex, never held across a wait. Every attempt is an event; what is logged besides is the
//! trouble of the queue itself with disk or database, and its own faults: a scheduler that panics begins anew (`Tasks::keep`).

mod admin;
mod by_hand;
mod dsn;
mod enqueue;
mod error;
mod lanes;
mod local;
mod neighbours;
mod notify;
mod outcome;
mod room;
mod schedule;
mod scheduler;
mod settings;
mod settling;
mod worker;

pub use by_hand::Change;
pub use error::Error;
pub use lanes::Rest;
pub use room::{LaneState, Queue, QueueParts};
pub use settings::QueueSettings;
