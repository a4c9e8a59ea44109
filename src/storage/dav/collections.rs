//! Making, finding and removing collections.

use super::properties::set_all;
use super::{Collection, CollectionKind, Collections, Error, Limits, Property, Removed};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::storage::database::{self, Row, Transaction, Val};

/// The columns of a [`Collection`].
const COLUMNS: &str = "id, kind, name, components, token";

pub(super) fn read(row: &Row) -> Result<Collection, database::Error> {
    let kind = CollectionKind::from_word(&row.text(1)?).unwrap_or(CollectionKind::Calendar);
    Ok(Collection { id: row.int(0)?, kind, name: row.text(2)?, components: row.text(3)?, token: row.int(4)? })
}

impl Collections {
    /// The account's collections of a kind, by name. Their number is bounded by what may be made.
    ///
    /// # Errors
    /// The database fails.
    pub async fn all(&self, account: &Address, kind: CollectionKind) -> Result<Vec<Collection>, Error> {
        let sql = "SELECT id, kind, name, components, token FROM dav_collections WHERE account = ? AND kind = ? ORDER BY name";
        let rows = self.database.fetch_all(sql, &[account.key().into(), kind.word().into()]).await?;
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// A single one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn find(&self, account: &Address, kind: CollectionKind, name: &str) -> Result<Option<Collection>, Error> {
        let sql = "SELECT id, kind, name, components, token FROM dav_collections \
                   WHERE account = ? AND kind = ? AND name = ?";
        let values = [account.key().into(), kind.word().into(), name.into()];
        let row = self.database.fetch_optional(sql, &values).await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// Makes one, with its first properties.
    ///
    /// # Errors
    /// There is one of this name, the account has too many, there are too many properties, or the database fails.
    pub async fn create(
        &self,
        account: &Address,
        collection: (CollectionKind, &str, &str),
        properties: &[Property],
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Collection, Error> {
        let (kind, name, components) = collection;
        let mut transaction = self.database.begin().await?;
        // Anyone making one at the same time for the same account waits here, so that both together stay within the
        // limit.
        let (email, lock) = (transaction.dialect().folded("email"), transaction.dialect().for_update());
        let sql = format!("SELECT id FROM virtual_users WHERE {email} = ?{lock}");
        transaction.fetch_optional(database::Sql::assembled(sql), &[account.key().into()]).await?;
        let sql = "SELECT COUNT(*) FROM dav_collections WHERE account = ? AND kind = ?";
        let row = transaction.fetch_optional(sql, &[account.key().into(), kind.word().into()]).await?;
        if row.map_or(Ok(0), |row| row.int(0))? >= i64::from(limits.collections) {
            return Err(Error::TooManyCollections(limits.collections));
        }
        let columns = ["account", "kind", "name", "components", "token", "forgotten", "created_at"];
        let values: [Val; 7] = [
            account.key().into(),
            kind.word().into(),
            name.into(),
            components.into(),
            1i64.into(),
            0i64.into(),
            now.into(),
        ];
        let id = match transaction.insert("dav_collections", &columns, &values).await {
            Ok(id) => id,
            Err(database::Error::Unique(_)) => return Err(Error::Exists),
            Err(error) => return Err(error.into()),
        };
        set_all(&mut transaction, id, properties, limits).await?;
        transaction.commit().await?;
        Ok(Collection { id, kind, name: name.to_owned(), components: components.to_owned(), token: 1 })
    }

    /// Removes one with everything in it.
    ///
    /// # Errors
    /// It is gone already, or the database fails.
    pub async fn remove(&self, collection: &Collection) -> Result<Removed, Error> {
        let mut transaction = self.database.begin().await?;
        locked(&mut transaction, collection.id).await?;
        let sql = "SELECT DISTINCT a.address FROM dav_addresses a JOIN dav_collections c ON c.id = a.collection \
                   WHERE c.id = ? AND NOT EXISTS (SELECT 1 FROM dav_addresses b JOIN dav_collections d \
                   ON d.id = b.collection WHERE b.address = a.address AND d.account = c.account AND d.id <> c.id)";
        let rows = transaction.fetch_all(sql, &[collection.id.into()]).await?;
        let addresses = rows.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
        // Its content is removed through the tables' references to it.
        transaction.execute("DELETE FROM dav_collections WHERE id = ?", &[collection.id.into()]).await?;
        transaction.commit().await?;
        Ok(Removed { addresses })
    }
}

/// The collection as it is now, locked until the transaction's end.
pub(super) async fn locked(transaction: &mut Transaction, id: i64) -> Result<Collection, Error> {
    let lock = transaction.dialect().for_update();
    let sql = format!("SELECT {COLUMNS} FROM dav_collections WHERE id = ?{lock}");
    let row = transaction.fetch_optional(database::Sql::assembled(sql), &[id.into()]).await?;
    Ok(read(&row.ok_or(Error::NoCollection)?)?)
}
