//! Listing, making, deleting and renaming a user's folders.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::User;
use super::tree::REMOVED;
use crate::foundations::mail::{MailboxId, Uid, UidValidity};
use crate::storage::mailbox::maildir::directory::{Directories, FolderKind};
use crate::storage::mailbox::transfer::Transfer;
use crate::storage::mailbox::{Error, FolderEntry, FolderName, News, SpecialUse};

impl User {
    /// All folders, sorted by name, and subscribed names without a folder. The first call for a user creates and
    /// subscribes the default folders, as does the first look into any folder but the inbox.
    pub async fn folders(self: &Arc<Self>) -> Result<Vec<FolderEntry>, Error> {
        let user = Arc::clone(self);
        let settings = self.environment.settings.get();
        self.job(move || {
            user.prepare()?;
            user.tree.read()?;
            user.forget_removed();
            user.count_added();
            let subscribed = user.read_subscriptions()?;
            let there: BTreeSet<FolderName> = user.tree.names().into_iter().collect();
            let entry = |name: &FolderName| FolderEntry {
                special_use: SpecialUse::ALL.into_iter().find(|special| special.name(&settings) == name.as_str()),
                subscribed: subscribed.contains(name),
                exists: there.contains(name),
                name: name.clone(),
            };
            Ok(there.union(&subscribed).map(entry).collect())
        })
        .await
    }

    /// The name of the folder with a special use, whether it exists or not; `None` when the settings name none.
    pub fn special(&self, special_use: SpecialUse) -> Option<FolderName> {
        special_use.folder(&self.environment.settings.get())
    }

    /// The folder with a special use, if it exists. Those of a new user are made first. Blocks.
    pub fn special_folder(&self, special_use: SpecialUse) -> Option<FolderName> {
        let folder = self.special(special_use)?;
        if let Err(error) = self.prepare() {
            log::warn!(folder:% = folder; "The default folders cannot be made now: {error}");
        }
        self.knows(&folder).then_some(folder)
    }

    /// Whether a folder exists: one look at the disk, which blocks.
    pub fn knows(&self, folder: &FolderName) -> bool {
        // If the directory cannot be listed now, the earlier knowledge counts.
        let _ = self.tree.read();
        self.tree.has(folder)
    }

    /// Creates a folder (RFC 9051 §6.3.4); returns its identifier.
    pub async fn create(self: &Arc<Self>, folder: &FolderName) -> Result<Option<MailboxId>, Error> {
        let (user, folder) = (Arc::clone(self), folder.clone());
        self.job(move || {
            user.tree.read()?;
            let _gate = user.gate.write();
            if user.tree.has(&folder) {
                let inbox = folder.is_inbox();
                return Err(if inbox { Error::Inbox } else { Error::FolderExists(folder) });
            }
            user.make_folder(&folder)?;
            Ok(user.folder(&folder)?.id)
        })
        .await
    }

    /// Deletes a folder and the messages in it, not those below it (RFC 9051 §6.3.5). Returns the UIDs of the messages,
    /// ascending.
    pub async fn delete(self: &Arc<Self>, folder: &FolderName) -> Result<Vec<Uid>, Error> {
        let (user, folder) = (Arc::clone(self), folder.clone());
        self.job(move || {
            if folder.is_inbox() {
                return Err(Error::Inbox);
            }
            user.tree.read()?;
            let _gate = user.gate.write();
            user.delete_folder(&folder)
        })
        .await
    }

    /// Renames a folder and those below it; renaming INBOX moves its messages into a new folder (RFC 9051 §6.3.6).
    pub async fn rename(self: &Arc<Self>, from: &FolderName, to: &FolderName) -> Result<(), Error> {
        let (user, from, to) = (Arc::clone(self), from.clone(), to.clone());
        self.job(move || {
            if from.is_inbox() {
                user.know_usage()?;
            }
            let _gate = user.gate.write();
            user.tree.read()?;
            if user.tree.has(&to) {
                return Err(if to.is_inbox() { Error::Inbox } else { Error::FolderExists(to) });
            }
            if from.is_inbox() { user.rename_inbox(&to) } else { user.rename_folders(&from, &to) }
        })
        .await
    }
}

impl User {
    /// Called before a folder is looked up: a client may store the first message in Sent before it has listed anything.
    /// A first login that only looks into the inbox, which always exists, need not wait for five folders to be made.
    pub(in crate::storage::mailbox) fn prepare_for(&self, folder: &FolderName) -> Result<(), Error> {
        if folder.is_inbox() { Ok(()) } else { self.prepare() }
    }

