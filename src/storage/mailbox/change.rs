//! Changing existing messages: flags and expunging.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use super::append::NoRoom;
use super::commit::{Ticket, Touched};
use super::folder::{Folder, State};
use super::maildir::directory::Directories;
use super::maildir::filename::Place;
use super::reconcile::Known;
use super::snapshot::{Record, Snapshot};
use super::{Error, FlagChange, FlagOperation, Flags, KeywordSet, Stored, Unfinished};
use crate::foundations::mail::{ModSeq, Uid, UnchangedSince};

/// Messages changed before the folder is unlocked for a moment, so that others need not wait for all of them.
pub(super) const BATCH: usize = 256;
/// How many times to look for a message that another program renames.
pub(super) const ATTEMPTS: usize = 3;

/// What one flag change means in this folder.
struct Wanted {
    operation: FlagOperation,
    flags: Flags,
    keywords: KeywordSet,
}

impl Wanted {
    fn applied(&self, record: &Record) -> (Flags, KeywordSet) {
        match self.operation {
            FlagOperation::Add => (record.flags | self.flags, record.keywords.with(self.keywords)),
            FlagOperation::Remove => (record.flags & !self.flags, record.keywords.without(self.keywords)),
            FlagOperation::Replace => (self.flags, self.keywords),
        }
    }
}

/// One command that changes flags, carried out in batches.
struct Storing<'a> {
    folder: &'a Arc<Folder>,
    directories: &'a Arc<Directories>,
    wanted: Wanted,
    /// What the requesting view shows, if a view requested the change.
    seen: Option<&'a Snapshot>,
    /// Messages that do not pass this are left alone.
    unchanged_since: Option<UnchangedSince>,
    stored: Stored,
}

/// The result for one message.
enum Change {
    /// Nothing was to be done, or nothing may be done.
    None,
    /// Its file was renamed; this was its old place.
    Renamed(Place),
    /// Its file is not at its known place.
    Lost,
}

impl Storing<'_> {
    fn batch(&mut self, state: &mut State, uids: &[Uid]) -> Result<(), Error> {
        let mut left = uids.to_vec();
        for _ in 0..ATTEMPTS {
            self.folder.still_there()?;
            let mut snapshot = (*self.folder.current()).clone();
            // One per batch: clients may have been told that the previous batch's is the highest (RFC 7162 §3.1.2).
            let stamp = snapshot.next_mod_seq();
            state.before_change(self.directories);
            let (mut lost, mut ours) = (Vec::new(), Touched::default());
            let before = self.stored.changed.len();
            let result: Result<(), Error> = left.iter().try_for_each(|uid| {
                match self.one(state, &mut snapshot, *uid, stamp)? {
                    Change::None => {}
                    Change::Renamed(from) => {
                        ours.add(from);
                        ours.add(Place::Cur);
                    }
                    Change::Lost => lost.push(*uid),
                }
                Ok(())
            });
            state.after_change(self.directories, ours);
            if self.stored.changed.len() > before {
                self.folder.publish(snapshot);
            }
            result?;
            if lost.is_empty() {
                return Ok(());
            }
            // Another program has renamed or removed them.
            self.folder.reconcile(state, self.directories, Known::Live)?;
            left = lost;
        }
        self.stored.gone.extend(left);
        Ok(())
    }

    /// Changes one message, which gets the mod-sequence `stamp`.
    fn one(&mut self, state: &mut State, snapshot: &mut Snapshot, uid: Uid, stamp: ModSeq) -> Result<Change, Error> {
        let Some((record, name)) = snapshot.by_uid(uid) else {
            self.stored.gone.push(uid);
            return Ok(Change::None);
        };
        if self.unchanged_since.is_some_and(|since| !since.passes(record.mod_seq)) {
            self.stored.modified.push(uid);
            return Ok(Change::None);
        }
        let (flags, keywords) = self.wanted.applied(record);
        if (flags, keywords) == (record.flags, record.keywords) {
            return Ok(Change::None);
        }
        let (place, mod_seq) = (record.place, record.mod_seq);
        let renamed = match rename(self.directories, state, record, name, flags, keywords) {
            Ok(renamed) => renamed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Change::Lost),
            Err(error) => return Err(self.folder.failed("change flags")(error)),
        };
        let after = Record { mod_seq: stamp, ..renamed.record };
        snapshot.update(uid, renamed.stored.as_deref(), |record| *record = after);
        state.delta.changed.push(uid);
        self.stored.changed.push((uid, stamp));
        if self.seen.and_then(|seen| seen.by_uid(uid)).is_some_and(|(seen, _)| seen.mod_seq != mod_seq) {
            self.stored.overtaken.push(uid);
        }
        Ok(Change::Renamed(place))
    }
}

