//! Storing and removing objects.

use super::collections::locked;
use super::{Collection, Collections, Error, Limits, Person};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::storage::database::{self, Transaction, Val};

/// An object to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The last part of its path.
    pub name: String,
    /// Identifies the event, task or contact, whatever its path.
    pub uid: String,
    /// Its component; empty for a contact.
    pub component: String,
    /// As the client has sent it.
    pub content: Vec<u8>,
    /// Its validator.
    pub etag: String,
    /// The first and the last moment it covers, in seconds since 1970, if it has any.
    pub begins_at: Option<i64>,
    /// See `begins_at`.
    pub ends_at: Option<i64>,
    /// Whom it is about, for a contact.
    pub people: Vec<Person>,
}

/// The client's precondition on the object (RFC 9110 §13.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// One of these, by `If-Match`; any is `*`.
    pub is: Option<Vec<String>>,
    /// None of these, by `If-None-Match`; any is `*`.
    pub is_not: Option<Vec<String>>,
}

impl Condition {
    /// There is no such object yet.
    pub fn absent() -> Self {
        Self { is: None, is_not: Some(vec!["*".to_owned()]) }
    }

    /// The object is the one with this etag.
    pub fn unchanged(etag: &str) -> Self {
        Self { is: Some(vec![etag.to_owned()]), is_not: None }
    }

    /// Whether the object, or its absence, meets the precondition.
    pub fn holds(&self, etag: Option<&str>) -> bool {
        let among = |list: &[String]| etag.is_some_and(|etag| list.iter().any(|one| one == "*" || one == etag));
        self.is.as_deref().is_none_or(among) && !self.is_not.as_deref().is_some_and(among)
    }
}

/// Whether an object in the way of a copied or moved one is replaced (RFC 4918 §10.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// An object being copied or moved.
#[derive(Debug, Clone, Copy)]
pub struct Transfer<'a> {
    /// Whether the original stays.
    pub kind: TransferKind,
    /// The collection it is in, and its name there.
    pub from: (&'a Collection, &'a str),
    /// The collection it goes into, and what is stored there.
    pub to: (&'a Collection, &'a Draft),
    /// What to do with an object in the way.
    pub overwrite: Overwrite,
}

/// What happens to the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferKind {
    /// It stays (RFC 4918 §9.8).
    Copy,
    /// It goes (RFC 4918 §9.9).
    Move,
}

/// The result of storing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// There was no object of the name.
    New,
    /// It was replaced.
    Replaced,
}

/// The removed object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The addresses that it named and that no other object of the account names.
    pub addresses: Vec<String>,
}

impl Collections {
    /// Stores objects, all of them or none; the condition holds for each.
    ///
    /// # Errors
    /// A condition or limit is not met, another object has the UID, the collection is gone, or the database fails.
    pub async fn put(
        &self,
        account: &Address,
        collection: &Collection,
        drafts: &[Draft],
        condition: &Condition,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Stored, Error> {
        let mut transaction = self.database.begin().await?;
        locked(&mut transaction, collection.id).await?;
        let (mut stored, mut growth) = (Stored::New, Growth::default());
        for draft in drafts {
            let (one, by) = store(&mut transaction, collection, draft, condition, now).await?;
            (stored, growth) = (one, growth.and(by));
        }
        check_room(&mut transaction, account, collection, limits, growth).await?;
        transaction.commit().await?;
        Ok(stored)
    }

    /// Removes an object.
    ///
    /// # Errors
    /// The condition is not met, the object or collection is gone, or the database fails.
    pub async fn remove_object(
        &self,
        account: &Address,
        collection: &Collection,
        name: &str,
        condition: &Condition,
        limits: &Limits,
    ) -> Result<Removed, Error> {
        let mut transaction = self.database.begin().await?;
        locked(&mut transaction, collection.id).await?;
        let (etag, _) = known_of(&mut transaction, collection.id, name).await?.ok_or(Error::NoObject)?;
        if !condition.holds(Some(&etag)) {
            return Err(Error::Condition);
        }
        let sql = "SELECT address FROM dav_addresses WHERE collection = ? AND object = ?";
        let rows = transaction.fetch_all(sql, &[collection.id.into(), name.into()]).await?;
        let named = rows.iter().map(|row| row.text(0)).collect::<Result<Vec<_>, _>>()?;
        take_away(&mut transaction, collection.id, name, limits).await?;
        let mut addresses = Vec::new();
        for address in named {
            let sql = "SELECT 1 FROM dav_addresses a JOIN dav_collections c ON c.id = a.collection \
                       WHERE c.account = ? AND a.address = ? LIMIT 1";
            let values = [account.key().into(), Val::from(&address)];
            if transaction.fetch_optional(sql, &values).await?.is_none() {
                addresses.push(address);
            }
        }
        transaction.commit().await?;
        Ok(Removed { addresses })
    }

    /// Stores a copy of an object in a collection.
    ///
    /// # Errors
    /// An object of this name exists and may not be replaced, another object has the UID, a limit is reached, the
    /// object or a collection is gone, or the database fails.
    pub async fn transfer(
        &self,
        account: &Address,
        transfer: Transfer<'_>,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Stored, Error> {
        let Transfer { kind, from, to, overwrite } = transfer;
        let mut transaction = self.database.begin().await?;
        // Always in the same order, so that two of these calls cannot wait for each other.
        let mut ids = [from.0.id, to.0.id];
        ids.sort_unstable();
        locked(&mut transaction, ids[0]).await?;
        if ids[0] != ids[1] {
            locked(&mut transaction, ids[1]).await?;
        }
        let (etag, size) = known_of(&mut transaction, from.0.id, from.1).await?.ok_or(Error::NoObject)?;
        // The object is stored as it was read before.
        if etag != to.1.etag {
            return Err(Error::Condition);
        }
        let mut growth = Growth::default();
        if kind == TransferKind::Move {
            take_away(&mut transaction, from.0.id, from.1, limits).await?;
            growth = Growth { objects: if ids[0] == ids[1] { -1 } else { 0 }, octets: -size };
        }
        let condition = match overwrite {
            Overwrite::Yes => Condition::default(),
            Overwrite::No => Condition::absent(),
        };
        let (stored, by) = store(&mut transaction, to.0, to.1, &condition, now).await?;
        check_room(&mut transaction, account, to.0, limits, growth.and(by)).await?;
        transaction.commit().await?;
        Ok(stored)
    }
}

/// The growth of a collection in objects, and of its account in octets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Growth {
    objects: i64,
    octets: i64,
}

