//! Files made on behalf of another user: by root, for the server's user.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, lchown};
use std::path::Path;

use rustix::fs::{Gid, Timespec, Timestamps, Uid};

use super::{Error, at, is_directory, sync_directory};

/// Owner of new files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner(Option<(u32, u32)>);

impl Owner {
    /// The user that runs this process.
    pub const SELF: Self = Self(None);

    /// Like [`super::write_durable`], for the owner.
    ///
    /// # Errors
    /// Any of its steps fails; then `path` is as it was and the temporary file is gone.
    pub fn write_durable(self, path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
        super::replace(path, content, mode, self)
    }

    /// The owner of a directory, if it is not the user that runs this process.
    ///
    /// # Errors
    /// The directory cannot be looked at.
    pub fn of(directory: &Path) -> Result<Self, Error> {
        let metadata = fs::metadata(directory).map_err(at("read", directory))?;
        let is_other = rustix::process::geteuid().is_root() && metadata.uid() != 0;
        Ok(Self(is_other.then_some((metadata.uid(), metadata.gid()))))
    }

    /// The same for an open directory.
    ///
    /// # Errors
    /// The directory cannot be looked at.
    pub fn of_open(directory: BorrowedFd<'_>) -> io::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::SELF);
        }
        let found = rustix::fs::fstat(directory)?;
        Ok(Self((found.st_uid != 0).then_some((found.st_uid, found.st_gid))))
    }

    /// Gives an existing file to the owner.
    ///
    /// # Errors
    /// It cannot be given.
    pub fn give_path(self, path: &Path) -> Result<(), Error> {
        if self.0.is_none() {
            return Ok(());
        }
        let file = File::open(path).map_err(at("open", path))?;
        self.give(&file).map_err(at("change the owner of", path))
    }

    /// The same for an open file or directory.
    ///
    /// # Errors
    /// It cannot be given.
    pub fn give(self, file: impl AsFd) -> io::Result<()> {
        match self.0 {
            Some((user, group)) => Ok(rustix::fs::fchown(file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?),
            None => Ok(()),
        }
    }

    /// The same for a symbolic link itself.
    ///
    /// # Errors
    /// It cannot be given.
    pub fn give_link(self, path: &Path) -> Result<(), Error> {
        match self.0 {
            Some((user, group)) => lchown(path, Some(user), Some(group)).map_err(at("change the owner of", path)),
            None => Ok(()),
        }
    }

    /// Makes a directory that only its owner can enter, and the missing ones above it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make_directory(self, path: &Path) -> Result<(), Error> {
        if is_directory(path)? {
            return Ok(());
        }
        if let Some(above) = path.parent() {
            self.make_directory(above)?;
        }
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            made => made.map_err(at("create", path))?,
        }
        let directory = File::open(path).map_err(at("create", path))?;
        directory.set_permissions(fs::Permissions::from_mode(0o700)).map_err(at("create", path))?;
        self.give(&directory).map_err(at("change the owner of", path))
    }

    /// Writes a new file with permission bits `mode` and the given date, in nanoseconds since 1970. It is not synced.
    ///
    /// # Errors
    /// It is there already, or cannot be written; then no part of it is left.
    pub fn write_new(self, path: &Path, content: &[u8], mode: u32, date: i64) -> Result<(), Error> {
        let file = OpenOptions::new().write(true).create_new(true).mode(mode & 0o777).open(path);
        let mut file = file.map_err(at("create", path))?;
        let time = Timespec { tv_sec: date.div_euclid(1_000_000_000), tv_nsec: date.rem_euclid(1_000_000_000) };
        let written = file.write_all(content).and_then(|()| self.give(&file)).and_then(|()| {
            Ok(rustix::fs::futimens(&file, &Timestamps { last_access: time, last_modification: time })?)
        });
        written.map_err(|error| {
            let _ = fs::remove_file(path);
            at("write", path)(error)
        })
    }
}

/// Syncs everything written to a file system at once.
///
/// # Errors
/// The disk fails.
pub fn sync_file_system(path: &Path) -> Result<(), Error> {
    let directory = File::open(path).map_err(at("sync", path))?;
    rustix::fs::syncfs(&directory).map_err(|error| at("sync", path)(error.into()))
}

/// Gives a complete directory its final name, which must be free.
///
/// # Errors
/// The name is taken, or the disk fails.
pub fn publish_directory(from: &Path, to: &Path) -> Result<(), Error> {
    sync_file_system(from)?;
    publish(from, to)?;
    sync_directory(to.parent().unwrap_or(to))
}

/// Gives a synced file or directory its final name, which must be free. The directory around it still needs a sync.
///
/// # Errors
/// The name is taken, or the disk fails.
pub fn publish(from: &Path, to: &Path) -> Result<(), Error> {
    let flags = rustix::fs::RenameFlags::NOREPLACE;
    let renamed = rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, flags);
    renamed.map_err(|error| at("rename", to)(error.into()))
}
