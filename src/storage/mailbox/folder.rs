//! One folder in memory: its state, who may change it, and how changes reach sessions and the disk.

mod flush;
mod history;
mod identity;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

pub(super) use self::flush::is_within_tick;
use self::history::History;
use self::identity::identity;
use super::commit::{Group, Touched};
use super::environment::Environment;
use super::index::{self, Written};
use super::maildir::directory::{Directories, Mtimes};
use super::maildir::filename::Place;
use super::maildir::ground::Ground;
use super::maildir::keywords_file;
use super::maildir::uid_file::{Takeover, UidFile};
use super::maildir::uidlist::UidList;
use super::moving::Moving;
use super::reconcile::Known;
use super::snapshot::{Claims, Record, Snapshot};
use super::summaries::{Stamp, Summaries};
use super::usage::Account;
use super::watch::Events;
use super::{Error, FolderName, Keywords, Usage};
use crate::foundations::clock::{Timestamp, Uptime};
use crate::foundations::mail::{MailboxId, UidValidity};

/// One folder.
pub(super) struct Folder {
    pub name: FolderName,
    pub path: PathBuf,
    /// The directories it was loaded from.
    ground: Ground,
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
    /// Messages below this UID have already been recent to some session.
    pub claimed: AtomicU32,
    /// Messages from this UID on arrived after the folder was loaded.
    arrived: AtomicU32,
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

/// State visible only to code that changes the folder.
pub(super) struct State {
    pub uid_file: UidFile,
    /// The next UID to give out.
    pub next_uid: u32,
    /// Messages that have their names but are not known to be on disk; nobody sees them yet.
    pub pending: VecDeque<Pending>,
    /// The directories' times when they were last known to agree with the state.
    pub seen: Mtimes,
    /// Whether somebody else has changed the directories, so that they must be read.
    pub stale: bool,
    /// The directories changed so shortly before they were listed that a later change may have left the same time.
    pub doubtful: bool,
    /// A file could not be read when the directories were last listed, so they must be listed again when the folder is next loaded.
    pub passed_over: bool,
    /// Changes missing from the index.
    pub delta: Delta,
    pub written: Written,
    /// Counts changes to the directories.
    pub ticket: u64,
    /// Which directories have unsynced changes.
    pub touched: Touched,
    /// Whether inotify reports changes.
    pub watched: bool,
    /// Whether the times at the end of the index can be relied on.
    pub certain: bool,
    /// When `tmp/` is next searched for leftovers.
    pub tidy_until: Option<Uptime>,
}

/// A message not known to be on disk.
#[derive(Debug)]
pub(super) struct Pending {
    pub ticket: u64,
    pub record: Record,
    pub name: Vec<u8>,
}

/// Changes missing from the index.
#[derive(Debug, Default)]
pub(super) struct Delta {
    pub changed: Vec<u32>,
    pub removed: Vec<(u64, u32)>,
    /// Everything.
    pub whole: bool,
}

impl Delta {
    fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty() && !self.whole
    }
}

