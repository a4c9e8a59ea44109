//! Settings of intake.

crate::words! {
    /// What is thought of messages that come by LMTP.
    pub enum LmtpVerdict {
        /// The front end has judged them: with `X-Spam-Flag: YES` they go to the folder for unwanted mail.
        Trust = "trust",
        /// They are judged here.
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
    /// What holds for every message received.
    pub struct IntakeSettings {
        /// Received fields a message may have. One with more runs in a circle and is refused with 554 5.4.6 (RFC 5321 §6.3).
        pub hops: u32 = 50,
        /// What is thought of messages that come by LMTP.
        pub lmtp: LmtpVerdict = LmtpVerdict::Trust,
        /// Where messages are kept that the filter puts into quarantine.
        pub quarantine: Quarantine = Quarantine::Queue,
    }
}
