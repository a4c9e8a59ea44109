//! All mailboxes of this process.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, Mode, OFlags};
use tokio::sync::OwnedMutexGuard;

use super::environment::Environment;
use super::folder::TIME_GRAIN;
use super::shared::Turns;
use super::watch::Watcher;
use super::{Error, FolderName, MailboxSettings, Usage, User};
use crate::foundations::address::Address;
use crate::foundations::clock::{SharedClock, Uptime};
use crate::foundations::files::Owner;
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::storage::cluster::{Membership, Tenure};

/// How to make the summary that is cached for each message (what IMAP needs for ENVELOPE, BODYSTRUCTURE, SEARCH). The
/// store keeps it as opaque octets.
#[derive(Debug, Clone, Copy)]
pub struct Summarizer {
    /// Changes with the format of summaries; cached ones of other versions are rebuilt.
    pub version: u32,
    /// Makes a summary from a whole message with CRLF line ends. Must not panic, whatever the bytes.
    pub summarize: fn(&[u8]) -> Vec<u8>,
    /// How to make those that hold more, where they are asked for.
    pub fuller: Option<Fuller>,
}

/// How to make summaries that hold more, of messages of which somebody has asked for it. They are cached in place of the usual
/// ones, and serve everybody.
#[derive(Debug, Clone, Copy)]
pub struct Fuller {
    /// How many octets from the beginning of a message are needed to make one out of its usual summary; `None` if that is one
    /// already.
    pub lacks: fn(&[u8]) -> Option<u64>,
    /// Makes one out of a usual summary and these octets. Must not panic, whatever the bytes.
    pub extend: fn(&[u8], &[u8]) -> Vec<u8>,
}

/// All mailboxes below one mail root. Cheap to clone.
#[derive(Clone)]
pub struct Mailboxes {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) root: PathBuf,
    pub(super) environment: Arc<Environment>,
    pub(super) users: Mutex<HashMap<String, Arc<User>>>,
    /// Locked while this process owns the mail root or shares it with other nodes.
    lock: Mutex<Option<OwnedFd>>,
    /// Set when this process is one of several nodes.
    pub(super) membership: Option<Membership>,
    pub(super) turns: Turns,
    /// Former addresses, and until when nobody is opened by them.
    pub(super) gone: Mutex<HashMap<String, Uptime>>,
}

/// A folder in memory that nobody uses.
pub(super) struct IdleFolder {
    /// The time of last use, as a number that grows.
    pub used: u64,
    /// Octets it occupies.
    pub memory: u64,
    pub name: FolderName,
}

/// The file in the mail root that its owning process locks.
const LOCK: &str = ".postrider.lock";
/// Rounds of writing indexes at the end.
const CLOSING_ROUNDS: usize = 4;
/// Memory counted for a user without folders in memory.
const USER_MEMORY: u64 = 2048;

impl std::fmt::Debug for Mailboxes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailboxes").field("root", &self.inner.root).finish_non_exhaustive()
    }
}

impl Mailboxes {
    /// Opens the mail root, which must exist, and takes ownership of it; [`Error::Busy`] when another process owns it.
    /// Nothing is read before a user is asked for. Must be called within the runtime.
    pub fn open(
        mail_root: &Path,
        settings: Live<MailboxSettings>,
        clock: SharedClock,
        tasks: Tasks,
        summarizer: Summarizer,
    ) -> Result<Self, Error> {
        Self::open_among(mail_root, settings, clock, tasks, summarizer, None)
    }

