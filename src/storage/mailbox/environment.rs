//! What every folder needs from the process it lives in.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use super::folder::Folder;
use super::watch::Watcher;
use super::{Error, MailboxSettings, Summarizer, Usage};
use crate::foundations::address::Address;
use crate::foundations::clock::SharedClock;
use crate::foundations::mail::MailboxId;
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;

/// Shared by all users and folders of a process.
pub(super) struct Environment {
    pub settings: Live<MailboxSettings>,
    pub clock: SharedClock,
    pub tasks: Tasks,
    pub summarizer: Summarizer,
    pub watcher: Option<Watcher>,
    host: String,
    names: AtomicU64,
    uses: AtomicU64,
    jobs: Arc<Semaphore>,
    /// Held while a large message is in memory to be summarised.
    pub summarizing: Mutex<()>,
    /// Folders whose state is newer than their index.
    dirty: Mutex<Vec<Arc<Folder>>>,
    pub dirty_wake: Notify,
    /// Folders whose directories are open, in the order of opening.
    open: Mutex<VecDeque<Weak<Folder>>>,
    /// Receives accounts' usage.
    pub usage_told: OnceLock<Box<UsageTold>>,
}

/// Receives an account's usage.
pub(super) type UsageTold = dyn Fn(&Address, Usage) + Send + Sync;

impl Environment {
    pub fn new(
        settings: Live<MailboxSettings>,
        clock: SharedClock,
        tasks: Tasks,
        summarizer: Summarizer,
        watcher: Option<Watcher>,
        node: Option<&str>,
    ) -> Self {
        let jobs = Arc::new(Semaphore::new(settings.get().parallel_jobs.max(1) as usize));
        // Two nodes may share a host name, but never a node name.
        let machine = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = node.map_or_else(machine, str::to_owned);
        let host: String =
            host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).take(64).collect();
        Self {
            settings,
            clock,
            tasks,
            summarizer,
            watcher,
            host: if host.is_empty() { "localhost".to_owned() } else { host },
            names: AtomicU64::new(0),
            uses: AtomicU64::new(0),
            jobs,
            summarizing: Mutex::default(),
            dirty: Mutex::default(),
            dirty_wake: Notify::new(),
            open: Mutex::default(),
            usage_told: OnceLock::new(),
        }
    }

    /// Runs file work on a blocking thread; waits for its turn when too many do. Once begun, the work is finished even
    /// when the caller goes away.
    pub async fn job<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = Arc::clone(&self.jobs).acquire_owned().await.map_err(|_| Error::Closing)?;
        let job = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        job.await.unwrap_or(Err(Error::Closing))
    }

    /// A name unique among files on this machine.
    pub fn unique(&self) -> String {
        let now = self.clock.now();
        let n = self.names.fetch_add(1, Ordering::Relaxed);
        let micros = now.unix_micros().rem_euclid(1_000_000);
        format!("{}.M{micros}P{}Q{n}.{}", now.unix_seconds(), std::process::id(), self.host)
    }

    /// A new folder identifier: from the time, with a counter.
    pub fn fresh_mailbox_id(&self) -> MailboxId {
        let micros = self.clock.now().unix_micros().max(0).cast_unsigned();
        MailboxId::new((micros << 12) | (self.names.fetch_add(1, Ordering::Relaxed) & 0xfff))
    }

    /// A number larger than all before, for the order of use.
    pub fn use_number(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed)
    }

    pub fn add_dirty(&self, folder: Arc<Folder>) {
        self.dirty.lock().push(folder);
        self.dirty_wake.notify_one();
    }

    pub fn take_dirty(&self) -> Vec<Arc<Folder>> {
        std::mem::take(&mut *self.dirty.lock())
    }

    /// Lets go of every folder.
    pub fn abandon(&self) {
        drop(self.take_dirty());
        if let Some(watcher) = &self.watcher {
            watcher.abandon();
        }
    }

    /// Notes that a folder has opened its directories, and closes those open longest beyond the limit.
    pub fn opened(&self, folder: &Arc<Folder>) {
        let most = self.settings.get().open_directories.max(1) as usize;
        let mut open = self.open.lock();
        open.push_back(Arc::downgrade(folder));
        while open.len() > most {
            if let Some(folder) = open.pop_front().and_then(|folder| folder.upgrade()) {
                folder.close_directories();
            }
        }
    }

    /// Reports an account's new usage.
    pub fn usage_changed(&self, account: &Address, usage: Usage) {
        if let Some(tell) = self.usage_told.get() {
            tell(account, usage);
        }
    }
}
