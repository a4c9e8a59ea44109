//! Conversations over several folders.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::links::{Group, Links, Node};
use super::{Conversations, Key, Memory};
use crate::foundations::address::Address;
use crate::foundations::mail::{SequenceSet, Uid};
use crate::storage::mailbox::{self, FolderName, View};

/// A message in one of several folders. Those that came earlier are less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    /// When it came, in milliseconds since 1970.
    pub date: i64,
    /// Which of the folders it lies in.
    pub place: u32,
    /// Its UID there.
    pub uid: Uid,
    /// Its size in octets.
    pub size: u64,
}

impl Message {
    /// A message of the folder at this place.
    pub fn of(row: &mailbox::Row, place: u32) -> Self {
        Self { date: row.internal_date.unix_millis(), place, uid: row.uid, size: row.size }
    }
}

/// The folders in the order of their places, each with its highest MODSEQ.
pub type States = Vec<(FolderName, u64)>;

/// Folders being put together.
#[derive(Debug, Default)]
pub struct Across {
    links: Links,
    messages: Vec<(Node, Message)>,
    copies: Copies,
    states: States,
}

/// Where a message lies: the place of its folder, and its UID.
type Spot = (u32, Uid);

/// Messages that lie in more than one folder.
#[derive(Debug, Default)]
struct Copies {
    /// Where the first message with each id lies, by the id's hash.
    first: HashMap<u64, Spot>,
    /// For the others, where the first one lies.
    others: HashMap<Spot, Spot>,
}

impl Copies {
    /// Notes a message with an id. Two messages of one folder that share an id are two.
    fn note(&mut self, id: u64, spot: Spot) {
        match self.first.entry(id) {
            Entry::Vacant(free) => {
                free.insert(spot);
            }
            Entry::Occupied(first) if first.get().0 != spot.0 => {
                self.others.insert(spot, *first.get());
            }
            Entry::Occupied(_) => {}
        }
    }
}

/// The conversations over several folders.
#[derive(Debug, Default)]
pub struct Everywhere {
    /// Their messages, every copy of one among them.
    pub conversations: Conversations<Message>,
    copies: HashMap<Spot, Spot>,
}

impl Everywhere {
    /// What all copies of a message share, and no other message.
    pub fn original(&self, message: &Message) -> (u32, Uid) {
        let spot = (message.place, message.uid);
        self.copies.get(&spot).copied().unwrap_or(spot)
    }
}

impl Across {
    /// Leaves the next place empty: its folder is no more.
    pub fn leave_out(&mut self, folder: FolderName, state: u64) {
        self.states.push((folder, state));
    }
}

/// The name of the entry for all folders, which no folder can have.
const ALL: &str = "*";

fn key(account: &Address) -> Key {
    (account.key(), ALL.to_owned())
}

impl Memory {
    /// The conversations over these folders, if none of them has changed since they were put together.
    pub async fn known_across(&self, account: &Address, states: &States) -> Option<Arc<Everywhere>> {
        let entry = self.entry_of(key(account));
        let folder = entry.lock().await;
        let (known, list) = folder.across.as_ref()?;
        (known == states).then(|| Arc::clone(list))
    }

    /// Adds a folder, which takes the next place.
    ///
    /// # Errors
    /// The store cannot read summaries.
    pub async fn add_folder(
        &self,
        mut across: Across,
        account: &Address,
        view: &View,
        most: u32,
    ) -> Result<Across, mailbox::Error> {
        let mut folder = self.entry(account, view).lock_owned().await;
        self.look(&mut folder, view).await?;
        self.weigh(&super::key(account, view), folder.links.len(), most);
        // An account has fewer folders than that.
        let place = u32::try_from(across.states.len()).unwrap_or(u32::MAX);
        across.states.push((view.folder().clone(), u64::from(view.highest_mod_seq())));
        let messages: Vec<Message> = view.rows(&SequenceSet::all()).map(|(_, row)| Message::of(&row, place)).collect();
        let job = tokio::task::spawn_blocking(move || {
            let uids: Vec<Uid> = messages.iter().map(|message| message.uid).collect();
            for uid in &uids {
                if let Some(id) = folder.links.id_of(*uid) {
                    across.copies.note(id, (place, *uid));
                }
            }
            let nodes = across.links.take_over(&mut folder.links, &uids);
            across.messages.extend(nodes.into_iter().zip(messages));
            across
        });
        job.await.map_err(|_| mailbox::Error::Closing)
    }

    /// The conversations over the folders that were added. At most `most` message ids are remembered over all folders.
    ///
    /// # Errors
    /// The server is stopping.
    pub async fn across(
        &self,
        across: Across,
        account: &Address,
        most: u32,
    ) -> Result<Arc<Everywhere>, mailbox::Error> {
        let Across { mut links, messages, copies, states } = across;
        let count = messages.len();
        let job = tokio::task::spawn_blocking(move || {
            let pairs: Vec<(Group, Message)> =
                messages.into_iter().map(|(node, message)| (links.group(node), message)).collect();
            Everywhere { conversations: Conversations::new(pairs), copies: copies.others }
        });
        let list = Arc::new(job.await.map_err(|_| mailbox::Error::Closing)?);
        let entry = self.entry_of(key(account));
        entry.lock().await.across = Some((states, Arc::clone(&list)));
        self.weigh(&key(account), count, most);
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_in_other_folders_are_the_same_message() {
        let [one, two, three] = [1, 2, 3].map(|number| Uid::new(number).unwrap());
        let mut copies = Copies::default();
        // The same id twice in the first folder, and once in each of two others.
        for (id, spot) in [(7, (0, one)), (7, (0, two)), (8, (0, three)), (7, (1, one)), (9, (1, two)), (7, (2, three))]
        {
            copies.note(id, spot);
        }
        let everywhere = Everywhere { copies: copies.others, ..Everywhere::default() };
        let original = |place, uid| everywhere.original(&Message { date: 0, place, uid, size: 0 });
        assert_eq!([original(1, one), original(2, three)], [(0, one); 2]);
        for (place, uid) in [(0, one), (0, two), (0, three), (1, two), (5, one)] {
            assert_eq!(original(place, uid), (place, uid));
        }
    }

    #[tokio::test]
    async fn a_folder_that_is_no_more_has_a_place_all_the_same() {
        let memory = Memory::default();
        let account: Address = "ann@example.test".parse().unwrap();
        let gone = FolderName::parse("Gone").unwrap();
        let mut across = Across::default();
        across.leave_out(gone.clone(), 7);
        assert!(memory.across(across, &account, 100).await.unwrap().conversations.is_empty());
        assert!(memory.known_across(&account, &vec![(gone, 7)]).await.is_some());
        assert!(memory.known_across(&account, &Vec::new()).await.is_none());
    }
}
