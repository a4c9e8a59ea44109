//! Several nodes over one mail root and one database: which nodes are running, and which mailboxes each owns.
//!
//! Each node holds and renews one lease (`cluster_nodes`), regardless of the number of users it serves. A user is owned
//! by the node whose name and epoch are in its row (`mailbox_owners`), as long as that node's lease of that epoch is
//! valid. Nothing is renewed per user.
//!
//! # What it promises
//!
//! - A lease is measured by the database's clock for others and by the node's own monotonic clock for itself, from before
//!   the statement was sent and less a margin. So a node stops owning ([`Tenure::check`]) before anybody may take over,
//!   however the clocks differ and however late the database answers; only that the clocks run at the same speed is needed.
//! - Other nodes also count by their own uptime how long a lease has not been renewed: a clock that is set back keeps none alive.
//! - Before a user is taken from a node whose lease has ended, that end is recorded ([`Membership::take`]): a late renewal
//!   finds no lease to renew. So two nodes never own a user at once.
//! - Every step is one statement that counts the rows it found; when two nodes take the same user at the same time, one of
//!   them wins, on every engine.
//!
//! Called by `storage::mailbox`, which opens nobody's mail without a tenure, and by `services::cluster`, which renews the
//! lease. It never touches files. A database that does not answer is an error for the caller; ownership already taken
//! stays valid until the lease ends.

mod duties;
mod error;
mod membership;
mod nodes;
mod settings;
mod tenure;

pub use duties::Duties;
pub use error::Error;
pub use membership::{Membership, OtherNode, Place};
pub use nodes::{Node, NodeState, Nodes};
pub use settings::ClusterSettings;
pub use tenure::{Lapsed, Tenure, Term};
