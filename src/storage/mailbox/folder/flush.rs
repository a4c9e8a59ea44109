//! Writing a folder's index and cache after its changes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::state::Delta;
use super::{Folder, State, TIME_GRAIN, UID_BLOCK, usage_of};
use crate::foundations::clock::Timestamp;
use crate::storage::mailbox::Error;
use crate::storage::mailbox::index::{self, Frames, Meta, Written};
use crate::storage::mailbox::maildir::directory::{Directories, Mtimes};
use crate::storage::mailbox::reconcile::Known;

impl Folder {
    /// Writes what index and cache lack. Called by the one task for this, and when the folder is dropped from memory.
    pub fn flush(self: &Arc<Self>) -> Result<(), Error> {
        self.queued.store(false, Ordering::Release);
        if self.account.tenure.check().is_err() {
            // The next owner reads the directories.
            self.unwatch_lapsed();
            return Ok(());
        }
        self.account.write_maildirsize();
        let directories = match self.directories() {
            // If the directory was moved or removed, its index went with it, and that shows by itself to be outdated.
            Err(Error::NoFolder(_)) => return Ok(()),
            found => found?,
        };
        self.unwatch_if_unused(&directories);
        // The index does not depend on it.
        let cached = self.flush_summaries(&directories).map_err(self.failed("write the cache"));
        let mut state = self.state.lock();
        self.tidy(&mut state, &directories);
        if self.current().gone || (state.delta.is_empty() && state.certain) {
            return cached;
        }
        // Early, so that the first expunge need not do it, but not for every folder that gets its first message.
        if state.next_uid > state.uid_file.bound.saturating_add(UID_BLOCK / 8) {
            self.raise_bound(&mut state, &directories)?;
        }
        self.write_index(&mut state, &directories)?;
        cached
    }

    fn flush_summaries(&self, directories: &Directories) -> std::io::Result<()> {
        let stamp = self.stamp();
        self.summaries.flush(directories.own_root()?, stamp)?;
        let current = self.current();
        self.summaries.compact(directories.root(), stamp, |uid| current.find(uid).is_ok())
    }

    /// Writes an outdated index before anybody is told a mod-sequence. After another crash, loading the folder starts
    /// above what the index says, and the clock may be behind this mod-sequence by then.
    pub(super) fn keep_seed(self: &Arc<Self>, state: &mut State, directories: &Arc<Directories>) {
        // Without an index nobody has been told any before.
        if state.written == Written::default() {
            return;
        }
        if let Err(error) = self.write_index(state, directories) {
            log::warn!(folder:% = self.name, error:% = error; "An index could not be written");
        }
    }

    /// Adds to the index what has changed, or rewrites it.
    fn write_index(self: &Arc<Self>, state: &mut State, directories: &Arc<Directories>) -> Result<(), Error> {
        // First, as it folds in changes by others.
        let mtimes = self.certain_mtimes(state, directories);
        let snapshot = self.current();
        let meta = Meta {
            uid_next: snapshot.uid_next,
            highest: snapshot.highest,
            mtimes,
            history_floor: self.history.lock().floor,
            usage: usage_of(&snapshot),
        };
        state.certain = meta.mtimes != Mtimes::default();
        let whole = state.delta.whole || state.written.is_long();
        let mut frames = Frames::default();
        if whole {
            frames.rows(snapshot.iter());
            frames.removed(self.history.lock().entries.make_contiguous());
        } else {
            state.delta.changed.sort_unstable();
            state.delta.changed.dedup();
            frames.rows(state.delta.changed.iter().filter_map(|uid| snapshot.by_uid(*uid)));
            frames.removed(&state.delta.removed);
        }
        frames.meta(&meta);
        let written = directories.own_root().and_then(|root| match whole {
            true => frames.replace(root, snapshot.uid_validity),
            false => frames.append(root, state.written),
        });
        // Whatever was wrong with the file, the next one is rewritten.
        state.written = written.inspect_err(|_| state.delta.whole = true).map_err(self.failed("write the index"))?;
        state.delta = Delta::default();
        Ok(())
    }

    /// The directories' times, if the state certainly includes everything before them.
    fn certain_mtimes(self: &Arc<Self>, state: &mut State, directories: &Arc<Directories>) -> Mtimes {
        if !state.pending.is_empty() {
            return Mtimes::default();
        }
        if let Err(error) = self.resolve_doubt(state, directories) {
            log::warn!(folder:% = self.name, error:% = error; "A folder changed by another program could not be read");
            return Mtimes::default();
        }
        let Ok(now) = directories.mtimes() else { return Mtimes::default() };
        // Taken before the news is processed, which may take a while.
        let doubtful = self.is_within_tick(now);
        if state.watched {
            self.absorb_events(state, directories);
            state.seen = now;
        }
        if state.stale || state.passed_over || now != state.seen || !state.pending.is_empty() {
            return Mtimes::default();
        }
        // Folding in changes may have given UIDs to files, and so changed the directories; and a file that is being written does
        // not change them again when it is complete.
        if doubtful || state.doubtful || self.has_unfinished() || !directories.mtimes().is_ok_and(|still| still == now)
        {
            self.want_flush();
            return Mtimes::default();
        }
        now
    }

    /// Whether the directories may change again without their times showing it.
    pub fn is_within_tick(&self, times: Mtimes) -> bool {
        is_within_tick(times.latest(), self.environment.clock.now())
    }

    /// Rebuilds index and cache from the directories.
    pub fn reindex(self: &Arc<Self>) -> Result<(), Error> {
        let directories = self.directories()?;
        let mut state = self.lock();
        self.summaries.remove(directories.root());
        index::remove(directories.root());
        state.delta.whole = true;
        self.reconcile(&mut state, &directories, Known::Live)?;
        drop(state);
        self.flush()
    }
}

/// Whether a directory has changed so shortly before now that it may change again without its time showing it: within
/// one tick of the file system's clock. The time is in nanoseconds since 1970.
pub fn is_within_tick(mtime: i64, now: Timestamp) -> bool {
    Duration::from_nanos(mtime.abs_diff(now.unix_micros().saturating_mul(1000))) < TIME_GRAIN
}
