//! Files that are on the disk when the call returns.
//!
//! Promises: after a crash during [`write_durable`] there is either the old file or the new one, whole, and after
//! success the new one; [`sync_directory`] makes the present names in a directory durable. Every error names the path
//! and the operation. All functions block: async callers run them with `spawn_blocking`.

mod own;
mod owner;

pub use own::{open_own, read_own};
pub use owner::{Owner, publish, publish_directory, sync_file_system};

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::foundations::failure::Kind;

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} `{}`: {source}", path.display())]
pub struct Error {
    /// What was tried: `read`, `write`, `sync`, `rename`, `create`, `look for`.
    pub verb: &'static str,
    /// On which path.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

impl Error {
    /// The kind of failure.
    pub fn kind(&self) -> Kind {
        match self.source.kind() {
            io::ErrorKind::NotFound => Kind::NotFound,
            io::ErrorKind::AlreadyExists => Kind::Exists,
            io::ErrorKind::IsADirectory => Kind::Invalid,
            io::ErrorKind::PermissionDenied => Kind::NoPermission,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Kind::NoSpace,
            _ => Kind::Temporary,
        }
    }
}

/// Adds the operation and the path to an I/O error.
fn at<'a>(verb: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error { verb, path: path.to_owned(), source }
}

/// Puts `content` under `path`: into a temporary file beside it with permission bits `mode`, synced, renamed, and the
/// directory synced.
///
/// # Errors
/// Any of these steps fails; then `path` is as it was and the temporary file is gone.
pub fn write_durable(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    Owner::SELF.write_durable(path, content, mode)
}

fn replace(path: &Path, content: &[u8], mode: u32, owner: Owner) -> Result<(), Error> {
    let temporary = temporary_beside(path);
    let written = write_new(&temporary, content, mode)
        .and_then(|()| owner.give_path(&temporary))
        .and_then(|()| fs::rename(&temporary, path).map_err(at("rename", &temporary)))
        .and_then(|()| sync_directory(parent(path)));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(at("create", path))?;
    file.write_all(content).map_err(at("write", path))?;
    file.sync_all().map_err(at("sync", path))
}

/// A name in the same directory that nothing else uses: hidden, with this process and a counter in it.
fn temporary_beside(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut name = OsString::from(".");
    // A file name has at most 255 octets.
    let of_file = path.file_name().unwrap_or_default().as_bytes();
    name.push(OsStr::from_bytes(&of_file[..of_file.len().min(200)]));
    name.push(format!(".{}.{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    path.with_file_name(name)
}

/// Renames within one file system and syncs the directories on both sides.
///
/// # Errors
/// The rename or a sync fails; after a failed sync, a crash may leave the new name or not.
pub fn rename_durable(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(at("rename", from))?;
    sync_directory(parent(to))?;
    if parent(from) == parent(to) { Ok(()) } else { sync_directory(parent(from)) }
}

/// Makes the names in a directory durable.
///
/// # Errors
/// The directory cannot be opened or the disk fails.
pub fn sync_directory(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(at("sync", path))
}

/// Waits until no other process has this directory locked, and keeps it locked until the returned file is dropped.
///
/// # Errors
/// The directory cannot be opened, or its file system does not support locks.
pub fn lock_directory(path: &Path) -> Result<fs::File, Error> {
    let directory = fs::File::open(path).map_err(at("open", path))?;
    directory.lock().map_err(at("lock", path))?;
    Ok(directory)
}

/// Creates a directory and those above it that are missing, with permission bits `mode`, and makes their names durable.
///
/// # Errors
/// A directory cannot be created, or something else is in its place.
pub fn create_directory(path: &Path, mode: u32) -> Result<(), Error> {
    if is_directory(path)? {
        return Ok(());
    }
    let above = parent(path);
    if above != path {
        create_directory(above, mode)?;
    }
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => sync_directory(above),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(at("create", path)(error)),
    }
}

/// Reads a file that should have at most `limit` octets.
///
/// # Errors
/// It cannot be read, or is larger.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    let file = File::open(path).map_err(at("read", path))?;
    let length = file.take(limit.saturating_add(1)).read_to_end(&mut content).map_err(at("read", path))?;
    if length as u64 > limit {
        return Err(at("read", path)(io::Error::other(format!("it is larger than {limit} octets"))));
    }
    Ok(content)
}

/// Whether a path is not a symbolic link, or a link set by root, or by a user to something that user owns: such a link
/// reveals nothing that its owner could not read. For a link to nothing the answer is no.
///
/// # Errors
/// The path is not there, or cannot be looked at.
pub fn leads_to_own(path: &Path) -> Result<bool, Error> {
    let link = fs::symlink_metadata(path).map_err(at("read", path))?;
    if !link.is_symlink() || link.uid() == 0 {
        return Ok(true);
    }
    match fs::metadata(path) {
        Ok(target) => Ok(target.uid() == link.uid()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(at("read", path)(error)),
    }
}

/// Whether something is there. A disk that fails does not count as "no".
///
/// # Errors
/// The disk cannot be asked.
pub fn is_there(path: &Path) -> Result<bool, Error> {
    path.try_exists().map_err(at("look for", path))
}

/// Whether a directory is there, as far as this process may look.
///
/// # Errors
/// The disk cannot be asked.
pub fn is_directory(path: &Path) -> Result<bool, Error> {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | PermissionDenied) => Ok(false),
        // A link to itself.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => Ok(false),
        Err(error) => Err(at("look for", path)(error)),
    }
}

/// The directory a path lies in; the working directory for a bare name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn replaces_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/file");
        create_directory(path.parent().unwrap(), 0o700).unwrap();
        for content in [&b"one"[..], b"", b"three"] {
            write_durable(&path, content, 0o640).unwrap();
            assert_eq!(read_bounded(&path, 5).unwrap(), content);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        rename_durable(&path, &directory.path().join("other")).unwrap();
        assert!(!path.exists());
        write_durable(&directory.path().join("x".repeat(255)), b"long", 0o600).unwrap();
    }

    #[test]
    fn failures_name_the_path_and_clean_up() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing/file");
        let error = write_durable(&missing, b"x", 0o600).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.to_string().contains("missing/.file."));
        let target = directory.path().join("is-a-directory");
        fs::create_dir(&target).unwrap();
        assert!(write_durable(&target, b"x", 0o600).is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        fs::write(directory.path().join("big"), [0; 9]).unwrap();
        assert!(read_bounded(&directory.path().join("big"), 8).is_err());
    }
}
