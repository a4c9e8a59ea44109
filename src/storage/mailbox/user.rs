//! One user's mail.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio_util::sync::CancellationToken;

use super::change::Transfer;
use super::environment::Environment;
use super::folder::Folder;
use super::index;
use super::maildir::directory::{self, Directories, FolderKind};
use super::maildir::subscriptions;
use super::maildir::uid_file::UidFile;
use super::usage::Account;
use super::visit::{Visit, Visits};
use super::{
    Access, AppendOptions, Appended, Copied, Error, FolderEntry, FolderName, Listener, Missing, News, SpecialUse,
    Status, Subscription, Usage, View,
};
use crate::foundations::address::Address;
use crate::foundations::mail::{MailboxId, Message, Uid};
use crate::foundations::settings::ByteSize;
use crate::storage::cluster::Tenure;

/// One user's folders.
pub struct User {
    pub(super) environment: Arc<Environment>,
    pub(super) account: Arc<Account>,
    pub(super) path: PathBuf,
    /// Held for reading while something is changed, for writing while folders are made, renamed or deleted.
    gate: RwLock<()>,
    tree: Mutex<Tree>,
    loaded: Mutex<HashMap<FolderName, Arc<Folder>>>,
    /// The highest UIDVALIDITY given out in this life.
    validity: AtomicU32,
    /// Whether the default folders have been seen to.
    prepared: AtomicBool,
    used: AtomicU64,
    visits: Arc<Visits>,
}

/// The user's folders as directories.
#[derive(Default)]
struct Tree {
    directories: BTreeMap<FolderName, String>,
    /// When the user's directory had last changed when it was read.
    mtime: i64,
}

impl User {
    /// Opens a user's directory and makes it when it is missing. Blocks.
    pub(super) fn load(
        environment: &Arc<Environment>,
        root: &Path,
        address: &Address,
        tenure: Tenure,
    ) -> Result<Self, Error> {
        tenure.check()?;
        let path = directory_of(root, address)?;
        if !path.join("cur").is_dir() {
            make_user(root, address).map_err(|error| Error::io(format!("cannot make `{}`", path.display()), error))?;
        }
        let user = Self {
            environment: Arc::clone(environment),
            account: Arc::new(Account::new(address.clone(), &path, tenure)),
            visits: Arc::default(),
            path,
            gate: RwLock::new(()),
            tree: Mutex::default(),
            loaded: Mutex::default(),
            validity: AtomicU32::new(0),
            prepared: AtomicBool::new(false),
            used: AtomicU64::new(0),
        };
        user.read_tree()?;
        Ok(user)
    }

    /// Counts a session whose `end` is cancelled when this process must let go of the user's mail, until what is returned is
    /// dropped.
    pub fn visit(&self, end: CancellationToken) -> Visit {
        Visits::enter(&self.visits, end)
    }

    /// Whether this process may touch the user's mail.
    pub fn is_ours(&self) -> bool {
        self.account.tenure.check().is_ok()
    }

    /// The account.
    pub fn account(&self) -> &Address {
        &self.account.address
    }

    /// Stores a message; when this returns, message, UID and flags are on disk.
    pub async fn append(
        self: &Arc<Self>,
        folder: &FolderName,
        message: &Message,
        options: AppendOptions,
    ) -> Result<Appended, Error> {
        let (user, folder, message) = (Arc::clone(self), folder.clone(), message.clone());
        self.environment
            .job(move || {
                user.know_usage()?;
                let _reserved = user.account.reserve(message.len() as u64, options.quota)?;
                let _gate = user.enter_with(&folder, options.missing)?;
                user.folder(&folder)?.append(&message, &options)
            })
            .await
    }

    /// All folders, sorted by name, and subscribed names without a folder. The first call for a user creates and
    /// subscribes the default folders, as does the first look into any folder but the inbox.
    pub async fn folders(self: &Arc<Self>) -> Result<Vec<FolderEntry>, Error> {
        let user = Arc::clone(self);
        let settings = self.environment.settings.get();
        self.environment
            .job(move || {
                user.prepare()?;
                user.read_tree()?;
                let subscribed = user.read_subscriptions()?;
                let tree = user.tree.lock();
                let names: BTreeSet<&FolderName> = tree.directories.keys().chain(&subscribed).collect();
                let entry = |name: &FolderName| FolderEntry {
                    special_use: SpecialUse::ALL.into_iter().find(|special| special.name(&settings) == name.as_str()),
                    subscribed: subscribed.contains(name),
                    exists: tree.directories.contains_key(name),
                    name: name.clone(),
                };
                Ok(names.into_iter().map(entry).collect())
            })
            .await
    }

