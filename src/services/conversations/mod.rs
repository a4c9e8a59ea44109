//! Conversations: which messages of a folder, or of several, belong together.
//!
//! Messages belong together if they name each other in References or In-Reply-To, even by way of messages that are not
//! there; a reply that names nothing belongs to the latest message before it with the same base subject (RFC 5256
//! §2.1). Unlike RFC 5256's REFERENCES, messages that are not replies are never joined by their subject alone: a weekly
//! report is not one conversation.
//!
//! Promises: a folder's summaries are read once, then only those of new messages; what is remembered is bounded
//! (`webmail.conversation_ids`), the folders unused for longest going first. Lists are rebuilt only when the folder has
//! changed. The locks are those of the table and of one folder, the latter held while that folder's summaries are read.
//! Called by the webmail. Failures are those of the store, and returned.

mod across;
mod links;
mod list;
mod subject;

pub use across::{Across, Everywhere, Message, States};
pub use list::Conversations;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;

use self::links::Links;
use crate::foundations::address::Address;
use crate::foundations::mail::{SequenceSet, Summary, Uid, UidValidity};
use crate::storage::mailbox::{self, Unreadable, View};

/// What is known of the conversations of all folders looked at lately.
#[derive(Debug, Default)]
pub struct Memory {
    folders: Mutex<Table>,
    /// Equal in all folders, so that what one knows by its message id is found in another.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Table {
    known: HashMap<Key, Entry>,
    /// Counts looks, to find the folder unused for longest.
    looks: u64,
}

/// An account and a folder of it.
type Key = (String, String);

fn key(account: &Address, view: &View) -> Key {
    (account.key(), view.folder().to_string())
}

#[derive(Debug)]
struct Entry {
    folder: Arc<tokio::sync::Mutex<Folder>>,
    /// Message ids it holds.
    ids: usize,
    used: u64,
}

/// One folder.
#[derive(Debug, Default)]
struct Folder {
    uid_validity: Option<UidValidity>,
    /// The highest UID that has been looked at.
    last: Option<Uid>,
    links: Links,
    /// The list, and the state of the folder it is of.
    list: Option<(u64, Arc<Conversations>)>,
    /// The list over several folders, in the entry that stands for all of them.
    across: Option<(States, Arc<Everywhere>)>,
}

/// The messages of a conversation.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Circle {
    /// Those in the folder that it was looked for in, ascending.
    pub uids: Vec<Uid>,
    /// All message ids that are named in it, as [`Memory`] knows them.
    ids: HashSet<u64>,
    /// Those of its messages.
    own: HashSet<u64>,
}

impl Circle {
    /// How many message ids are named in it.
    pub fn names(&self) -> usize {
        self.ids.len()
    }
}

impl Memory {
    /// All conversations of a folder. At most `most` message ids are remembered over all folders.
    ///
    /// # Errors
    /// The store cannot read summaries.
    pub async fn list(&self, account: &Address, view: &View, most: u32) -> Result<Arc<Conversations>, mailbox::Error> {
        let entry = self.entry(account, view);
        let mut folder = entry.lock().await;
        self.look(&mut folder, view).await?;
        let state = u64::from(view.highest_mod_seq());
        if let Some((known, list)) = &folder.list
            && *known == state
        {
            return Ok(Arc::clone(list));
        }
        let uids: Vec<Uid> = view.rows(&SequenceSet::all()).map(|(_, row)| row.uid).collect();
        let pairs = folder.links.groups(&uids);
        let list = tokio::task::spawn_blocking(move || Conversations::new(pairs)).await;
        let list = Arc::new(list.map_err(|_| mailbox::Error::Closing)?);
        folder.list = Some((state, Arc::clone(&list)));
        self.weigh(&key(account, view), folder.links.len(), most);
        Ok(list)
    }

    /// The conversation of one message.
    ///
    /// # Errors
    /// The store cannot read summaries.
    pub async fn around(&self, account: &Address, view: &View, uid: Uid, most: u32) -> Result<Circle, mailbox::Error> {
        let list = self.list(account, view, most).await?;
        let uids = list.of(uid).to_vec();
        let entry = self.entry(account, view);
        let mut folder = entry.lock().await;
        let ids = folder.links.ids_with(uid);
        let own = uids.iter().filter_map(|uid| folder.links.id_of(*uid)).collect();
        drop(folder);
        Ok(Circle { uids, ids, own })
    }

