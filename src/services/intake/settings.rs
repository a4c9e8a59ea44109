//! Settings of intake.

use crate::foundations::address::Address;
use crate::foundations::settings::Span;

crate::words! {
    /// How messages that arrive by LMTP are treated.
    pub enum LmtpVerdict {
        /// The front end has filtered them: with `X-Spam-Flag: YES` they go to the folder for unwanted mail.
        Trust = "trust",
        /// They are filtered here.
        Judge = "judge",
    }
}

crate::words! {
    /// Where messages that the filter puts into quarantine are kept.
    pub enum Quarantine {
        /// In the queue, until an administrator releases them (`postrider quarantine`).
        Queue = "queue",
        /// In the folder `delivery.quarantine_folder` of their recipients, who can move them out of it. Messages for other
        /// servers wait in the queue.
        Mailbox = "mailbox",
    }
}

crate::settings! {
    /// Receiving messages: settings for every message, whoever sends it.
    pub struct IntakeSettings {
        /// Received fields a message may have. One with more runs in a circle and is refused with 554 5.4.6 (RFC 5321 §6.3).
        pub hops: u32 = 50,
        /// How messages that arrive by LMTP are treated.
        pub lmtp: LmtpVerdict = LmtpVerdict::Trust,
        /// Where messages that the filter puts into quarantine are kept.
        pub quarantine: Quarantine = Quarantine::Queue,
        /// Most delivered copies remembered from messages that were then refused, because neither the other recipients'
        /// mailboxes nor the queue could be written. Recipients with a copy get no second one when the client sends the message
        /// again within six hours. Beyond it the oldest are forgotten, and all of them at a restart.
        pub remembered_copies: u32 = 10_000,
        /// Letters to users about messages kept from them.
        pub digest: DigestSettings = DigestSettings::default(),
    }
}

crate::settings! {
    /// Letters to users about messages kept from them since the last one: author, subject, date, score and reasons of each, and
    /// how to get it. They contain no links.
    pub struct DigestSettings {
        /// Whether they are sent. They bring authors and subjects of such messages into the inbox, and keep them in the
        /// database until they are sent.
        pub enabled: bool = false,
        /// The period that one letter covers; at least a minute. Nobody gets an empty one.
        pub every: Span = Span::days(1),
        /// When they are sent: this long after the start of each such period, counted from midnight (UTC).
        pub at: Span = Span::hours(6),
        /// Their sender in the From field, whom users ask for messages held in the queue; `postmaster` at `hostname` when
        /// unset. The envelope sender is empty, so nothing comes back.
        pub from: Option<Address> = None,
        /// Most messages that one letter lists; it only says that there are more.
        pub rows: u32 = 100,
    }
}
