use crate::foundations::failure::Kind;
use crate::services::backup::HistoryError;
use crate::storage::{directory, journal, spool};

/// A report cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The accounts cannot be read.
    #[error("the accounts cannot be read for the report: {0}")]
    Directory(#[from] directory::Error),
    /// The counts of events cannot be read.
    #[error("the events cannot be counted for the report: {0}")]
    Journal(#[from] journal::Error),
    /// The queue cannot be read.
    #[error("the queue cannot be read for the report: {0}")]
    Spool(#[from] spool::Error),
    /// The results of backups cannot be read.
    #[error("the results of backups cannot be read for the report: {0}")]
    Backups(#[from] HistoryError),
}

impl Error {
    /// The kind, for those who answer somebody.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Directory(error) => error.kind(),
            Self::Journal(error) => error.kind(),
            Self::Spool(error) => error.kind(),
            Self::Backups(HistoryError::Runs(error)) => error.kind(),
            Self::Backups(HistoryError::Events(error)) => error.kind(),
        }
    }
}
