//! Settings of what is remembered of senders.

use crate::foundations::settings::Span;

crate::settings! {
    /// What is remembered of senders, by everybody and by each account: who has sent wanted mail before is suspected
    /// less, and who has sent unwanted mail is suspected more.
    pub struct ReputationSettings {
        /// Whether senders are remembered, and what is remembered counts.
        pub enabled: bool = true,
        /// What the best reputation takes off a score and the worst adds to it. 0 remembers without counting.
        pub weight: f64 = 2.5,
        /// What it takes off a score that the recipient has written to the author, whose address is shown to be real; half
        /// of it when somebody else here has, a quarter of either when the address could be anybody's.
        pub correspondent: f64 = 2.0,
        /// Score, without classifier and reputation, up to which an accepted message speaks a little for its sender.
        pub wanted_to: f64 = 1.0,
        /// Score, without classifier and reputation, from which a message speaks a little against its sender.
        pub unwanted_from: f64 = 8.0,
        /// How long a sender is remembered who is not heard of.
        pub remember: Span = Span::days(400),
        /// Rows kept in the database, about 200 octets each. Beyond it those not heard of for longest are forgotten.
        pub rows: u32 = 1_000_000,
        /// Rows kept in memory. Beyond it those looked at longest ago are dropped.
        pub in_memory: usize = 50_000,
        /// How long a row in memory is used before changes by other processes are looked for.
        pub refresh: Span = Span::minutes(5),
        /// How often what was noted is written to the database.
        pub write_every: Span = Span::seconds(10),
    }
}
