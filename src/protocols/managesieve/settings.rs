//! Settings of ManageSieve.

use ipnet::IpNet;

use crate::foundations::settings::Span;

crate::settings! {
    /// Limits and times of ManageSieve sessions, by which mail programs change users' Sieve scripts. How often a client
    /// may connect is set in `[guard.managesieve]`.
    pub struct ManageSieveSettings {
        /// Networks from which passwords are accepted without TLS. Everybody else must say STARTTLS first.
        pub allow_plaintext: Vec<IpNet> = Vec::new(),
        /// Longest command in octets, scripts aside. A longer one is answered with NO.
        pub command_line: u32 = 16_384,
        /// Failed logins on one connection. At this one it is closed.
        pub failed_logins: u32 = 3,
        /// Time a client has to log in. Then the connection is closed.
        pub login_timeout: Span = Span::minutes(3),
        /// Time without a command after which a session is closed. RFC 5804 §1.2 wants 30 minutes at least.
        pub idle_timeout: Span = Span::minutes(30),
        /// Time in which a client must take what is sent to it. Then the connection is closed.
        pub stall_timeout: Span = Span::minutes(5),
    }
}
