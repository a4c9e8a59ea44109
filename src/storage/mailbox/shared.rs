//! Mailboxes among several nodes: taking and releasing users.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::mailboxes::Mailboxes;
use super::{Error, User};
use crate::foundations::address::Address;
use crate::foundations::clock::Uptime;
use crate::storage::cluster::{Membership, OtherNode, Place, Term};

/// Users are opened and given back one at a time in each of this many lanes.
const TURNS: usize = 64;

/// Keeps a user from being opened while it is given back or its mail is deleted.
pub(super) struct Turns {
    hasher: RandomState,
    turns: Vec<Arc<Mutex<()>>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { hasher: RandomState::new(), turns: (0..TURNS).map(|_| Arc::default()).collect() }
    }
}

impl Turns {
    /// The lane of a user.
    fn lane(&self, key: &str) -> usize {
        usize::try_from(self.hasher.hash_one(key) % TURNS as u64).unwrap_or(0)
    }

    pub(super) async fn wait(&self, key: &str) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turns[self.lane(key)]).lock_owned().await
    }

    /// The turns of two users, always taken in the same order.
    pub(super) async fn wait_for_both(&self, one: &str, other: &str) -> Vec<OwnedMutexGuard<()>> {
        let lanes = BTreeSet::from([self.lane(one), self.lane(other)]);
        let mut turns = Vec::with_capacity(lanes.len());
        for lane in lanes {
            turns.push(Arc::clone(&self.turns[lane]).lock_owned().await);
        }
        turns
    }
}

/// When users were last seen in use.
#[derive(Debug, Default)]
pub struct IdleUsers(HashMap<String, (u64, Uptime)>);

/// Which users to give back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release<'a> {
    /// Those not in use.
    Unused,
    /// Even if in use: sessions end.
    Anyway,
    /// Even if in use; the named node owns them then.
    To(&'a str),
}

impl Mailboxes {
    /// Takes a user as a node and opens its mail.
    pub(super) async fn take(
        &self,
        account: &Address,
        key: String,
        membership: &Membership,
    ) -> Result<Arc<User>, Error> {
        let turn = self.inner.turns.wait(&key).await;
        if let Some(user) = self.known(&key) {
            return Ok(user);
        }
        match membership.take(&key).await? {
            Place::Here(tenure) => self.load(account, key, tenure, turn).await,
            Place::There(other) => Err(Error::Elsewhere(other.node)),
        }
    }

    /// The other node that owns a user; `None` when it is this node, which takes users that nobody owns.
    ///
    /// # Errors
    /// It cannot be determined now.
    pub async fn whereabouts(&self, account: &Address) -> Result<Option<OtherNode>, Error> {
        let key = account.key();
        let Some(membership) = &self.inner.membership else { return Ok(None) };
        let _turn = self.inner.turns.wait(&key).await;
        if self.known(&key).is_some() {
            return Ok(None);
        }
        match membership.take(&key).await? {
            Place::Here(_) => Ok(None),
            Place::There(other) => Ok(Some(other)),
        }
    }

    /// Gives a user back: changes in progress are finished and written, then others may take the user.
    ///
    /// # Errors
    /// The database fails. The user's mail is closed then, and stays this node's until its lease ends or it is
    /// requested here.
    pub async fn release(&self, key: &str, term: &Term, release: Release<'_>) -> Result<(), Error> {
        let Some(membership) = &self.inner.membership else { return Ok(()) };
        let _turn = self.inner.turns.wait(key).await;
        let (user, in_use) = {
            let mut users = self.inner.users.lock();
            let user = users.get(key).map(Arc::clone);
            // One reference is in the map, one is here.
            let in_use = user.as_ref().is_some_and(|user| Arc::strong_count(user) > 2);
            if !in_use {
                users.remove(key);
            }
            (user, in_use)
        };
        if in_use && release == Release::Unused {
            return Ok(());
        }
        if let Some(user) = user {
            let settled = self.inner.environment.job(move || {
                user.settle();
                Ok(())
            });
            settled.await?;
            self.inner.users.lock().remove(key);
        }
        match release {
            Release::To(node) => membership.hand_over(key, term, node).await?,
            Release::Unused | Release::Anyway => membership.give_back(key, term).await?,
        }
        Ok(())
    }

    /// Users in memory, by their keys.
    pub fn users(&self) -> Vec<String> {
        self.inner.users.lock().keys().cloned().collect()
    }

    /// Users not used for this long.
    pub fn unused(&self, idle: Duration, seen: &mut IdleUsers) -> Vec<String> {
        let now = Uptime::now();
        let users = self.inner.users.lock();
        seen.0.retain(|key, _| users.contains_key(key));
        let mut unused = Vec::new();
        for (key, user) in users.iter() {
            let used = user.used();
            let entry = seen.0.entry(key.clone()).or_insert((used, now));
            if Arc::strong_count(user) > 1 || entry.0 != used {
                *entry = (used, now);
            } else if entry.1 + idle <= now {
                unused.push(key.clone());
            }
        }
        unused
    }

    /// Releases everybody at once, without touching the disk: the lease has ended.
    pub fn abandon(&self) {
        let users = std::mem::take(&mut *self.inner.users.lock());
        for user in users.values() {
            user.send_away();
        }
    }
}
