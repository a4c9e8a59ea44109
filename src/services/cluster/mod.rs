//! This machine as one of several nodes over one mail root and one database.
//!
//! [`Keeper`] holds the node's lease and acts upon its end; [`Cluster`] says where a user is and hands sessions over;
//! [`AmongNodes`] divides the recipients of a message by who owns their mailboxes.
//!
//! # What it promises
//!
//! - A mailbox that another node owns is never opened here: see [`crate::storage::cluster`].
//! - A client that has logged in at the wrong node is served by the right one without noticing: octets are passed on
//!   both ways in bounded memory. If the right one cannot be reached, the client is told to come back, and is not
//!   logged out of this node.
//! - A request of a browser goes to the node that has the mailboxes when it is made, over a connection of its own. Nothing of it is
//!   sent before that node has said that it will answer, so a user who moves meanwhile is looked for once more.
//! - What comes from another node is never passed on to a third: when the owner has changed meanwhile, the answer is a temporary
//!   refusal.
//! - Nodes know each other by one secret ([`Keys`]); a network is not trusted for being private.
//!
//! # In the log
//!
//! A node that joins, loses its lease or leaves is an event of the kind `cluster`; a lease that cannot be renewed is a warning.

mod among;
mod handing;
mod keeper;
mod keys;
mod link;
mod splice;

pub use among::AmongNodes;
pub use handing::{Client, Cluster, Residence, Way};
pub use keeper::Keeper;
pub use keys::{BadSecret, Keys};
pub use link::{Answer, Asked, Handed, Link, Links, Opening, hear, say};
pub use splice::{go_on_elsewhere, splice};
