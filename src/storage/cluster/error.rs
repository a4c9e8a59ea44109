use crate::foundations::failure::Kind;
use crate::storage::database;

/// Why nothing could be taken, kept or given back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This node has no lease now: it has just started, or the database did not answer for too long.
    #[error("this node owns no mailboxes at the moment")]
    NoLease,
    /// Every running node is being emptied.
    #[error("no node accepts mailboxes at the moment")]
    NoTaker,
    /// Others kept changing the row.
    #[error("the owner of these mailboxes is changing")]
    Contended,
    /// There is no such node.
    #[error("there is no node `{0}`")]
    NoNode(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
}

impl Error {
    /// The kind, for code that answers a client.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::NoNode(_) => Kind::NotFound,
            Self::Database(error) => error.kind(),
            Self::NoLease | Self::NoTaker | Self::Contended => Kind::Temporary,
        }
    }
}
