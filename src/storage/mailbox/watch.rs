//! Learns from inotify about changes by other programs in folders that sessions have open.
//!
//! One inotify instance for the process, two watches for each open folder. Names are taken from the events, so that a
//! file added by another program is found without listing the directory. Events caused by our own changes are
//! recognised because the state already agrees with them.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use parking_lot::Mutex;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Error;
use super::environment::Environment;
use super::folder::{Folder, State};
use super::maildir::directory::Directories;
use super::maildir::filename::{FileName, Place};
use super::reconcile::Known;
use crate::foundations::mail::Uid;

/// The process's inotify instance.
pub(super) struct Watcher {
    inner: Mutex<Inner>,
    /// Folders for which somebody else has fetched events.
    left: Mutex<Vec<Arc<Folder>>>,
    /// Folders with files that somebody seems to be writing, and when to look at them again.
    again: Mutex<Option<(Instant, Vec<Weak<Folder>>)>>,
    wake: Notify,
}

struct Inner {
    inotify: Inotify,
    watched: HashMap<WatchDescriptor, (Weak<Folder>, Place)>,
}

/// What inotify has reported about a folder.
#[derive(Debug, Default)]
pub(super) struct Events {
    appeared: Vec<(Place, Vec<u8>)>,
    /// Files that were made, and perhaps are still being written.
    begun: Vec<(Place, Vec<u8>)>,
    vanished: Vec<(Place, Vec<u8>)>,
    /// Messages to whose files somebody has written.
    written: BTreeSet<Uid>,
    /// Whether there was more than could be kept.
    overflow: bool,
    watches: Vec<WatchDescriptor>,
}

/// Names kept for one folder; beyond it the directory is listed.
const MOST_NAMES: usize = 4096;
/// How long nobody writes to a file that counts as complete although its writer has not closed it: programs that make a second
/// link to a finished file cannot be told from those that have only begun one.
const QUIET: Duration = Duration::from_millis(250);
/// How long to wait before looking at news again. Each change of our own causes some, and a session may change many messages.
const PAUSE: Duration = Duration::from_millis(1);

impl Watcher {
    /// Starts inotify; fails when the system gives no (more) instances.
    pub fn new() -> io::Result<Self> {
        let inner = Inner { inotify: Inotify::init()?, watched: HashMap::new() };
        Ok(Self { inner: Mutex::new(inner), left: Mutex::default(), again: Mutex::default(), wake: Notify::new() })
    }

    /// Watches a folder's directories. Fails when the system's limit of watches is reached.
    fn add(&self, folder: &Arc<Folder>) -> io::Result<Vec<WatchDescriptor>> {
        let mask =
            WatchMask::CREATE | WatchMask::MOVE | WatchMask::DELETE | WatchMask::CLOSE_WRITE | WatchMask::ONLYDIR;
        let mut inner = self.inner.lock();
        let mut added = Vec::with_capacity(2);
        for place in [Place::New, Place::Cur] {
            match inner.inotify.watches().add(folder.path.join(place.directory()), mask) {
                Ok(descriptor) => {
                    inner.watched.insert(descriptor.clone(), (Arc::downgrade(folder), place));
                    added.push(descriptor);
                }
                Err(error) => {
                    drop(inner);
                    self.remove(added);
                    return Err(error);
                }
            }
        }
        Ok(added)
    }

    /// Releases every folder.
    pub fn abandon(&self) {
        self.left.lock().clear();
        self.inner.lock().watched.clear();
    }

    fn remove(&self, descriptors: Vec<WatchDescriptor>) {
        let mut inner = self.inner.lock();
        for descriptor in descriptors {
            inner.watched.remove(&descriptor);
            // It may have ended with its directory.
            let _ = inner.inotify.watches().remove(descriptor);
        }
    }

    /// Distributes all pending events; returns the folders that got some.
    pub fn drain(&self) -> Vec<Arc<Folder>> {
        let mut touched: Vec<Arc<Folder>> = Vec::new();
        let mut buffer = [0; 16 << 10];
        let mut inner = self.inner.lock();
        let Inner { inotify, watched } = &mut *inner;
        while let Ok(events) = inotify.read_events(&mut buffer) {
            for event in events {
                if event.mask.contains(EventMask::Q_OVERFLOW) {
                    for (folder, _) in watched.values() {
                        if let Some(folder) = folder.upgrade() {
                            folder.events.lock().overflow = true;
                            touched.push(folder);
                        }
                    }
                    continue;
                }
                let Some((folder, place)) = watched.get(&event.wd) else { continue };
                let (Some(folder), Some(name)) = (folder.upgrade(), event.name) else { continue };
                folder.events.lock().add(event.mask, *place, name.as_encoded_bytes());
                if touched.last().is_none_or(|last| !Arc::ptr_eq(last, &folder)) {
                    touched.push(folder);
                }
            }
        }
        touched
    }

