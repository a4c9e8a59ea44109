//! The directory that holds a user's mail: made when it is missing, and followed when somebody else replaces it.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::User;
use crate::foundations::files::is_directory;
use crate::storage::mailbox::Error;
use crate::storage::mailbox::maildir::directory::{self, Directories, FolderKind};
use crate::storage::mailbox::maildir::inodes::Inodes;

impl User {
    /// Makes the inbox when it is missing, and finds the folders.
    pub(super) fn move_in(&self) -> Result<(), Error> {
        if !is_directory(&self.path.join("cur"))? {
            self.make().map_err(self.failed("make the inbox"))?;
            // Callers that need it on disk wait for it, or try again and get the reason for the failure.
            let account = Arc::clone(&self.account);
            drop(tokio::task::spawn_blocking(move || account.unsynced.sync()));
        }
        if let Err(error) = self.tree.read() {
            let address = &self.account.address;
            log::error!(user:% = address, error:% = error; "Some folders of {address} cannot be read; the others are served");
        }
        *self.inodes.lock() = self.inodes_now()?;
        Ok(())
    }

    /// Makes the user's directory, which is the inbox, and the domain's.
    fn make(&self) -> std::io::Result<()> {
        let key = self.account.address.key();
        let (local, domain) = key.rsplit_once('@').unwrap_or((&key, ""));
        let top = directory::open(&self.root)?;
        if !self.root.join(domain).is_dir() {
            directory::make(top.as_fd(), domain)?;
            rustix::fs::fsync(&top)?;
        }
        let parent = directory::open(&self.root.join(domain))?;
        let made = Directories::create(parent.as_fd(), local, FolderKind::Root, &self.fresh_identity())?;
        self.account.unsynced.owe(made);
        Ok(())
    }

    /// Starts over when somebody else has moved the user's directory away, perhaps putting another one in its place:
    /// nobody would find mail that arrives in the old one. Not after [`User::enter`]: it waits for the gate itself.
    pub(super) fn look_around(&self) -> Result<(), Error> {
        if self.is_at_home()? {
            return Ok(());
        }
        let _gate = self.gate.write();
        // Not if we have moved it away ourselves: then the mail is another user's by now, or gone.
        self.account.tenure.check()?;
        if self.is_at_home()? {
            return Ok(());
        }
        // Below the mount point of an unmounted disk there are no domains either: mail stored there would be hidden
        // later.
        directory::open(self.path.parent().unwrap_or(&self.root)).map_err(self.failed("look for the inbox"))?;
        let address = &self.account.address;
        log::warn!(user:% = address; "The mail directory of {address} was replaced or removed; its present content is served");
        for (_, folder) in self.loaded.lock().drain() {
            folder.end();
        }
        self.account.forget_usage();
        self.asked.lock().clear();
        self.prepared.store(false, Ordering::Release);
        self.tree.doubt();
        self.move_in()
    }

    fn is_at_home(&self) -> Result<bool, Error> {
        let known = *self.inodes.lock();
        Ok(known.is_same_as(self.inodes_now()?))
    }

    /// What lies at the path of the user's directory.
    fn inodes_now(&self) -> Result<Inodes, Error> {
        Inodes::at(&self.path).map_err(self.failed("look for the inbox"))
    }
}
