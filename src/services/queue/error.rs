//! What can go wrong with the queue.

use crate::foundations::counted::counted;
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::QueueId;
use crate::services::routing;
use crate::storage::spool;

/// A failure of the queue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The spool: disk or database.
    #[error(transparent)]
    Spool(#[from] spool::Error),
    /// Whether a domain is ours could not be found out.
    #[error(transparent)]
    Routing(#[from] routing::Error),
    /// It cannot be given up now.
    #[error(
        "{id} is being transmitted to {} right now, which may already have it; it is held and not tried again: \
         give it up again in a minute, or release it",
        counted(.recipients.to_owned(), "recipient")
    )]
    InFlight {
        /// The entry.
        id: QueueId,
        /// How many of its recipients.
        recipients: usize,
    },
    /// There was nobody to send it to. A mistake of the caller.
    #[error("a queue entry needs at least one recipient")]
    NoRecipients,
}

impl Error {
    /// The kind, for those who answer a client.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Spool(error) => error.kind(),
            Self::Routing(error) => error.kind(),
            Self::InFlight { .. } => Kind::Temporary,
            Self::NoRecipients => Kind::Invalid,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.kind() {
            // RFC 3463 §3.4: 4.3.1, the mail system is full.
            Kind::NoSpace => Self::new(Kind::NoSpace, "This server has no room for the message now")
                .smtp(452, "4.3.1")
                .because(error),
            _ => Self::temporary(error).smtp(451, "4.3.0"),
        }
    }
}
