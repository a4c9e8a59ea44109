//! Settings of what is remembered of senders.

use crate::foundations::settings::Span;

crate::settings! {
    /// What is remembered of senders, for everybody and for each account: those who have sent wanted mail are suspected less,
    /// and those who have sent unwanted mail more.
    pub struct ReputationSettings {
        /// Whether senders are remembered, and what is remembered counts.
        pub enabled: bool = true,
        /// How much the best reputation takes off a score and the worst adds to it. 0 remembers without counting.
        pub weight: f64 = 2.5,
        /// Taken off the score if the recipient has written to the author and the author's address is verified; half of it if
        /// somebody else here has, a quarter of either if the address could be anybody's.
        pub correspondent: f64 = 2.0,
        /// Score, without classifier and reputation, up to which an accepted message speaks a little for its sender.
        pub wanted_to: f64 = 1.0,
        /// Score, without classifier and reputation, from which a message speaks a little against its sender.
        pub unwanted_from: f64 = 8.0,
        /// How long a sender that sends nothing more is remembered.
        pub remember: Span = Span::days(400),
        /// Rows kept in the database, about 200 octets each. Beyond it those not heard of for longest are forgotten.
        pub rows: u32 = 1_000_000,
        /// Rows kept in memory. Beyond it those looked at longest ago are dropped.
        pub in_memory: usize = 50_000,
        /// How long a row in memory is used before changes by other processes are looked for.
        pub refresh: Span = Span::minutes(5),
        /// How often changes are written to the database.
        pub write_every: Span = Span::seconds(10),
    }
}