    /// The messages of another folder that belong to a conversation and are not in it already, ascending. They join it, so that
    /// what they name is found in further folders, and a copy elsewhere is no second message.
    ///
    /// # Errors
    /// The store cannot read summaries.
    pub async fn join(
        &self,
        circle: &mut Circle,
        account: &Address,
        view: &View,
        most: u32,
    ) -> Result<Vec<Uid>, mailbox::Error> {
        let entry = self.entry(account, view);
        let mut folder = entry.lock().await;
        self.look(&mut folder, view).await?;
        let mut joined = Vec::new();
        for (uid, id) in folder.links.named(&circle.ids) {
            if view.sequence(uid).is_none() {
                continue;
            }
            if id.is_none_or(|id| circle.own.insert(id)) {
                joined.push(uid);
            }
        }
        if !joined.is_empty() {
            let around = folder.links.ids_around(&circle.ids);
            circle.ids.extend(around);
        }
        self.weigh(&key(account, view), folder.links.len(), most);
        Ok(joined)
    }

    /// Whether a folder has been read, so that only its new messages would be.
    pub fn knows(&self, account: &Address, view: &View) -> bool {
        let table = self.folders.lock();
        table.known.get(&key(account, view)).is_some_and(|entry| entry.ids > 0)
    }

    fn entry(&self, account: &Address, view: &View) -> Arc<tokio::sync::Mutex<Folder>> {
        self.entry_of(key(account, view))
    }

    fn entry_of(&self, key: Key) -> Arc<tokio::sync::Mutex<Folder>> {
        let mut table = self.folders.lock();
        table.looks += 1;
        let used = table.looks;
        let entry = table.known.entry(key);
        let entry = entry.or_insert_with(|| Entry { folder: Arc::default(), ids: 0, used });
        entry.used = used;
        Arc::clone(&entry.folder)
    }

    /// Notes how much a folder takes, and forgets others when all together take too much.
    fn weigh(&self, key: &Key, ids: usize, most: u32) {
        let mut table = self.folders.lock();
        if let Some(entry) = table.known.get_mut(key) {
            entry.ids = ids;
        }
        let mut all: usize = table.known.values().map(|entry| entry.ids + EMPTY).sum();
        while all > most as usize {
            let others = table.known.iter().filter(|(other, _)| *other != key);
            let Some(oldest) = others.min_by_key(|(_, entry)| entry.used).map(|(other, _)| other.clone()) else {
                break;
            };
            all -= table.known.remove(&oldest).map_or(0, |entry| entry.ids + EMPTY);
        }
    }

    /// Looks at the messages that have come since.
    async fn look(&self, folder: &mut Folder, view: &View) -> Result<(), mailbox::Error> {
        let uid_validity = Some(view.uid_validity());
        let is_worn = folder.links.messages() > 2 * view.len() as usize + SLACK;
        if folder.uid_validity != uid_validity || is_worn {
            *folder = Folder { uid_validity, ..Folder::default() };
        }
        let first = folder.last.map_or(Some(Uid::MIN), Uid::next);
        let new: Vec<Uid> = match (first, view.last_uid()) {
            (Some(first), Some(last)) if first <= last => {
                view.rows_by_uid(&SequenceSet::range(first, last)).map(|(_, row)| row.uid).collect()
            }
            _ => Vec::new(),
        };
        let mut summaries = view.summaries(new.clone());
        let mut unreadable = Unreadable::default();
        for uids in new.chunks(BATCH) {
            let mut batch = Vec::with_capacity(uids.len());
            for uid in uids {
                // A message that is gone, or cannot be read, belongs to nothing.
                if let Some(stored) = unreadable.pass(summaries.next().await)? {
                    batch.push((*uid, stored));
                }
            }
            self.add(folder, batch).await?;
        }
        unreadable.log(view);
        Ok(())
    }

    /// Adds a batch. What fails leaves it to be added the next time.
    async fn add(&self, folder: &mut Folder, batch: Vec<(Uid, bytes::Bytes)>) -> Result<(), mailbox::Error> {
        let hasher = self.hasher.clone();
        let job = tokio::task::spawn_blocking(move || {
            let read = |(uid, stored): (Uid, bytes::Bytes)| {
                let fields = Summary::read(&stored).unwrap_or_default().fields;
                (uid, links::Names::of(&fields, |text| hasher.hash_one(text)))
            };
            batch.into_iter().map(read).collect::<Vec<_>>()
        });
        for (uid, names) in job.await.map_err(|_| mailbox::Error::Closing)? {
            folder.links.add(uid, &names);
            folder.last = folder.last.max(Some(uid));
        }
        Ok(())
    }
}

/// How many messages that are gone are remembered, beyond as many as there are, before a folder is looked at again.
const SLACK: usize = 1000;

/// Summaries looked at in one go.
const BATCH: usize = 512;

/// What a folder counts for although it is empty.
const EMPTY: usize = 16;
