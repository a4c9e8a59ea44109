//! Where the files of a repository are: in a directory or in a bucket.

mod bucket;
mod directory;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

pub use bucket::BucketBackend;
pub use directory::DirectoryBackend;

use super::{Access, ObjectId};
use crate::services::backup::destination::Destination;
use crate::services::backup::error::at;
use crate::services::backup::{BackupSettings, Error};

/// Where damaged files are moved, out of the repository.
pub const ASIDE: &str = "damaged";

/// The name of a damaged file that is set aside.
pub fn aside(name: &str) -> String {
    let own = name.rsplit_once('/').map_or(name, |(_, own)| own);
    format!("{}/{own}", ASIDE)
}

/// An existing file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its name below the root, with slashes.
    pub name: String,
    /// Octets.
    pub size: u64,
}

/// The file of a whole pack on this machine. A copy made for this is removed when it is dropped.
pub struct Fetched {
    /// Where it is.
    pub path: PathBuf,
    is_copy: bool,
}

impl Drop for Fetched {
    fn drop(&mut self) {
        if self.is_copy {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Where the files of a repository are. Names have slashes and do not lead outside. All functions block.
pub trait Backend: Send + Sync {
    /// The name of a file for people, or of the whole backend if the name is empty.
    fn shown(&self, name: &str) -> PathBuf;

    /// The files in `packs` or `snapshots`, sorted by name.
    fn list(&self, directory: &str) -> Result<Vec<Listed>, Error>;

    /// Whether there is something that does not belong in a repository.
    fn has_foreign_files(&self) -> Result<bool, Error>;

    /// Creates whatever a repository needs and does not have yet.
    fn initialize(&self) -> Result<(), Error>;

    /// A whole file of at most `largest` octets; `None` when it does not exist.
    fn read(&self, name: &str, largest: u64) -> Result<Option<Vec<u8>>, Error>;

    /// A piece of a file.
    fn read_at(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, Error>;

    /// A whole file as a file on this machine.
    fn fetch(&self, file: &Listed) -> Result<Fetched, Error>;

    /// Stores a file. When it returns, the file is durable.
    fn put(&self, name: &str, content: &[u8]) -> Result<(), Error>;

    /// Directory on this machine for packs being written.
    fn unfinished(&self) -> &Path;

    /// Stores a copy of a file on this machine whose SHA-256 is `id`. When it returns, the copy is durable.
    fn add(&self, source: &Path, name: &str, id: ObjectId) -> Result<(), Error>;

    /// Stores a finished file whose SHA-256 is `id`, and removes it from the unfinished ones. When it returns, the file is
    /// durable.
    fn take(&self, finished: &Path, name: &str, id: ObjectId) -> Result<(), Error>;

    /// Removes a file.
    fn remove(&self, name: &str) -> Result<(), Error>;

    /// Renames a file, replacing any file of that name.
    fn set_aside(&self, file: &Listed, name: &str) -> Result<(), Error>;

    /// The end of a pack, from the list on, as cached on this machine.
    fn kept_end(&self, _name: &str) -> Option<Vec<u8>> {
        None
    }

    /// Caches the end of a pack on this machine if reading it again would take long.
    fn keep_end(&self, _name: &str, _end: &[u8]) {}

    /// Drops the cached ends of packs that are not among these.
    fn forget_ends(&self, _packs: &[Listed]) {}

    /// Directory with the lock files for writers and readers.
    fn locks(&self) -> &Path;
}

/// The backend for a destination.
pub fn open(destination: &Destination, settings: &BackupSettings) -> Result<Box<dyn Backend>, Error> {
    Ok(match destination {
        Destination::Directory(root) => Box::new(DirectoryBackend::new(root)),
        Destination::Bucket(place) => Box::new(BucketBackend::open(place.clone(), &settings.s3)?),
    })
}

/// Locks a backend for a purpose; it is unlocked when the files are dropped.
pub fn lock(backend: &dyn Backend, access: Access) -> Result<Vec<File>, Error> {
    let take = |name: &str, alone: bool| {
        let path = backend.locks().join(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        // A read-only file can be locked nevertheless.
        let file =
            file.or_else(|error| if read_only(&error) { File::open(&path).map_err(|_| error) } else { Err(error) });
        let file = match file {
            // A process that may only read does without a lock: nothing is removed where nobody may write.
            Err(error) if access == Access::Read && read_only(&error) => return Ok(None),
            file => file.map_err(at("lock", &path))?,
        };
        let locked = if alone { file.try_lock() } else { file.try_lock_shared() };
        match locked {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Err(Error::Busy(backend.shown(""))),
            Err(fs::TryLockError::Error(error)) => Err(at("lock", &path)(error)),
        }
    };
    let wanted: &[(&str, bool)] = match access {
        Access::Read => &[("reading.lock", false)],
        Access::Add => &[("writing.lock", true)],
        Access::Remove => &[("writing.lock", true), ("reading.lock", true)],
    };
    let locks = wanted.iter().map(|(name, alone)| take(name, *alone)).collect::<Result<Vec<_>, _>>()?;
    Ok(locks.into_iter().flatten().collect())
}

fn read_only(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem)
}
