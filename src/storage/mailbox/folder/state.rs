//! What is known of a folder while it is changed, and what it begins with.

use std::collections::VecDeque;
use std::sync::Arc;

use super::history::History;
use crate::foundations::clock::{Timestamp, Uptime};
use crate::foundations::mail::{ModSeq, Uid};
use crate::storage::mailbox::commit::{Ticket, Touched};
use crate::storage::mailbox::index::{self, Written};
use crate::storage::mailbox::maildir::directory::{Directories, Mtimes};
use crate::storage::mailbox::maildir::filename::{FileName, Place};
use crate::storage::mailbox::maildir::uid_file::UidFile;
use crate::storage::mailbox::snapshot::{Record, Snapshot};
use crate::storage::mailbox::{Error, FolderName, Keywords};

/// More mod-sequences than can be given out before the index is written.
const UNWRITTEN: u64 = 1_000_000;

/// State visible only to code that changes the folder.
pub(in super::super) struct State {
    pub uid_file: UidFile,
    /// The next UID to give out.
    pub next_uid: Uid,
    /// Messages that have their names but are not known to be on disk, by UID; nobody sees them yet.
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
    /// The number of the latest change to the directories.
    pub ticket: Ticket,
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
pub(in super::super) struct Pending {
    pub ticket: Ticket,
    /// With its mod-sequence still to come, which it gets when it is shown.
    pub record: Record,
    pub name: Vec<u8>,
}

/// Changes missing from the index.
#[derive(Debug, Default)]
pub(in super::super) struct Delta {
    pub changed: Vec<Uid>,
    pub removed: Vec<(ModSeq, Uid)>,
    /// Everything.
    pub whole: bool,
}

impl Delta {
    pub(super) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty() && !self.whole
    }
}

impl State {
    /// Gives out a UID.
    pub fn take_uid(&mut self, folder: &FolderName) -> Result<Uid, Error> {
        let next = self.next_uid.next().filter(|next| *next < Uid::MAX);
        let next = next.ok_or_else(|| Error::UidsExhausted(folder.clone()))?;
        Ok(std::mem::replace(&mut self.next_uid, next))
    }

    /// Notes that a directory has changed and must be synced. Returns the ticket to wait for.
    pub fn touch(&mut self, place: Place) -> Ticket {
        self.touched.add(place);
        self.ticket = self.ticket.next();
        self.ticket
    }

    /// Whether a message of ours, shown already or not, has this name.
    pub fn is_ours(&self, snapshot: &Snapshot, place: Place, name: &[u8]) -> bool {
        let Some(uid) = FileName::parse(name, place).and_then(|name| name.uid) else { return false };
        // While a whole folder is copied here, all of it is pending.
        let pending = self.pending.binary_search_by_key(&uid, |pending| pending.record.uid);
        let pending = pending.ok().and_then(|at| self.pending.get(at));
        let pending = pending.map(|pending| (&pending.record, &pending.name[..]));
        pending
            .or_else(|| snapshot.by_uid(uid))
            .is_some_and(|(record, stored)| record.place == place && record.file_name(stored) == name)
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

/// A mod-sequence above all ever given out: the time, unless the clock was ahead and has been corrected since.
pub(super) fn seed_at(now: Timestamp, loaded: Option<&index::Loaded>) -> ModSeq {
    let now = u64::try_from(now.unix_micros()).ok().and_then(ModSeq::new).unwrap_or(ModSeq::MIN);
    match loaded.map(|loaded| loaded.snapshot.highest) {
        Some(highest) if highest >= now => highest.saturating_add(UNWRITTEN),
        _ => now,
    }
}

/// A folder's initial state, from its index if there is one. `seed` is a mod-sequence above all ever given out.
pub(super) fn begin(
    loaded: Option<index::Loaded>,
    uid_file: UidFile,
    seen: Mtimes,
    seed: ModSeq,
    keywords: Arc<Keywords>,
) -> (State, History, Snapshot) {
    let fresh = loaded.as_ref().is_some_and(|l| l.complete && l.meta.mtimes == seen && seen.new != 0);
    let mut state = State {
        uid_file,
        next_uid: if fresh { Uid::MIN } else { uid_file.bound },
        pending: VecDeque::new(),
        seen,
        stale: !fresh,
        doubtful: false,
        passed_over: false,
        delta: Delta { whole: !fresh, ..Delta::default() },
        written: Written::default(),
        ticket: Ticket::default(),
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
        None => Snapshot::empty(uid_file.validity, seed, keywords),
    };
    state.next_uid = state.next_uid.max(snapshot.uid_next);
    (state, history, snapshot)
}
