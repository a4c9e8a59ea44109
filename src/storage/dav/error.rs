use crate::foundations::failure::Kind;
use crate::storage::database;

/// Why something could not be found or stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The collection is gone, or never was.
    #[error("there is no such collection")]
    NoCollection,
    /// The object is gone, or never was.
    #[error("there is no such object")]
    NoObject,
    /// There is a collection of this name already.
    #[error("a collection of this name already exists")]
    Exists,
    /// The precondition does not hold (`If-Match`, `If-None-Match`, `Overwrite`).
    #[error("the object has changed since the client read it")]
    Condition,
    /// Another object of the collection has the UID, or the object of this name has another.
    #[error("the object `{0}` of the collection has the same UID, or the same name and another UID")]
    UidTaken(String),
    /// The account has as many collections of the kind as it may.
    #[error("the account has {0} collections of this kind and cannot have more")]
    TooManyCollections(u32),
    /// The collection has as many objects as it may.
    #[error("the collection has {0} objects and cannot have more")]
    TooManyObjects(u32),
    /// The collection has as many properties as it may.
    #[error("the collection has {0} properties and cannot have more")]
    TooManyProperties(u32),
    /// All objects of the account would exceed their limit.
    #[error("the account's calendars and contacts would take more than {0} octets")]
    Full(u64),
    /// The sync token is not one of this collection, or is too old.
    #[error("the sync token is unknown or too old")]
    UnknownToken,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
}

impl Error {
    /// The kind, for code that answers a client.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::NoCollection | Self::NoObject => Kind::NotFound,
            Self::Exists | Self::UidTaken(_) => Kind::Exists,
            Self::Condition | Self::UnknownToken => Kind::Invalid,
            Self::TooManyCollections(_) | Self::TooManyObjects(_) | Self::TooManyProperties(_) => Kind::TooMany,
            Self::Full(_) => Kind::OverQuota,
            Self::Database(error) => error.kind(),
        }
    }
}
