//! Settings of delivery.

use std::path::PathBuf;

use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::settings::{ByteSize, Span};

crate::words! {
    /// How a message that does not fit into a mailbox is refused.
    pub enum OverQuota {
        /// 452 4.2.2: the sender's host keeps trying for days, and the message arrives once there is room.
        Defer = "defer",
        /// 552 5.2.2: the sender knows at once.
        Refuse = "refuse",
    }
}

impl OverQuota {
    /// What the sender is told.
    pub fn refusal(self) -> Refusal {
        let (code, status) = match self {
            Self::Defer => (452, "4.2.2"),
            Self::Refuse => (552, "5.2.2"),
        };
        Refusal::new(Kind::OverQuota, "The mailbox is full").smtp(code, status)
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
        /// It is stored. For moving old mail in by LMTP. A message that scripts redirect in a loop is stored in the
        /// mailbox to which it returns.
        Ignore = "ignore",
    }
}

crate::settings! {
    /// How messages are put into mailboxes: what happens when one is full, and where tagged and quarantined mail goes.
    pub struct DeliverySettings {
        /// How a message that does not fit into a mailbox is refused.
        pub over_quota: OverQuota = OverQuota::Defer,
        /// Where mail for `user+tag` goes.
        pub tag_folder: TagFolder = TagFolder::Ignore,
        /// What happens to a message whose Delivered-To field names the mailbox it is for.
        pub circles: Circles = Circles::Refuse,
        /// Folder for messages that the filter puts into quarantine, where `intake.quarantine` is `"mailbox"`. It is
        /// created when it is missing. Moving a message out of it releases the message.
        pub quarantine_folder: String = "Quarantine".to_owned(),
        /// Shares of a quota in per cent. A user whose mailbox reaches one of them through a delivery gets a letter in
        /// the inbox. Empty: nobody is notified.
        pub nearly_full: Vec<u32> = vec![80, 95],
        /// How long a user who was notified of such a share is not notified of it again.
        pub nearly_full_again: Span = Span::days(7),
        /// How Sieve scripts take part in delivery.
        pub sieve: ScriptedSettings = ScriptedSettings::default(),
        /// How many mailboxes one message is written to at the same time. The other recipients wait for their turn.
        pub at_once: u32 = 8,
    }
}

crate::words! {
    /// Whether users' scripts run on mail that the filter calls junk.
    pub enum JunkScripts {
        /// They run, and what they store or discard counts: a script that files a message itself wins over the folder for junk.
        /// Nobody is answered, and nothing is passed on or refused.
        File = "file",
        /// They do not run: junk goes to the folder for junk.
        Skip = "skip",
    }
}

crate::words! {
    /// What happens to a message that a script files into a missing folder.
    pub enum MissingFolder {
        /// The folder is created and subscribed.
        Create = "create",
        /// The message goes to the inbox, unless the script says `:create`.
        Inbox = "inbox",
    }
}

crate::settings! {
    /// How Sieve scripts take part in delivery: those of the site, which run before and after a user's own.
    pub struct ScriptedSettings {
        /// Scripts of the site that run before those of the users, in this order. As long as a script keeps the message, the
        /// next one runs. They are compiled when the configuration is loaded; `postrider check` reports errors.
        pub before: Vec<PathBuf> = Vec::new(),
        /// Scripts of the site that run after those of the users, if these keep the message.
        pub after: Vec<PathBuf> = Vec::new(),
        /// Directory with the site's scripts for `include :global "NAME"`, each as `NAME.sieve`.
        pub global: Option<PathBuf> = None,
        /// Whether users' scripts run on mail that the filter calls junk.
        pub junk: JunkScripts = JunkScripts::File,
        /// What happens to a message that a script files into a missing folder.
        pub missing_folder: MissingFolder = MissingFolder::Create,
        /// For how long a message that is delivered again is neither redirected to the same address again, nor stored again in
        /// a folder that an incomplete attempt has put it into. Each further attempt restarts this time.
        pub redirected_once_in: Span = Span::hours(12),
        /// Compiled scripts kept in memory. Beyond it, those that have not run for longest are compiled again when they run.
        pub cache: u32 = 1000,
        /// Approximate limit on their memory. Those that have not run for longest go first.
        pub cache_memory: ByteSize = ByteSize::mib(64),
    }
}
