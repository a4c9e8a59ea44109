use std::path::PathBuf;

use super::imap;
use crate::foundations::failure::Kind;
use crate::foundations::files;
use crate::storage::{database, directory, mailbox, scripts};

/// Why something could not be imported.
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
    #[error("there is no Maildir in `{}`: expected a directory with `cur`, `new` and `tmp`", .0.display())]
    NoMail(PathBuf),
    /// The path holds mail in a format that only Dovecot reads.
    #[error(
        "`{}` holds mail in Dovecot's own format (dbox): let Dovecot write a Maildir (`doveadm backup -u USER maildir:DIRECTORY`) \
         and name that, or use `postrider import imap`",
        .0.display()
    )]
    Dbox(PathBuf),
    /// The file is no mbox.
    #[error("`{}` is not an mbox: it does not begin with a line `From …` followed by a header", .0.display())]
    NoMbox(PathBuf),
    /// The directory or archive contains no mbox.
    #[error("there is no mbox in `{}`", .0.display())]
    NoMboxes(PathBuf),
    /// A message disappeared while it was read.
    #[error("`{}` has disappeared: stop the other server, so that nothing changes meanwhile, and run the same command again", .0.display())]
    Gone(PathBuf),
    /// A message is compressed in a way that is not understood, or is damaged.
    #[error("`{}` is compressed with {how} and cannot be read: {reason}", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// The method of compression.
        how: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A message can only be read with keys that Dovecot has.
    #[error(
        "`{}` is encrypted by Dovecot's mail_crypt: use `postrider import imap`, or let `doveadm` write the mail \
         decrypted and name that",
        .0.display()
    )]
    Encrypted(PathBuf),
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
    /// A dump of the database there.
    #[error("line {line} of the database's dump: {because}")]
    Dump {
        /// The line on which the statement begins, or on which reading ended.
        line: u64,
        /// What is wrong.
        because: String,
    },
    /// An archive cannot be read.
    #[error("`{}` cannot be unpacked: {because}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        because: String,
    },
    /// A file of a backup has changed.
    #[error("`{}` is damaged: its SHA-256 differs from the one in `{}`", path.display(), list.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The list of checksums.
        list: PathBuf,
    },
    /// The directory is not a backup of the stack.
    #[error("`{}` has neither `mysql_*.sql.gz` nor `maildirs_*.tar.gz`", .0.display())]
    NoBackup(PathBuf),
    /// Accounts there cannot be created here: the rows, and what is wrong with each.
    #[error("rows of the other database cannot be imported; correct or delete them there, and run the command again: {}", .0.join("; "))]
    BadAccounts(Vec<String>),
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
            Self::NoMail(_) | Self::NoMboxes(_) | Self::NoBackup(_) => Kind::NotFound,
            Self::Damaged { .. } => Kind::Corrupt,
            Self::Gone(_) => Kind::Temporary,
            Self::Imap(error) => error.kind(),
            Self::Dbox(_)
            | Self::NoMbox(_)
            | Self::Compressed { .. }
            | Self::Encrypted(_)
            | Self::TooLarge { .. }
            | Self::BadAccounts(_) => Kind::Invalid,
            Self::Dump { .. } | Self::Archive { .. } => Kind::Invalid,
        }
    }
}
