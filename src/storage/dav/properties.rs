//! Properties that clients set on collections: names, colours, order.

use super::collections::locked;
use super::{Collection, Collections, Error, Limits};
use crate::storage::database::{Row, Transaction};

/// The name of a property.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PropertyName {
    /// Its XML namespace; empty for none.
    pub namespace: String,
    /// Its name in it.
    pub local: String,
}

/// A property with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Its name.
    pub name: PropertyName,
    /// The content of its element, as well-formed XML.
    pub value: String,
}

/// A change to a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyChange {
    /// It gets this value.
    Set(Property),
    /// It is removed; it need not exist.
    Remove(PropertyName),
}

impl Collections {
    /// The properties of collections, each with the number of its collection.
    ///
    /// # Errors
    /// The database fails.
    pub async fn properties(&self, collections: &[Collection]) -> Result<Vec<(i64, Property)>, Error> {
        let mut found = Vec::new();
        for collection in collections {
            let sql = "SELECT namespace, name, value FROM dav_properties WHERE collection = ? ORDER BY namespace, name";
            let read = |row: &Row| {
                let name = PropertyName { namespace: row.text(0)?, local: row.text(1)? };
                Ok::<_, Error>((collection.id, Property { name, value: row.text(2)? }))
            };
            let rows = self.database.fetch_all(sql, &[collection.id.into()]).await?;
            found.extend(rows.iter().map(read).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(found)
    }

    /// Changes properties, all of them or none (RFC 4918 §9.2).
    ///
    /// # Errors
    /// There would be too many, the collection is gone, or the database fails.
    pub async fn change_properties(
        &self,
        collection: &Collection,
        changes: &[PropertyChange],
        limits: &Limits,
    ) -> Result<(), Error> {
        let mut transaction = self.database.begin().await?;
        locked(&mut transaction, collection.id).await?;
        for change in changes {
            match change {
                PropertyChange::Set(property) => {
                    set_all(&mut transaction, collection.id, std::slice::from_ref(property), limits).await?;
                }
                PropertyChange::Remove(name) => {
                    let sql = "DELETE FROM dav_properties WHERE collection = ? AND namespace = ? AND name = ?";
                    let values = [collection.id.into(), (&name.namespace).into(), (&name.local).into()];
                    transaction.execute(sql, &values).await?;
                }
            }
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// Sets properties in a transaction that has locked the collection.
pub(super) async fn set_all(
    transaction: &mut Transaction,
    collection: i64,
    properties: &[Property],
    limits: &Limits,
) -> Result<(), Error> {
    let upsert = transaction.dialect().upsert("dav_properties", &["collection", "namespace", "name"], &["value"]);
    for Property { name, value } in properties {
        let values = [collection.into(), (&name.namespace).into(), (&name.local).into(), value.into()];
        transaction.execute(&upsert, &values).await?;
    }
    let sql = "SELECT COUNT(*) FROM dav_properties WHERE collection = ?";
    let row = transaction.fetch_optional(sql, &[collection.into()]).await?;
    match row.map_or(Ok(0), |row| row.int(0))? > i64::from(limits.properties) {
        true => Err(Error::TooManyProperties(limits.properties)),
        false => Ok(()),
    }
}
