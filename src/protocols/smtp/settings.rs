//! Settings of the SMTP room.

use crate::foundations::settings::{ByteSize, Span};
use crate::foundations::wire::smtp::LineEndings;

crate::words! {
    /// What happens to a client that speaks before it is its turn.
    pub enum EarlyInput {
        /// It gets 554 5.5.1, and the connection is closed.
        Refuse = "refuse",
        /// It is served.
        Accept = "accept",
    }
}

crate::words! {
    /// When clients may give their password without TLS.
    pub enum PlaintextAuth {
        /// Never: AUTH is offered only under TLS.
        Never = "never",
        /// When they connect from a network listed in `plaintext_networks`.
        Networks = "networks",
    }
}

crate::settings! {
    /// The conversation with SMTP and LMTP clients: how large messages may be, what clients may do, and how long they
    /// may take. Times are those of RFC 5321 §4.5.3.2 or shorter.
    pub struct SmtpSettings {
        /// Largest message in octets, announced as SIZE. A larger one is refused with 552 5.3.4. LMTP takes 1M more,
        /// for header lines that were added to what has been accepted before.
        pub message_size: ByteSize = ByteSize::mib(50),
        /// Largest header of a message in octets. A larger one is refused with 552 5.3.4. LMTP takes what has been accepted before.
        pub header_size: ByteSize = ByteSize::mib(1),
        /// Recipients of one message. Further ones are refused with 452 4.5.3; good clients send them in another message.
        pub recipients: u32 = 1_000,
        /// Messages in one session. Further ones are refused with 452 4.5.3; good clients connect again.
        pub messages: u32 = 10_000,
        /// Recipients that do not exist, or may not be written to, in one session. At the next one it is closed with 421 4.7.0.
        pub refused_recipients: u32 = 50,
        /// NOOP, RSET, HELP, VRFY and greetings in one session without a message between them. At the next one it is closed with 421 4.7.0.
        pub idle_commands: u32 = 100,
        /// Failed logins in one session. At this one it is closed with 421 4.7.0.
        pub failed_logins: u32 = 3,
        /// Longest command line in octets. A longer one is answered with 500 5.5.2.
        pub command_line: u32 = 12_288,
        /// What happens to a message with a bare CR or LF. Neither ever ends a message. With BODY=BINARYMIME they are
        /// allowed in the body, but a message with one in its header is always refused.
        pub line_endings: LineEndings = LineEndings::Refuse,
        /// What happens to clients of port 25 that send before the greeting, or send data after DATA without waiting
        /// for the reply.
        pub early_input: EarlyInput = EarlyInput::Refuse,
        /// How long port 25 waits with its greeting, to see who speaks early. Trusted networks do not wait.
        pub greeting_delay: Span = Span::millis(500),
        /// When submission offers AUTH without TLS.
        pub plaintext_auth: PlaintextAuth = PlaintextAuth::Never,
        /// The networks that may, if `plaintext_auth` is "networks".
        pub plaintext_networks: Vec<ipnet::IpNet> = vec![],
        /// Whether anyone who may open a Unix socket of the protocol `submission` may send as any account named there
        /// (SASL EXTERNAL, RFC 4422 appendix A). For a webmail that runs in another process; see `webmail.submission`.
        pub vouching: bool = false,
        /// The networks LMTP serves over TCP. Others get 554 5.7.1. Anyone who may open its Unix socket is served there. Mail
        /// that requires TLS (REQUIRETLS) is taken from both: the way to here counts as a part of this server.
        pub lmtp_networks: Vec<ipnet::IpNet> = crate::services::guard::loopback(),
        /// How long to wait for a whole command. Then the session is closed with 421 4.4.2.
        pub command_time: Span = Span::minutes(5),
        /// How long to wait for the next piece of a message. Then the session is closed with 421 4.4.2.
        pub data_time: Span = Span::minutes(3),
        /// Average octets a second at which a message must arrive, after `data_time`. A slower client's session is closed with
        /// 421 4.4.2.
        pub data_rate: ByteSize = ByteSize::bytes(256),
        /// How long a whole message may take to arrive, from its first octet to its last, in chunks or not. Then the session is
        /// closed with 421 4.4.2.
        pub message_time: Span = Span::hours(2),
        /// How long to wait for a client to take a reply, and for a TLS handshake. Then the connection is closed.
        pub reply_time: Span = Span::minutes(1),
        /// Memory for all messages that are being received. When it is used up, clients wait at most `memory_time`, then get
        /// 452 4.3.1.
        pub memory: ByteSize = ByteSize::mib(512),
        /// Memory for the messages of one network (IPv4 /24, IPv6 /56) at a time, except for trusted clients. When it is used
        /// up, only its clients wait in the same way. A larger message takes all of it, alone. No network gets more than twice
        /// what is left of `memory` for others.
        pub memory_per_network: ByteSize = ByteSize::mib(128),
        /// How long a client waits for memory.
        pub memory_time: Span = Span::seconds(30),
    }
}

/// Most octets of header lines that this server adds to a message before the last of its processes has it.
const MOST_ADDED: u64 = 1 << 20;

impl SmtpSettings {
    /// Largest message that one of our processes takes from another: what a client may send, and what was added since.
    pub const fn passed_on_size(&self) -> ByteSize {
        ByteSize::bytes(self.message_size.get().saturating_add(MOST_ADDED))
    }
}
