//! Settings of the spool.

use std::path::PathBuf;

use crate::foundations::settings::Span;

crate::settings! {
    /// Where queued messages are kept: those that are to leave, wait for another attempt, or are held. When they are
    /// tried is set in `[queue]`.
    pub struct SpoolSettings {
        /// Directory for the bodies of queued messages. It must be on a file system that keeps its promises after `fsync`.
        pub directory: PathBuf = PathBuf::from("/var/spool/postrider"),
        /// Bodies written at the same time. Further ones wait.
        pub writers: u32 = 64,
        /// How long a recipient that is being worked on stays reserved when its node no longer answers. After that another
        /// node takes over.
        pub lease: Span = Span::hours(1),
        /// How long a node of a cluster may be gone before the others take over what it was about to send. More than an
        /// attempt takes at its end (`outbound.timeouts.end`): a node that has only lost its database may be in the middle of one.
        pub node_lease: Span = Span::minutes(20),
        /// Age after which a body without an entry in the database is deleted; ten minutes at least.
        pub orphans_after: Span = Span::hours(1),
    }
}
