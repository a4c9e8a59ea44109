//! Errors of the script store.

use crate::foundations::failure::Kind;
use crate::foundations::files;
use crate::foundations::settings::ByteSize;

use super::{InvalidName, ScriptName};

/// Why an operation on a script failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not a valid script name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// There is no script of that name.
    #[error("there is no script `{0}`")]
    NoScript(ScriptName),
    /// There is one already.
    #[error("a script `{0}` already exists")]
    Exists(ScriptName),
    /// Its text has changed since the caller read it.
    #[error("the script `{0}` has been changed elsewhere in the meantime")]
    Changed(ScriptName),
    /// It is the active one, which cannot be deleted (RFC 5804 §2.10).
    #[error("`{0}` is the active script; activate another one first, or none")]
    IsActive(ScriptName),
    /// The user has as many as allowed.
    #[error("a user may keep at most {0} scripts")]
    TooMany(u32),
    /// The script is larger than allowed.
    #[error("a script may have at most {0} octets")]
    TooLarge(ByteSize),
    /// All of them together would be larger than allowed.
    #[error("all scripts together may have at most {0} octets")]
    OverQuota(ByteSize),
    /// The address cannot be the name of a directory.
    #[error("`{0}` cannot be the name of a mail directory")]
    BadUser(String),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The server is stopping.
    #[error("the server is stopping")]
    Closing,
}

impl Error {
    /// Whether the disk failed, so that a retry may succeed.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::File(error) if error.source.raw_os_error().is_some() && error.kind() == Kind::Temporary)
    }

    /// The kind, for the protocols' tables.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Name(_) | Self::BadUser(_) => Kind::Invalid,
            Self::NoScript(_) => Kind::NotFound,
            Self::Exists(_) | Self::Changed(_) => Kind::Exists,
            Self::IsActive(_) => Kind::NoPermission,
            Self::TooMany(_) => Kind::TooMany,
            Self::TooLarge(_) => Kind::TooLarge,
            Self::OverQuota(_) => Kind::OverQuota,
            Self::File(error) => error.kind(),
            Self::Closing => Kind::Temporary,
        }
    }
}
