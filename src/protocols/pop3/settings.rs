//! Settings of POP3.

use ipnet::IpNet;

use crate::foundations::settings::Span;

crate::words! {
    /// How unique ids are made from UID and UIDVALIDITY. A change makes every client download everything again.
    pub enum UidlFormat {
        /// As Dovecot makes them by default: UID and UIDVALIDITY, eight hexadecimal digits each.
        Dovecot = "dovecot",
        /// As UW-IMAP does: UIDVALIDITY and UID, eight hexadecimal digits each.
        UwImap = "uw-imap",
        /// As Courier does: `UIDVALIDITY-UID`.
        Courier = "courier",
        /// As Cyrus does: `UIDVALIDITY.UID`.
        Cyrus = "cyrus",
        /// The UID alone.
        Uid = "uid",
    }
}

crate::words! {
    /// Whether messages that a client has retrieved become seen for IMAP clients.
    pub enum MarkSeen {
        /// They do, when the session ends.
        Yes = "yes",
        /// They stay as they are.
        No = "no",
    }
}

crate::settings! {
    /// Limits and times of POP3 sessions, by which mail programs fetch what is in the inbox. How often a client may
    /// connect is set in `[guard.pop3]`.
    pub struct Pop3Settings {
        /// Networks from which passwords are accepted without TLS. Everybody else must say STLS first.
        pub allow_plaintext: Vec<IpNet> = Vec::new(),
        /// How unique ids are made. Keep it once clients have seen them.
        pub uidl_format: UidlFormat = UidlFormat::Dovecot,
        /// Whether retrieved messages become seen for IMAP clients.
        pub mark_seen: MarkSeen = MarkSeen::Yes,
        /// Longest command line in octets. A longer one is answered with -ERR.
        pub command_line: u32 = 12_288,
        /// Failed logins on one connection. At this one it is closed.
        pub failed_logins: u32 = 3,
        /// Time a client has to log in. Then the connection is closed.
        pub login_timeout: Span = Span::minutes(3),
        /// Time without a command after which a session is closed and nothing deleted. RFC 1939 §3 wants 10 minutes at least.
        pub idle_timeout: Span = Span::minutes(10),
        /// Time in which a client must take what is sent to it. Then the connection is closed.
        pub stall_timeout: Span = Span::minutes(5),
    }
}
