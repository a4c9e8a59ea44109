//! Settings of intake.

use crate::foundations::address::Address;
use crate::foundations::settings::Span;

crate::words! {
    /// What is thought of messages that come by LMTP.
    pub enum LmtpVerdict {
        /// The front end has filtered them: with `X-Spam-Flag: YES` they go to the folder for unwanted mail.
        Trust = "trust",
        /// They are filtered here.
        Judge = "judge",
    }
}

crate::words! {
    /// Where messages are kept that the filter puts into quarantine.
    pub enum Quarantine {
        /// In the queue, until an administrator releases them (`postrider quarantine`).
        Queue = "queue",
        /// In the folder `delivery.quarantine_folder` of their recipients, who can move them out of it. What is for other
        /// servers waits in the queue.
        Mailbox = "mailbox",
    }
}

crate::settings! {
    /// Taking messages in: what holds for every message that is received, whoever brings it.
    pub struct IntakeSettings {
        /// Received fields a message may have. One with more runs in a circle and is refused with 554 5.4.6 (RFC 5321 §6.3).
        pub hops: u32 = 50,
        /// What is thought of messages that come by LMTP.
        pub lmtp: LmtpVerdict = LmtpVerdict::Trust,
        /// Where messages are kept that the filter puts into quarantine.
        pub quarantine: Quarantine = Quarantine::Queue,
        /// Most copies that are remembered of messages which some recipients have and which were refused nevertheless, because
        /// neither the others' mailboxes nor the queue could be written. Whoever has a copy gets no second one when the client
        /// sends the message again within six hours. Of more the oldest are forgotten, and all of them at a restart.
        pub remembered_copies: u32 = 10_000,
        /// Letters to users about what was kept from them.
        pub digest: DigestSettings = DigestSettings::default(),
    }
}

crate::settings! {
    /// Letters to users about what was kept from them since the last one: author, subject, date, score and reasons of each message,
    /// and how to get it. They hold no links.
    pub struct DigestSettings {
        /// Whether they are sent. Off unless wanted: they bring into the inbox what was kept out of it, and authors and
        /// subjects are noted in the database until they go out.
        pub enabled: bool = false,
        /// From when to when one letter reaches; at least a minute. Nobody gets one in which nothing would stand.
        pub every: Span = Span::days(1),
        /// When they go out: so long after each such stretch of time has begun, counted from midnight (UTC).
        pub at: Span = Span::hours(6),
        /// Their sender in the From field, who is asked for what the queue holds; `postmaster` at `hostname` when unset. The
        /// envelope has none, so nothing comes back.
        pub from: Option<Address> = None,
        /// Most messages that one letter lists; of further ones it says only that there are more.
        pub rows: u32 = 100,
    }
}
