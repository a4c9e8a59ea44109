//! An inbox that was just made for its first message, and the syncs it still needs.
//!
//! The message needs two syncs of its own, and waiting for the disk is most of what a first delivery takes. So the inbox is
//! synced beside them by another thread; whoever tells anybody of what is in it waits for that first.

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

    /// Puts it on disk, unless that is done already. After a failure whoever asks next tries again. Blocks.
    pub fn sync(&self) -> io::Result<()> {
        let mut owed = self.0.lock();
        if let Some(inbox) = &mut *owed {
            inbox.sync()?;
            *owed = None;
        }
        Ok(())
    }
}