/// What has come of removing files of messages.
#[derive(Default)]
struct Removal {
    gone: Vec<Uid>,
    /// Those whose files are not at their known places.
    lost: Vec<Uid>,
    /// Why no more were removed.
    failure: Option<io::Error>,
}

impl Removal {
    fn of(uids: &[Uid], snapshot: &Snapshot, state: &mut State, directories: &Directories) -> Self {
        let (mut removal, mut ours) = (Self::default(), Touched::default());
        state.before_change(directories);
        for uid in uids {
            let Some((record, name)) = snapshot.by_uid(*uid) else { continue };
            match directories.remove(record.place, &record.file_name(name)) {
                Ok(true) => {
                    state.touch(record.place);
                    ours.add(record.place);
                    removal.gone.push(*uid);
                }
                Ok(false) => removal.lost.push(*uid),
                Err(error) => {
                    removal.failure = Some(error);
                    break;
                }
            }
        }
        state.after_change(directories, ours);
        removal
    }
}

impl Folder {
    /// Changes flags; on disk when this returns. `seen` is what the requesting view shows, if there is one. Blocks.
    pub fn store_flags(
        self: &Arc<Self>,
        uids: &[Uid],
        change: &FlagChange,
        seen: Option<&Snapshot>,
    ) -> Result<Stored, Error> {
        let directories = self.directories()?;
        let there = self.current();
        if uids.iter().all(|uid| there.by_uid(*uid).is_none()) {
            let gone: BTreeSet<Uid> = uids.iter().copied().collect();
            return Ok(Stored { gone: gone.into_iter().collect(), ..Stored::default() });
        }
        let keywords = match change.operation {
            FlagOperation::Remove => self.current().keywords.set(&change.keywords),
            FlagOperation::Add | FlagOperation::Replace => self.learn(&directories, &change.keywords, NoRoom::Fail)?,
        };
        let wanted = Wanted { operation: change.operation, flags: change.flags, keywords };
        let unchanged_since = change.unchanged_since;
        let (directories, stored) = (&directories, Stored::default());
        let mut storing = Storing { folder: self, directories, wanted, seen, unchanged_since, stored };
        let mut ticket = Ticket::default();
        for batch in uids.chunks(BATCH) {
            let mut state = self.lock();
            storing.batch(&mut state, batch)?;
            ticket = state.ticket;
        }
        let Storing { mut stored, .. } = storing;
        // Messages that another program renamed meanwhile came last.
        stored.changed.sort_unstable();
        for uids in [&mut stored.overtaken, &mut stored.modified, &mut stored.gone] {
            uids.sort_unstable();
        }
        // Even without changes: the same change, made a moment ago, may not be on disk yet.
        self.commit(directories, ticket)?;
        Ok(stored)
    }

    /// Removes messages; their absence is on disk when this returns. Messages already gone are skipped. Blocks.
    pub fn expunge(self: &Arc<Self>, uids: &[Uid], only: Only<'_>) -> Result<Vec<Uid>, Unfinished> {
        let mut gone = Vec::new();
        let result = self.expunge_all(uids, only, &mut gone);
        gone.sort_unstable();
        match result {
            Ok(()) => Ok(gone),
            Err(error) => Err(Unfinished { gone, error }),
        }
    }

    /// Removes as many as it can: `removed` lists them even if this fails.
    fn expunge_all(self: &Arc<Self>, uids: &[Uid], only: Only<'_>, removed: &mut Vec<Uid>) -> Result<(), Error> {
        let directories = self.directories()?;
        for batch in uids.chunks(BATCH * 4) {
            let mut state = self.lock();
            self.expunge_batch(&mut state, &directories, batch, only, removed)?;
        }
        Ok(())
    }

    fn expunge_batch(
        self: &Arc<Self>,
        state: &mut State,
        directories: &Arc<Directories>,
        uids: &[Uid],
        only: Only<'_>,
        removed: &mut Vec<Uid>,
    ) -> Result<(), Error> {
        let mut wanted = uids.to_vec();
        for _ in 0..ATTEMPTS {
            self.still_there()?;
            let mut snapshot = (*self.current()).clone();
            wanted.retain(|uid| snapshot.by_uid(*uid).is_some_and(|(record, _)| only.includes(record)));
            let Some(last) = wanted.last() else { break };
            if *last >= state.uid_file.bound {
                self.raise_bound(state, directories)?;
            }
            let Removal { gone, lost, failure } = Removal::of(&wanted, &snapshot, state, directories);
            if !gone.is_empty() {
                removed.extend(&gone);
                self.settle_removed(state, directories, &mut snapshot, &gone)?;
            }
            if let Some(error) = failure {
                return Err(self.failed("remove a message")(error));
            }
            if lost.is_empty() {
                break;
            }
            // Another program has renamed or removed them.
            self.reconcile(state, directories, Known::Live)?;
            wanted = lost;
        }
        Ok(())
    }

