//! Directories of temporary servers: a whole copy of mail, accounts and keys, which must not be left behind.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::foundations::files;

/// The prefix of the directories' names.
const PREFIX: &str = "postrider-drill-";
/// The file that is locked while the drill runs. A server that is to be kept loses it.
const LOCK: &str = "drill.lock";

/// The directory of a temporary server, removed when this is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) path: PathBuf,
    keep: bool,
    _lock: File,
}

impl Scratch {
    /// Creates one in a directory.
    pub(super) fn create(above: &Path, name: &str, keep: bool) -> anyhow::Result<Self> {
        let path = above.join(format!("{PREFIX}{name}"));
        files::create_directory(&path, 0o700)?;
        // It gets its name only once it is locked, so that it is never found unlocked.
        let unnamed = path.join("unnamed.lock");
        let lock = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unnamed)?;
        lock.lock()?;
        fs::rename(&unnamed, path.join(LOCK))?;
        Ok(Self { path, keep, _lock: lock })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.keep {
            let _ = fs::remove_file(self.path.join(LOCK));
            return;
        }
        // A thread that is still writing may interfere.
        for _ in 0..ATTEMPTS {
            if fs::remove_dir_all(&self.path).is_ok() && !self.path.exists() {
                break;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

const ATTEMPTS: usize = 20;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// Removes what earlier drills of this user left behind when they were killed; returns how many there were.
pub(super) fn remove_abandoned(above: &Path) -> usize {
    let entries = fs::read_dir(above).into_iter().flatten().flatten();
    let own = rustix::process::geteuid().as_raw();
    let abandoned = entries.filter(|entry| {
        // Others may write there too.
        let is_own = entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == own);
        entry.file_name().to_string_lossy().starts_with(PREFIX) && is_own && is_free(&entry.path().join(LOCK))
    });
    abandoned.filter(|entry| fs::remove_dir_all(entry.path()).is_ok()).count()
}

/// Whether there is a lock file that nobody holds.
fn is_free(lock: &Path) -> bool {
    let Ok(file) = File::open(lock) else { return false };
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_abandoned_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let running = Scratch::create(place.path(), "running", false).unwrap();
        let kept = Scratch::create(place.path(), "kept", true).unwrap().path.clone();
        let abandoned = place.path().join("postrider-drill-abandoned");
        for directory in [&abandoned, &place.path().join("postrider-drill-of-others"), &place.path().join("other")] {
            fs::create_dir_all(directory.join("mail")).unwrap();
        }
        for directory in [&abandoned, &place.path().join("other")] {
            fs::write(directory.join(LOCK), "").unwrap();
        }
        assert_eq!(remove_abandoned(place.path()), 1);
        assert!(!abandoned.exists() && kept.exists() && running.path.exists());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 4);
        let path = running.path.clone();
        drop(running);
        assert!(!path.exists());
    }
}