    /// Has a folder looked at once more, a little later.
    fn look_again(&self, folder: &Arc<Folder>) {
        let mut again = self.again.lock();
        let (_, folders) = again.get_or_insert_with(|| (Instant::now() + QUIET, Vec::new()));
        if !folders.iter().any(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(folder))) {
            folders.push(Arc::downgrade(folder));
        }
        drop(again);
        self.wake.notify_one();
    }

    /// Waits until it is time for that.
    async fn time_to_look(&self) {
        let due = self.again.lock().as_ref().map(|(due, _)| *due);
        match due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
        let folders = self.again.lock().take().map(|(_, folders)| folders).unwrap_or_default();
        self.left.lock().extend(folders.iter().filter_map(Weak::upgrade));
    }

    /// Waits for events and has them processed, until the tasks are told to stop or the store is gone.
    pub async fn run(environment: Weak<Environment>) {
        let Some((ready, stop)) = environment.upgrade().and_then(|environment| {
            let inner = environment.watcher.as_ref()?.inner.lock();
            // A descriptor of its own, so that it lives as long as its registration.
            let descriptor = inner.inotify.as_fd().try_clone_to_owned().ok()?;
            Some((readiness(descriptor).ok()?, environment.tasks.token()))
        }) else {
            return;
        };
        while let Some(strong) = environment.upgrade() {
            let Some(watcher) = &strong.watcher else { return };
            let mut touched = std::mem::take(&mut *watcher.left.lock());
            touched.extend(watcher.drain());
            let is_news = !touched.is_empty();
            for folder in touched {
                // One job takes all that has been reported by then. It may have to wait for a session that changes the folder, and
                // more of them would only keep others from the disk.
                if folder.absorbing.swap(true, Ordering::AcqRel) {
                    continue;
                }
                let (account, jobs) = (Arc::clone(&folder.account), Arc::clone(&strong));
                strong.tasks.spawn(async move {
                    if let Err(error) = account.job(&jobs, move || folder.absorb()).await {
                        log::warn!(error:% = error; "Changes by another program could not be read; they are read with the next change");
                    }
                });
            }
            if is_news {
                tokio::time::sleep(PAUSE).await;
            }
            let wake = watcher.wake.notified();
            tokio::select! {
                guard = ready.readable() => match guard {
                    Ok(mut guard) => guard.clear_ready(),
                    Err(_) => return,
                },
                () = wake => {}
                () = watcher.time_to_look() => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

#[expect(deprecated, reason = "an owned descriptor keeps the promise that the unsafe successor asks for")]
fn readiness(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

impl Events {
    fn add(&mut self, mask: EventMask, place: Place, name: &[u8]) {
        if mask.contains(EventMask::CLOSE_WRITE) {
            let begun = self.begun.iter().rposition(|(at, begun)| (*at, &begun[..]) == (place, name));
            match (begun, FileName::parse(name, place).and_then(|name| name.uid)) {
                (Some(complete), _) => _ = self.begun.swap_remove(complete),
                (None, Some(uid)) => {
                    // If there are too many, whoever reads one of them will notice.
                    if self.written.len() < MOST_NAMES {
                        self.written.insert(uid);
                    }
                    return;
                }
                // It has not been found yet.
                (None, None) => {}
            }
        }
        let list = if mask.intersects(EventMask::MOVED_TO | EventMask::CLOSE_WRITE) {
            &mut self.appeared
        } else if mask.contains(EventMask::CREATE) {
            &mut self.begun
        } else {
            &mut self.vanished
        };
        if list.len() < MOST_NAMES {
            list.push((place, name.to_vec()));
        } else {
            self.overflow = true;
        }
    }
}

impl Folder {
    /// Watches the folder while a session has it open; without inotify its directories' times must suffice.
    pub fn watch(self: &Arc<Self>) {
        let Some(watcher) = &self.environment.watcher else { return };
        let Ok(directories) = self.directories() else { return };
        let mut state = self.lock();
        if state.watched {
            return;
        }
        match watcher.add(self) {
            Ok(descriptors) => {
                self.events.lock().watches = descriptors;
                // Compared once more now that nothing can go unnoticed.
                state.before_change(&directories);
                state.watched = true;
            }
            Err(error) => {
                log::debug!(error:% = error; "No inotify watch for a folder; changes by other programs are noticed later");
            }
        }
    }

    /// Ends the watch when no session has the folder open any more.
    pub fn unwatch_if_unused(self: &Arc<Self>, directories: &Arc<Directories>) {
        if self.views.load(Ordering::Acquire) > 0 {
            return;
        }
        let mut state = self.lock();
        if !state.watched || self.views.load(Ordering::Acquire) > 0 {
            return;
        }
        let now = directories.mtimes();
        if now.as_ref().is_ok_and(|now| self.is_within_tick(*now)) {
            // Changes at this moment would be reported neither by inotify nor by the times, so the next flush ends it.
            self.want_flush();
            return;
        }
        self.absorb_events(&mut state, directories);
        if self.has_unfinished() {
            self.want_flush();
            return;
        }
        state.watched = false;
        match now {
            Ok(now) => state.seen = now,
            Err(_) => state.stale = true,
        }
        self.unwatch();
        // Changes between that look and now.
        state.before_change(directories);
    }

    /// Ends the watch of a folder now owned by another process, when no session has it open any more.
    pub fn unwatch_lapsed(&self) {
        let mut state = self.lock();
        if self.views.load(Ordering::Acquire) == 0 && std::mem::take(&mut state.watched) {
            self.unwatch();
        }
    }

    /// Ends the watch.
    pub fn unwatch(&self) {
        if let Some(watcher) = &self.environment.watcher {
            let descriptors = std::mem::take(&mut self.events.lock().watches);
            watcher.remove(descriptors);
        }
    }

    /// Processes inotify's reports.
    fn absorb(self: &Arc<Self>) -> Result<(), Error> {
        let directories = self.directories();
        let mut state = self.lock();
        // Whatever is reported from now on needs another job.
        self.absorbing.store(false, Ordering::Release);
        self.absorb_events(&mut state, &directories?);
        Ok(())
    }

    /// Folds in inotify's reports so far, with the folder locked. Anything that cannot be folded in marks the state as
    /// outdated.
    pub fn absorb_events(self: &Arc<Self>, state: &mut State, directories: &Arc<Directories>) {
        if let Some(watcher) = &self.environment.watcher {
            let mut others = watcher.drain();
            others.retain(|folder| !Arc::ptr_eq(folder, self));
            if !others.is_empty() {
                watcher.left.lock().extend(others);
                watcher.wake.notify_one();
            }
        }
        let (mut appeared, begun, vanished, written, overflow) = {
            let mut events = self.events.lock();
            let overflow = std::mem::take(&mut events.overflow);
            let written: Vec<Uid> = std::mem::take(&mut events.written).into_iter().collect();
            let (appeared, begun) = (std::mem::take(&mut events.appeared), std::mem::take(&mut events.begun));
            (appeared, begun, std::mem::take(&mut events.vanished), written, overflow)
        };
        if self.current().gone {
            return;
        }
        let (unfinished, finished): (Vec<_>, Vec<_>) =
            begun.into_iter().partition(|(place, name)| self.is_unfinished(state, directories, *place, name));
        appeared.extend(finished);
        if !unfinished.is_empty() {
            self.events.lock().begun.extend(unfinished);
            if let Some(watcher) = &self.environment.watcher {
                watcher.look_again(self);
            }
        }
        let mut result = Ok(());
        if !overflow {
            result = self.absorb_appeared(state, directories, &appeared);
        }
        if result.is_err() || overflow || state.stale || self.has_lost(state, directories, &vanished) {
            state.stale = true;
            if let Err(error) = self.reconcile(state, directories, Known::Live) {
                log::warn!(error:% = error; "A folder changed by another program could not be read");
            }
        }
        if let Err(error) = self.take_anew(state, directories, &written) {
            // Whoever reads one of them will notice.
            log::warn!(error:% = error; "Messages that another program has written to could not be looked at");
        }
    }

    /// Whether somebody seems to be writing a file where it is to stay, as `cp` and `tar` do. A message gets its UID when it is
    /// complete, because what is written later is another one.
    fn is_unfinished(&self, state: &State, directories: &Directories, place: Place, name: &[u8]) -> bool {
        if FileName::parse(name, place).is_none() || state.is_ours(&self.current(), place, name) {
            return false;
        }
        let now = self.environment.clock.now().unix_micros().saturating_mul(1000);
        let written = directories.written_at(place, name).ok().flatten();
        written.is_some_and(|written| Duration::from_nanos(written.abs_diff(now)) < QUIET)
    }

    /// Whether there are files that somebody seems to be writing.
    pub fn has_unfinished(&self) -> bool {
        !self.events.lock().begun.is_empty()
    }

    /// Whether a message of ours, shown already or not, is among the names that vanished, and really gone.
    fn has_lost(&self, state: &State, directories: &Directories, vanished: &[(Place, Vec<u8>)]) -> bool {
        let snapshot = self.current();
        vanished.iter().any(|(place, name)| state.is_ours(&snapshot, *place, name) && !directories.has(*place, name))
    }
}
