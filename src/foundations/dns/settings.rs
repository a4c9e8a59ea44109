//! Settings of name resolution.

use std::net::SocketAddr;

use crate::foundations::settings::{ByteSize, Span};

crate::settings! {
    /// How names are looked up in the DNS: by which servers, how long they may take, and what is remembered of their
    /// answers.
    pub struct DnsSettings {
        /// Name servers to ask: two at once, the fastest first. Without any, those of `/etc/resolv.conf`.
        pub servers: Vec<SocketAddr> = Vec::new(),
        /// How long all servers together may take for one attempt. With `"trust-ad"`, those on this machine are asked one after
        /// the other, and each may take so long.
        pub timeout: Span = Span::seconds(5),
        /// How often the servers are asked before a look-up fails for now.
        pub attempts: u32 = 2,
        /// Most answers kept in memory. Beyond it the least used one is forgotten.
        pub cache_size: u32 = 8192,
        /// Memory for large answers (of more than 4 KiB) among them. When that much has arrived, all answers are forgotten.
        pub cache_memory: ByteSize = ByteSize::mib(32),
        /// Longest time an answer is kept, whatever its TTL.
        pub longest_ttl: Span = Span::hours(24),
        /// Whether signatures are checked (DNSSEC), which DANE needs.
        pub dnssec: Dnssec = Dnssec::Off,
    }
}

crate::words! {
    /// Who checks the signatures of answers.
    pub enum Dnssec {
        /// Nobody; no answer counts as secure.
        Off = "off",
        /// This server, from the root down. The name servers must pass DNSSEC records on.
        Validate = "validate",
        /// A validating resolver on this machine, such as unbound: its AD bit counts (RFC 6840 §5.8). Without a loopback
        /// address among the name servers no answer counts as secure.
        TrustAd = "trust-ad",
    }
}
