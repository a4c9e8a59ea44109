//! Syncing directories once for everybody who waits for it.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::Error;
use super::folder::{Folder, State};
use super::maildir::directory::Directories;
use super::maildir::filename::Place;

/// Directories of a folder whose changes may not be on disk yet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Touched {
    pub cur: bool,
    pub new: bool,
}

impl Touched {
    pub fn add(&mut self, place: Place) {
        match place {
            Place::New => self.new = true,
            Place::Cur => self.cur = true,
        }
    }
}

/// The number of a change to a folder's directories, in the order of the changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

impl Ticket {
    /// That of the change after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Callers waiting for a folder's changes to be on disk. One of them syncs for all.
#[derive(Debug, Default)]
pub(super) struct Group {
    progress: Mutex<Progress>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    /// Changes up to this ticket are on disk, or have failed.
    done: Ticket,
    /// Whether somebody is syncing.
    running: bool,
    /// Ranges of tickets that failed, the latest.
    failed: VecDeque<(Ticket, Ticket)>,
}

impl Progress {
    /// Marks all unsynced changes up to this ticket as failed.
    fn fail(&mut self, upto: Ticket) {
        if upto <= self.done {
            return;
        }
        self.failed.push_back((self.done.next(), upto));
        while self.failed.len() > MOST_FAILED {
            self.failed.pop_front();
        }
        self.done = upto;
    }
}

/// Most failed ranges remembered. Callers waiting for older ones have long been told.
const MOST_FAILED: usize = 64;

impl Folder {
    /// Waits until the change with this ticket is on disk; if nobody is syncing, syncs for all who wait. This makes new
    /// messages visible. Blocks; the folder must not be locked.
    pub fn commit(self: &Arc<Self>, directories: &Arc<Directories>, ticket: Ticket) -> Result<(), Error> {
        let mut progress = self.group.progress.lock();
        loop {
            if progress.done >= ticket {
                let failed = progress.failed.iter().any(|(from, to)| (*from..=*to).contains(&ticket));
                let error = std::io::Error::other("the disk did not take the change");
                return if failed { Err(self.failed("sync the directory")(error)) } else { Ok(()) };
            }
            if progress.running {
                self.group.wake.wait(&mut progress);
                continue;
            }
            progress.running = true;
            drop(progress);
            let (upto, result) = self.sync_all(directories);
            progress = self.group.progress.lock();
            progress.running = false;
            if result.is_err() {
                progress.fail(upto);
            }
            progress.done = progress.done.max(upto);
            self.group.wake.notify_all();
            if let Err(error) = result
                && upto >= ticket
            {
                return Err(error);
            }
        }
    }

    fn sync_all(self: &Arc<Self>, directories: &Arc<Directories>) -> (Ticket, Result<(), Error>) {
        let (upto, touched) = {
            let mut state = self.lock();
            (state.ticket, std::mem::take(&mut state.touched))
        };
        let result = self.sync(directories, touched).map_err(self.failed("sync the directory"));
        let mut state = self.lock();
        match &result {
            Ok(()) => self.show_pending(&mut state, upto),
            Err(_) => self.drop_pending(&mut state, directories, upto),
        }
        (upto, result)
    }

    /// Syncs and publishes everything that is pending, before other messages get higher UIDs. The folder is locked.
    pub fn settle_pending(self: &Arc<Self>, state: &mut State, directories: &Directories) -> Result<(), Error> {
        if state.pending.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.sync(directories, Touched { cur: true, new: true }) {
            self.fail_pending(state, directories);
            return Err(self.failed("sync the directory")(error));
        }
        let upto = state.ticket;
        self.show_pending(state, upto);
        Ok(())
    }

    /// Takes back everything that is pending, after any sync of this folder has failed: the system reports an error
    /// only once (fsync(2)), so the next sync may succeed although the change is not on disk. The folder is locked.
    pub fn fail_pending(self: &Arc<Self>, state: &mut State, directories: &Directories) {
        let upto = state.ticket;
        self.drop_pending(state, directories, upto);
        let mut progress = self.group.progress.lock();
        progress.fail(upto);
        self.group.wake.notify_all();
    }

    fn show_pending(self: &Arc<Self>, state: &mut State, upto: Ticket) {
        if state.pending.front().is_none_or(|pending| pending.ticket > upto) {
            return;
        }
        let mut snapshot = (*self.current()).clone();
        let mod_seq = snapshot.next_mod_seq();
        while let Some(pending) = state.pending.pop_front_if(|pending| pending.ticket <= upto) {
            let mut record = pending.record;
            record.mod_seq = mod_seq;
            snapshot.push(record, &pending.name);
            state.delta.changed.push(record.uid);
        }
        self.publish(snapshot);
    }

    /// Takes back messages that may not be on disk; those who store them get an error.
    fn drop_pending(self: &Arc<Self>, state: &mut State, directories: &Directories, upto: Ticket) {
        state.before_change(directories);
        let mut ours = Touched::default();
        while let Some(pending) = state.pending.pop_front_if(|pending| pending.ticket <= upto) {
            let _ = directories.remove(pending.record.place, &pending.record.file_name(&pending.name));
            ours.add(pending.record.place);
            self.summaries.forget(&[pending.record.uid]);
        }
        state.after_change(directories, ours);
    }

    fn sync(&self, directories: &Directories, touched: Touched) -> std::io::Result<()> {
        // A message that moves from `new/` to `cur/` must be in the second before it is out of the first.
        if touched.cur {
            directories.sync(Place::Cur)?;
        }
        if touched.new {
            directories.sync(Place::New)?;
        }
        self.account.unsynced.sync()
    }
}
