//! Calendars and address books of users: collections, the objects in them, their properties, and what has changed.
//!
//! Promises: an object is kept octet for octet, and what is answered done is on disk. Every change of a collection has a
//! number of its own, higher than all before it (the sync token of RFC 6578), so that a client is told what has changed since
//! the one it knows; names of removed objects are remembered for that up to a limit, and a client that knows less is told
//! to begin again. Changes of one collection exclude each other by a lock on its row, on every machine. What an object means
//! is none of this room's business: whoever stores one brings its UID, its times and its addresses along.
//!
//! Called by `services::dav`, and by `protocols/web/dav`. Failures are returned, nothing is logged.

mod collections;
mod error;
mod found;
mod objects;
mod people;
mod properties;
mod put_back;
mod write;

pub use error::Error;
pub use found::{Change, Changes, Known, Object, ObjectInfo, Window};
pub use people::Person;
pub use properties::{Property, PropertyChange, PropertyName};
pub use put_back::{Earlier, PutBack};
pub use write::{Condition, Draft, Overwrite, Removed, Stored, Transfer, TransferKind};

use crate::storage::database::Database;

crate::words! {
    /// What a collection is for.
    pub enum CollectionKind {
        /// Events and tasks (RFC 4791).
        Calendar = "calendar",
        /// Contacts (RFC 6352).
        AddressBook = "addressbook",
    }
}

/// How much an account may keep. Each limit has its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Collections of one kind.
    pub collections: u32,
    /// Objects in one collection.
    pub objects: u32,
    /// Octets of all objects of an account.
    pub octets: u64,
    /// Names of removed objects that one collection remembers.
    pub removed: u32,
    /// Properties of one collection.
    pub properties: u32,
}

/// A calendar or an address book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// Its number; never given out again.
    pub id: i64,
    /// What it is for.
    pub kind: CollectionKind,
    /// The last part of its path.
    pub name: String,
    /// The components that its objects may have, separated by commas; of no meaning in an address book.
    pub components: String,
    /// The number of its last change.
    pub token: i64,
}

/// The room. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Collections {
    database: Database,
}

impl Collections {
    /// The room over a migrated database.
    pub const fn new(database: Database) -> Self {
        Self { database }
    }
}
