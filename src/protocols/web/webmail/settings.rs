//! Settings of the webmail.

use std::path::PathBuf;

use ipnet::IpNet;

use crate::foundations::settings::{ByteSize, Span};
use crate::services::guard::loopback;

crate::settings! {
    /// The webmail: mail, contacts, rules and settings in a browser. It is served by listeners of the protocols `https`
    /// and `webmail`.
    pub struct WebmailSettings {
        /// Whether it is served: by listeners of the protocol `webmail`, and by `https` ones of the process with the mailboxes.
        pub enabled: bool = true,
        /// Unix socket of a `submission` listener in the process with the queue, if that is a separate process. It must trust
        /// this one: `smtp.vouching`.
        pub submission: Option<PathBuf> = None,
        /// How long a login lasts without being used. Logins are kept in the database: they survive a restart, and are valid in
        /// every process with that database.
        pub idle: Span = Span::hours(12),
        /// How long a login lasts at most.
        pub session: Span = Span::days(7),
        /// Logins of one account at the same time. Beyond it the one unused for longest ends.
        pub sessions_per_user: u32 = 20,
        /// Logins of all accounts. Beyond it the one unused for longest ends.
        pub sessions: u32 = 20_000,
        /// Reverse proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
        pub proxies: Vec<IpNet> = loopback(),
        /// Whether passwords are taken over connections without TLS from other machines.
        pub plain_http: bool = false,
        /// Most messages of a list in one answer.
        pub page: u32 = 200,
        /// Largest attachment. A larger one is refused with 413.
        pub attachment: ByteSize = ByteSize::mib(25),
        /// Largest message that is sent, kept as a draft or taken over from a file, with its attachments as they travel. A
        /// larger one is refused with 413.
        pub message: ByteSize = ByteSize::mib(40),
        /// Most recipients of one message. One with more is refused with 400. With separate roles `smtp.recipients`
        /// holds, too.
        pub recipients: u32 = 1_000,
        /// Memory for attachments that are uploaded and not yet in a draft, of one account and of all. When it is taken,
        /// further ones are refused with 503.
        pub uploads_per_user: ByteSize = ByteSize::mib(64),
        /// See `uploads_per_user`.
        pub uploads: ByteSize = ByteSize::mib(256),
        /// How long an attachment that is not yet in a draft is kept.
        pub upload_time: Span = Span::hours(1),
        /// Largest message that is opened. Of a larger one only the source can be fetched.
        pub open: ByteSize = ByteSize::mib(64),
        /// Messages opened at the same time, for all users; further ones wait for their turn. Each user opens one at a time.
        pub opened_at_once: u32 = 8,
        /// How much of the text of a message is shown. The rest can be fetched as a file. Drafts that were written here are
        /// shown whole.
        pub text: ByteSize = ByteSize::mib(1),
        /// The same for HTML.
        pub html: ByteSize = ByteSize::mib(4),
        /// Decoded text of one message that a search in whole messages looks into.
        pub search_text: ByteSize = ByteSize::mib(1),
        /// Searches at the same time, for all users; further ones wait for their turn. Each user makes one at a time.
        pub searches_at_once: u32 = 4,
        /// Message ids remembered for grouping conversations, over all recently used folders, about 50 octets each. Beyond it,
        /// the folders unused for longest are forgotten, and read again when needed. For one opened message, folders with at
        /// most a quarter as many messages are read; larger ones are left out, and the page says so.
        pub conversation_ids: u32 = 2_000_000,
        /// Pages of one account that get live updates. Further ones are refused with 429 and retry by themselves.
        pub watchers_per_user: u32 = 20,
        /// How long a page gets live updates over one connection; it then reconnects.
        pub watch: Span = Span::minutes(10),
        /// People an account has written to that are remembered for completing addresses. Beyond it, those not written to for
        /// longest are forgotten.
        pub people: u32 = 2_000,
        /// Pictures in the formatted signatures of one account, all together. More are refused with 413.
        pub signature_pictures: ByteSize = ByteSize::kib(256),
        /// Fewest characters of a new password.
        pub password: u32 = 10,
    }
}