    /// The name of the folder with a special use, whether it exists or not; `None` when the settings name none.
    pub fn special(&self, special_use: SpecialUse) -> Option<FolderName> {
        special_use.folder(&self.environment.settings.get())
    }

    /// Whether a folder exists: one look at the disk, which is waited for.
    pub fn knows(&self, folder: &FolderName) -> bool {
        // What cannot be listed now is as it was.
        let _ = self.read_tree();
        self.has(folder)
    }

    /// Creates a folder (RFC 9051 §6.3.4); its identifier.
    pub async fn create(self: &Arc<Self>, folder: &FolderName) -> Result<Option<MailboxId>, Error> {
        let (user, folder) = (Arc::clone(self), folder.clone());
        self.environment
            .job(move || {
                user.read_tree()?;
                let _gate = user.gate.write();
                if user.has(&folder) {
                    let inbox = folder.is_inbox();
                    return Err(if inbox { Error::Inbox } else { Error::FolderExists(folder) });
                }
                user.make_folder(&folder)?;
                Ok(user.folder(&folder)?.id)
            })
            .await
    }

    /// Deletes a folder and the messages in it, not those below it (RFC 9051 §6.3.5).
    pub async fn delete(self: &Arc<Self>, folder: &FolderName) -> Result<(), Error> {
        let (user, folder) = (Arc::clone(self), folder.clone());
        self.environment
            .job(move || {
                if folder.is_inbox() {
                    return Err(Error::Inbox);
                }
                user.read_tree()?;
                let _gate = user.gate.write();
                user.delete_folder(&folder)
            })
            .await
    }

    /// Renames a folder and those below it; renaming INBOX moves its messages into a new folder (RFC 9051 §6.3.6).
    pub async fn rename(self: &Arc<Self>, from: &FolderName, to: &FolderName) -> Result<(), Error> {
        let (user, from, to) = (Arc::clone(self), from.clone(), to.clone());
        self.environment
            .job(move || {
                user.read_tree()?;
                if user.has(&to) {
                    return Err(if to.is_inbox() { Error::Inbox } else { Error::FolderExists(to) });
                }
                if from.is_inbox() {
                    return user.rename_inbox(&to);
                }
                let _gate = user.gate.write();
                user.rename_folders(&from, &to)
            })
            .await
    }

    /// Adds a name to the subscribed ones or removes it; the folder need not exist (RFC 9051 §6.3.7).
    pub async fn subscribe(self: &Arc<Self>, folder: &FolderName, subscription: Subscription) -> Result<(), Error> {
        let (user, folder) = (Arc::clone(self), folder.clone());
        self.environment
            .job(move || {
                user.prepare()?;
                let _gate = user.gate.write();
                let mut names = user.read_subscriptions()?;
                let most = user.environment.settings.get().folders_per_user as usize;
                let name = folder.clone();
                let changed = match subscription {
                    // Names of folders that do not exist are kept too, but not without end.
                    Subscription::On if names.len() >= most => return Err(Error::TooManyFolders(names.len())),
                    Subscription::On => names.insert(folder),
                    Subscription::Off => names.remove(&folder),
                };
                if changed {
                    user.write_subscriptions(&names)?;
                    user.account.hub.tell(|| News::Subscription(name));
                }
                Ok(())
            })
            .await
    }

    /// Is told from now on what happens to the user's folders.
    pub fn listen(&self) -> Listener {
        self.account.hub.listen(self.environment.settings.get().waiting_news as usize)
    }

    /// Counts of a folder without opening it.
    pub async fn status(self: &Arc<Self>, folder: &FolderName) -> Result<Status, Error> {
        let (user, name) = (Arc::clone(self), folder.clone());
        self.environment
            .job(move || {
                user.prepare_for(&name)?;
                let _gate = user.enter();
                let folder = user.folder(&name)?;
                folder.refresh()?;
                let snapshot = folder.current();
                let recent = folder.claims().recent(&snapshot).count();
                let status = snapshot.status(u32::try_from(recent).unwrap_or(u32::MAX));
                Ok(Status { mailbox_id: folder.id, ..status })
            })
            .await
    }

