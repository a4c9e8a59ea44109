//! Results of queries on collections.

use crate::foundations::clock::Timestamp;

/// An object without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The last part of its path.
    pub name: String,
    /// Its component, such as `VEVENT`; empty for a contact.
    pub component: String,
    /// Changes with every octet of the content (a strong validator, RFC 9110 §8.8.1), without quotes.
    pub etag: String,
    /// Octets of its content.
    pub size: u64,
    /// When it was stored.
    pub modified_at: Timestamp,
}

/// An object with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Everything else.
    pub info: ObjectInfo,
    /// As the client has sent it.
    pub content: Vec<u8>,
}

/// Which objects may be requested at all, in seconds since 1970; objects without times are never excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Those that end after it.
    pub from: i64,
    /// Those that begin before it.
    pub to: i64,
}

/// A change to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new or has new content.
    Stored(ObjectInfo),
    /// It is gone.
    Removed(String),
}

/// How much a client knows of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The number of the last change it was told of.
    pub told: i64,
    /// The collection's last number when it requested everything, as long as it has not received all that was there.
    /// Objects removed before that were never known to it, so lower numbers are not too old.
    pub begun: Option<i64>,
}

impl Known {
    /// All changes up to a number.
    pub const fn up_to(told: i64) -> Self {
        Self { told, begun: None }
    }

    /// The same after one more change was reported.
    pub fn told(self, told: i64) -> Self {
        Self { told, begun: self.begun.filter(|begun| told < *begun) }
    }
}

/// Changes of a collection, each object once, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The changes, each with its number.
    pub changes: Vec<(i64, Change)>,
    /// The state known before them.
    pub before: Known,
    /// The state known after them.
    pub known: Known,
    /// Whether there are more.
    pub more: bool,
}
