//! One folder in memory: its state, who may change it, and how changes reach sessions and the disk.

mod flush;
mod history;
mod identity;
mod state;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

pub(super) use self::flush::is_within_tick;
use self::history::History;
use self::identity::identity;
pub(super) use self::state::{Pending, State};
use self::state::{begin, seed_at};
use super::commit::Group;
use super::environment::Environment;
use super::index;
use super::maildir::directory::Directories;
use super::maildir::inodes::Inodes;
use super::maildir::keywords_file;
use super::maildir::uid_file::Takeover;
use super::maildir::uidlist::UidList;
use super::moving::Moving;
use super::reconcile::Known;
use super::snapshot::{Claims, Snapshot};
use super::summaries::{Stamp, Summaries};
use super::usage::Account;
use super::watch::Events;
use super::{Error, FolderName, Usage};
use crate::foundations::clock::Uptime;
use crate::foundations::mail::{MailboxId, ModSeq, Uid, UidValidity};

/// One folder.
pub(super) struct Folder {
    pub name: FolderName,
    pub path: PathBuf,
    /// The directories it was loaded from.
    inodes: Inodes,
    pub environment: Arc<Environment>,
    pub account: Arc<Account>,
    /// MAILBOXID; `None` when it cannot be stored.
    pub id: Option<MailboxId>,
    pub summaries: Summaries,
    /// How many views are open.
    pub views: AtomicUsize,
    pub history: Mutex<History>,
    /// Unprocessed news from inotify.
    pub events: Mutex<Events>,
    /// Whether a job for them is on its way.
    pub absorbing: AtomicBool,
    claims: Mutex<Claims>,
    /// Whether messages are being moved from `new/` to `cur/`.
    pub settling: AtomicBool,
    pub moving: Moving,
    pub group: Group,
    state: Mutex<State>,
    published: watch::Sender<Arc<Snapshot>>,
    directories: Mutex<Option<Arc<Directories>>>,
    used: AtomicU64,
    /// Whether it waits for its index to be written.
    queued: AtomicBool,
}

/// UIDs given out before the durable bound must be raised again.
const UID_BLOCK: u32 = 256;
/// Age after which a file in `tmp/` counts as abandoned, as in other programs (maildir(5)).
const LEFT_AFTER: Duration = Duration::from_secs(36 * 60 * 60);
/// How often to look for such files.
const TIDY_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// A directory changed less than this ago may change again without its time showing it.
pub(super) const TIME_GRAIN: Duration = Duration::from_millis(50);

impl Folder {
    /// Opens a folder: from its index, when the directories have not changed since, or from the directories.
    /// `fresh_validity` gives the UIDVALIDITY for a folder that has none.
    pub fn load(
        environment: &Arc<Environment>,
        account: &Arc<Account>,
        name: &FolderName,
        path: &Path,
        fresh_validity: impl FnOnce() -> UidValidity,
    ) -> Result<Arc<Self>, Error> {
        let directories =
            Directories::open(path, account.tenure.clone()).map_err(|error| not_opened(name, path, error))?;
        let failed = |error| Error::io(format!("cannot read the folder `{}`", path.display()), error);
        let keywords = Arc::new(keywords_file::read(directories.root()).map_err(failed)?);
        let fresh_id = || environment.fresh_mailbox_id();
        let inodes = directories.inodes().map_err(failed)?;
        let (uid_file, takeover) = identity(&directories, fresh_validity, fresh_id).map_err(failed)?;
        let seen = directories.mtimes().map_err(failed)?;
        let empty = Snapshot::empty(uid_file.validity, ModSeq::MIN, Arc::clone(&keywords));
        let loaded = index::read(directories.root(), empty);
        let seed = seed_at(environment.clock.now(), loaded.as_ref());
        let (mut state, history, snapshot) = begin(loaded, uid_file, seen, seed, keywords);
        if takeover.is_some() {
            state.stale = true;
            state.next_uid = state.next_uid.max(state.uid_file.bound);
        }
        let folder = Arc::new(Self {
            name: name.clone(),
            path: path.to_owned(),
            inodes,
            environment: Arc::clone(environment),
            account: Arc::clone(account),
            id: uid_file.id,
            summaries: Summaries::default(),
            views: AtomicUsize::new(0),
            events: Mutex::default(),
            absorbing: AtomicBool::new(false),
            history: Mutex::new(history),
            claims: Mutex::new(Claims { claimed: Uid::MIN, arrived: Uid::MAX }),
            settling: AtomicBool::new(false),
            moving: Moving::default(),
            group: Group::default(),
            state: Mutex::new(state),
            published: watch::Sender::new(Arc::new(snapshot)),
            directories: Mutex::new(None),
            used: AtomicU64::new(environment.use_number()),
            queued: AtomicBool::new(false),
        });
        folder.finish_loading(Arc::new(directories), takeover, seed)?;
        Ok(folder)
    }

