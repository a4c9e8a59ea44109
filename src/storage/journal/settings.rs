//! Settings of the journal.

use crate::foundations::settings::{ByteSize, Span};

crate::settings! {
    /// The journal of events: what the server has decided about messages, logins and clients, as `postrider trace` and the
    /// monitoring page show it. These settings say how much of it is kept, and for how long.
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
        /// Most events that wait to be written. Further ones are dropped, and their number is recorded.
        pub waiting: u32 = 16_384,
        /// How long events gather before they are written together.
        pub gather_for: Span = Span::millis(200),
        /// A clock this far ahead of its last reading may have been set wrongly, or the server was off for that long: what is
        /// deleted for its age (events, counts, quarantine, reports from others, backups by `backup.retention.days`, mail in trash
        /// and junk) then stays for `after_jump`, so that there is time to correct the clock.
        pub jump: Span = Span::days(2),
        /// How long nothing is deleted for its age after such a jump; 0 to delete at once.
        pub after_jump: Span = Span::days(3),
        /// How often old events are looked for. This also happens whenever a twentieth of `keep_at_most` was written (at least
        /// 10,000).
        pub prune_every: Span = Span::hours(1),
    }
}
