//! Reading and changing address books, for the webmail.

use super::contacts::{Contacts, DEFAULT_ADDRESS_BOOK};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::storage::dav::{Collection, CollectionKind, Condition, Draft, Error, Limits, Object, Stored};

impl Contacts {
    /// The account's address books. Everybody has one, created on first use, with the people written to until then.
    ///
    /// # Errors
    /// The database fails.
    pub async fn books(&self, account: &Address, limits: &Limits, now: Timestamp) -> Result<Vec<Collection>, Error> {
        let kind = CollectionKind::AddressBook;
        let all = self.collections.all(account, kind).await?;
        if !all.is_empty() {
            return Ok(all);
        }
        match self.collections.create(account, (kind, DEFAULT_ADDRESS_BOOK, ""), &[], limits, now).await {
            Ok(book) => self.fill(account, &book, limits, now).await?,
            // Another request was faster.
            Err(Error::Exists) => {}
            Err(error) => return Err(error),
        }
        self.collections.all(account, kind).await
    }

    /// At most `most` contacts of an address book, after the one with this name.
    ///
    /// # Errors
    /// The database fails.
    pub async fn page(&self, book: &Collection, after: &str, most: u32) -> Result<Vec<Object>, Error> {
        self.collections.page(book, after, None, None, most).await
    }

    /// A contact by its name.
    ///
    /// # Errors
    /// The database fails.
    pub async fn contact(&self, book: &Collection, name: &str) -> Result<Option<Object>, Error> {
        self.collections.object(book, name).await
    }

    /// Stores a contact.
    ///
    /// # Errors
    /// The condition or a limit is not met, another contact has the UID, or the database fails.
    pub async fn store(
        &self,
        account: &Address,
        book: &Collection,
        draft: &Draft,
        condition: &Condition,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Stored, Error> {
        self.collections.put(account, book, std::slice::from_ref(draft), condition, limits, now).await
    }

    /// Removes a contact. Addresses that are then in no contact are no longer offered.
    ///
    /// # Errors
    /// The condition is not met, the contact is gone, or the database fails.
    pub async fn remove(
        &self,
        account: &Address,
        book: &Collection,
        name: &str,
        condition: &Condition,
        limits: &Limits,
    ) -> Result<(), Error> {
        let removed = self.collections.remove_object(account, book, name, condition, limits).await?;
        Ok(self.removed(account, &removed).await?)
    }
}
