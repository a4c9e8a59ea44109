//! Settings of the directory.

use crate::foundations::settings::Span;

crate::settings! {
    /// How domains, users and aliases are looked up. What the database has said is remembered for a while, so what
    /// other programs change in it takes effect a little later.
    pub struct DirectorySettings {
        /// For how long an answer about a recipient may be remembered, also a negative one. Changes made by this process count
        /// at once; changes made by others (another role, the command line, a script) after this time. Logins always ask the
        /// database. `0s` asks always.
        pub cache_for: Span = Span::seconds(10),
        /// Most answers of each kind (domains, users, aliases, usage) that are remembered. Beyond it the least used
        /// are forgotten.
        pub cache_entries: u32 = 10_000,
        /// How often the sizes of mailboxes that have changed are written to `mailbox_usage`. A crash loses at most this much;
        /// the mailbox itself is then recounted.
        pub usage_interval: Span = Span::seconds(5),
    }
}
