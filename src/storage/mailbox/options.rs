//! Arguments and results of the store's operations.

use crate::foundations::clock::Timestamp;
use crate::foundations::mail::{MailboxId, ModSeq, SequenceNumber, Uid, UidValidity, UnchangedSince};
use crate::foundations::settings::ByteSize;

use super::{Flags, FolderName, Keyword, MailboxSettings};

/// How a folder is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// SELECT: may change it, and takes the `\Recent` marks.
    ReadWrite,
    /// EXAMINE: read only.
    ReadOnly,
}

/// What to do when the target folder does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Create and subscribe it (delivery).
    Create,
    /// Answer [`Error::NoFolder`](super::Error::NoFolder) (APPEND, COPY: the client gets TRYCREATE).
    Fail,
}

/// Whether expunged messages may be reported now (RFC 9051 §7.5.1: not during FETCH, STORE and SEARCH).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expunges {
    /// Report them; sequence numbers shift.
    Tell,
    /// Keep them numbered for now.
    Hold,
}

/// Whether a folder is to be among the subscribed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscription {
    /// SUBSCRIBE.
    On,
    /// UNSUBSCRIBE.
    Off,
}

/// How to store a new message.
#[derive(Debug, Clone)]
pub struct AppendOptions {
    /// Its system flags. With any flag or keyword it goes to `cur/`.
    pub flags: Flags,
    /// Its keywords.
    pub keywords: Vec<Keyword>,
    /// INTERNALDATE; now when `None`.
    pub internal_date: Option<Timestamp>,
    /// The user's quota; `None` for no limit.
    pub quota: Option<ByteSize>,
    /// What to do if the folder does not exist.
    pub missing: Missing,
    /// The size of a message that is removed once this one is stored: it makes room within every limit. `None` for
    /// none.
    pub in_place_of: Option<u64>,
}

impl AppendOptions {
    /// As for a delivery: no flags, now, folder created when missing.
    pub const fn delivery(quota: Option<ByteSize>) -> Self {
        Self {
            flags: Flags::NONE,
            keywords: Vec::new(),
            internal_date: None,
            quota,
            missing: Missing::Create,
            in_place_of: None,
        }
    }
}

/// A message has been stored, durably (for APPENDUID, RFC 4315 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The epoch of the UID.
    pub uid_validity: UidValidity,
    /// The new message's UID.
    pub uid: Uid,
}

/// The result of storing a message unless something else is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unless<T> {
    /// It is stored.
    Appended(Appended),
    /// It is not stored: do this instead.
    Instead(T),
}

/// Messages have been copied or moved, durably (for COPYUID, RFC 4315 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The epoch of the new UIDs.
    pub uid_validity: UidValidity,
    /// Old and new UID of each message, ascending in both. Messages already gone are missing.
    pub uids: Vec<(Uid, Uid)>,
}

/// How STORE changes flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagChange {
    /// Add, remove, or replace all.
    pub operation: FlagOperation,
    /// System flags.
    pub flags: Flags,
    /// Keywords; new ones are learned by the folder, except when removing.
    pub keywords: Vec<Keyword>,
    /// UNCHANGEDSINCE (RFC 7162 §3.1.3): leave messages alone that changed after it.
    pub unchanged_since: Option<UnchangedSince>,
}

/// The three forms of STORE (RFC 9051 §6.4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagOperation {
    /// `+FLAGS`.
    Add,
    /// `-FLAGS`.
    Remove,
    /// `FLAGS`.
    Replace,
}

/// The result of a flag change, durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Messages whose flags are now different, ascending, each with its new mod-sequence. One that the view then shows
    /// with a different mod-sequence has been changed by somebody else since.
    pub changed: Vec<(Uid, ModSeq)>,
    /// Those of `changed` that somebody else had changed before without the view having shown it yet; ascending.
    pub overtaken: Vec<Uid>,
    /// Messages left alone because of UNCHANGEDSINCE, ascending (the MODIFIED code).
    pub modified: Vec<Uid>,
    /// Messages already gone, ascending.
    pub gone: Vec<Uid>,
}

