//! Users' calendars and address books: collections, the objects in them, their properties, and their changes.
//!
//! Promises: an object is kept octet for octet, and a change that has returned is on disk. Every change of a collection
//! has a number of its own, higher than all before it (the sync token of RFC 6578), so that a client learns what has
//! changed since the one it knows; names of removed objects are kept for that up to a limit, and a client whose number
//! is older must start over. Changes of one collection exclude each other by a lock on its row, across machines. What
//! an object means does not matter here: the caller supplies its UID, its times and its addresses.
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
    /// The kind of a collection.
    pub enum CollectionKind {
        /// Events and tasks (RFC 4791).
        Calendar = "calendar",
        /// Contacts (RFC 6352).
        AddressBook = "addressbook",
        /// Messages about events that have arrived (RFC 6638 §2.2).
        ScheduleInbox = "schedule-inbox",
    }
}

/// An account's limits. Each has its error.
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
    /// Its number; never reused.
    pub id: i64,
    /// What it is for.
    pub kind: CollectionKind,
    /// The last part of its path.
    pub name: String,
    /// The components that its objects may have, separated by commas; meaningless for an address book.
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
