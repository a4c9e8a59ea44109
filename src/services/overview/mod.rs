//! How the server is doing: for the monitoring page, its JSON interface, reports and the figures for Prometheus.
//!
//! Promises: reads only, and only the database and the file systems' free space; never a mailbox. What cannot be read is
//! left out and said in `problems`, so that a page can be shown while the database is away. Every question is bounded,
//! and its answer shared: however many look at once, the database is asked once in a while. Takes no locks but those of
//! the shared answers.

mod disks;
pub mod flows;
mod read;
mod shared;
mod timeline;

pub use disks::{Answers, Disks};
pub use flows::{Flow, Refusals};
pub use read::{Disk, Mailbox, Overview, Overviewer, QueueState, Recent, Sources, Talker};
pub use shared::Shared;
pub use timeline::{FlowAt, Range, Timeline};
