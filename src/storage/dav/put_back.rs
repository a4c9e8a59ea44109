//! Restoring lost objects from a backup.

use super::properties::set_all;
use super::write::store;
use super::{CollectionKind, Collections, Condition, Draft, Error, Limits, Property, collections};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::storage::database::{Transaction, Val};

/// A collection as it was.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// Its kind.
    pub kind: CollectionKind,
    /// The last part of its path.
    pub name: String,
    /// See [`super::Collection::components`].
    pub components: String,
    /// Its properties.
    pub properties: Vec<Property>,
}

/// What was restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct PutBack {
    /// Calendars and address books that were missing.
    pub collections: u64,
    /// Events, tasks and contacts that were missing.
    pub objects: u64,
    /// Those that exist, unchanged or changed since, and were left as they are.
    pub present: u64,
}

impl std::ops::AddAssign for PutBack {
    fn add_assign(&mut self, other: Self) {
        self.collections += other.collections;
        self.objects += other.objects;
        self.present += other.present;
    }
}

/// Nothing that was accepted once is refused.
const UNLIMITED: Limits =
    Limits { collections: u32::MAX, objects: u32::MAX, octets: u64::MAX, removed: u32::MAX, properties: u32::MAX };

impl Collections {
    /// Stores those objects of an earlier collection that no longer exist, all of them or none, and makes the
    /// collection with its properties if it is gone. An object whose name or UID exists stays as it is. To clients the
    /// restored objects are new.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_back(
        &self,
        account: &Address,
        earlier: &Earlier,
        drafts: &[Draft],
        now: Timestamp,
    ) -> Result<PutBack, Error> {
        let mut done = PutBack::default();
        let found = self.find(account, earlier.kind, &earlier.name).await?;
        let collection = match found {
            Some(collection) => collection,
            None => {
                let what = (earlier.kind, earlier.name.as_str(), earlier.components.as_str());
                done.collections += 1;
                self.create(account, what, &earlier.properties, &UNLIMITED, now).await?
            }
        };
        let mut transaction = self.database.begin().await?;
        let collection = collections::locked(&mut transaction, collection.id).await?;
        if done.collections == 0 && !has_properties(&mut transaction, collection.id).await? {
            // A default collection that was made again has no name and no colour yet.
            set_all(&mut transaction, collection.id, &earlier.properties, &UNLIMITED).await?;
        }
        for draft in drafts {
            let sql = "SELECT 1 FROM dav_objects WHERE collection = ? AND (name = ? OR uid = ?) LIMIT 1";
            let values = [collection.id.into(), Val::from(&draft.name), Val::from(&draft.uid)];
            if transaction.fetch_optional(sql, &values).await?.is_some() {
                done.present += 1;
            } else {
                store(&mut transaction, &collection, draft, &Condition::default(), now).await?;
                done.objects += 1;
            }
        }
        transaction.commit().await?;
        Ok(done)
    }
}

async fn has_properties(transaction: &mut Transaction, collection: i64) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM dav_properties WHERE collection = ? LIMIT 1";
    Ok(transaction.fetch_optional(sql, &[collection.into()]).await?.is_some())
}
