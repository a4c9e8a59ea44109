//! Settings of delivery.

crate::words! {
    /// What a sender is told whose message does not fit into a mailbox.
    pub enum OverQuota {
        /// 452 4.2.2: the sender's host tries again, for days, and the message arrives when room has been made.
        Defer = "defer",
        /// 552 5.2.2: the sender knows at once.
        Refuse = "refuse",
    }
}

crate::words! {
    /// Where mail for `user+tag` goes.
    pub enum TagFolder {
        /// To the inbox, like any other.
        Ignore = "ignore",
        /// To the folder named by the tag, if the user has one.
        Existing = "existing",
        /// To the folder named by the tag, which is created when it is missing.
        Create = "create",
    }
}

crate::words! {
    /// What happens to a message that says it has been in the same mailbox before.
    pub enum Circles {
        /// It is refused with 554 5.4.6: a forwarding address leads back here.
        Refuse = "refuse",
        /// It is stored. For moving old mail in by LMTP.
        Ignore = "ignore",
    }
}

crate::settings! {
    /// How messages are put into mailboxes.
    pub struct DeliverySettings {
        /// What a sender is told whose message does not fit into a mailbox.
        pub over_quota: OverQuota = OverQuota::Defer,
        /// Where mail for `user+tag` goes.
        pub tag_folder: TagFolder = TagFolder::Ignore,
        /// What happens to a message whose Delivered-To field names the mailbox it is for.
        pub circles: Circles = Circles::Refuse,
        /// Folder for messages that the filter puts into quarantine, where `intake.quarantine` is `"mailbox"`. It is created when it is
        /// missing. Who moves a message out of it has released it.
        pub quarantine_folder: String = "Quarantine".to_owned(),
        /// How many mailboxes one message is written to at the same time. The other recipients wait for their turn.
        pub at_once: u32 = 8,
    }
}