    /// Creates and subscribes the default folders for a user who has never subscribed to any.
    pub(super) fn prepare(&self) -> Result<(), Error> {
        if self.prepared.load(Ordering::Acquire) {
            return Ok(());
        }
        let _gate = self.gate.write();
        if !self.has_subscriptions()? {
            let settings = self.environment.settings.get();
            for special in SpecialUse::ALL {
                if let Ok(name) = FolderName::parse(special.name(&settings))
                    && !self.tree.has(&name)
                {
                    match self.make_folder(&name) {
                        // A user who already has the maximum number of folders is shown these.
                        Err(Error::TooManyFolders(_)) => break,
                        made => made?,
                    }
                }
            }
            self.write_subscriptions(&self.tree.names().into_iter().collect())?;
        }
        self.prepared.store(true, Ordering::Release);
        Ok(())
    }

    pub(super) fn make_folder(&self, folder: &FolderName) -> Result<(), Error> {
        let count = self.tree.len();
        if count >= self.environment.settings.get().folders_per_user as usize {
            return Err(Error::TooManyFolders(count));
        }
        let failed = self.failed("make a folder");
        let root = self.own_root().map_err(&failed)?;
        let name = folder.directory();
        let identity = self.fresh_identity();
        let made = Directories::create(root.as_fd(), &name, FolderKind::Below, &identity);
        let synced = made.and_then(|mut folder| {
            let is_new = folder.is_new();
            folder.sync().inspect_err(|_| {
                if is_new {
                    self.take_back_folder(root.as_fd(), &name);
                }
            })
        });
        synced.map_err(&failed)?;
        self.tree.add(folder, name);
        self.folder(folder)?;
        self.account.hub.tell(|| News::Created(folder.clone()));
        Ok(())
    }

    /// Removes a folder that could not be synced: messages added to it would be acknowledged and then lost in a power
    /// failure.
    fn take_back_folder(&self, root: BorrowedFd<'_>, directory: &str) {
        let hidden = format!("{REMOVED}{}", self.environment.unique());
        if rustix::fs::renameat(root, directory, root, &*hidden).is_ok() {
            let _ = std::fs::remove_dir_all(self.path.join(hidden));
        }
    }

    fn delete_folder(&self, name: &FolderName) -> Result<Vec<Uid>, Error> {
        let failed = self.failed("delete a folder");
        let folder = self.folder(name)?;
        let last = folder.current();
        self.remember_validity(last.uid_validity)?;
        let root = self.own_root().map_err(&failed)?;
        let hidden = format!("{REMOVED}{}", self.environment.unique());
        let directory = name_of(&folder.path);
        rustix::fs::renameat(&root, directory, &root, &*hidden).map_err(|error| failed(error.into()))?;
        let synced = rustix::fs::fsync(&root);
        // Anyone who has the folder open may keep adding to it, and hidden directories are removed eventually: so it
        // either comes back for good or is gone for everybody.
        let is_back =
            || rustix::fs::renameat(&root, &*hidden, &root, directory).and_then(|()| rustix::fs::fsync(&root));
        if let Err(error) = synced
            && is_back().is_ok()
        {
            return Err(failed(error.into()));
        }
        self.account.tenure.check()?;
        self.forget(name);
        self.tree.remove(name);
        synced.map_err(|error| failed(error.into()))?;
        self.account.hub.tell(|| News::Deleted(name.clone()));
        // The rest is tidying up; leftovers are found when the folders are listed.
        let _ = std::fs::remove_dir_all(self.path.join(hidden));
        Ok(last.iter().map(|(record, _)| record.uid).collect())
    }

    fn rename_folders(&self, from: &FolderName, to: &FolderName) -> Result<(), Error> {
        if to.is_below(from) {
            return Err(Error::IntoItself(from.clone()));
        }
        let family: Vec<FolderName> =
            self.tree.names().into_iter().filter(|name| name == from || name.is_below(from)).collect();
        if family.is_empty() {
            return Err(Error::NoFolder(from.clone()));
        }
        let renamed: Option<Vec<FolderName>> = family.iter().map(|name| name.moved(from, to)).collect();
        let renamed = renamed.ok_or_else(|| Error::IntoItself(from.clone()))?;
        if let Some(taken) = renamed.iter().find(|name| self.tree.has(name)) {
            return Err(Error::FolderExists(taken.clone()));
        }
        let failed = self.failed("rename a folder");
        let root = self.own_root().map_err(&failed)?;
        // Another program may have removed one of them meanwhile, and each of the others must still get its own name.
        let paths = family.iter().zip(&renamed).map(|(old, new)| (self.tree.path_of(old), new.directory()));
        let moves: Vec<_> = paths.filter_map(|(path, new)| Some((name_of(&path?).to_owned(), new))).collect();
        rename_all(root.as_fd(), &moves).map_err(&failed)?;
        self.account.tenure.check()?;
        for (old, new) in family.iter().zip(&renamed) {
            self.forget(old);
            self.tree.rename(old, new, new.directory());
        }
        // Before anything is found in them under their new names.
        self.account.hub.tell(|| News::Renamed { from: from.clone(), to: to.clone() });
        for new in &renamed {
            if let Err(error) = self.folder(new) {
                // It has its new name, on disk; its usage is computed again.
                log::warn!(folder:% = new, error:% = error; "A folder cannot be read under its new name yet");
                self.account.doubt();
            }
        }
        Ok(())
    }