    /// Opens a folder for a session.
    pub async fn open(self: &Arc<Self>, folder: &FolderName, access: Access) -> Result<View, Error> {
        let (user, name) = (Arc::clone(self), folder.clone());
        self.environment
            .job(move || {
                user.prepare_for(&name)?;
                let _gate = user.enter();
                let folder = user.folder(&name)?;
                folder.views.fetch_add(1, Ordering::AcqRel);
                let view = View::new(Arc::clone(&user), Arc::clone(&folder), Access::ReadOnly);
                folder.watch();
                folder.refresh()?;
                Ok(view.renewed(access))
            })
            .await
    }

    /// What all folders together occupy.
    pub async fn usage(self: &Arc<Self>) -> Result<Usage, Error> {
        let user = Arc::clone(self);
        self.environment
            .job(move || {
                user.know_usage()?;
                Ok(user.account.usage().unwrap_or_default())
            })
            .await
    }

    /// Writes `dovecot-uidlist` files, so that Dovecot can take the folders over with their UIDs.
    pub async fn write_uidlists(self: &Arc<Self>) -> Result<(), Error> {
        let user = Arc::clone(self);
        self.environment
            .job(move || {
                user.read_tree()?;
                let _gate = user.gate.write();
                for name in user.names() {
                    let folder = user.folder(&name)?;
                    folder.refresh()?;
                    folder.write_uidlist()?;
                }
                Ok(())
            })
            .await
    }

    /// Forgets all indexes and caches and makes them anew from the directories.
    pub async fn reindex(self: &Arc<Self>) -> Result<(), Error> {
        let user = Arc::clone(self);
        self.environment
            .job(move || {
                user.read_tree()?;
                let _gate = user.gate.write();
                for name in user.names() {
                    user.folder(&name)?.reindex()?;
                }
                Ok(())
            })
            .await
    }
}

