//! Settings of a node among several.

use std::path::PathBuf;

use crate::foundations::settings::Span;

crate::settings! {
    /// This machine and others share the mail root and a MariaDB or PostgreSQL, and one of them at a time serves a
    /// user's mailboxes (`docs/cluster.md`). A server that is alone leaves this out.
    pub struct ClusterSettings {
        /// The name of this node, different on every machine: letters, digits, `-` and `.`, at most 64. Empty: this machine is
        /// alone, and nothing else in this section applies.
        pub node: String = String::new(),
        /// Where the other nodes reach the `cluster` listener of this one, as `"host:port"` or `"address:port"`.
        pub address: String = String::new(),
        /// A file with the secret that all nodes share, at least 32 octets (`openssl rand -base64 48`). Anyone who has
        /// it counts as a node and can act for every user. The keys of the TLS connections between nodes are derived
        /// from it.
        pub secret: PathBuf = PathBuf::new(),
        /// How long a node owns its users' mailboxes without a renewal. When a node dies its users are served by others
        /// after this time.
        pub lease: Span = Span::seconds(15),
        /// How often the lease is renewed. At most a third of it.
        pub renew: Span = Span::seconds(4),
        /// A node gives up its mailboxes this long before its lease ends by the database's clock. Writes in progress have this
        /// long to finish.
        pub margin: Span = Span::seconds(2),
        /// How long the mailboxes of a user without sessions and deliveries stay with their node. Afterwards the node that
        /// is asked next takes them.
        pub idle: Span = Span::minutes(5),
        /// How long another node may take for a connection, its handshake and its first answer. After that, clients are
        /// told to try again later, and messages wait in the queue.
        pub patience: Span = Span::seconds(5),
        /// How long another node may be silent about a browser's request that was passed on to it, before its answer
        /// and in the middle of it. After that, the browser is told to try again later, or its download ends early.
        pub silence: Span = Span::minutes(1),
    }
}

impl ClusterSettings {
    /// Whether there are several nodes.
    pub const fn is_on(&self) -> bool {
        !self.node.is_empty()
    }
}
