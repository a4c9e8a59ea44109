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
    /// There was one, and it has gone.
    #[error("`{place}` holds no backups, but one was made there at {at}: is the disk mounted? `--new` begins anew")]
    Gone {
        /// Where.
        place: String,
        /// When.
        at: Timestamp,
    },
    /// There was mail, and it has gone.
    #[error(
        "`{}` has not one message, and the backup {snapshot} has {messages}: is the disk mounted? `--empty` takes a backup of it \
         all the same", mail_root.display()
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
    #[error("`{}` is no repository of backups, and not empty: name another directory", .0.display())]
    NotRepository(PathBuf),
    /// It was written by a later version.
    #[error("`{}` has format {format} and this program knows {}: use the program that wrote it", path.display(), super::repository::FORMAT)]
    Format {
        /// The repository or snapshot.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// Somebody else works on it.
    #[error("another process works on the backups in `{}`; try again when it is done", .0.display())]
    Busy(PathBuf),
    /// There are packs, and not one snapshot that says what is in them.
    #[error(
        "`{}` holds what backups are made of, and not one backup: where its `snapshots` were lost, get them from a copy \
         (`postrider backup pull`); after a first backup that was cut off, `postrider backup create` goes on. Nothing is removed",
        .0.display()
    )]
    Unlisted(PathBuf),
    /// No snapshot is meant.
    #[error("no backup {0}; `postrider backup list` shows those there are")]
    NoSnapshot(String),
    /// The backup that is to be removed by its name is the only one.
    #[error("the backup {0} is the only one that is whole and is not removed; `postrider backup create` makes another")]
    OnlyOne(String),
    /// What was to be restored is not in the backup.
    #[error("the backup {snapshot} has no {what}")]
    NotInBackup {
        /// The snapshot.
        snapshot: String,
        /// What was asked for.
        what: String,
    },
    /// A file of the repository is not as it was written.
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
         `postrider backup pull` brings it back from a copy, and earlier backups (`--backup`) may do without it"
    )]
    Missing(ObjectId),
    /// What cannot be overwritten is there.
    #[error("`{}` is there already and is not overwritten: {advice}", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
        /// What to do.
        advice: &'static str,
    },
    /// The database has accounts or queued mail.
    #[error(
        "the database has accounts or queued mail already and is left as it is, so that passwords and queue of the backup do not \
         come back: begin with an empty database if they must (docs/backup.md); `--domain` or `--user` brings back accounts that \
         are gone, and `--to` restores everything into a directory"
    )]
    AccountsThere,
    /// Two directories that must be apart are not.
    #[error("`{}` is not apart from `{}`, {what}: name another directory", path.display(), other.display())]
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
    #[error("the backup's table `{table}` does not fit the tables of this program: {because}")]
    Table {
        /// The table.
        table: String,
        /// What does not fit.
        because: String,
    },
    /// A backup that stays cannot be read, so that it is not known what it needs.
    #[error(
        "{0}. Nothing is removed, for it is not known what that backup needs: `postrider backup prune --damaged` sets aside \
         what cannot be read and goes on without it"
    )]
    NeedsUnknown(Box<Error>),
    /// There are backups, and not one of them can be read.
    #[error("not one backup in `{}` can be read: nothing is removed before `postrider backup create` has made one", .0.display())]
    NoneWhole(PathBuf),
    /// A program that others wrote did not do its part.
    #[error("`{program}` failed: {because}")]
    Program {
        /// Which.
        program: &'static str,
        /// What it said.
        because: String,
        /// Whether it can do it later.
        remedy: Remedy,
    },
    /// What is in memory cannot be written, or a thread ended in the middle of its work: the program has a fault.
    #[error("the work cannot be done: {0}")]
    Fault(String),
    /// Memory or a thread that was to do the work could not be had, or it was told to end.
    #[error("the work was interrupted: {0}")]
    Interrupted(String),
}

/// What helps against the failure of another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// To try again: a host or a disk did not answer.
    Patience,
    /// To change something: the program is not there, or was asked for what it cannot do.
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
    /// Whether what was stored is not what is there: a file that is not as it was written, one that is missing, one that
    /// the disk does not give back.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Missing(_) => true,
            Self::File(error) => error.source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()),
            _ => false,
        }
    }

    /// Whether a file is not where it was to be read.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::File(error) if error.source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the storage could not be asked, so that nothing is known of what it holds: that is no damage.
    pub fn is_out_of_reach(&self) -> bool {
        matches!(self, Self::Storage(error) if error.kind == Kind::Temporary)
    }

    /// The kind of failure.
    pub fn kind(&self) -> Kind {
        match self {
            // It is the directory above that is missing: nothing that anybody has asked for.
            Self::File(error) if error.verb == "create" && error.kind() == Kind::NotFound => Kind::Invalid,
            // Nobody makes it writable by waiting, as nobody gives the right to write by it.
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