impl Growth {
    const fn and(self, other: Self) -> Self {
        Self { objects: self.objects + other.objects, octets: self.octets + other.octets }
    }
}

/// The validator of an object, and its octets.
async fn known_of(transaction: &mut Transaction, collection: i64, name: &str) -> Result<Option<(String, i64)>, Error> {
    let sql = "SELECT etag, size FROM dav_objects WHERE collection = ? AND name = ?";
    let row = transaction.fetch_optional(sql, &[collection.into(), name.into()]).await?;
    Ok(row.map(|row| Ok::<_, database::Error>((row.text(0)?, row.int(1)?))).transpose()?)
}

/// Gives out the next number of a collection that is locked.
async fn next_token(transaction: &mut Transaction, collection: i64) -> Result<i64, Error> {
    transaction.execute("UPDATE dav_collections SET token = token + 1 WHERE id = ?", &[collection.into()]).await?;
    let sql = "SELECT token FROM dav_collections WHERE id = ?";
    let row = transaction.fetch_optional(sql, &[collection.into()]).await?;
    Ok(row.ok_or(Error::NoCollection)?.int(0)?)
}

pub(super) async fn store(
    transaction: &mut Transaction,
    collection: &Collection,
    draft: &Draft,
    condition: &Condition,
    now: Timestamp,
) -> Result<(Stored, Growth), Error> {
    let id = collection.id;
    let there = known_of(transaction, id, &draft.name).await?;
    if !condition.holds(there.as_ref().map(|(etag, _)| etag.as_str())) {
        return Err(Error::Condition);
    }
    let sql = "SELECT name FROM dav_objects WHERE collection = ? AND uid = ? AND name <> ?";
    let values = [id.into(), Val::from(&draft.uid), Val::from(&draft.name)];
    if let Some(row) = transaction.fetch_optional(sql, &values).await? {
        return Err(Error::UidTaken(row.text(0)?));
    }
    // RFC 4791 §5.3.2.1, RFC 6352 §6.3.2.1: nor may an object be overwritten by one with another UID.
    if there.is_some() {
        let sql = "SELECT 1 FROM dav_objects WHERE collection = ? AND name = ? AND uid <> ?";
        let values = [id.into(), Val::from(&draft.name), Val::from(&draft.uid)];
        if transaction.fetch_optional(sql, &values).await?.is_some() {
            return Err(Error::UidTaken(draft.name.clone()));
        }
    }
    let changed = next_token(transaction, id).await?;
    let sql = transaction.dialect().upsert(
        "dav_objects",
        &["collection", "name"],
        &["uid", "component", "etag", "size", "content", "begins_at", "ends_at", "changed", "modified_at"],
    );
    let size = i64::try_from(draft.content.len()).unwrap_or(i64::MAX);
    let values: [Val; 11] = [
        id.into(),
        (&draft.name).into(),
        (&draft.uid).into(),
        (&draft.component).into(),
        (&draft.etag).into(),
        size.into(),
        draft.content.as_slice().into(),
        draft.begins_at.into(),
        draft.ends_at.into(),
        changed.into(),
        now.into(),
    ];
    transaction.execute(sql, &values).await?;
    let values = [id.into(), Val::from(&draft.name)];
    transaction.execute("DELETE FROM dav_removed WHERE collection = ? AND name = ?", &values).await?;
    transaction.execute("DELETE FROM dav_addresses WHERE collection = ? AND object = ?", &values).await?;
    let rows: Vec<Vec<Val>> = draft
        .people
        .iter()
        .map(|person| vec![id.into(), (&draft.name).into(), (&person.address).into(), (&person.name).into()])
        .collect();
    transaction.insert_many("dav_addresses", &["collection", "object", "address", "name"], &rows).await?;
    Ok(match there {
        Some((_, before)) => (Stored::Replaced, Growth { objects: 0, octets: size - before }),
        None => (Stored::New, Growth { objects: 1, octets: size }),
    })
}

