//! What can go wrong with the journal.

use crate::foundations::failure::Kind;
use crate::storage::database;

/// A failure to read the journal. Recording never fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed; its message says whether that passes by itself.
    #[error("the journal's table cannot be used: {0}")]
    Database(#[from] database::Error),
    /// This journal keeps no events; it only writes log lines.
    #[error("this process keeps no journal")]
    NotKept,
}

impl Error {
    /// The kind, for code that answers a client.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Database(error) => error.kind(),
            Self::NotKept => Kind::NotFound,
        }
    }
}