    /// Syncs, then shows that messages are gone. In this order and with the folder locked, because a message must not
    /// come back after a session was told that it is gone.
    fn settle_removed(
        self: &Arc<Self>,
        state: &mut State,
        directories: &Directories,
        snapshot: &mut Snapshot,
        uids: &[Uid],
    ) -> Result<(), Error> {
        let places = [Place::Cur, Place::New];
        let synced = places.iter().try_for_each(|place| directories.sync(*place));
        let mod_seq = snapshot.next_mod_seq();
        snapshot.remove(uids);
        snapshot.highest = mod_seq;
        self.remember_removed(state, mod_seq, uids);
        self.publish(snapshot.clone());
        synced.map_err(|error| {
            self.fail_pending(state, directories);
            self.failed("sync the directory")(error)
        })
    }

    /// Moves messages that have been recent to a session from `new/` to `cur/`, where other programs expect messages
    /// that have been seen. Our own sessions do not notice, and nothing is synced.
    pub fn settle_recent(self: &Arc<Self>) -> Result<(), Error> {
        let directories = self.directories()?;
        loop {
            let mut state = self.lock();
            let mut snapshot = (*self.current()).clone();
            if snapshot.gone || snapshot.counts.new == 0 {
                return Ok(());
            }
            let claimed = self.claims().claimed;
            let in_new = |record: &&Record| record.place == Place::New && record.uid < claimed;
            let chunks = snapshot.chunks().iter().filter(|chunk| chunk.in_new() > 0);
            let uids: Vec<Uid> =
                chunks.flat_map(|chunk| chunk.records().iter().filter(in_new)).map(|r| r.uid).take(BATCH).collect();
            if uids.is_empty() {
                return Ok(());
            }
            state.before_change(&directories);
            for uid in uids {
                let Some((record, name)) = snapshot.by_uid(uid) else { continue };
                let moved = Record { place: Place::Cur, regular: true, ..*record };
                let stored = super::snapshot::base(name).to_vec();
                let (old, new) = (record.file_name(name), moved.file_name(&stored));
                match directories.rename((Place::New, &old), (Place::Cur, &new)) {
                    Ok(()) => {
                        state.touched.new = true;
                        state.touch(Place::Cur);
                        snapshot.update(uid, Some(&stored), |record| *record = moved);
                        state.delta.changed.push(uid);
                    }
                    Err(_) => {
                        state.stale = true;
                        self.publish(snapshot);
                        return Ok(());
                    }
                }
            }
            state.after_change(&directories, Touched { cur: true, new: true });
            self.publish(snapshot);
        }
    }
}

/// Which of the named messages to remove.
#[derive(Debug, Clone, Copy)]
pub(super) enum Only<'a> {
    /// All.
    Named,
    /// Those marked `\Deleted`.
    Deleted,
    /// Those that still have these mod-sequences.
    Unchanged(&'a BTreeMap<Uid, ModSeq>),
}

impl Only<'_> {
    fn includes(self, record: &Record) -> bool {
        match self {
            Self::Named => true,
            Self::Deleted => record.flags.contains(Flags::DELETED),
            Self::Unchanged(known) => known.get(&record.uid) == Some(&record.mod_seq),
        }
    }
}

struct Renamed {
    record: Record,
    /// The new stored name, if it changes.
    stored: Option<Vec<u8>>,
}

/// Renames a message's file for other flags; with any flag it belongs in `cur/`.
fn rename(
    directories: &Directories,
    state: &mut State,
    record: &Record,
    stored: &[u8],
    flags: Flags,
    keywords: KeywordSet,
) -> io::Result<Renamed> {
    let after = Record { place: Place::Cur, flags, keywords, regular: true, ..*record };
    let base = super::snapshot::base(stored);
    let base = if record.regular { stored } else { base };
    let (old, new) = (record.file_name(stored), after.file_name(base));
    directories.rename((record.place, &old), (Place::Cur, &new))?;
    if record.place == Place::New {
        state.touched.new = true;
    }
    state.touch(Place::Cur);
    let changed = (!record.regular).then(|| base.to_vec());
    Ok(Renamed { record: after, stored: changed })
}
