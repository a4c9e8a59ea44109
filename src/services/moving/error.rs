use std::path::PathBuf;

use super::imap;
use crate::foundations::failure::Kind;
use crate::foundations::files;
use crate::storage::{database, directory, mailbox, scripts};

/// Why something could not be moved in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The mailboxes here, or a Maildir there.
    #[error(transparent)]
    Mailbox(#[from] mailbox::Error),
    /// The scripts here.
    #[error(transparent)]
    Scripts(#[from] scripts::Error),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The path holds no mail.
    #[error("there is no Maildir in `{}`: a directory with `cur`, `new` and `tmp` is wanted", .0.display())]
    NoMail(PathBuf),
    /// A message has gone while it was read.
    #[error("`{}` has gone: stop the other server, so that nothing changes meanwhile, and say the same again", .0.display())]
    Gone(PathBuf),
    /// A message is compressed in a way that is not understood, or is damaged.
    #[error("`{}` is compressed with {how} and cannot be read: {reason}", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// With what.
        how: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A message is larger than the limit.
    #[error("`{what}` is larger than {largest} octets: allow more with `--largest`")]
    TooLarge {
        /// The message.
        what: String,
        /// The limit.
        largest: u64,
    },
    /// The other server, over IMAP.
    #[error(transparent)]
    Imap(#[from] imap::Error),
    /// The accounts here.
    #[error(transparent)]
    Directory(#[from] directory::Error),
    /// The database there.
    #[error("the other database: {0}")]
    Database(#[from] database::Error),
    /// An account there cannot be one here.
    #[error("`{what}` of the other database cannot be taken over: {reason}")]
    BadAccount {
        /// The row.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// The kind of failure.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Mailbox(error) => error.kind(),
            Self::Scripts(error) => error.kind(),
            Self::File(error) => error.kind(),
            Self::Directory(error) => error.kind(),
            Self::Database(error) => error.kind(),
            Self::NoMail(_) => Kind::NotFound,
            Self::Gone(_) => Kind::Temporary,
            Self::Imap(error) => error.kind(),
            Self::Compressed { .. } | Self::TooLarge { .. } | Self::BadAccount { .. } => Kind::Invalid,
        }
    }
}