    /// Moves the inbox's messages into a new folder, all or none. The caller holds the gate for writing, so that nobody
    /// stores anything in that folder before it is certain to stay.
    fn rename_inbox(&self, to: &FolderName) -> Result<(), Error> {
        let renamed = self.make_folder(to).and_then(|()| self.fill_from_inbox(to));
        if renamed.is_err() && self.tree.has(to) {
            self.remove_if_empty(to);
        }
        renamed
    }

    fn fill_from_inbox(&self, to: &FolderName) -> Result<(), Error> {
        self.copy_metadata(&FolderName::inbox(), to)?;
        let inbox = self.folder(&FolderName::inbox())?;
        inbox.refresh()?;
        let uids: Vec<Uid> = inbox.current().iter().map(|(record, _)| record.uid).collect();
        self.transfer(&inbox, &uids, to, None, Transfer::Move)?;
        Ok(())
    }

    /// Removes a folder made for messages that did not arrive. It is kept if it has been moved meanwhile.
    fn remove_if_empty(&self, name: &FolderName) {
        let is_empty = self.folder(name).and_then(|folder| {
            folder.refresh()?;
            Ok(folder.current().iter().next().is_none())
        });
        let removed = is_empty.and_then(|is_empty| if is_empty { self.delete_folder(name).map(drop) } else { Ok(()) });
        if let Err(error) = removed {
            log::warn!(folder:% = name, error:% = error; "A folder whose creation failed cannot be removed");
        }
    }

    /// Drops a folder from memory and tells its sessions that it is gone.
    fn forget(&self, name: &FolderName) {
        if let Some(folder) = self.loaded.lock().remove(name) {
            folder.end();
        }
        self.account.withdraw(name, &self.environment);
    }

    /// Removes folders that another program has deleted from the usage.
    fn forget_removed(&self) {
        let _gate = self.enter();
        for name in self.account.folders().iter().filter(|name| !self.tree.has(name)) {
            if matches!(self.folder(name), Err(Error::NoFolder(_))) {
                self.account.withdraw(name, &self.environment);
            }
        }
    }

    /// Adds folders that another program has made, such as an import, to the usage.
    fn count_added(&self) {
        if self.account.usage().is_some() && self.tree.names().iter().any(|name| !self.account.has(name)) {
            self.account.doubt();
            // Whoever needs the usage gets the error.
            let _ = self.know_usage();
        }
    }

    /// Called before a folder whose UIDVALIDITY lies in the future is deleted: no later folder of its name may get the
    /// same one.
    fn remember_validity(&self, validity: UidValidity) -> Result<(), Error> {
        self.know_validity(validity);
        if i64::from(validity.get()) < self.environment.clock.now().unix_seconds() {
            return Ok(());
        }
        let inbox = self.folder(&FolderName::inbox())?;
        let directories = inbox.directories()?;
        let mut state = inbox.lock();
        state.uid_file.floor = state.uid_file.floor.max(Some(validity));
        inbox.write_uid_file(&state, &directories)
    }
}

/// Renames directories beside each other durably, all or none.
fn rename_all(root: BorrowedFd<'_>, moves: &[(OsString, String)]) -> io::Result<()> {
    let back = |moves: &[(OsString, String)]| {
        for (old, new) in moves.iter().rev() {
            let _ = rustix::fs::renameat(root, &**new, root, &**old);
        }
        let _ = rustix::fs::fsync(root);
    };
    for (at, (old, new)) in moves.iter().enumerate() {
        if let Err(error) = rustix::fs::renameat(root, &**old, root, &**new) {
            back(&moves[..at]);
            return Err(error.into());
        }
    }
    rustix::fs::fsync(root).inspect_err(|_| back(moves))?;
    Ok(())
}

fn name_of(path: &Path) -> &std::ffi::OsStr {
    path.file_name().unwrap_or_default()
}
