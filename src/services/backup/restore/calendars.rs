//! Calendars and contacts of users whose mail is restored.

use std::collections::HashMap;

use super::Selection;
use super::saved_rows::{Row, number, piece, record, table, text};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::services::backup::Error;
use crate::services::backup::repository::{Repository, Snapshot};
use crate::storage::database::Val;
use crate::storage::dav::{CollectionKind, Collections, Draft, Earlier, Person, Property, PropertyName, PutBack};

/// Objects that are restored at once.
const TOGETHER: usize = 500;

/// A collection in the backup, and its owner.
struct Saved {
    account: Address,
    earlier: Earlier,
}

/// Restores calendars and contacts of the selected users that are gone. What exists stays as it is.
///
/// # Errors
/// An object of the backup is missing or damaged, or the database fails; what was restored by then stays.
pub async fn restore_missing_calendars(
    repository: &Repository,
    snapshot: &Snapshot,
    selection: &Selection,
    collections: &Collections,
    now: Timestamp,
) -> Result<PutBack, Error> {
    let saved = saved_collections(repository, snapshot, selection)?;
    let mut done = PutBack::default();
    if saved.is_empty() {
        return Ok(done);
    }
    let mut people = people(repository, snapshot, &saved)?;
    let mut waiting: HashMap<i64, Vec<Draft>> = saved.keys().map(|id| (*id, Vec::new())).collect();
    let objects = record(snapshot, "dav_objects");
    for (record, object) in objects.iter().flat_map(|record| record.objects.iter().map(move |object| (record, object)))
    {
        for row in piece(repository, record, object)? {
            let Some(id) = number(&row, "collection").filter(|id| saved.contains_key(id)) else { continue };
            let Some(mut draft) = draft(row) else { continue };
            draft.people = people.remove(&(id, draft.name.clone())).unwrap_or_default();
            let drafts = waiting.entry(id).or_default();
            drafts.push(draft);
            if drafts.len() >= TOGETHER {
                let drafts = std::mem::take(drafts);
                let Saved { account, earlier } = &saved[&id];
                done += collections.put_back(account, earlier, &drafts, now).await?;
            }
        }
    }
    for (id, drafts) in waiting {
        let Saved { account, earlier } = &saved[&id];
        done += collections.put_back(account, earlier, &drafts, now).await?;
    }
    Ok(done)
}

/// The collections of the selected users, by their ids in the backup.
fn saved_collections(
    repository: &Repository,
    snapshot: &Snapshot,
    selection: &Selection,
) -> Result<HashMap<i64, Saved>, Error> {
    let mut found = HashMap::new();
    for row in table(repository, snapshot, "dav_collections")? {
        let account = text(&row, "account").and_then(|account| account.parse::<Address>().ok());
        let Some(account) = account.filter(|account| selection.takes_account(account)) else { continue };
        let kind = text(&row, "kind").and_then(CollectionKind::from_word);
        let (Some(id), Some(kind), Some(name)) = (number(&row, "id"), kind, text(&row, "name")) else { continue };
        let components = text(&row, "components").unwrap_or_default().to_owned();
        let earlier = Earlier { kind, name: name.to_owned(), components, properties: Vec::new() };
        found.insert(id, Saved { account, earlier });
    }
    for row in table(repository, snapshot, "dav_properties")? {
        let saved = number(&row, "collection").and_then(|id| found.get_mut(&id));
        let (Some(saved), Some(local), Some(value)) = (saved, text(&row, "name"), text(&row, "value")) else {
            continue;
        };
        let namespace = text(&row, "namespace").unwrap_or_default().to_owned();
        let name = PropertyName { namespace, local: local.to_owned() };
        saved.earlier.properties.push(Property { name, value: value.to_owned() });
    }
    Ok(found)
}

/// The people in the contacts, by collection and object.
fn people(
    repository: &Repository,
    snapshot: &Snapshot,
    saved: &HashMap<i64, Saved>,
) -> Result<HashMap<(i64, String), Vec<Person>>, Error> {
    let mut found: HashMap<_, Vec<Person>> = HashMap::new();
    for row in table(repository, snapshot, "dav_addresses")? {
        let Some(id) = number(&row, "collection").filter(|id| saved.contains_key(id)) else { continue };
        let (Some(object), Some(address)) = (text(&row, "object"), text(&row, "address")) else { continue };
        let name = text(&row, "name").unwrap_or_default().to_owned();
        found.entry((id, object.to_owned())).or_default().push(Person { address: address.to_owned(), name });
    }
    Ok(found)
}

fn draft(mut row: Row) -> Option<Draft> {
    let Some(Val::Blob(content)) = row.remove("content") else { return None };
    Some(Draft {
        name: text(&row, "name")?.to_owned(),
        uid: text(&row, "uid")?.to_owned(),
        component: text(&row, "component")?.to_owned(),
        content,
        etag: text(&row, "etag")?.to_owned(),
        begins_at: number(&row, "begins_at"),
        ends_at: number(&row, "ends_at"),
        people: Vec::new(),
    })
}
