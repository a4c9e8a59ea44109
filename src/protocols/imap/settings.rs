//! Settings of IMAP.

use ipnet::IpNet;

use crate::foundations::settings::{ByteSize, Span};

crate::settings! {
    /// Limits and times of IMAP sessions, by which mail programs read mailboxes. How often a client may connect is set
    /// in `[guard.imap]`.
    pub struct ImapSettings {
        /// Networks from which passwords are accepted without TLS. Everybody else gets LOGINDISABLED until STARTTLS.
        pub allow_plaintext: Vec<IpNet> = Vec::new(),
        /// Longest command of a client that has logged in, without its literals. A longer one is answered BAD.
        pub command: ByteSize = ByteSize::kib(64),
        /// Longest command before login, without its literals; an ID of 30 fields needs 32 KiB (RFC 2971 §3.3). A longer
        /// one is answered BAD.
        pub command_before_login: ByteSize = ByteSize::kib(40),
        /// Largest literal before login. A larger one, or more than four, is answered BAD.
        pub literal_before_login: ByteSize = ByteSize::kib(4),
        /// Largest literal that is not a message (names, texts to search for). A larger one is answered BAD.
        pub literal: ByteSize = ByteSize::kib(64),
        /// Most literals in one command. One with more is answered BAD.
        pub literals: usize = 64,
        /// How much of a refused command is read and thrown away before the connection is closed with BYE.
        pub skip: ByteSize = ByteSize::mib(64),
        /// Largest message APPEND takes, announced to clients as APPENDLIMIT (RFC 7889). A larger one is answered
        /// NO [TOOBIG] before it is sent, if the client asks first.
        pub append_limit: ByteSize = ByteSize::mib(50),
        /// Memory for the messages of all APPEND commands in flight. When it is taken, further ones wait, at most
        /// `append_patience`, and are then answered NO [LIMIT].
        pub append_memory: ByteSize = ByteSize::mib(256),
        /// The same for the messages of one account at a time. A larger message takes all of it, alone. No account gets more
        /// than twice what is left of `append_memory` for others. The messages of one command (RFC 3502) may not use more than
        /// this together: NO [LIMIT].
        pub append_memory_per_user: ByteSize = ByteSize::mib(128),
        /// How long an APPEND waits for memory.
        pub append_patience: Span = Span::seconds(20),
        /// Whether clients may switch compression on (COMPRESS=DEFLATE, RFC 4978), which costs a busy connection about 400 KiB
        /// of memory, and one in IDLE about 50 KiB. Without it the command is answered NO.
        pub compress: bool = true,
        /// Connections one account may hold. A login on a further one is answered NO [LIMIT].
        pub connections_per_user: u32 = 50,
        /// Time a client has to log in. Then it gets BYE.
        pub login_timeout: Span = Span::minutes(1),
        /// Time without a command, also in IDLE, after which a client gets BYE. RFC 9051 §5.4 wants at least 30 minutes.
        pub idle_timeout: Span = Span::minutes(31),
        /// Time within which the next piece of a command must arrive, and the client must take what is sent to it.
        /// Then the connection is closed.
        pub stall_timeout: Span = Span::minutes(5),
        /// Time for a whole command, such as APPEND with its messages, from its first octet to its last. Then the client gets BYE.
        pub command_time: Span = Span::hours(2),
        /// In IDLE, how often `* OK` is sent to keep middleboxes from forgetting the connection.
        pub keep_alive: Span = Span::minutes(4),
        /// How users reach the administrator, as a URI such as `mailto:postmaster@example.org`: given to programs that ask for
        /// the annotation `/shared/admin` (RFC 5464). Empty: not given.
        pub admin: String = String::new(),
        /// Failed logins on one connection before it gets BYE.
        pub login_failures: u32 = 4,
        /// Commands in a row that are BAD before the client gets BYE.
        pub bad_commands: u32 = 20,
        /// Messages whose bodies SEARCH reads in one go on a blocking thread.
        pub search_batch: usize = 64,
        /// Texts that one SEARCH may look for in the messages themselves: BODY, TEXT, and HEADER of fields that are not kept with the
        /// summaries. More are answered NO [LIMIT].
        pub search_texts: usize = 100,
        /// Most searches of one session whose results are kept up to date at a time (UPDATE of RFC 5267); at least one. A
        /// further one is performed, but answered NO [NOUPDATE].
        pub search_contexts: usize = 4,
        /// Size of one such result: runs of consecutive UIDs, eight octets each, or for a sorted result messages, which are
        /// sorted again when one arrives. A larger result is not kept up to date: NO [NOUPDATE].
        pub search_context_runs: usize = 20_000,
        /// How much decoded text of one message SEARCH looks into. Text beyond it is not found.
        pub search_text: ByteSize = ByteSize::mib(4),
    }
}
