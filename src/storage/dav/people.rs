//! The people in an account's contacts.

use super::{Collections, Error};
use crate::foundations::address::Address;
use crate::storage::database::{Row, Val};

/// A mail address of a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The address, in the directory's form.
    pub address: String,
    /// The contact's name.
    pub name: String,
}

impl Collections {
    /// The addresses of an account's contacts, at most `most`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn people(&self, account: &Address, most: u32) -> Result<Vec<Person>, Error> {
        let sql = "SELECT a.address, a.name FROM dav_addresses a JOIN dav_collections c ON c.id = a.collection \
                   WHERE c.account = ? ORDER BY a.name, a.address LIMIT ?";
        let rows = self.database.fetch_all(sql, &[account.key().into(), most.into()]).await?;
        let read = |row: &Row| Ok::<_, Error>(Person { address: row.text(0)?, name: row.text(1)? });
        rows.iter().map(read).collect()
    }

    /// The objects that contain an address: the collection's number and the object's name, at most `most`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn naming(&self, account: &Address, address: &Address, most: u32) -> Result<Vec<(i64, String)>, Error> {
        let sql = "SELECT a.collection, a.object FROM dav_addresses a JOIN dav_collections c ON c.id = a.collection \
                   WHERE c.account = ? AND a.address = ? LIMIT ?";
        let values = [account.key().into(), Val::from(address.key()), most.into()];
        let rows = self.database.fetch_all(sql, &values).await?;
        let read = |row: &Row| Ok::<_, Error>((row.int(0)?, row.text(1)?));
        rows.iter().map(read).collect()
    }
}
