//! The spool: messages that this server has taken responsibility for and has not yet passed on.
//!
//! Promises: when [`Spool::commit`] returns, the body is on disk with its directory entry, and the envelope is
//! committed to the database. A crash at any moment leaves either nothing visible or the whole entry: the body is
//! written first and does not count without its row. Concurrent commits share the directory's sync and the database's
//! transaction. When the last recipient has been settled the rows go first and the body after them; a body left without
//! rows by a crash is swept away when it is older than `orphans_after`. Files that the disk refused to delete are tried
//! again by [`Spool::remove_leftovers`].
//!
//! A recipient is claimed by moving its due time to the end of a lease and writing the owner's name beside it, so that
//! several nodes can share one queue and a crashed node's recipients become due again by themselves. Nodes of a cluster
//! also hold a lease of their own ([`QueueNode`]): when it ends, the node's claims are freed by another that has seen
//! its mark in the same directory.
//!
//! While the database does not accept a recipient's result, that is written down beside the bodies ([`Note`]), so that
//! if the process ends before the database is back, the next one does not send the message again.
//!
//! Called by the queue, which [`Spool::changed`] tells that something new is due. Never decides where a message goes:
//! destinations are given to it. Failures are returned; only the sweep logs.

mod bodies;
mod claim;
mod commit;
mod destination;
mod destinations;
mod entry;
mod error;
mod inspect;
mod nodes;
mod notes;
mod open;
mod possession;
mod recipient_key;
mod report;
mod sample;
mod settings;
mod settle;
mod sweep;
mod turns;

pub use bodies::body_path;
pub use claim::{Claim, Claimed};
pub use destination::{Destination, InvalidDestination};
pub use destinations::Backlog;
pub use entry::{Entry, NewEntry, NewRecipient, QUARANTINED, Queued, RecipientState};
pub use error::Error;
pub use inspect::{Counts, Listing, Selection, Whom};
pub use nodes::{Neighbour, QueueNode, forget_node};
pub use notes::Note;
pub use open::Spool;
pub use possession::Possession;
pub use recipient_key::RecipientKey;
pub use report::{Action, PendingReport, Report};
pub use sample::Sample;
pub use settings::SpoolSettings;
pub use settle::{Fate, Settled, Settler};