/// Removes an object that is there, and remembers its name.
async fn take_away(transaction: &mut Transaction, id: i64, name: &str, limits: &Limits) -> Result<(), Error> {
    let changed = next_token(transaction, id).await?;
    let values = [id.into(), Val::from(name)];
    transaction.execute("DELETE FROM dav_objects WHERE collection = ? AND name = ?", &values).await?;
    transaction.execute("DELETE FROM dav_addresses WHERE collection = ? AND object = ?", &values).await?;
    let sql = transaction.dialect().upsert("dav_removed", &["collection", "name"], &["changed"]);
    transaction.execute(sql, &[id.into(), name.into(), changed.into()]).await?;
    // Beyond the limit the oldest names are forgotten, and sync tokens that would need them become invalid.
    let sql = "SELECT changed FROM dav_removed WHERE collection = ? ORDER BY changed DESC LIMIT 1 OFFSET ?";
    let oldest = transaction.fetch_optional(sql, &[id.into(), limits.removed.into()]).await?;
    if let Some(row) = oldest {
        let oldest = row.int(0)?;
        let sql = "DELETE FROM dav_removed WHERE collection = ? AND changed <= ?";
        transaction.execute(sql, &[id.into(), oldest.into()]).await?;
        let sql = "UPDATE dav_collections SET forgotten = ? WHERE id = ? AND forgotten < ?";
        transaction.execute(sql, &[oldest.into(), id.into(), oldest.into()]).await?;
    }
    Ok(())
}

/// Whether the result is within the limits. An account above a lowered limit may still shrink.
async fn check_room(
    transaction: &mut Transaction,
    account: &Address,
    collection: &Collection,
    limits: &Limits,
    growth: Growth,
) -> Result<(), Error> {
    if growth.objects > 0 {
        let sql = "SELECT COUNT(*) FROM dav_objects WHERE collection = ?";
        let row = transaction.fetch_optional(sql, &[collection.id.into()]).await?;
        if row.map_or(Ok(0), |row| row.int(0))? > i64::from(limits.objects) {
            return Err(Error::TooManyObjects(limits.objects));
        }
    }
    if growth.octets <= 0 {
        return Ok(());
    }
    let sum = transaction.dialect().integer("COALESCE(SUM(o.size), 0)");
    let sql =
        format!("SELECT {sum} FROM dav_objects o JOIN dav_collections c ON c.id = o.collection WHERE c.account = ?");
    let row = transaction.fetch_optional(database::Sql::assembled(sql), &[account.key().into()]).await?;
    match row.map_or(Ok(0), |row| row.int(0))?.cast_unsigned() > limits.octets {
        true => Err(Error::Full(limits.octets)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_those_of_http() {
        let list = |tags: &[&str]| Some(tags.iter().map(|tag| (*tag).to_owned()).collect());
        for (is, is_not, there, holds) in [
            (None, None, None, true),
            (list(&["a"]), None, Some("a"), true),
            (list(&["a"]), None, Some("b"), false),
            (list(&["a"]), None, None, false),
            (list(&["*"]), None, Some("b"), true),
            (list(&["*"]), None, None, false),
            (None, list(&["*"]), None, true),
            (None, list(&["*"]), Some("a"), false),
            (None, list(&["a"]), Some("a"), false),
            (None, list(&["a"]), Some("b"), true),
        ] {
            let condition = Condition { is, is_not };
            assert_eq!(condition.holds(there), holds, "{condition:?} {there:?}");
        }
    }
}
