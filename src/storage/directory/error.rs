//! Errors of the directory.

use crate::foundations::address::{Address, Domain};
use crate::foundations::failure::Kind;
use crate::storage::database;

/// A failure of the directory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The domain is not one of ours.
    #[error("the domain {0} does not exist here")]
    NoDomain(Domain),
    /// No user has this address.
    #[error("there is no user {0}")]
    NoUser(Address),
    /// No alias has this source (and destination).
    #[error("there is no alias {0}")]
    NoAlias(String),
    /// It already exists.
    #[error("{0} exists already")]
    Exists(String),
    /// MariaDB's usual collations treat accented letters as equal to plain ones.
    #[error(
        "the database cannot tell {0} from an address that is there: MariaDB treats letters with and without accents as equal"
    )]
    Alike(String),
    /// It was removed, and is kept in the archive: enable it to have it back with its mail.
    #[error("{0} was removed earlier and is kept in the archive; enable it to have it back with its mail")]
    Archived(String),
    /// The user has no app password of this name or number.
    #[error("there is no app password `{0}`")]
    NoAppPassword(String),
    /// No browser of this name is remembered for the user.
    #[error("no browser `{0}` is remembered; `postrider user two-factor browsers` lists them")]
    NoBrowser(String),
    /// The user has reached a limit.
    #[error("at most {most} {what} are allowed; remove one first")]
    TooMany {
        /// What is limited.
        what: &'static str,
        /// The limit.
        most: u32,
    },
    /// A value the tables cannot hold.
    #[error("{what} cannot be stored: {why}")]
    Invalid {
        /// The value's name.
        what: &'static str,
        /// The reason.
        why: String,
    },
}

impl Error {
    /// The kind, for code that answers a client.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Database(error) => error.kind(),
            Self::NoDomain(_) | Self::NoUser(_) | Self::NoAlias(_) | Self::NoAppPassword(_) | Self::NoBrowser(_) => {
                Kind::NotFound
            }
            Self::TooMany { .. } => Kind::TooMany,
            Self::Exists(_) | Self::Alike(_) | Self::Archived(_) => Kind::Exists,
            Self::Invalid { .. } => Kind::Invalid,
        }
    }
}