impl User {
    /// Keeps folders from being deleted or renamed while something is changed. Only on threads that may block.
    pub(super) fn enter(&self) -> RwLockReadGuard<'_, ()> {
        self.used.store(self.environment.use_number(), Ordering::Relaxed);
        self.gate.read()
    }

    /// As [`User::enter`], after making the folder if it is missing and that is wanted, or if it is a default one.
    pub(super) fn enter_with(&self, folder: &FolderName, missing: Missing) -> Result<RwLockReadGuard<'_, ()>, Error> {
        if missing == Missing::Fail {
            self.prepare_for(folder)?;
        } else if !self.has(folder) {
            self.read_tree()?;
            let _gate = self.gate.write();
            if !self.has(folder) {
                self.make_folder(folder)?;
                let mut names = self.read_subscriptions()?;
                if self.has_subscriptions() && names.insert(folder.clone()) {
                    self.write_subscriptions(&names)?;
                }
            }
        }
        Ok(self.enter())
    }

    fn has(&self, folder: &FolderName) -> bool {
        self.tree.lock().directories.contains_key(folder)
    }

    fn names(&self) -> Vec<FolderName> {
        self.tree.lock().directories.keys().cloned().collect()
    }

    fn failed<'a>(&'a self, doing: &'a str) -> impl Fn(std::io::Error) -> Error + 'a {
        move |error| Error::io(format!("cannot {doing} in `{}`", self.path.display()), error)
    }

    /// Reads which folders there are, if that may have changed.
    fn read_tree(&self) -> Result<(), Error> {
        let failed = self.failed("list the folders");
        let root = directory::open(&self.path).map_err(&failed)?;
        let mtime = directory::mtime(root.as_fd()).map_err(&failed)?;
        let mut tree = self.tree.lock();
        if tree.mtime == mtime {
            return Ok(());
        }
        tree.directories = BTreeMap::from([(FolderName::inbox(), String::new())]);
        let mut names = Vec::new();
        directory::list(root.as_fd(), &mut |name| names.extend(str::from_utf8(name).map(str::to_owned)))
            .map_err(&failed)?;
        for name in names {
            if name.starts_with(REMOVED) {
                // Left by a deletion that was cut short.
                self.account.tenure.check()?;
                let _ = std::fs::remove_dir_all(self.path.join(&name));
            } else if let Some(folder) = FolderName::from_directory(&name)
                && self.path.join(&name).join("cur").is_dir()
            {
                tree.directories.insert(folder, name);
            }
        }
        tree.mtime = mtime;
        Ok(())
    }

    /// Keeps everybody else from changing the folders. Only on threads that may block.
    pub(super) fn gate_for_change(&self) -> RwLockWriteGuard<'_, ()> {
        self.used.store(self.environment.use_number(), Ordering::Relaxed);
        self.gate.write()
    }

    /// Where a folder lies, after another look at the disk if need be.
    pub(super) fn known_path(&self, folder: &FolderName) -> Result<Option<PathBuf>, Error> {
        if !self.has(folder) {
            self.read_tree()?;
        }
        Ok(self.path_of(folder))
    }

    fn path_of(&self, folder: &FolderName) -> Option<PathBuf> {
        let tree = self.tree.lock();
        let directory = tree.directories.get(folder)?;
        Some(if directory.is_empty() { self.path.clone() } else { self.path.join(directory) })
    }

    /// Tells every session to end.
    pub(super) fn send_away(&self) {
        self.visits.end();
    }

    /// Writes what indexes lack and then nothing more: changes that have begun are waited for, later ones fail. Blocks.
    pub(super) fn settle(&self) {
        self.send_away();
        let _gate = self.gate.write();
        for folder in self.loaded() {
            if let Err(error) = folder.flush()
                && !folder.current().gone
            {
                log::warn!(error:% = error; "An index could not be written");
            }
        }
        self.account.tenure.give_up();
    }

    /// The user's directory, to change something in it.
    fn own_root(&self) -> std::io::Result<std::os::fd::OwnedFd> {
        self.account.tenure.check()?;
        directory::open(&self.path)
    }

    /// A folder's state, from memory or from disk.
    pub(super) fn folder(&self, name: &FolderName) -> Result<Arc<Folder>, Error> {
        let mut loaded = self.loaded.lock();
        if let Some(folder) = loaded.get(name) {
            return Ok(Arc::clone(folder));
        }
        if !self.has(name) {
            self.read_tree()?;
        }
        let path = self.path_of(name).ok_or_else(|| Error::NoFolder(name.clone()))?;
        let folder = Folder::load(&self.environment, &self.account, name, &path, || self.fresh_validity())?;
        loaded.insert(name.clone(), Arc::clone(&folder));
        Ok(folder)
    }

    /// A UIDVALIDITY that no folder of this user has or had: from the time, above all others.
    fn fresh_validity(&self) -> u32 {
        let now = u32::try_from(self.environment.clock.now().unix_seconds().max(1)).unwrap_or(u32::MAX);
        let mut highest = self.validity.load(Ordering::Acquire);
        for name in self.names() {
            let file = self.path_of(&name).and_then(|path| directory::open(&path).ok());
            let file = file.and_then(|root| UidFile::read(root.as_fd()).ok().flatten());
            highest = file.map_or(highest, |file| highest.max(file.validity).max(file.floor));
        }
        let validity = now.max(highest.saturating_add(1));
        self.validity.fetch_max(validity, Ordering::AcqRel);
        validity
    }

    fn make_folder(&self, folder: &FolderName) -> Result<(), Error> {
        let count = self.tree.lock().directories.len();
        if count >= self.environment.settings.get().folders_per_user as usize {
            return Err(Error::TooManyFolders(count));
        }
        let failed = self.failed("make a folder");
        let root = self.own_root().map_err(&failed)?;
        let name = folder.directory();
        Directories::create(root.as_fd(), &name, FolderKind::Below).map_err(&failed)?;
        self.tree.lock().directories.insert(folder.clone(), name);
        self.folder(folder)?;
        self.account.hub.tell(|| News::Created(folder.clone()));
        Ok(())
    }

    fn delete_folder(&self, name: &FolderName) -> Result<(), Error> {
        let path = self.path_of(name).ok_or_else(|| Error::NoFolder(name.clone()))?;
        let failed = self.failed("delete a folder");
        let folder = self.folder(name)?;
        self.remember_validity(folder.current().uid_validity.get())?;
        let root = self.own_root().map_err(&failed)?;
        let hidden = format!("{REMOVED}{}", self.environment.unique());
        let directory = name_of(&path);
        rustix::fs::renameat(&root, directory, &root, &*hidden).map_err(|error| failed(error.into()))?;
        rustix::fs::fsync(&root).map_err(|error| failed(error.into()))?;
        self.account.tenure.check()?;
        self.forget(name);
        self.tree.lock().directories.remove(name);
        self.account.hub.tell(|| News::Deleted(name.clone()));
        // The rest is tidying up; what is left of it is found when the folders are listed.
        let _ = std::fs::remove_dir_all(self.path.join(hidden));
        Ok(())
    }

    /// Takes a folder out of memory and tells its sessions that it is gone.
    fn forget(&self, name: &FolderName) {
        if let Some(folder) = self.loaded.lock().remove(name) {
            folder.end();
        }
        self.account.withdraw(name, &self.environment);
    }

    /// Before a folder goes whose UIDVALIDITY lies in the future: no later folder of its name may get the same.
    fn remember_validity(&self, validity: u32) -> Result<(), Error> {
        self.validity.fetch_max(validity, Ordering::AcqRel);
        if i64::from(validity) < self.environment.clock.now().unix_seconds() {
            return Ok(());
        }
        let inbox = self.folder(&FolderName::inbox())?;
        let directories = inbox.directories()?;
        let mut state = inbox.lock();
        state.uid_file.floor = state.uid_file.floor.max(validity);
        inbox.write_uid_file(&state, &directories)
    }

    fn rename_folders(&self, from: &FolderName, to: &FolderName) -> Result<(), Error> {
        if to.is_below(from) {
            return Err(Error::IntoItself(from.clone()));
        }
        let family: Vec<FolderName> =
            self.names().into_iter().filter(|name| name == from || name.is_below(from)).collect();
        if family.is_empty() {
            return Err(Error::NoFolder(from.clone()));
        }
        let renamed: Option<Vec<FolderName>> = family.iter().map(|name| name.moved(from, to)).collect();
        let renamed = renamed.ok_or_else(|| Error::IntoItself(from.clone()))?;
        if let Some(taken) = renamed.iter().find(|name| self.has(name)) {
            return Err(Error::FolderExists(taken.clone()));
        }
        let failed = self.failed("rename a folder");
        let root = self.own_root().map_err(&failed)?;
        for (old, new) in family.iter().zip(&renamed) {
            let Some(path) = self.path_of(old) else { continue };
            self.forget(old);
            let directory = new.directory();
            rustix::fs::renameat(&root, name_of(&path), &root, &*directory).map_err(|error| failed(error.into()))?;
            let mut tree = self.tree.lock();
            tree.directories.remove(old);
            tree.directories.insert(new.clone(), directory);
        }
        rustix::fs::fsync(&root).map_err(|error| failed(error.into()))?;
        self.account.tenure.check()?;
        for new in &renamed {
            self.folder(new)?;
        }
        self.account.hub.tell(|| News::Renamed { from: from.clone(), to: to.clone() });
        Ok(())
    }

    fn rename_inbox(&self, to: &FolderName) -> Result<(), Error> {
        self.know_usage()?;
        {
            let _gate = self.gate.write();
            self.make_folder(to)?;
            self.copy_metadata(&FolderName::inbox(), to)?;
        }
        let _gate = self.enter();
        let inbox = self.folder(&FolderName::inbox())?;
        inbox.refresh()?;
        let uids: Vec<u32> = inbox.current().iter().map(|(record, _)| record.uid).collect();
        self.transfer(&inbox, &uids, to, None, Transfer::Move)?;
        Ok(())
    }

    /// Copies or moves messages between two folders. The caller has [`User::enter`]ed and knows the usage. Blocks.
    pub(super) fn transfer(
        &self,
        from: &Arc<Folder>,
        uids: &[u32],
        to: &FolderName,
        quota: Option<ByteSize>,
        transfer: Transfer,
    ) -> Result<Copied, Error> {
        let target = self.folder(to)?;
        let snapshot = from.current();
        let present = uids.iter().filter_map(|uid| snapshot.by_uid(*uid));
        let octets = if transfer == Transfer::Copy { present.map(|(record, _)| record.size).sum() } else { 0 };
        let _reserved = self.account.reserve(octets, quota)?;
        let pairs = match transfer {
            Transfer::Copy => target.receive(from, uids, transfer)?,
            Transfer::Move => target.take_over(from, uids)?,
        };
        let uid = |uid: u32| Uid::new(uid).unwrap_or(Uid::MIN);
        let uids = pairs.into_iter().map(|(old, new)| (uid(old), uid(new))).collect();
        Ok(Copied { uid_validity: target.current().uid_validity, uids })
    }

    /// Before a folder is asked for: a client may put the first message into Sent before it has listed anything. A first
    /// login that only looks into the inbox, which is always there, need not wait for five folders to be made.
    pub(super) fn prepare_for(&self, folder: &FolderName) -> Result<(), Error> {
        if folder.is_inbox() { Ok(()) } else { self.prepare() }
    }

    /// Creates and subscribes the default folders for a user who has never subscribed to any.
    fn prepare(&self) -> Result<(), Error> {
        if self.prepared.load(Ordering::Acquire) {
            return Ok(());
        }
        let _gate = self.gate.write();
        if !self.has_subscriptions() {
            let settings = self.environment.settings.get();
            for special in SpecialUse::ALL {
                if let Ok(name) = FolderName::parse(special.name(&settings))
                    && !self.has(&name)
                {
                    self.make_folder(&name)?;
                }
            }
            self.write_subscriptions(&self.names().into_iter().collect())?;
        }
        self.prepared.store(true, Ordering::Release);
        Ok(())
    }

    fn has_subscriptions(&self) -> bool {
        self.path.join("subscriptions").exists()
    }

    fn read_subscriptions(&self) -> Result<BTreeSet<FolderName>, Error> {
        let failed = self.failed("read the subscriptions");
        let root = directory::open(&self.path).map_err(&failed)?;
        subscriptions::read(root.as_fd()).map_err(&failed)
    }

    fn write_subscriptions(&self, names: &BTreeSet<FolderName>) -> Result<(), Error> {
        let failed = self.failed("write the subscriptions");
        let root = self.own_root().map_err(&failed)?;
        subscriptions::write(root.as_fd(), names).map_err(&failed)
    }

    /// Makes sure that every folder has said what it occupies. Not after [`User::enter`]: it waits for the gate itself.
    pub(super) fn know_usage(&self) -> Result<(), Error> {
        if self.account.usage().is_some() {
            return Ok(());
        }
        let _gate = self.gate.write();
        for name in self.names() {
            if self.account.has(&name) {
                continue;
            }
            match self.path_of(&name).and_then(|path| index::usage(&path)) {
                Some(usage) => self.account.contribute(&name, usage, &self.environment),
                None => _ = self.folder(&name)?,
            }
        }
        self.account.complete(&self.environment);
        Ok(())
    }

    /// Folders in memory that nobody uses, with the number of their last use and their size.
    pub(super) fn idle(&self) -> Vec<(u64, u64, FolderName)> {
        let loaded = self.loaded.lock();
        let idle = loaded.values().filter(|folder| Arc::strong_count(folder) == 1);
        idle.map(|folder| (folder.used(), folder.memory(), folder.name.clone())).collect()
    }

    /// Takes a folder out of memory if still nobody uses it.
    pub(super) fn evict(&self, name: &FolderName) {
        let mut loaded = self.loaded.lock();
        if loaded.get(name).is_some_and(|folder| Arc::strong_count(folder) == 1) {
            loaded.remove(name);
        }
    }

    /// Whether no folder is in memory.
    pub(super) fn is_empty(&self) -> bool {
        self.loaded.lock().is_empty()
    }

    /// When it was last used, as a number that grows.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Folders in memory.
    pub(super) fn loaded(&self) -> Vec<Arc<Folder>> {
        self.loaded.lock().values().cloned().collect()
    }
}