    fn finish_loading(
        self: &Arc<Self>,
        directories: Arc<Directories>,
        takeover: Option<UidList>,
        seed: ModSeq,
    ) -> Result<(), Error> {
        *self.directories.lock() = Some(Arc::clone(&directories));
        self.environment.opened(self);
        let mut state = self.state.lock();
        if state.stale {
            self.reconcile(&mut state, &directories, Known::Loading { seed, takeover: takeover.as_ref() })?;
            self.keep_seed(&mut state, &directories);
        } else {
            let current = self.current();
            self.account.contribute(&self.name, usage_of(&current), &self.environment);
        }
        if state.uid_file.takeover == Takeover::Running {
            state.uid_file.takeover = Takeover::Done;
            self.write_uid_file(&state, &directories)?;
        }
        self.tidy(&mut state, &directories);
        self.history.lock().trim(self.environment.settings.get().expunge_history);
        self.claims.lock().arrived = state.next_uid;
        Ok(())
    }

    /// From time to time, removes leftovers of interrupted programs from `tmp/`. A failure is left to the next attempt.
    pub fn tidy(&self, state: &mut State, directories: &Directories) {
        if state.tidy_until.is_some_and(|until| Uptime::now() < until) {
            return;
        }
        state.tidy_until = Some(Uptime::now() + TIDY_FOR);
        if let Err(error) = directories.tidy(self.environment.clock.now() - LEFT_AFTER) {
            log::warn!(folder:% = self.name, error:% = error; "What was left in `tmp/` could not be removed");
        }
    }

    /// Which messages are recent now.
    pub fn claims(&self) -> Claims {
        *self.claims.lock()
    }

    /// Claims the recent messages below this UID for one session, and returns which were recent until now.
    pub fn claim(&self, uid_next: Uid) -> Claims {
        let mut claims = self.claims.lock();
        let before = *claims;
        claims.claimed = before.claimed.max(uid_next);
        before
    }