impl Stored {
    /// The UIDs of the messages whose flags are now different, ascending.
    pub fn uids(&self) -> Vec<Uid> {
        self.changed.iter().map(|(uid, _)| *uid).collect()
    }
}

/// News for a session, from [`View::sync`](super::View::sync), in the order in which it must be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// A message is gone. Highest first, so each number is right when it is reported (RFC 9051 §7.5.1).
    Expunged {
        /// Its number until now.
        sequence: SequenceNumber,
        /// Its UID, for VANISHED (RFC 7162 §3.2.10.2).
        uid: Uid,
    },
    /// The folder has this many messages now (RFC 9051 §7.4.1).
    Exists(u32),
    /// This many of them are recent (RFC 3501 §7.3.2).
    Recent(u32),
    /// The folder has learned new keywords: FLAGS and PERMANENTFLAGS change.
    Keywords,
    /// A message's flags, keywords or mod-sequence changed; the view's row has the new ones.
    Flags {
        /// Its number.
        sequence: SequenceNumber,
        /// Its UID.
        uid: Uid,
    },
    /// The folder was deleted, renamed or got a new UIDVALIDITY: the session must leave it.
    Gone,
}

/// STATUS of a folder (RFC 9051 §6.3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// MESSAGES.
    pub messages: u32,
    /// RECENT.
    pub recent: u32,
    /// UNSEEN.
    pub unseen: u32,
    /// DELETED.
    pub deleted: u32,
    /// DELETED-STORAGE: what an EXPUNGE would free, in octets (RFC 9208).
    pub deleted_octets: u64,
    /// SIZE in octets (RFC 8438).
    pub size: u64,
    /// UIDNEXT.
    pub uid_next: Uid,
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// HIGHESTMODSEQ (RFC 7162 §3.1.7).
    pub highest_mod_seq: ModSeq,
    /// MAILBOXID (RFC 8474); `None` if not requested, and for a folder whose identifier cannot be stored.
    pub mailbox_id: Option<MailboxId>,
}

/// What a user's mail occupies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Octets of all messages, as stored.
    pub octets: u64,
    /// Messages.
    pub messages: u64,
}

/// The most that a user's mail may occupy; `None` where there is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageLimits {
    /// Octets of all messages, as stored.
    pub octets: Option<u64>,
    /// Messages.
    pub messages: Option<u64>,
}

/// One folder, for LIST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    /// Its name.
    pub name: FolderName,
    /// Its special use, if it has one (RFC 6154).
    pub special_use: Option<SpecialUse>,
    /// Whether it is subscribed.
    pub subscribed: bool,
    /// Whether it exists; `false` only for subscribed names without a folder (`\NonExistent`, RFC 5258 §3.1).
    pub exists: bool,
}

/// Special uses of folders (RFC 6154 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpecialUse {
    /// `\Archive`.
    Archive,
    /// `\Drafts`.
    Drafts,
    /// `\Junk`.
    Junk,
    /// `\Sent`.
    Sent,
    /// `\Trash`.
    Trash,
}

impl SpecialUse {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Archive, Self::Drafts, Self::Junk, Self::Sent, Self::Trash];

    /// The folder with this use; `None` when the settings name none.
    pub fn folder(self, settings: &MailboxSettings) -> Option<FolderName> {
        FolderName::parse(self.name(settings)).ok()
    }

    /// The name of the folder with this use; empty when there is none.
    pub(super) fn name(self, settings: &MailboxSettings) -> &str {
        match self {
            Self::Archive => &settings.archive,
            Self::Drafts => &settings.drafts,
            Self::Junk => &settings.junk,
            Self::Sent => &settings.sent,
            Self::Trash => &settings.trash,
        }
    }

    /// The attribute in LIST responses.
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }
}
