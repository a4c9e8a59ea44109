//! Several nodes over one mail root and one database: which node runs, and whose mailboxes it owns.
//!
//! Each node holds one lease (`cluster_nodes`), which it renews, whatever number of users it serves. A user is owned by the
//! node whose name and epoch stand in its row (`mailbox_owners`), as long as that node's lease of that epoch lasts. Nothing
//! is renewed per user.
//!
//! # What it promises
//!
//! - A lease is measured by the database's clock for others and by the node's own monotonic clock for itself, from before
//!   the statement was sent and less a margin. So a node stops owning ([`Tenure::check`]) before anybody may take over,
//!   however the clocks differ and however late the database answers; only that the clocks run at the same speed is needed.
//! - Before a user is taken from a node whose lease has ended, that end is written down ([`Membership::take`]): a renewal that
//!   comes late finds no lease to renew. So of two nodes never both own a user.
//! - Every step is one statement that counts the rows it found; two who take the same user at the same time see one of
//!   them win, on every engine.
//!
//! Called by `storage::mailbox`, which opens nobody's mail without a tenure, and by `services::cluster`, which keeps the lease.
//! It never touches files. A database that does not answer is an error to the caller; what has been taken stays good until
//! the lease ends.

mod duties;
mod error;
mod membership;
mod nodes;
mod settings;
mod tenure;

pub use duties::Duties;
pub use error::Error;
pub use membership::{Membership, Place};
pub use nodes::{Node, NodeState, Nodes};
pub use settings::ClusterSettings;
pub use tenure::{Lapsed, Tenure, Term};
