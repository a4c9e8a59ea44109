//! Settings of the queue.

use crate::foundations::address::Address;
use crate::foundations::settings::{ByteSize, Span};

crate::settings! {
    /// How long messages wait, and how many are passed on at the same time.
    pub struct QueueSettings {
        /// Wait before the second attempt (RFC 5321 §4.5.4.1). Each further wait is twice as long.
        pub first_retry: Span = Span::minutes(5),
        /// Longest wait between two attempts.
        pub longest_retry: Span = Span::hours(4),
        /// Age at which a recipient that cannot be reached is given up (RFC 5321 §4.5.4.1: at least 4 to 5 days).
        pub lifetime: Span = Span::days(5),
        /// Least attempts before a recipient is given up for its age, so that neither a clock set far ahead nor a long power
        /// failure returns all waiting mail at once.
        pub attempts_before_giving_up: u32 = 5,
        /// The same as `lifetime`, for notifications.
        pub notification_lifetime: Span = Span::days(2),
        /// Age at which messages in quarantine are deleted, with an event; `"0s"` for never.
        pub quarantine_lifetime: Span = Span::days(30),
        /// Age at which the sender is notified of the delay; `"0s"` for never.
        pub warn_after: Span = Span::hours(4),
        /// Most connections to other hosts and to the mailboxes together. Beyond it groups wait in their lanes.
        pub connections: u32 = 100,
        /// How long an attempt may hold one of these before it counts towards `slow_connections` instead, so that slow hosts do
        /// not hold up other mail.
        pub slow_after: Span = Span::seconds(10),
        /// Most additional connections whose attempts take longer than `slow_after`. Beyond it the one that has taken longest
        /// is given up for now, unless its message may have arrived: the only case in which hosts get less time than
        /// `outbound.timeouts`.
        pub slow_connections: u32 = 200,
        /// A host that takes a message at this many octets a second is not given up that way.
        pub slow_rate: ByteSize = ByteSize::kib(64),
        /// Connections among `connections` reserved for mailboxes and for destinations that recently accepted mail within
        /// `slow_after`.
        pub connections_for_quick: u32 = 25,
        /// Most connections to one destination.
        pub connections_per_destination: u32 = 20,
        /// Connections to a destination about which nothing is known yet.
        pub first_connections: u32 = 5,
        /// Most deliveries to our own mailboxes at the same time.
        pub local_deliveries: u32 = 16,
        /// Failures to talk to any host of a destination, one after the other, after which it rests.
        pub failures_before_rest: u32 = 3,
        /// How long a destination rests first. Each further rest is twice as long, up to `longest_rest`.
        pub first_rest: Span = Span::minutes(5),
        /// Longest rest of a destination.
        pub longest_rest: Span = Span::hours(1),
        /// Most recipients in one transaction; further ones get another.
        pub recipients_per_transaction: u32 = 100,
        /// Most recipients in memory, those of slow attempts apart. Further ones stay in the database until there is room.
        pub recipients_in_memory: u32 = 4000,
        /// Most octets of messages in memory; a quarter is reserved like `connections_for_quick`. Beyond it a worker waits; a
        /// larger message is handled alone.
        pub memory: ByteSize = ByteSize::mib(256),
        /// How long a connection without work is kept for the next message.
        pub idle_connection: Span = Span::seconds(2),
        /// Largest message that is returned whole in a notification. Of a larger one, only the header is.
        pub returned_size: ByteSize = ByteSize::kib(64),
        /// How often the queue's length is written down for the charts; `"0s"` for never.
        pub sample_every: Span = Span::minutes(5),
        /// Who gets a notification that cannot be delivered. Without one it is dropped, as its event says, and so is a
        /// notification that cannot reach this address.
        pub double_bounces_to: Option<Address> = None,
    }
}
