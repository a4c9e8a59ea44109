//! Errors of the store.

use std::io;
use std::path::PathBuf;

use crate::foundations::counted::counted;
use crate::foundations::failure::Kind;
use crate::foundations::files;
use crate::foundations::mail::Uid;

use super::FolderName;
use crate::storage::cluster;

/// Some messages were to be removed, and not all could be. Those removed do not come back: the caller must report them
/// as gone.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Unfinished {
    /// The removed UIDs, ascending.
    pub gone: Vec<Uid>,
    /// Why the others could not be removed.
    pub error: Error,
}

impl From<Error> for Unfinished {
    fn from(error: Error) -> Self {
        Self { gone: Vec::new(), error }
    }
}

impl From<Unfinished> for Error {
    fn from(unfinished: Unfinished) -> Self {
        unfinished.error
    }
}

/// Why an operation of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder does not exist (any more).
    #[error("the folder `{0}` does not exist")]
    NoFolder(FolderName),
    /// A folder of that name already exists.
    #[error("the folder `{0}` already exists")]
    FolderExists(FolderName),
    /// INBOX can be neither created nor deleted (RFC 9051 §6.3.4, §6.3.5).
    #[error("INBOX cannot be created, deleted or made a child of itself")]
    Inbox,
    /// The message is gone: expunged by this or another session.
    #[error("the message with UID {0} no longer exists")]
    NoMessage(Uid),
    /// The view was opened for reading only.
    #[error("the folder `{0}` was opened for reading only")]
    ReadOnly(FolderName),
    /// The user's quota would be exceeded.
    #[error("{} are in use, and {wanted} more would exceed the quota of {quota}", counted(*.used, "octet"))]
    OverQuota {
        /// Octets stored now.
        used: u64,
        /// Octets that would be added.
        wanted: u64,
        /// The limit.
        quota: u64,
    },
    /// A folder can hold 26 different keywords, one letter each.
    #[error("the folder `{0}` already has 26 keywords, the most that file names can hold")]
    TooManyKeywords(FolderName),
    /// The user has as many folders as `folders_per_user` allows.
    #[error("the user has {0} folders, which is the limit")]
    TooManyFolders(usize),
    /// A value of an annotation is larger than `metadata_value` allows, which is this many octets.
    #[error("an annotation has at most {0} octets")]
    MetadataTooLarge(u64),
    /// There would be more annotations than `metadata_entries` and `metadata_total` allow.
    #[error("no more annotations are allowed")]
    TooMuchMetadata,
    /// All 2³² UIDs of the folder are used up; only deleting and creating it again helps.
    #[error("the folder `{0}` has used up its UIDs; create a new one and move the mail there")]
    UidsExhausted(FolderName),
    /// The address cannot be the name of a directory.
    #[error("`{0}` cannot be the name of a mail directory")]
    BadUser(String),
    /// A folder cannot be moved below itself, nor where a folder below it would get an invalid name.
    #[error("the folder `{0}` cannot be moved there")]
    IntoItself(FolderName),
    /// Another process owns this mail root.
    #[error("the mail in `{0}` is in use by another process")]
    Busy(String),
    /// Another node owns this user's mail.
    #[error("another node, `{0}`, owns the mail of this user")]
    Elsewhere(String),
    /// It is unknown who owns this user's mail, or this node no longer does.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// This node no longer owns the user's mail.
    #[error(transparent)]
    Lapsed(#[from] cluster::Lapsed),
    /// The user's address was changed a moment ago.
    #[error("this user's address has changed; try again in a minute")]
    Renamed,
    /// Something already exists at the place for the mail of a new address.
    #[error("`{}` already exists; move it away", .0.display())]
    MailThere(PathBuf),
    /// Other nodes may remember the address of a user for a while.
    #[error(
        "users cannot be renamed while several nodes run, since the others may remember the address: stop all nodes first"
    )]
    SeveralNodes,
    /// The operating system refused.
    #[error("{doing}: {source}")]
    Io {
        /// The operation and its object.
        doing: String,
        /// The system's error.
        source: io::Error,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The server is stopping.
    #[error("the store is closing down")]
    Closing,
}

impl Error {
    /// The kind, for the protocols' tables.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoFolder(_) | Self::NoMessage(_) => Kind::NotFound,
            Self::FolderExists(_) => Kind::Exists,
            Self::Inbox | Self::BadUser(_) | Self::IntoItself(_) => Kind::Invalid,
            Self::ReadOnly(_) => Kind::NoPermission,
            Self::OverQuota { .. } => Kind::OverQuota,
            Self::MetadataTooLarge(_) => Kind::TooLarge,
            Self::TooManyKeywords(_) | Self::TooManyFolders(_) | Self::TooMuchMetadata | Self::UidsExhausted(_) => {
                Kind::TooMany
            }
            // Which file that was does not concern clients.
            Self::File(error) => match error.kind() {
                Kind::NoSpace => Kind::NoSpace,
                _ => Kind::Temporary,
            },
            Self::MailThere(_) => Kind::Exists,
            Self::SeveralNodes => Kind::Invalid,
            Self::Renamed | Self::Busy(_) | Self::Closing | Self::Elsewhere(_) | Self::Cluster(_) | Self::Lapsed(_) => {
                Kind::Temporary
            }
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::NoSpace,
                _ => Kind::Temporary,
            },
        }
    }

    /// Wraps a system error with the operation that failed.
    pub(super) fn io(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { doing: doing.into(), source: source.into() }
    }
}
