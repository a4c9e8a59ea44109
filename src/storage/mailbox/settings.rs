//! Settings of the store.

use crate::foundations::settings::{ByteSize, Span};

crate::settings! {
    /// The Maildir store: how the usual folders are called, how many a user may have, and what the server remembers of
    /// them.
    pub struct MailboxSettings {
        /// Most folders a user may have. CREATE beyond it is answered with `NO [LIMIT]`.
        pub folders_per_user: u32 = 2000,
        /// The folder marked `\Drafts`; created and subscribed on first use. Empty: none.
        pub drafts: String = "Drafts".to_owned(),
        /// The folder marked `\Sent`; created and subscribed on first use. Empty: none.
        pub sent: String = "Sent".to_owned(),
        /// The folder marked `\Junk`; created and subscribed on first use, and where junk is delivered. Empty: none.
        pub junk: String = "Junk".to_owned(),
        /// The folder marked `\Trash`; created and subscribed on first use. Empty: none.
        pub trash: String = "Trash".to_owned(),
        /// The folder marked `\Archive`; created and subscribed on first use. Empty: none.
        pub archive: String = "Archive".to_owned(),
        /// How long messages stay in the folder `trash` after they have come into it, such as `"30d"`; then they are removed
        /// for good, once a day, also if they are flagged. Folders below it are left alone. Unset or 0: for ever.
        pub keep_trash: Option<Span> = None,
        /// The same for the folder `junk`.
        pub keep_junk: Option<Span> = None,
        /// Memory for the states of folders that no session has open. Beyond it the longest unused are written to
        /// their index and dropped.
        pub idle_memory: ByteSize = ByteSize::mib(64),
        /// Most folders whose directories are held open at once, with three file descriptors each. Beyond it the longest unused
        /// are closed.
        pub open_directories: u32 = 1024,
        /// Most jobs on files at once; further ones wait for their turn.
        pub parallel_jobs: u32 = 128,
        /// Of these, most jobs of one user; further ones wait, so that nobody keeps the others from their mail. It holds for
        /// users whose mail is opened after it has changed.
        pub jobs_per_user: u32 = 16,
        /// Largest message that is summarised from its file, for example after another program has put it into the folder: it
        /// is in memory for that, one at a time. For a larger one, requests that need the summary (ENVELOPE, BODYSTRUCTURE)
        /// fail; its source can be read. Not less than `smtp.message_size`.
        pub summarized_size: ByteSize = ByteSize::mib(512),
        /// How long changes may wait before they are written to the index. A crash loses no mail or flags by it,
        /// only the time it takes to read the directory again.
        pub index_delay: Span = Span::millis(500),
        /// Expunged messages remembered per folder for clients that resynchronise (RFC 7162 §3.2.5). A client that
        /// was away longer is told of every absent UID.
        pub expunge_history: u32 = 4096,
        /// Largest value of an annotation (RFC 5464). A larger one is answered NO [METADATA MAXSIZE].
        pub metadata_value: ByteSize = ByteSize::kib(64),
        /// Most annotations a folder may have, and the account itself. One more is answered NO [METADATA TOOMANY].
        pub metadata_entries: u32 = 100,
        /// Most octets of all annotations of a folder together, and of the account. More are answered
        /// NO [METADATA TOOMANY].
        pub metadata_total: ByteSize = ByteSize::kib(256),
        /// Changes that may wait for a session that uses NOTIFY (RFC 5465). A session that does not take them in time gets
        /// NOTIFICATIONOVERFLOW and nothing more until it asks again.
        pub waiting_news: u32 = 1000,
    }
}
