use std::process::ExitCode;

use super::demo::InTheWay;
use crate::config::LoadError;
use crate::daemon::administration;
use crate::daemon::control::{Complaint, Nature, RequestError};
use crate::foundations::failure::Kind;
use crate::foundations::files;
use crate::services::backup;
use crate::services::login::KeyError;
use crate::services::moving::{self, RenameError};
use crate::services::set_up;
use crate::storage::{cluster, database, directory, scripts, spool};

/// How a command ended. The numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Done = 0,
    /// It could not; the reason is on standard error.
    Failed = 1,
    /// The arguments are wrong.
    Usage = 2,
    /// The configuration cannot be read or has mistakes, or the database does not exist or denies access.
    Configuration = 3,
    /// What was named does not exist.
    NotFound = 4,
    /// What was to be created already exists.
    Exists = 5,
    /// A backup is damaged: its contents differ from what was stored.
    Damaged = 6,
    /// It did what it could, but something was left out; the output says what.
    Incomplete = 7,
    /// It may work later: the database or the server does not answer (`EX_TEMPFAIL`).
    Temporary = 75,
    /// It did what it could, but may not remove some files from a backup destination (`EX_NOPERM`).
    Held = 77,
}

/// The same, for `--help`.
pub(super) const HELP: &str = "Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 the configuration or its database cannot be used, \
    4 not found, 5 already exists, 6 a backup is damaged or differs, 7 done, but something was left out, \
    75 try again later, 77 no permission to remove files from a backup destination.";

/// Why a command did not succeed although nothing it called has failed.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct Ended {
    exit: Exit,
    text: String,
}

impl Ended {
    pub(super) fn with(exit: Exit, text: impl Into<String>) -> anyhow::Error {
        Self { exit, text: text.into() }.into()
    }
}

/// The result of a command.
pub(super) type Outcome = anyhow::Result<Exit>;

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// The exit code for an error.
    pub(super) fn of(error: &anyhow::Error) -> Self {
        if let Some(Ended { exit, .. }) = error.downcast_ref() {
            return *exit;
        }
        let file = error.downcast_ref().map(files::Error::kind);
        let kind = error.chain().find_map(|cause| {
            let asked = |error: &RequestError| match error {
                RequestError::NotRunning { .. } | RequestError::NoAnswer { .. } => Some(Kind::Temporary),
                RequestError::Refused(Complaint { nature: Nature::NotFound, .. }) => Some(Kind::NotFound),
                RequestError::Refused(Complaint { nature: Nature::Exists, .. }) => Some(Kind::Exists),
                RequestError::Refused(Complaint { nature: Nature::Temporary, .. }) => Some(Kind::Temporary),
                RequestError::Refused(_) | RequestError::Socket { .. } => None,
            };
            None.or_else(|| cause.downcast_ref().map(directory::Error::kind))
                .or_else(|| cause.downcast_ref().map(backup::Error::kind))
                .or_else(|| cause.downcast_ref().map(database::Error::kind))
                .or_else(|| cause.downcast_ref().map(spool::Error::kind))
                .or_else(|| cause.downcast_ref().map(cluster::Error::kind))
                .or_else(|| cause.downcast_ref().map(scripts::Error::kind))
                .or_else(|| cause.downcast_ref().map(moving::Error::kind))
                .or_else(|| cause.downcast_ref().map(set_up::Error::kind))
                .or_else(|| cause.downcast_ref().map(KeyError::kind))
                .or_else(|| cause.downcast_ref().map(RenameError::kind))
                .or_else(|| cause.downcast_ref().and_then(administration::Error::kind))
                .or_else(|| cause.downcast_ref().map(|_: &InTheWay| Kind::Exists))
                .or_else(|| cause.downcast_ref().and_then(asked))
        });
        let set_up =
            |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref().is_some_and(database::Error::is_set_up);
        match kind.or(file) {
            _ if error.chain().any(set_up) => Self::Configuration,
            Some(Kind::NotFound) => Self::NotFound,
            Some(Kind::Exists) => Self::Exists,
            Some(Kind::Temporary) => Self::Temporary,
            Some(Kind::Corrupt) => Self::Damaged,
            Some(_) => Self::Failed,
            None if error.is::<LoadError>() || error.downcast_ref().is_some_and(is_of_configuration) => {
                Self::Configuration
            }
            None => Self::Failed,
        }
    }
}

/// Whether a running process cannot use its configuration.
const fn is_of_configuration(error: &RequestError) -> bool {
    matches!(error, RequestError::Refused(Complaint { nature: Nature::Configuration, .. }))
}
