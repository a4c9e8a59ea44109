//! An account's usage and quota.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::environment::Environment;
use super::maildir::maildirsize::{self, Limits};
use super::news::Hub;
use super::unsynced::Unsynced;
use super::{Error, FolderName, Usage, UsageLimits};
use crate::foundations::address::Address;
use crate::foundations::settings::ByteSize;
use crate::storage::cluster::Tenure;

/// An account, as its folders see it.
pub(super) struct Account {
    pub address: Address,
    /// Receives news about its folders.
    pub hub: Hub,
    /// The right to its mail.
    pub tenure: Tenure,
    /// What must be on disk before anybody learns of its mail.
    pub unsynced: Unsynced,
    /// Turns of the account's own jobs: they wait for each other here, and not on threads that others need.
    turns: Arc<Semaphore>,
    usage: Mutex<Parts>,
    path: PathBuf,
    /// The quota in `maildirsize`, if that file was there when it was last looked for.
    limits: Mutex<Option<Limits>>,
}

#[derive(Default)]
struct Parts {
    folders: HashMap<FolderName, Usage>,
    total: Usage,
    /// Room promised to messages that are being stored.
    reserved: Usage,
    /// Whether every folder's usage is known.
    complete: bool,
    /// Whether `maildirsize` is outdated.
    changed: bool,
}

impl Account {
    pub fn new(address: Address, path: &Path, tenure: Tenure, jobs: u32) -> Self {
        let account = Self {
            turns: Arc::new(Semaphore::new(jobs.max(1) as usize)),
            address,
            tenure,
            hub: Hub::default(),
            unsynced: Unsynced::default(),
            usage: Mutex::default(),
            path: path.to_owned(),
            limits: Mutex::default(),
        };
        account.look_for_limits();
        account
    }

    /// Like [`Environment::job`], once it is this job's turn among the account's own and among all.
    pub async fn job<T: Send + 'static>(
        &self,
        environment: &Environment,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let own = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Error::Closing)?;
        let work = move || {
            let result = work();
            drop(own);
            result
        };
        environment.job(work).await
    }

    /// Records one folder's current usage.
    pub fn contribute(&self, folder: &FolderName, usage: Usage, environment: &Environment) {
        let mut parts = self.usage.lock();
        let before = match parts.folders.get_mut(folder) {
            Some(part) => std::mem::replace(part, usage),
            None => {
                parts.folders.insert(folder.clone(), usage);
                Usage::default()
            }
        };
        parts.total.octets = parts.total.octets + usage.octets - before.octets;
        parts.total.messages = parts.total.messages + usage.messages - before.messages;
        parts.changed |= before != usage;
        if parts.complete && before != usage {
            environment.usage_changed(&self.address, parts.total);
        }
    }

    /// Forgets a folder that is no longer there.
    pub fn withdraw(&self, folder: &FolderName, environment: &Environment) {
        self.contribute(folder, Usage::default(), environment);
        self.usage.lock().folders.remove(folder);
    }

    /// The usage of all folders; `None` while that of some is unknown.
    pub fn usage(&self) -> Option<Usage> {
        let parts = self.usage.lock();
        parts.complete.then_some(parts.total)
    }

    /// The folders whose usage is known.
    pub fn folders(&self) -> Vec<FolderName> {
        self.usage.lock().folders.keys().cloned().collect()
    }

    /// Whether a folder's usage is known.
    pub fn has(&self, folder: &FolderName) -> bool {
        self.usage.lock().folders.contains_key(folder)
    }

    /// Notes that every folder's usage is known.
    pub fn complete(&self, environment: &Environment) {
        self.look_for_limits();
        let mut parts = self.usage.lock();
        if !parts.complete {
            parts.complete = true;
            environment.usage_changed(&self.address, parts.total);
        }
    }

    /// Notes that some folder's usage may be unknown.
    pub fn doubt(&self) {
        self.usage.lock().complete = false;
    }

    /// Forgets every folder's usage.
    pub fn forget_usage(&self) {
        let mut parts = self.usage.lock();
        parts.folders.clear();
        (parts.total, parts.complete, parts.changed) = (Usage::default(), false, true);
    }

    /// The limits in `maildirsize`.
    pub fn own_limits(&self) -> UsageLimits {
        let limits = self.limits.lock();
        let own = limits.as_ref().map(|limits| UsageLimits { octets: limits.octets, messages: limits.messages });
        own.unwrap_or_default()
    }

    /// Reads `maildirsize` again: an administrator may have changed or removed it. If it cannot be read now, the
    /// earlier limits stay.
    fn look_for_limits(&self) {
        if let Ok(limits) = maildirsize::read(&self.path) {
            *self.limits.lock() = limits;
        }
    }

    /// Promises room to messages, if the quota has it once others have gone. The promise ends when the result is
    /// dropped; by then the messages are counted themselves.
    pub fn reserve(&self, wanted: Usage, going: Usage, quota: Option<ByteSize>) -> Result<Reservation<'_>, Error> {
        if self.own_limits() != UsageLimits::default() {
            self.look_for_limits();
        }
        let UsageLimits { octets, messages } = self.own_limits();
        let mut parts = self.usage.lock();
        let used = parts.total.octets + parts.reserved.octets;
        // Both are kept, and so the smaller one.
        let quota = [quota.map(ByteSize::get), octets].into_iter().flatten().min();
        let count = parts.total.messages + parts.reserved.messages + wanted.messages;
        if messages.is_some_and(|most| count.saturating_sub(going.messages) > most)
            || quota.is_some_and(|quota| used.saturating_add(wanted.octets).saturating_sub(going.octets) > quota)
        {
            return Err(Error::OverQuota { used, wanted: wanted.octets, quota: quota.unwrap_or(used) });
        }
        parts.reserved.octets += wanted.octets;
        parts.reserved.messages += wanted.messages;
        Ok(Reservation { account: self, promised: wanted })
    }

    /// Keeps `maildirsize` right for other programs, if it exists.
    pub fn write_maildirsize(&self) {
        self.look_for_limits();
        let limits = self.limits.lock().clone();
        let (Some(limits), Ok(())) = (limits, self.tenure.check()) else { return };
        let total = {
            let mut parts = self.usage.lock();
            if !parts.complete || !std::mem::take(&mut parts.changed) {
                return;
            }
            parts.total
        };
        if let Err(error) = maildirsize::write(&self.path, &limits, total) {
            log::warn!(user:% = self.address, error:% = error; "`maildirsize` could not be written");
        }
    }
}

/// Room promised to messages.
pub(super) struct Reservation<'a> {
    account: &'a Account,
    promised: Usage,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let reserved = &mut self.account.usage.lock().reserved;
        reserved.octets -= self.promised.octets;
        reserved.messages -= self.promised.messages;
    }
}
