//! What can go wrong with the spool.

use std::io;
use std::path::PathBuf;

use crate::foundations::failure::Kind;
use crate::foundations::ids::QueueId;
use crate::storage::database;

/// A failure of the spool.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body's file cannot be written, synced or read, because of the disk.
    #[error("{path}: {source}")]
    Body {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process passes on the messages of this spool.
    #[error(
        "another process is already sending the mail in `{}`: stop it, or set another `spool.directory` (and another database) here",
        .0.display()
    )]
    Busy(PathBuf),
    /// The entry is in the database, but its body is not on disk: somebody has deleted it, or a restored backup is older.
    #[error("the body of {0} is missing")]
    BodyMissing(QueueId),
    /// The database failed; its message says whether that passes by itself.
    #[error("the queue's tables cannot be used: {0}")]
    Database(#[from] database::Error),
    /// The database refused a transaction that several callers shared, for the reason given.
    #[error("the queue's tables cannot be used: {message}")]
    Shared {
        /// The kind of the reason.
        kind: Kind,
        /// The reason in words.
        message: String,
    },
    /// The database connection was lost during the commit: it may have been done all the same.
    #[error("the queue's tables cannot be used, and it is not known whether the last change was made: {message}")]
    Uncertain {
        /// The kind of the reason.
        kind: Kind,
        /// The reason in words.
        message: String,
    },
    /// A row of the queue does not make sense.
    #[error("the queue's row for {entry} cannot be understood: {what}")]
    Corrupt {
        /// The entry's id as the row has it.
        entry: String,
        /// Which part.
        what: &'static str,
    },
    /// No such entry. For the caller to handle.
    #[error("there is no {0} in the queue")]
    NotFound(QueueId),
    /// Somebody else has done it meanwhile: nothing was changed, and nothing is left to do.
    #[error("another worker has already done it")]
    Overtaken,
    /// The server is stopping.
    #[error("the spool is closed")]
    Closed,
}

impl Error {
    /// Whether the database understood the statement and refused it: it will refuse it the next time, too.
    pub const fn is_refusal(&self) -> bool {
        use database::Error as E;
        match self {
            Self::Database(error) => {
                matches!(error, E::Unique(_) | E::ForeignKey(_) | E::Other(_) | E::Column { .. } | E::Null { .. })
            }
            _ => false,
        }
    }

    /// Whether a change that ended in this error has certainly not been made.
    pub(super) const fn is_certain(&self) -> bool {
        // `Closed` may also mean that the writer ended before it answered.
        !matches!(self, Self::Uncertain { .. } | Self::Closed)
    }

    /// The kind, for code that answers a client.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Body { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::NoSpace,
                _ => Kind::Temporary,
            },
            Self::BodyMissing(_) | Self::Corrupt { .. } => Kind::Corrupt,
            Self::Database(error) => error.kind(),
            Self::Shared { kind, .. } | Self::Uncertain { kind, .. } => *kind,
            Self::NotFound(_) => Kind::NotFound,
            Self::Overtaken => Kind::Exists,
            Self::Closed | Self::Busy(_) => Kind::Temporary,
        }
    }
}
