use std::io;
use std::path::{Path, PathBuf};

use super::repository::ObjectId;
use super::s3;
use crate::foundations::clock::Timestamp;
use crate::foundations::failure::Kind;
use crate::foundations::files;
use crate::storage::{database, dav, directory};

/// A backup could not be made, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The accounts here.
    #[error(transparent)]
    Directory(#[from] directory::Error),
    /// Calendars or contacts could not be put back.
    #[error(transparent)]
    Dav(#[from] dav::Error),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] s3::Error),
    /// There is no repository yet, or no backup in it.
    #[error("`{}` holds no backups; `postrider backup create` makes the first", .0.display())]
    NoRepository(PathBuf),
    /// There was one, and it is gone.
    #[error(
        "`{place}` holds no backups, but one was made there at {at}: is the disk mounted? `--new` starts a new repository"
    )]
    Gone {
        /// Where.
        place: String,
        /// When.
        at: Timestamp,
    },
    /// There was mail, and it is gone.
    #[error(
        "`{}` has no messages, but the backup {snapshot} has {messages}: is the disk mounted? `--empty` takes a backup \
         anyway", mail_root.display()
    )]
    NoMail {
        /// The mailboxes.
        mail_root: PathBuf,
        /// The newest backup.
        snapshot: String,
        /// Its messages.
        messages: u64,
    },
    /// The directory is something else.
    #[error("`{}` is not a backup repository, and not empty: name another directory", .0.display())]
    NotRepository(PathBuf),
    /// It was written by a later version.
    #[error("`{}` has format {format}, but this program knows {}: use the program that wrote it", path.display(), super::repository::FORMAT)]
    Format {
        /// The repository or snapshot.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// Somebody else works on it.
    #[error("another process is working on the backups in `{}`; try again when it is done", .0.display())]
    Busy(PathBuf),
    /// There are packs, but no snapshot that says what is in them.
    #[error(
        "`{}` holds data of backups, but no backup: if its `snapshots` were lost, get them from a copy \
         (`postrider backup pull`); after an interrupted first backup, run `postrider backup create` again. Nothing is removed",
        .0.display()
    )]
    Unlisted(PathBuf),
    /// There is no such snapshot.
    #[error("there is no backup {0}; `postrider backup list` shows the existing ones")]
    NoSnapshot(String),
    /// The backup to remove by name is the only one.
    #[error("the backup {0} is the only intact one and is not removed; `postrider backup create` makes another")]
    OnlyOne(String),
    /// What was to be restored is not in the backup.
    #[error("the backup {snapshot} has no {what}")]
    NotInBackup {
        /// The snapshot.
        snapshot: String,
        /// What was asked for.
        what: String,
    },
    /// A file of the repository is no longer as it was written.
    #[error("`{}` is damaged: {because}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        because: String,
    },
    /// An object that a snapshot names is in no pack.
    #[error(
        "the object {0} is missing: the pack that held it is gone. `postrider backup verify` says what else is lost with it; \
         `postrider backup pull` gets it back from a copy, and earlier backups (`--backup`) may not need it"
    )]
    Missing(ObjectId),
    /// Something that cannot be overwritten already exists.
    #[error("`{}` exists already and is not overwritten: {advice}", path.display())]
    Exists {
        /// The existing file or directory.
        path: PathBuf,
        /// What to do.
        advice: &'static str,
    },
    /// The database has accounts or queued mail.
    #[error(
        "the database has accounts or queued mail already and is left as it is, so passwords and queue of the backup are not \
         restored: start with an empty database if you need them (docs/backup.md); `--domain` or `--user` restores accounts that \
         are gone, and `--to` restores everything into a directory"
    )]
    AccountsThere,
    /// Two directories that must be apart are not.
    #[error("`{}` overlaps with `{}`, {what}: name another directory", path.display(), other.display())]
    Overlap {
        /// What was asked for.
        path: PathBuf,
        /// What is there already.
        other: PathBuf,
        /// What it is for.
        what: &'static str,
    },
    /// A setting forbids it.
    #[error("`backup.append_only` is set: nothing is removed from `{}`", .0.display())]
    AppendOnly(PathBuf),
    /// Rows that this program's tables do not have a place for.
    #[error("the backup's table `{table}` does not match the tables of this program: {because}")]
    Table {
        /// The table.
        table: String,
        /// What does not fit.
        because: String,
    },
    /// A backup that stays cannot be read, so it is not known what it needs.
    #[error(
        "{0}. Nothing is removed, because it is not known what that backup needs: `postrider backup prune --damaged` sets aside \
         what cannot be read and continues without it"
    )]
    NeedsUnknown(Box<Error>),
    /// There are backups, but none of them can be read.
    #[error("no backup in `{}` can be read: nothing is removed before `postrider backup create` has made one", .0.display())]
    NoneWhole(PathBuf),
    /// An external program failed.
    #[error("`{program}` failed: {because}")]
    Program {
        /// Which.
        program: &'static str,
        /// What it said.
        because: String,
        /// Whether it can do it later.
        remedy: Remedy,
    },
    /// Data in memory cannot be written, or a thread ended in the middle of its work: a bug in this program.
    #[error("the work cannot be done: {0}")]
    Fault(String),
    /// Memory or a thread was not available, or the work was told to end.
    #[error("the work was interrupted: {0}")]
    Interrupted(String),
}