/// UIDs given out before the durable bound must be raised again.
const UID_BLOCK: u32 = 256;
/// More mod-sequences than can be given out before the index is written.
const UNWRITTEN: u64 = 1_000_000;
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
        fresh_validity: impl FnOnce() -> u32,
    ) -> Result<Arc<Self>, Error> {
        let directories =
            Directories::open(path, account.tenure.clone()).map_err(|error| not_opened(name, path, error))?;
        let failed = |error| Error::io(format!("cannot read the folder `{}`", path.display()), error);
        let keywords = Arc::new(keywords_file::read(directories.root()).map_err(failed)?);
        let fresh_id = || environment.fresh_mailbox_id();
        let ground = directories.ground().map_err(failed)?;
        let (uid_file, takeover) = identity(&directories, fresh_validity, fresh_id).map_err(failed)?;
        let seen = directories.mtimes().map_err(failed)?;
        let validity = UidValidity::new(uid_file.validity).unwrap_or(UidValidity::MIN);
        let loaded = index::read(directories.root(), Snapshot::empty(validity, 0, Arc::clone(&keywords)));
        let loaded = loaded.map_err(failed)?;
        let seed = seed_at(environment.clock.now(), loaded.as_ref());
        let (mut state, history, snapshot) = begin(loaded, uid_file, seen, seed, keywords);
        if takeover.is_some() {
            state.stale = true;
            state.next_uid = state.next_uid.max(state.uid_file.bound);
        }
        let folder = Arc::new(Self {
            name: name.clone(),
            path: path.to_owned(),
            ground,
            environment: Arc::clone(environment),
            account: Arc::clone(account),
            id: uid_file.id,
            summaries: Summaries::default(),
            views: AtomicUsize::new(0),
            events: Mutex::default(),
            history: Mutex::new(history),
            claimed: AtomicU32::new(0),
            arrived: AtomicU32::new(u32::MAX),
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
        seed: u64,
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
        self.arrived.store(state.next_uid, Ordering::Release);
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
        Claims { claimed: self.claimed.load(Ordering::Acquire), arrived: self.arrived.load(Ordering::Acquire) }
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
        let here = self.ground_now()?;
        if !here.is_same_as(self.ground) {
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
        if !open.ground().map_err(self.failed("look for the folder"))?.is_same_as(self.ground) {
            return Err(Error::NoFolder(self.name.clone()));
        }
        let open = Arc::new(open);
        *directories = Some(Arc::clone(&open));
        drop(directories);
        self.environment.opened(self);
        Ok(open)
    }

    /// What currently lies at its path.
    fn ground_now(&self) -> Result<Ground, Error> {
        Ground::at(&self.path).map_err(self.failed("look for the folder"))
    }

    /// Whether it can be used: nobody has deleted, renamed or replaced it. The caller holds the user's gate, so no
    /// session can do so meanwhile.
    pub fn is_in_place(&self) -> Result<bool, Error> {
        Ok(self.still_there().is_ok() && self.ground_now()?.is_same_as(self.ground))
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
        let uid_validity = self.published.borrow().uid_validity.get();
        Stamp { version: self.environment.summarizer.version, uid_validity }
    }

    /// Makes sure that no UID given out so far can be given out again after its message has gone. Must be called before
    /// a message is removed whose UID is at or above the bound.
    pub fn raise_bound(&self, state: &mut State, directories: &Directories) -> Result<(), Error> {
        let bound = state.next_uid.saturating_add(UID_BLOCK);
        self.set_bound(state, directories, bound)
    }

    fn set_bound(&self, state: &mut State, directories: &Directories, bound: u32) -> Result<(), Error> {
        let before = std::mem::replace(&mut state.uid_file.bound, bound);
        self.write_uid_file(state, directories).inspect_err(|_| state.uid_file.bound = before)
    }

    pub fn write_uid_file(&self, state: &State, directories: &Directories) -> Result<(), Error> {
        let root = directories.own_root().map_err(self.failed("write `postrider-uid`"))?;
        state.uid_file.write(root).map_err(self.failed("write `postrider-uid`"))
    }

    /// Records expunged messages.
    pub fn remember_removed(&self, state: &mut State, mod_seq: u64, uids: &[u32]) {
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
        let names: Vec<(u32, Vec<u8>)> =
            snapshot.iter().map(|(record, stored)| (record.uid, super::snapshot::base(stored).to_vec())).collect();
        let messages = names.iter().map(|(uid, name)| (*uid, &name[..]));
        let root = directories.own_root().map_err(self.failed("write `dovecot-uidlist`"))?;
        UidList::write(root, snapshot.uid_validity.get(), next, messages)
            .map_err(self.failed("write `dovecot-uidlist`"))
    }

    /// Memory it occupies, roughly.
    pub fn memory(&self) -> u64 {
        self.published.borrow().memory() + self.summaries.memory() + 2048
    }
}

impl State {
    /// Gives out a UID.
    pub fn take_uid(&mut self, folder: &FolderName) -> Result<u32, Error> {
        let uid = self.next_uid;
        if uid >= u32::MAX - 1 {
            return Err(Error::UidsExhausted(folder.clone()));
        }
        self.next_uid += 1;
        Ok(uid)
    }

    /// Notes that a directory has changed and must be synced. Returns the ticket to wait for.
    pub fn touch(&mut self, place: Place) -> u64 {
        self.touched.add(place);
        self.ticket += 1;
        self.ticket
    }

    /// Called before a change of ours, to detect changes by others.
    pub fn before_change(&mut self, directories: &Directories) {
        if !self.watched && directories.mtimes().is_ok_and(|now| now != self.seen) {
            self.stale = true;
        }
    }

    /// Called after a change of ours in these directories, so that it does not count as a change by others.
    pub fn after_change(&mut self, directories: &Directories, ours: Touched) {
        if self.watched {
            return;
        }
        let Ok(now) = directories.mtimes() else { return };
        if ours.new {
            self.seen.new = now.new;
        }
        if ours.cur {
            self.seen.cur = now.cur;
        }
    }
}

/// Why a folder's directories cannot be opened: perhaps it was deleted or renamed a moment ago.
fn not_opened(name: &FolderName, path: &Path, error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::NotFound => Error::NoFolder(name.clone()),
        _ => Error::io(format!("cannot open `{}`", path.display()), error),
    }
}

/// A mod-sequence above all ever given out: the time, unless the clock was ahead and has been corrected since.
fn seed_at(now: Timestamp, loaded: Option<&index::Loaded>) -> u64 {
    let now = now.unix_micros().max(1).cast_unsigned();
    match loaded.map(|loaded| loaded.snapshot.highest) {
        Some(highest) if highest >= now => highest.saturating_add(UNWRITTEN),
        _ => now,
    }
}

/// A folder's initial state, from its index if there is one. `seed` is a mod-sequence above all ever given out.
fn begin(
    loaded: Option<index::Loaded>,
    uid_file: UidFile,
    seen: Mtimes,
    seed: u64,
    keywords: Arc<Keywords>,
) -> (State, History, Snapshot) {
    let fresh = loaded.as_ref().is_some_and(|l| l.complete && l.meta.mtimes == seen && seen.new != 0);
    let mut state = State {
        uid_file,
        next_uid: if fresh { 1 } else { uid_file.bound.max(1) },
        pending: VecDeque::new(),
        seen,
        stale: !fresh,
        doubtful: false,
        passed_over: false,
        delta: Delta { whole: !fresh, ..Delta::default() },
        written: Written::default(),
        ticket: 0,
        touched: Touched::default(),
        watched: false,
        certain: fresh,
        tidy_until: None,
    };
    // Messages may have come and gone since an outdated index was written.
    let mut history = History { entries: VecDeque::new(), floor: seed };
    let snapshot = match loaded {
        Some(loaded) => {
            if fresh {
                history = History { entries: loaded.history.into(), floor: loaded.meta.history_floor };
            }
            state.written = loaded.written;
            loaded.snapshot
        }
        None => {
            let validity = UidValidity::new(uid_file.validity).unwrap_or(UidValidity::MIN);
            Snapshot::empty(validity, seed, keywords)
        }
    };
    state.next_uid = state.next_uid.max(snapshot.uid_next);
    (state, history, snapshot)
}

fn usage_of(snapshot: &Snapshot) -> Usage {
    Usage { octets: snapshot.counts.octets, messages: u64::from(snapshot.counts.messages) }
}