    /// Like [`Mailboxes::open`]; with a membership, as one of several nodes: nobody's mail is opened that another node owns.
    pub fn open_among(
        mail_root: &Path,
        settings: Live<MailboxSettings>,
        clock: SharedClock,
        tasks: Tasks,
        summarizer: Summarizer,
        membership: Option<Membership>,
    ) -> Result<Self, Error> {
        // Nodes share the lock, so that a process outside the cluster finds it taken, and vice versa.
        let operation = match membership {
            None => FlockOperation::NonBlockingLockExclusive,
            Some(_) => FlockOperation::NonBlockingLockShared,
        };
        let lock = take_lock(mail_root, operation)?;
        // With several nodes inotify is useless: it does not report changes by other machines, and code that relies on
        // it does not look.
        let watcher = if membership.is_some() { None } else { Some(Watcher::new()) };
        let watcher = watcher.transpose().unwrap_or_else(|error| {
            log::warn!(error:% = error; "inotify is not available: changes by other programs are noticed only when a folder is opened");
            None
        });
        let node = membership.as_ref().map(Membership::node);
        let environment = Arc::new(Environment::new(settings, clock, tasks, summarizer, watcher, node));
        let inner = Arc::new(Inner {
            root: mail_root.to_owned(),
            environment: Arc::clone(&environment),
            users: Mutex::default(),
            lock: Mutex::new(Some(lock)),
            membership,
            turns: Turns::default(),
            gone: Mutex::default(),
        });
        let watched = Arc::downgrade(&environment);
        environment.tasks.keep("the watch over mailboxes", move || Watcher::run(Weak::clone(&watched)));
        let weak = Arc::downgrade(&inner);
        environment.tasks.keep("the record of indexes", move || keep_up(Weak::clone(&weak)));
        Ok(Self { inner })
    }

    /// A user's mail, whose directory is made when it is missing. Whether the account exists is for the directory to
    /// know. One of several nodes takes ownership first; [`Error::Elsewhere`] when another owns it.
    pub async fn user(&self, account: &Address) -> Result<Arc<User>, Error> {
        let key = account.key();
        if let Some(user) = self.known(&key) {
            return Ok(user);
        }
        match &self.inner.membership {
            None => {
                let turn = self.inner.turns.wait(&key).await;
                match self.known(&key) {
                    Some(user) => Ok(user),
                    None if self.is_gone(&key) => Err(Error::Renamed),
                    None => self.load(account, key, Tenure::alone(), turn).await,
                }
            }
            Some(membership) => self.take(account, key, membership).await,
        }
    }

    /// Whether this was a user's address until a moment ago.
    fn is_gone(&self, key: &str) -> bool {
        let mut gone = self.inner.gone.lock();
        gone.retain(|_, until| *until > Uptime::now());
        gone.contains_key(key)
    }

    /// A user who is in memory and may be used.
    pub(super) fn known(&self, key: &str) -> Option<Arc<User>> {
        self.inner.users.lock().get(key).filter(|user| user.is_ours()).map(Arc::clone)
    }

    /// Brings a user into memory. The user's turn lasts until that is done, even if the caller goes away: otherwise the
    /// user could be given to another node too early, and both would write.
    pub(super) async fn load(
        &self,
        account: &Address,
        key: String,
        tenure: Tenure,
        turn: OwnedMutexGuard<()>,
    ) -> Result<Arc<User>, Error> {
        let (inner, account) = (Arc::clone(&self.inner), account.clone());
        self.inner
            .environment
            .job(move || {
                let _turn = turn;
                let user = Arc::new(User::load(&inner.environment, &inner.root, &account, tenure)?);
                inner.users.lock().insert(key, Arc::clone(&user));
                Ok(user)
            })
            .await
    }

    /// Sets who is told an account's usage whenever it changes; called once. The callback runs in the middle of the
    /// change, so it must neither wait nor call back.
    pub fn tell_usage(&self, tell: impl Fn(&Address, Usage) + Send + Sync + 'static) {
        let first = self.inner.environment.usage_told.set(Box::new(tell)).is_ok();
        debug_assert!(first, "somebody is told already");
    }

