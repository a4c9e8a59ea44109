//! One user's mail.

mod folders;
mod home;
mod subscriptions;
mod tree;

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio_util::sync::CancellationToken;

use self::tree::Tree;
use super::environment::Environment;
use super::folder::Folder;
use super::index;
use super::mailboxes::IdleFolder;
use super::maildir::directory;
use super::maildir::inodes::Inodes;
use super::maildir::uid_file::UidFile;
use super::renaming::make_up;
use super::transfer::Transfer;
use super::usage::Account;
use super::visit::{Visit, Visits};
use super::{
    Access, AppendOptions, Appended, Copied, Error, FolderName, Listener, Missing, News, Status, Unless, Usage,
    UsageLimits, View,
};
use crate::foundations::address::Address;
use crate::foundations::files::is_directory;
use crate::foundations::mail::{Message, Uid, UidValidity};
use crate::foundations::settings::ByteSize;
use crate::storage::cluster::Tenure;

/// One user's folders.
pub struct User {
    pub(super) environment: Arc<Environment>,
    pub(super) account: Arc<Account>,
    /// The mail root.
    root: PathBuf,
    pub(super) path: PathBuf,
    /// What lay there when it was last looked at.
    inodes: Mutex<Inodes>,
    /// Held for reading while messages are changed, for writing while folders are made, renamed or deleted.
    gate: RwLock<()>,
    tree: Tree,
    loaded: Mutex<HashMap<FolderName, Arc<Folder>>>,
    /// The highest UIDVALIDITY known.
    validity: Mutex<Option<UidValidity>>,
    /// Folders whose UIDVALIDITY is included in that.
    asked: Mutex<HashSet<FolderName>>,
    /// Whether the default folders have been dealt with.
    prepared: AtomicBool,
    used: AtomicU64,
    visits: Arc<Visits>,
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
        make_up(root, address, &path)?;
        let inodes =
            Inodes::at(&path).map_err(|error| Error::io(format!("cannot look for `{}`", path.display()), error))?;
        let user = Self {
            environment: Arc::clone(environment),
            tree: Tree::new(&path, tenure.clone(), Arc::clone(&environment.clock)),
            account: Arc::new(Account::new(address.clone(), &path, tenure, environment.settings.get().jobs_per_user)),
            visits: Arc::default(),
            root: root.to_owned(),
            path,
            inodes: Mutex::new(inodes),
            gate: RwLock::new(()),
            loaded: Mutex::default(),
            validity: Mutex::default(),
            asked: Mutex::default(),
            prepared: AtomicBool::new(false),
            used: AtomicU64::new(0),
        };
        user.move_in()?;
        Ok(user)
    }

    /// Counts a session until the returned value is dropped. Its `end` is cancelled when this process must release the
    /// user's mail.
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
        match self.append_unless(folder, message, options, || None::<Infallible>).await? {
            Unless::Appended(appended) => Ok(appended),
            Unless::Instead(never) => match never {},
        }
    }

    /// Like [`Self::append`], unless `instead` has something else to do. It may block and runs on the storing thread:
    /// changing threads takes longer than a look at the disk.
    pub async fn append_unless<T: Send + 'static>(
        self: &Arc<Self>,
        folder: &FolderName,
        message: &Message,
        options: AppendOptions,
        instead: impl FnOnce() -> Option<T> + Send + 'static,
    ) -> Result<Unless<T>, Error> {
        let (user, folder, message) = (Arc::clone(self), folder.clone(), message.clone());
        // Not `Self::job`: the message is synced beside the inbox that was made for it.
        self.account
            .job(&self.environment, move || {
                user.look_around()?;
                if let Some(instead) = instead() {
                    return Ok(Unless::Instead(instead));
                }
                user.know_usage()?;
                let wanted = Usage { octets: message.len() as u64, messages: 1 };
                let going = options.in_place_of.map(|octets| Usage { octets, messages: 1 }).unwrap_or_default();
                let _reserved = user.account.reserve(wanted, going, options.quota)?;
                let _gate = user.enter_with(&folder, options.missing)?;
                Ok(Unless::Appended(user.folder(&folder)?.append(&message, &options)?))
            })
            .await
    }

    /// Subscribes to news about the user's folders.
    pub fn listen(&self) -> Listener {
        self.account.hub.listen(self.environment.settings.get().waiting_news as usize)
    }

    /// Counts of a folder without opening it.
    pub async fn status(self: &Arc<Self>, folder: &FolderName) -> Result<Status, Error> {
        let (user, name) = (Arc::clone(self), folder.clone());
        self.job(move || {
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
        self.job(move || {
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

    /// The usage of all folders together.
    pub async fn usage(self: &Arc<Self>) -> Result<Usage, Error> {
        let user = Arc::clone(self);
        self.job(move || {
            user.know_usage()?;
            Ok(user.account.usage().unwrap_or_default())
        })
        .await
    }

    /// The same, as far as it is known without looking: after a delivery with a quota it is.
    pub fn known_usage(&self) -> Option<Usage> {
        self.account.usage()
    }

    /// The limits that a file `maildirsize` sets beside the account's quota.
    pub fn own_limits(&self) -> UsageLimits {
        self.account.own_limits()
    }

    /// Writes `dovecot-uidlist` files, so that Dovecot can take the folders over with their UIDs.
    pub async fn write_uidlists(self: &Arc<Self>) -> Result<(), Error> {
        let user = Arc::clone(self);
        self.job(move || {
            user.tree.read()?;
            let _gate = user.gate.write();
            for name in user.tree.names() {
                let folder = user.folder(&name)?;
                folder.refresh()?;
                folder.write_uidlist()?;
            }
            Ok(())
        })
        .await
    }

    /// Drops all indexes and caches and rebuilds them from the directories.
    pub async fn reindex(self: &Arc<Self>) -> Result<(), Error> {
        let user = Arc::clone(self);
        self.job(move || {
            user.tree.read()?;
            let _gate = user.gate.write();
            for name in user.tree.names() {
                user.folder(&name)?.reindex()?;
            }
            Ok(())
        })
        .await
    }
}

impl User {
    /// Keeps folders from being deleted or renamed while something is changed. Only on blocking threads.
    pub(super) fn enter(&self) -> RwLockReadGuard<'_, ()> {
        self.used.store(self.environment.use_number(), Ordering::Relaxed);
        self.gate.read()
    }

    /// Like [`User::enter`], after making the folder if it is missing and that is requested, or if it is a default one.
    pub(super) fn enter_with(&self, folder: &FolderName, missing: Missing) -> Result<RwLockReadGuard<'_, ()>, Error> {
        if missing == Missing::Fail {
            self.prepare_for(folder)?;
        } else if !self.finds(folder)? {
            self.tree.doubt();
            self.tree.read()?;
            let _gate = self.gate.write();
            if !self.tree.has(folder) {
                self.make_folder(folder)?;
                let mut names = self.read_subscriptions()?;
                if self.has_subscriptions()? && names.insert(folder.clone()) {
                    self.write_subscriptions(&names)?;
                    self.account.hub.tell(|| News::Subscription(folder.clone()));
                }
            }
        }
        Ok(self.enter())
    }

    /// Whether a folder is at its known place.
    fn finds(&self, folder: &FolderName) -> Result<bool, Error> {
        match self.tree.path_of(folder) {
            Some(path) => Ok(is_directory(&path.join("cur"))?),
            None => Ok(false),
        }
    }

    /// Runs work on the user's files on a blocking thread, once the inbox is in its place and on disk.
    pub(super) async fn job<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let user = Arc::clone(self);
        self.account
            .job(&self.environment, move || {
                user.look_around()?;
                let synced = user.account.unsynced.sync();
                synced.map_err(|error| {
                    Error::io(format!("cannot sync the new inbox `{}`", user.path.display()), error)
                })?;
                work()
            })
            .await
    }

    fn failed<'a>(&'a self, doing: &'a str) -> impl Fn(std::io::Error) -> Error + 'a {
        move |error| Error::io(format!("cannot {doing} in `{}`", self.path.display()), error)
    }

    /// Keeps everybody else from changing the folders. Only on blocking threads.
    pub(super) fn gate_for_change(&self) -> RwLockWriteGuard<'_, ()> {
        self.used.store(self.environment.use_number(), Ordering::Relaxed);
        self.gate.write()
    }

    /// Where a folder lies, after another look at the disk if need be.
    pub(super) fn known_path(&self, folder: &FolderName) -> Result<Option<PathBuf>, Error> {
        if !self.tree.has(folder) {
            self.tree.read()?;
        }
        Ok(self.tree.path_of(folder))
    }

    /// Tells every session to end.
    pub(super) fn send_away(&self) {
        self.visits.end();
    }

    /// Writes what indexes lack and then nothing more: changes in progress are waited for, later ones fail. Blocks.
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

    /// A folder's state, from memory or from disk. The caller has entered the gate.
    pub(super) fn folder(&self, name: &FolderName) -> Result<Arc<Folder>, Error> {
        let mut loaded = self.loaded.lock();
        if let Some(folder) = loaded.get(name).cloned() {
            if folder.is_in_place()? {
                return Ok(folder);
            }
            // Somebody else has removed its directory, or put another one in its place.
            folder.end();
            loaded.remove(name);
            self.account.withdraw(name, &self.environment);
            self.account.doubt();
            self.tree.doubt();
            self.tree.read()?;
        }
        if !self.tree.has(name) {
            self.tree.read()?;
        }
        let path = self.tree.path_of(name).ok_or_else(|| Error::NoFolder(name.clone()))?;
        let folder = Folder::load(&self.environment, &self.account, name, &path, || self.fresh_validity())?;
        self.know_validity(folder.current().uid_validity);
        loaded.insert(name.clone(), Arc::clone(&folder));
        Ok(folder)
    }

    /// A UIDVALIDITY that no folder of this user has or had: from the time, above all others.
    fn fresh_validity(&self) -> UidValidity {
        let now = u32::try_from(self.environment.clock.now().unix_seconds().max(1)).unwrap_or(u32::MAX);
        let mut highest = *self.validity.lock();
        let mut asked = self.asked.lock();
        // Each folder is asked once: those made or loaded here are counted as they are.
        for name in self.tree.names().into_iter().filter(|name| asked.insert(name.clone())) {
            let file = self.tree.path_of(&name).and_then(|path| directory::open(&path).ok());
            let file = file.and_then(|root| UidFile::read(root.as_fd()).ok().flatten());
            highest = file.map_or(highest, |file| highest.max(Some(file.validity)).max(file.floor));
        }
        let next = highest.map_or(UidValidity::MIN, |highest| highest.saturating_add(1));
        let validity = UidValidity::new(now).map_or(next, |now| now.max(next));
        self.know_validity(validity);
        validity
    }

    /// Notes that a folder has or had this UIDVALIDITY.
    fn know_validity(&self, validity: UidValidity) {
        let mut highest = self.validity.lock();
        *highest = highest.max(Some(validity));
    }

    /// For a folder about to be made.
    fn fresh_identity(&self) -> UidFile {
        UidFile::first(self.fresh_validity(), self.environment.fresh_mailbox_id())
    }

    /// Copies or moves messages between two folders. The caller has [`User::enter`]ed and knows the usage. Blocks.
    pub(super) fn transfer(
        &self,
        from: &Arc<Folder>,
        uids: &[Uid],
        to: &FolderName,
        quota: Option<ByteSize>,
        transfer: Transfer,
    ) -> Result<Copied, Error> {
        let target = self.folder(to)?;
        let copied = match transfer {
            Transfer::Copy => {
                let snapshot = from.current();
                let sizes = uids.iter().filter_map(|uid| snapshot.by_uid(*uid)).map(|(record, _)| record.size);
                let add = |sum: Usage, octets: u64| Usage { octets: sum.octets + octets, messages: sum.messages + 1 };
                let _reserved = self.account.reserve(sizes.fold(Usage::default(), add), Usage::default(), quota)?;
                target.receive(from, uids)?
            }
            // Moved messages are already counted. A user over the quota must be able to move mail to Trash, too.
            Transfer::Move => target.take_over(from, uids)?,
        };
        let uids = copied.into_iter().map(|copied| (copied.old, copied.new)).collect();
        Ok(Copied { uid_validity: target.current().uid_validity, uids })
    }

    /// Makes sure that every folder's usage is known. Not after [`User::enter`]: it waits for the gate itself.
    pub(super) fn know_usage(&self) -> Result<(), Error> {
        if self.account.usage().is_some() {
            return Ok(());
        }
        let _gate = self.gate.write();
        // Another program may have removed a folder.
        self.tree.read()?;
        for name in self.tree.names() {
            if self.account.has(&name) {
                continue;
            }
            match self.tree.path_of(&name).and_then(|path| index::usage(&path)) {
                Some(usage) => self.account.contribute(&name, usage, &self.environment),
                None => match self.folder(&name) {
                    Ok(_) | Err(Error::NoFolder(_)) => {}
                    // Otherwise all mail would wait until somebody has fixed it.
                    Err(error) if is_lasting(&error) => {
                        let address = &self.account.address;
                        log::error!(user:% = address, folder:% = name, error:% = error;
                            "The folder {name} of {address} cannot be used and is left out of the usage; make it writable for the server");
                        self.account.contribute(&name, Usage::default(), &self.environment);
                    }
                    Err(error) => return Err(error),
                },
            }
        }
        self.account.complete(&self.environment);
        Ok(())
    }

    /// Folders in memory that nobody uses.
    pub(super) fn idle(&self) -> Vec<IdleFolder> {
        let loaded = self.loaded.lock();
        let idle = loaded.values().filter(|folder| Arc::strong_count(folder) == 1);
        idle.map(|folder| IdleFolder { used: folder.used(), memory: folder.memory(), name: folder.name.clone() })
            .collect()
    }

    /// Takes a folder out of memory if still nobody uses it.
    pub(super) fn evict(&self, name: &FolderName) {
        let mut loaded = self.loaded.lock();
        if loaded.get(name).is_some_and(|folder| Arc::strong_count(folder) == 1) {
            loaded.remove(name);
        }
    }

    /// Whether no folder is in memory, and nothing else that only memory knows.
    pub(super) fn is_empty(&self) -> bool {
        self.loaded.lock().is_empty() && !self.account.unsynced.is_owed()
    }

    /// The time of last use, as a number that grows.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Folders in memory.
    pub(super) fn loaded(&self) -> Vec<Arc<Folder>> {
        self.loaded.lock().values().cloned().collect()
    }
}

/// Whether a folder is refused for good, such as another program's own: trying again does not help.
fn is_lasting(error: &Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, PermissionDenied, ReadOnlyFilesystem};
    let Error::Io { source, .. } = error else { return false };
    matches!(source.kind(), NotADirectory | PermissionDenied | ReadOnlyFilesystem)
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
