//! Conversations over several folders.

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
    states: States,
}

/// The name of the entry for all folders, which no folder can have.
const ALL: &str = "*";

fn key(account: &Address) -> Key {
    (account.key(), ALL.to_owned())
}

impl Memory {
    /// The conversations over these folders, if none of them has changed since they were put together.
    pub async fn known_across(&self, account: &Address, states: &States) -> Option<Arc<Conversations<Message>>> {
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
    ) -> Result<Arc<Conversations<Message>>, mailbox::Error> {
        let Across { mut links, messages, states } = across;
        let count = messages.len();
        let job = tokio::task::spawn_blocking(move || {
            let pairs: Vec<(Group, Message)> =
                messages.into_iter().map(|(node, message)| (links.group(node), message)).collect();
            Conversations::new(pairs)
        });
        let list = Arc::new(job.await.map_err(|_| mailbox::Error::Closing)?);
        let entry = self.entry_of(key(account));
        entry.lock().await.across = Some((states, Arc::clone(&list)));
        self.weigh(&key(account), count, most);
        Ok(list)
    }
}
