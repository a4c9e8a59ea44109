//! What can go wrong with the journal.

use crate::foundations::failure::Kind;
use crate::storage::database;

/// A failure of a question to the journal. Recording never fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database. Passes by itself, or see its own words.
    #[error("the journal's table cannot be used: {0}")]
    Database(#[from] database::Error),
    /// This journal keeps no events; it only writes log lines.
    #[error("this process keeps no journal")]
    NotKept,
}

impl Error {
    /// The kind, for those who answer a client.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Database(error) => error.kind(),
            Self::NotKept => Kind::NotFound,
        }
    }
}
