//! An inbox just made for its first message, and the syncs it still needs.
//!
//! The message needs two syncs of its own, and a first delivery mostly waits for the disk. So another thread syncs the
//! inbox at the same time. Nobody is told of anything in the inbox before that is done.

use std::io;

use parking_lot::Mutex;

use super::maildir::directory::Fresh;

/// The inbox's directory, while it may not be on disk.
#[derive(Debug, Default)]
pub(super) struct Unsynced(Mutex<Option<Fresh>>);

impl Unsynced {
    /// Notes that it was made.
    pub fn owe(&self, inbox: Fresh) {
        *self.0.lock() = Some(inbox);
    }

    /// Whether it may not be on disk.
    pub fn is_owed(&self) -> bool {
        self.0.lock().is_some()
    }

    /// Syncs it, unless that has been done. After a failure, the next caller tries again. Blocks.
    pub fn sync(&self) -> io::Result<()> {
        let mut owed = self.0.lock();
        if let Some(inbox) = &mut *owed {
            inbox.sync()?;
            *owed = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;
    use crate::foundations::mail::{MailboxId, UidValidity};
    use crate::storage::mailbox::maildir::directory::{self, Directories, FolderKind};
    use crate::storage::mailbox::maildir::uid_file::UidFile;

    #[test]
    fn is_owed_until_it_is_on_disk() {
        let root = tempfile::tempdir().unwrap();
        let (parent, identity) =
            (directory::open(root.path()).unwrap(), UidFile::first(UidValidity::MIN, MailboxId::new(1)));
        let unsynced = Unsynced::default();
        unsynced.owe(Directories::create(parent.as_fd(), "ann", FolderKind::Root, &identity).unwrap());
        assert!(unsynced.is_owed());
        unsynced.sync().unwrap();
        assert!(!unsynced.is_owed());
        let inbox = directory::open(&root.path().join("ann")).unwrap();
        assert_eq!(UidFile::read(inbox.as_fd()).unwrap(), Some(identity));
    }

    #[test]
    fn what_failed_once_is_written_anew() {
        let root = tempfile::tempdir().unwrap();
        let (parent, identity) =
            (directory::open(root.path()).unwrap(), UidFile::first(UidValidity::MIN, MailboxId::new(1)));
        let mut inbox = Directories::create(parent.as_fd(), "ann", FolderKind::Root, &identity).unwrap();
        let file = root.path().join("ann").join(UidFile::NAME);
        let inode = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&file).unwrap());
        let before = inode();
        inbox.sync().unwrap();
        assert_eq!(inode(), before);
        inbox.sync().unwrap();
        assert_ne!(inode(), before, "the system would call octets written that it has lost");
    }
}