/// What helps when another program has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Trying again: a host or a disk did not answer.
    Patience,
    /// Changing something: the program is not installed, or was asked for something it cannot do.
    Change,
}

impl Remedy {
    /// For a program that cannot be started.
    pub(super) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Self::Change,
            _ => Self::Patience,
        }
    }
}

impl Error {
    /// Whether what was stored is damaged: a file has changed or is missing, or
    /// the disk does not return it.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Missing(_) => true,
            Self::File(error) => error.source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()),
            _ => false,
        }
    }

    /// Whether a file to read does not exist.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::File(error) if error.source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the storage could not be asked, so that nothing is known about its content: that is no damage.
    pub fn is_out_of_reach(&self) -> bool {
        matches!(self, Self::Storage(error) if error.kind == Kind::Temporary)
    }

    /// The kind of failure.
    pub fn kind(&self) -> Kind {
        match self {
            // The directory above is missing, which is not what was asked for.
            Self::File(error) if error.verb == "create" && error.kind() == Kind::NotFound => Kind::Invalid,
            // Waiting does not make it writable, just as it does not grant permission.
            Self::File(error) if error.source.kind() == io::ErrorKind::ReadOnlyFilesystem => Kind::NoPermission,
            Self::File(error) => error.kind(),
            Self::Database(error) => error.kind(),
            Self::Directory(error) => error.kind(),
            Self::Dav(error) => error.kind(),
            Self::Storage(error) => error.kind,
            Self::NoRepository(_)
            | Self::Unlisted(_)
            | Self::Gone { .. }
            | Self::NoMail { .. }
            | Self::NoSnapshot(_)
            | Self::NotInBackup { .. } => Kind::NotFound,
            Self::Exists { .. } | Self::AccountsThere => Kind::Exists,
            Self::Busy(_) | Self::Interrupted(_) | Self::Program { remedy: Remedy::Patience, .. } => Kind::Temporary,
            Self::Damaged { .. } | Self::Missing(_) | Self::NeedsUnknown(_) | Self::NoneWhole(_) => Kind::Corrupt,
            Self::Program { remedy: Remedy::Change, .. }
            | Self::Fault(_)
            | Self::Overlap { .. }
            | Self::NotRepository(_)
            | Self::Format { .. }
            | Self::AppendOnly(_)
            | Self::OnlyOne(_)
            | Self::Table { .. } => Kind::Invalid,
        }
    }
}

/// Gives an I/O error the verb and path it needs to be understood.
pub(super) fn at<'a>(verb: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
    move |source| Error::File(files::Error { verb, path: path.to_owned(), source })
}

/// Says that a file is damaged.
pub(super) fn damaged(path: &Path, because: impl ToString) -> Error {
    Error::Damaged { path: path.to_owned(), because: because.to_string() }
}