/// Names of directories of deleted folders begin with it; no folder's does.
const REMOVED: &str = "..removed.";

fn name_of(path: &Path) -> &std::ffi::OsStr {
    path.file_name().unwrap_or_default()
}

/// The user's directory: `<mail root>/<domain>/<local part>`.
pub(in crate::storage) fn directory_of(root: &Path, address: &Address) -> Result<PathBuf, Error> {
    let key = address.key();
    let bad = || Error::BadUser(key.clone());
    let (local, domain) = key.rsplit_once('@').ok_or_else(bad)?;
    let valid = |part: &str| {
        !part.is_empty()
            && part.len() <= 255
            && !part.starts_with('.')
            && !part.contains(['/', '\0'])
            && !part.chars().any(char::is_control)
    };
    if !valid(local) || !valid(domain) {
        return Err(bad());
    }
    Ok(root.join(domain).join(local))
}

fn make_user(root: &Path, address: &Address) -> std::io::Result<()> {
    let key = address.key();
    let (local, domain) = key.rsplit_once('@').unwrap_or((&key, ""));
    let top = directory::open(root)?;
    if !root.join(domain).is_dir() {
        directory::make(top.as_fd(), domain)?;
        rustix::fs::fsync(&top)?;
    }
    let parent = directory::open(&root.join(domain))?;
    Directories::create(parent.as_fd(), local, FolderKind::Root)
}