    /// Writes all pending indexes and releases the mail root. Called at the end, when sessions are gone.
    pub async fn close(&self) {
        let inner = Arc::clone(&self.inner);
        let closed = self.inner.environment.job(move || {
            for folder in inner.users.lock().values().flat_map(|user| user.loaded()) {
                folder.want_flush();
            }
            for _ in 0..CLOSING_ROUNDS {
                if !inner.flush() {
                    break;
                }
                // A directory that has just changed could change again without its time showing it, so its index counts
                // only when it is written a little later.
                std::thread::sleep(TIME_GRAIN);
            }
            let users: Vec<Arc<User>> = inner.users.lock().values().cloned().collect();
            for user in users {
                user.settle();
            }
            *inner.lock.lock() = None;
            Ok(())
        });
        if let Err(error) = closed.await {
            log::warn!(error:% = error; "Indexes could not be written");
        }
    }
}

/// Writes indexes after changes and keeps memory within its bound, until the store is gone.
async fn keep_up(inner: Weak<Inner>) {
    loop {
        let Some((environment, delay)) = inner.upgrade().map(|inner| {
            let delay = inner.environment.settings.get().index_delay.duration();
            (Arc::clone(&inner.environment), delay)
        }) else {
            return;
        };
        tokio::select! {
            () = environment.dirty_wake.notified() => {}
            () = environment.tasks.stopping() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = environment.tasks.stopping() => return,
        }
        let Some(strong) = inner.upgrade() else { return };
        let work = move || {
            strong.flush();
            strong.shrink();
            Ok(())
        };
        if let Err(error) = environment.job(work).await {
            log::warn!(error:% = error; "Indexes could not be written");
        }
    }
}

impl Inner {
    /// Writes the indexes of all folders that wait for it; returns whether there were any.
    fn flush(&self) -> bool {
        let dirty = self.environment.take_dirty();
        for folder in &dirty {
            if let Err(error) = folder.flush()
                && !folder.current().gone
            {
                // The index is a cache: without it the directories will be read.
                log::warn!(error:% = error; "An index could not be written");
            }
        }
        !dirty.is_empty()
    }

    /// Drops the states unused for longest until the rest fits.
    fn shrink(&self) {
        let most = self.environment.settings.get().idle_memory.get();
        let users: Vec<(String, Arc<User>)> =
            self.users.lock().iter().map(|(key, user)| (key.clone(), Arc::clone(user))).collect();
        let mut idle: Vec<(&Arc<User>, IdleFolder)> = Vec::new();
        for (_, user) in &users {
            idle.extend(user.idle().into_iter().map(|folder| (user, folder)));
        }
        let mut total = idle.iter().map(|(_, folder)| folder.memory).sum::<u64>() + users.len() as u64 * USER_MEMORY;
        if total <= most {
            return;
        }
        // Further than necessary, so that this is rare.
        let enough = most / 4 * 3;
        idle.sort_unstable_by_key(|(_, folder)| folder.used);
        for (user, folder) in idle {
            if total <= enough {
                break;
            }
            user.evict(&folder.name);
            total -= folder.memory;
        }
        let mut empty: Vec<(u64, String)> =
            users.iter().filter(|(_, user)| user.is_empty()).map(|(key, user)| (user.used(), key.clone())).collect();
        drop(users);
        if self.membership.is_some() {
            // Users dropped from memory must be given back, and that is done after `cluster.idle`.
            return;
        }
        empty.sort_unstable();
        let mut users = self.users.lock();
        for (_, key) in empty {
            if total <= enough {
                break;
            }
            if users.get(&key).is_some_and(|user| Arc::strong_count(user) == 1 && user.is_empty()) {
                users.remove(&key);
                total = total.saturating_sub(USER_MEMORY);
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Folders waiting for their index hold the environment that holds them.
        self.environment.abandon();
    }
}

fn take_lock(root: &Path, operation: FlockOperation) -> Result<OwnedFd, Error> {
    let path = root.join(LOCK);
    let failed = |error: rustix::io::Errno| Error::io(format!("cannot lock `{}`", path.display()), error);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
    let given = Owner::of(root)?.give(&file);
    given.map_err(|error| Error::io(format!("cannot change the owner of `{}`", path.display()), error))?;
    match rustix::fs::flock(&file, operation) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Busy(root.display().to_string())),
        Err(error) => Err(failed(error)),
    }
}