    /// The state that everybody currently sees.
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.published.borrow())
    }

    /// A handle that reports changes of the state.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.published.subscribe()
    }

    /// Locks the folder for a change. Held for renames and bookkeeping; never while sessions are served.
    pub fn lock(&self) -> parking_lot::MutexGuard<'_, State> {
        self.used.store(self.environment.use_number(), Ordering::Relaxed);
        self.state.lock()
    }

    /// The time of last use, as a number that grows.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Its directories, opened if need be. Fails if another session has deleted or renamed the folder, even if there is
    /// a new one in its place, and if somebody else has moved its directory away: nobody would find anything stored
    /// there. The folder must not be locked.
    pub fn directories(self: &Arc<Self>) -> Result<Arc<Directories>, Error> {
        self.still_there()?;
        let here = self.inodes_now()?;
        if !here.is_same_as(self.inodes) {
            // If nothing is there, we may be renaming or deleting it ourselves, and that may yet fail. If another
            // folder is there, it has replaced this one.
            if here.is_folder() {
                self.end();
            }
            return Err(Error::NoFolder(self.name.clone()));
        }
        let mut directories = self.directories.lock();
        if let Some(open) = &*directories {
            self.still_there()?;
            return Ok(Arc::clone(open));
        }
        let open = Directories::open(&self.path, self.account.tenure.clone())
            .map_err(|error| not_opened(&self.name, &self.path, error))?;
        self.still_there()?;
        if !open.inodes().map_err(self.failed("look for the folder"))?.is_same_as(self.inodes) {
            return Err(Error::NoFolder(self.name.clone()));
        }
        let open = Arc::new(open);
        *directories = Some(Arc::clone(&open));
        drop(directories);
        self.environment.opened(self);
        Ok(open)
    }

    /// What currently lies at its path.
    fn inodes_now(&self) -> Result<Inodes, Error> {
        Inodes::at(&self.path).map_err(self.failed("look for the folder"))
    }

    /// Whether it can be used: nobody has deleted, renamed or replaced it. The caller holds the user's gate, so no
    /// session can do so meanwhile.
    pub fn is_in_place(&self) -> Result<bool, Error> {
        Ok(self.still_there().is_ok() && self.inodes_now()?.is_same_as(self.inodes))
    }

    /// Fails when another session has deleted or renamed it.
    pub fn still_there(&self) -> Result<(), Error> {
        if self.published.borrow().gone { Err(Error::NoFolder(self.name.clone())) } else { Ok(()) }
    }

    /// Closes its directories until they are needed again.
    pub fn close_directories(&self) {
        // Anyone about to open them will not wait for this.
        if let Some(mut directories) = self.directories.try_lock() {
            *directories = None;
        }
    }

    /// Publishes a changed state.
    pub fn publish(self: &Arc<Self>, snapshot: Snapshot) {
        // Work that was under way when the folder ended says nothing about the folder that is there now.
        if !snapshot.gone {
            self.account.contribute(&self.name, usage_of(&snapshot), &self.environment);
            self.account.hub.tell_difference(&self.name, &self.current(), &snapshot);
        }
        self.published.send_replace(Arc::new(snapshot));
        self.want_flush();
    }

    /// Requests that the index be written soon.
    pub fn want_flush(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.environment.add_dirty(Arc::clone(self));
        }
    }

    /// An error with what was being done to this folder. Files missing because another session deleted the folder are
    /// no system failure.
    pub fn failed<'a>(&'a self, doing: &'a str) -> impl Fn(std::io::Error) -> Error + 'a {
        move |error| match (error.kind(), self.still_there()) {
            (std::io::ErrorKind::NotFound, Err(gone)) => gone,
            _ => Error::io(format!("cannot {doing} in `{}`", self.path.display()), error),
        }
    }

    /// The identity of this folder's summaries.
    pub fn stamp(&self) -> Stamp {
        let uid_validity = self.published.borrow().uid_validity;
        Stamp { version: self.environment.summarizer.version, uid_validity }
    }

    /// Makes sure that no UID given out so far can be given out again after its message has gone. Must be called before
    /// a message is removed whose UID is at or above the bound.
    pub fn raise_bound(&self, state: &mut State, directories: &Directories) -> Result<(), Error> {
        let bound = state.next_uid.saturating_add(UID_BLOCK);
        self.set_bound(state, directories, bound)
    }

    fn set_bound(&self, state: &mut State, directories: &Directories, bound: Uid) -> Result<(), Error> {
        let before = std::mem::replace(&mut state.uid_file.bound, bound);
        self.write_uid_file(state, directories).inspect_err(|_| state.uid_file.bound = before)
    }

    pub fn write_uid_file(&self, state: &State, directories: &Directories) -> Result<(), Error> {
        let root = directories.own_root().map_err(self.failed("write `postrider-uid`"))?;
        state.uid_file.write(root).map_err(self.failed("write `postrider-uid`"))
    }

    /// Records expunged messages.
    pub fn remember_removed(&self, state: &mut State, mod_seq: ModSeq, uids: &[Uid]) {
        state.delta.removed.extend(uids.iter().map(|uid| (mod_seq, *uid)));
        self.summaries.forget(uids);
        let mut history = self.history.lock();
        history.entries.extend(uids.iter().map(|uid| (mod_seq, *uid)));
        history.trim(self.environment.settings.get().expunge_history);
    }

    /// Tells sessions that the folder is no longer there, and stops writing to it.
    pub fn end(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if state.watched {
            state.watched = false;
            self.unwatch();
        }
        let mut snapshot = (*self.current()).clone();
        snapshot.gone = true;
        self.published.send_replace(Arc::new(snapshot));
        self.close_directories();
    }

    /// Writes a list of UIDs for Dovecot.
    pub fn write_uidlist(self: &Arc<Self>) -> Result<(), Error> {
        let directories = self.directories()?;
        self.spell_forwarded(&directories)?;
        // Dovecot starts from our bound, so a list with a higher next UID shows that it has worked here.
        let next = {
            let mut state = self.lock();
            let next = state.uid_file.bound.max(state.next_uid);
            if next > state.uid_file.bound {
                self.set_bound(&mut state, &directories, next)?;
            }
            next
        };
        let snapshot = self.current();
        let names: Vec<(Uid, Vec<u8>)> =
            snapshot.iter().map(|(record, stored)| (record.uid, super::snapshot::base(stored).to_vec())).collect();
        let messages = names.iter().map(|(uid, name)| (*uid, &name[..]));
        let root = directories.own_root().map_err(self.failed("write `dovecot-uidlist`"))?;
        UidList::write(root, snapshot.uid_validity, next, messages).map_err(self.failed("write `dovecot-uidlist`"))
    }

    /// Memory it occupies, roughly.
    pub fn memory(&self) -> u64 {
        self.published.borrow().memory() + self.summaries.memory() + 2048
    }
}

/// Why a folder's directories cannot be opened: perhaps it was deleted or renamed a moment ago.
fn not_opened(name: &FolderName, path: &Path, error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::NotFound => Error::NoFolder(name.clone()),
        _ => Error::io(format!("cannot open `{}`", path.display()), error),
    }
}

fn usage_of(snapshot: &Snapshot) -> Usage {
    Usage { octets: snapshot.counts.octets, messages: u64::from(snapshot.counts.messages) }
}
