//! Keeps the webmail's list of people and the users' address books in sync.

use std::collections::HashSet;

use super::card::{Card, collected_card};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::storage::database;
use crate::storage::dav::{Collection, CollectionKind, Collections, Condition, Error, Limits, Removed};
use crate::storage::personal::{Correspondent, Personal};

/// The last part of the path of the address book that everybody has.
pub const DEFAULT_ADDRESS_BOOK: &str = "Contacts";
/// The last part of the path of the calendar that everybody has.
pub const DEFAULT_CALENDAR: &str = "Personal";
/// Most contacts that are checked when somebody is to be forgotten.
const MOST_NAMING: u32 = 20;

/// The people of accounts, wherever they are stored. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Contacts {
    personal: Personal,
    pub(super) collections: Collections,
}

/// The result of a request to forget somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// The address is no longer offered.
    Entirely,
    /// A contact written by the user contains the address; it stays.
    IsContact,
}

impl Contacts {
    /// Over both stores.
    pub const fn new(personal: Personal, collections: Collections) -> Self {
        Self { personal, collections }
    }

    /// People to be offered, those written to first, at most `most`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn people(&self, account: &Address, most: u32) -> Result<Vec<Correspondent>, Error> {
        let mut people = self.personal.correspondents(account, most).await?;
        let mut known: HashSet<String> = people.iter().map(|person| person.address.clone()).collect();
        for person in self.collections.people(account, most).await? {
            if people.len() >= most as usize {
                break;
            }
            if known.insert(person.address.clone()) {
                people.push(Correspondent { name: person.name, address: person.address });
            }
        }
        Ok(people)
    }

    /// Records that the account has written to these people: they are remembered, and those in none of its address books become
    /// contacts, once it has the default one.
    ///
    /// # Errors
    /// The database fails. Full address books are no error: the people are still remembered.
    pub async fn wrote_to(
        &self,
        account: &Address,
        people: &[(String, Address)],
        most: u32,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.personal.wrote_to(account, people, most, now).await?;
        let book = self.collections.find(account, CollectionKind::AddressBook, DEFAULT_ADDRESS_BOOK).await?;
        match book {
            Some(book) => self.collect(account, &book, people, limits, now).await,
            None => Ok(()),
        }
    }

    /// Creates contacts for everybody the account has written to, in a new address book.
    ///
    /// # Errors
    /// The database fails.
    pub(super) async fn fill(
        &self,
        account: &Address,
        book: &Collection,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<(), Error> {
        let people = self.personal.correspondents(account, limits.objects).await?;
        let read = |one: Correspondent| Some((one.name, one.address.parse::<Address>().ok()?));
        let people: Vec<_> = people.into_iter().filter_map(read).collect();
        self.collect(account, book, &people, limits, now).await
    }

    async fn collect(
        &self,
        account: &Address,
        book: &Collection,
        people: &[(String, Address)],
        limits: &Limits,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut drafts = Vec::new();
        for (name, address) in people {
            if address == account || !self.collections.naming(account, address, 1).await?.is_empty() {
                continue;
            }
            let (object, text) = collected_card(name, address);
            let Ok(card) = Card::read(&text) else { continue };
            drafts.push(card.draft(&object, &text));
        }
        drafts.dedup_by(|one, other| one.name == other.name);
        if drafts.is_empty() {
            return Ok(());
        }
        match self.collections.put(account, book, &drafts, &Condition::default(), limits, now).await {
            Err(Error::TooManyObjects(_) | Error::Full(_) | Error::UidTaken(_)) => Ok(()),
            done => done.map(drop),
        }
    }

    /// Stops offering somebody. A contact that was created because the account has written to them is removed; one that
    /// the user has written stays.
    ///
    /// # Errors
    /// The database fails.
    pub async fn forget(&self, account: &Address, address: &Address, limits: &Limits) -> Result<Forgotten, Error> {
        self.personal.forget_correspondents(account, std::slice::from_ref(address)).await?;
        let mut forgotten = Forgotten::Entirely;
        let books = self.collections.all(account, CollectionKind::AddressBook).await?;
        for (id, name) in self.collections.naming(account, address, MOST_NAMING).await? {
            let Some(book) = books.iter().find(|book| book.id == id) else { continue };
            let Some(object) = self.collections.object(book, &name).await? else { continue };
            let is_ours = Card::read(&object.content).is_ok_and(|card| card.is_collected(&object.content, address));
            let condition = Condition::unchanged(&object.info.etag);
            match is_ours {
                true => match self.collections.remove_object(account, book, &name, &condition, limits).await {
                    Ok(_) | Err(Error::NoObject | Error::Condition) => {}
                    Err(error) => return Err(error),
                },
                false => forgotten = Forgotten::IsContact,
            }
        }
        Ok(forgotten)
    }

    /// Records that a client has removed the last contact with these addresses: the webmail no longer offers them.
    ///
    /// # Errors
    /// The database fails.
    pub async fn removed(&self, account: &Address, removed: &Removed) -> Result<(), database::Error> {
        let addresses: Vec<Address> = removed.addresses.iter().filter_map(|address| address.parse().ok()).collect();
        self.personal.forget_correspondents(account, &addresses).await
    }
}
