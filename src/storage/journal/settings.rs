//! Settings of the journal.

use crate::foundations::settings::{ByteSize, Span};

crate::settings! {
    /// The journal of events: what the server has decided about messages, logins and clients, as `postrider trace` and
    /// the monitoring page show it. Here stands how much of it is kept, and for how long.
    pub struct JournalSettings {
        /// Age after which events are deleted.
        pub keep_for: Span = Span::days(30),
        /// Most events kept. Beyond it the oldest are deleted, whatever their age.
        pub keep_at_most: u64 = 1_000_000,
        /// Most room that events may take in the database, by the size of the newest ones. Beyond it the oldest are deleted,
        /// whatever their age.
        pub keep_size: ByteSize = ByteSize::gib(2),
        /// Age after which the counts of events (every five minutes, by kind and outcome) and the samples of the queue are
        /// deleted. They are small; charts and totals are made of them.
        pub keep_counts_for: Span = Span::days(400),
        /// Most events that wait to be written. Beyond it further ones are dropped, counted, and the count is written.
        pub waiting: u32 = 16_384,
        /// How long events gather before they are written together.
        pub gather_for: Span = Span::millis(200),
        /// A clock that shows so much more than when it was last looked at may have been put forward by mistake, or the server
        /// was off for as long: what is deleted for its age (events, counts, quarantine, reports of others, backups by
        /// `backup.retention.days`) then stays for `after_jump`, so that there is time to put it back.
        pub jump: Span = Span::days(2),
        /// How long nothing is deleted for its age after such a jump; 0 to delete at once.
        pub after_jump: Span = Span::days(3),
        /// How often old events are looked for. It is done besides whenever a twentieth of `keep_at_most` was written
        /// (10,000 at the least).
        pub prune_every: Span = Span::hours(1),
    }
}
