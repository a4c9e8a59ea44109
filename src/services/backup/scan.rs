//! Listing a user's mail while others change it.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;

use super::Error;
use super::base_name::{self, ByBaseName};
use super::error::at;
use crate::foundations::address::Address;
use crate::foundations::files::{is_directory, is_there};
use crate::storage::mailbox::{FileName, Place};

/// How often a folder is listed again because it changes while it is read.
const ATTEMPTS: usize = 5;
/// How long a directory can change without its time showing it, in nanoseconds, with a margin.
const GRAIN: i64 = 50_000_000;
/// Octets of names to ask the system for at a time.
const LISTED_AT_ONCE: usize = 64 << 10;
/// Depth to which directories that are not folders are followed.
const DEPTH: usize = 8;

/// The message files of a folder.
pub type Listing = base_name::Set<Listed>;

/// A message file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub place: Place,
    pub name: Vec<u8>,
    /// Octets, if the name says so.
    pub size: Option<u64>,
}

impl base_name::Named for Listed {
    fn name(&self) -> &[u8] {
        &self.name
    }
}

/// When the directories `new` and `cur` of a folder last changed, in nanoseconds since 1970.
pub type Times = [i64; 2];

/// What identifies a folder, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    device: u64,
    inode: u64,
    /// When the directory was created, if the file system knows: inode numbers of removed directories are soon reused.
    made: Option<SystemTime>,
}

/// The folders of a user at one moment.
#[derive(Debug, PartialEq, Eq)]
pub struct Folders {
    /// Their directories below the user's; the inbox is the empty one. Sorted.
    pub directories: Vec<String>,
    /// Directories of folders whose names are not UTF-8.
    pub unnamed: Vec<PathBuf>,
    /// Whether none appeared or disappeared meanwhile. One that is renamed just then may be missing.
    pub is_stable: bool,
}

/// Domain and local part of users, and directories whose names are not UTF-8.
pub type Users = (Vec<(String, String)>, Vec<PathBuf>);

/// The users with a directory below a mail root, of mail or of what they have before the first mail, such as a script; sorted.
pub fn users(mail_root: &Path) -> Result<Users, Error> {
    let mut users = Vec::new();
    let (domains, mut unnamed) = directories(mail_root)?;
    for domain in domains {
        let (locals, others) = directories(&mail_root.join(&domain))?;
        unnamed.extend(others);
        for local in locals {
            let home = mail_root.join(&domain).join(&local);
            let has_files = || match other_files(&home) {
                Ok(files) => Ok(!files.is_empty() && format!("{local}@{domain}").parse::<Address>().is_ok()),
                // Removed meanwhile.
                Err(_) if !is_there(&home)? => Ok(false),
                Err(error) => Err(error),
            };
            if is_directory(&home.join("cur"))? || has_files()? {
                users.push((domain.clone(), local));
            }
        }
    }
    users.sort();
    Ok((users, unnamed))
}

/// Names of directories, and the paths of those whose names are not UTF-8.
type Directories = (Vec<String>, Vec<PathBuf>);

fn directories(path: &Path) -> Result<Directories, Error> {
    let (mut names, mut unnamed) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(path).map_err(at("read", path))? {
        let entry = entry.map_err(at("read", path))?;
        let name = entry.file_name();
        if name.as_bytes().starts_with(b".") || !is_directory(&entry.path())? {
            continue;
        }
        match name.into_string() {
            Ok(name) => names.push(name),
            Err(_) => unnamed.push(entry.path()),
        }
    }
    Ok((names, unnamed))
}

/// Lists the folders of a user.
pub fn folders(user: &Path) -> Result<Folders, Error> {
    let changed = || fs::metadata(user).map(|user| (user.ctime(), user.ctime_nsec())).map_err(at("look for", user));
    let before = changed()?;
    let mut found = Folders { directories: vec![String::new()], unnamed: Vec::new(), is_stable: true };
    for entry in fs::read_dir(user).map_err(at("read", user))? {
        let entry = entry.map_err(at("read", user))?;
        let name = entry.file_name();
        // A second dot is the store's mark for folders being removed or restored.
        if !name.as_bytes().starts_with(b".") || name.as_bytes().starts_with(b"..") {
            continue;
        }
        if !is_directory(&entry.path().join("cur"))? {
            // The clock of the file system is too coarse to show every change, but a name that is gone shows one.
            found.is_stable &= is_there(&entry.path())?;
            continue;
        }
        match name.into_string() {
            Ok(name) => found.directories.push(name),
            Err(_) => found.unnamed.push(entry.path()),
        }
    }
    found.directories.sort();
    found.is_stable &= changed()? == before;
    Ok(found)
}

/// The messages of a folder, and the times of its directories if nothing has changed meanwhile. `now` is the time in
/// nanoseconds.
///
/// A file that is renamed while its directory is listed may be missed or seen twice. So listings are merged
/// until one of them was made without changes, and messages are identified by their base names.
pub fn messages(folder: &Path, now: impl Fn() -> i64) -> io::Result<(Listing, Option<Times>)> {
    let mut all = Listing::new();
    for _ in 0..ATTEMPTS {
        let begun = now();
        let before = times(folder)?;
        let mut listing = Listing::new();
        for place in [Place::New, Place::Cur] {
            list(folder, place, &mut listing)?;
        }
        let is_stable = times(folder)? == before && before.iter().all(|changed| begun - changed > GRAIN);
        if is_stable {
            return Ok((listing, Some(before)));
        }
        base_name::replace_all(&mut all, listing.into_iter().map(|ByBaseName(listed)| listed));
    }
    Ok((all, None))
}

fn list(folder: &Path, place: Place, listing: &mut Listing) -> io::Result<()> {
    let path = folder.join(place.directory());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = match rustix::fs::open(&path, flags, Mode::empty()) {
        // A folder that was just created, or one that another program created without it.
        Err(Errno::NOENT) if place == Place::New => return Ok(()),
        directory => directory?,
    };
    let mut buffer = Vec::with_capacity(LISTED_AT_ONCE);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        let Some(parsed) = FileName::parse(name, place) else { continue };
        let is_file = match entry.file_type() {
            FileType::RegularFile => true,
            // Not every file system says this here.
            FileType::Unknown => fs::symlink_metadata(path_of(folder, place, name)).is_ok_and(|file| file.is_file()),
            _ => false,
        };
        if is_file {
            listing.replace(ByBaseName(Listed { place, name: name.to_vec(), size: parsed.size }));
        }
    }
    Ok(())
}

/// When the directories of a folder last changed, by the change time of the inode: unlike the modification time, no program
/// can set it, and it changes with every name that is added or removed.
pub fn times(folder: &Path) -> io::Result<Times> {
    let time = |place: Place| match fs::metadata(folder.join(place.directory())) {
        Ok(metadata) => Ok(metadata.ctime().saturating_mul(1_000_000_000).saturating_add(metadata.ctime_nsec())),
        Err(error) if error.kind() == io::ErrorKind::NotFound && place == Place::New => Ok(0),
        Err(error) => Err(error),
    };
    Ok([time(Place::New)?, time(Place::Cur)?])
}

/// The file of a message.
pub fn path_of(folder: &Path, place: Place, name: &[u8]) -> PathBuf {
    folder.join(place.directory()).join(std::ffi::OsStr::from_bytes(name))
}

/// Opens a message's file, but nothing that would block or lead elsewhere.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOATIME;
    match rustix::fs::open(path, flags, Mode::empty()) {
        // Only the owner of a file may leave its access time unchanged.
        Err(Errno::PERM) => Ok(rustix::fs::open(path, flags - OFlags::NOATIME, Mode::empty())?.into()),
        opened => Ok(opened?.into()),
    }
}

/// Everything else in a user's or a folder's directory that is worth keeping, without that of other folders: paths below it,
/// sorted. Empty for a folder that is gone.
pub fn other_files(home: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    collect(home, Path::new(""), DEPTH, &mut found)?;
    found.sort();
    Ok(found)
}

/// The identity of this folder; `None` when it does not exist.
pub fn identity(folder: &Path) -> Result<Option<Identity>, Error> {
    match fs::metadata(folder) {
        Ok(directory) => {
            let (device, inode) = (directory.dev(), directory.ino());
            Ok(Some(Identity { device, inode, made: directory.created().ok() }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at("look for", folder)(error)),
    }
}

fn collect(home: &Path, below: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    let directory = home.join(below);
    let entries = match fs::read_dir(&directory) {
        // A folder that was removed or renamed since it was listed takes its files with it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(at("read", &directory))?,
    };
    for entry in entries {
        let entry = entry.map_err(at("read", &directory))?;
        let name = entry.file_name();
        let kind = match entry.file_type() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            kind => kind.map_err(at("read", &entry.path()))?,
        };
        let path = below.join(&name);
        if kind.is_dir() {
            let of_maildir = name == "cur" || name == "new" || name == "tmp" || entry.path().join("cur").is_dir();
            // Names with two dots are the store's marks for folders being removed or restored. Further below they are users'.
            let is_marked = depth == DEPTH && name.to_string_lossy().starts_with("..");
            if !of_maildir && depth > 0 && !is_marked {
                collect(home, &path, depth - 1, found)?;
            }
        } else if (kind.is_file() || kind.is_symlink()) && is_kept(&name.to_string_lossy()) {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether a file is more than a cache that can be rebuilt.
fn is_kept(name: &str) -> bool {
    let is_cache = ["postrider.index", "postrider.cache", "dovecot.index", "maildirsize", "dovecot.list.index"]
        .iter()
        .any(|cache| name.starts_with(cache));
    let is_passing = [".tmp", ".lock", ".temp"].iter().any(|ending| name.ends_with(ending));
    !is_cache && !is_passing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_what_matters() {
        let root = tempfile::tempdir().unwrap();
        let user = root.path().join("example.test/ann");
        for directory in ["cur", "new", "tmp", ".Sent/cur", ".Sent/new", "sieve/..x", "..removed.1/cur", ".hidden"] {
            fs::create_dir_all(user.join(directory)).unwrap();
        }
        fs::create_dir_all(root.path().join("example.test/no-mailbox")).unwrap();
        for file in ["cur/1.a.h,U=1:2,S", "new/2.b.h,U=2", "new/.x", "tmp/3.c", ".Sent/cur/4.d.h,U=1:2,"] {
            fs::write(user.join(file), "x").unwrap();
        }
        for file in ["subscriptions", "postrider-uid", "postrider.index", "sieve/a.sieve", ".Sent/dovecot-keywords"] {
            fs::write(user.join(file), "x").unwrap();
        }
        fs::write(user.join("sieve/..x/b.sieve"), "x").unwrap();
        fs::create_dir_all(root.path().join("example.test/carl/sieve")).unwrap();
        fs::write(root.path().join("example.test/carl/sieve/main.sieve"), "keep;").unwrap();
        let user = |local: &str| ("example.test".to_owned(), local.to_owned());
        let named = |name: &[u8]| std::ffi::OsStr::from_bytes(name).to_owned();
        let unnamed = root.path().join("example.test").join(named(b"ren\xe9"));
        let folder = root.path().join("example.test/ann").join(named(b".Caf\xe9"));
        for directory in [&unnamed, &folder] {
            fs::create_dir_all(directory.join("cur")).unwrap();
        }
        assert_eq!(users(root.path()).unwrap(), (vec![user("ann"), user("carl")], vec![unnamed]));
        let user = root.path().join("example.test/ann");
        let directories = vec![String::new(), ".Sent".to_owned()];
        assert_eq!(folders(&user).unwrap(), Folders { directories, unnamed: vec![folder], is_stable: true });
        let (listing, times) = messages(&user, || i64::MAX).unwrap();
        assert!(times.is_some());
        let mut names: Vec<_> =
            listing.iter().map(|ByBaseName(listed)| String::from_utf8(listed.name.clone()).unwrap()).collect();
        names.sort();
        assert_eq!(names, ["1.a.h,U=1:2,S", "2.b.h,U=2"]);
        let others = |home: &Path| -> Vec<String> {
            let found = other_files(home).unwrap();
            found.iter().map(|path| path.to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(others(&user), ["postrider-uid", "sieve/..x/b.sieve", "sieve/a.sieve", "subscriptions"]);
        assert_eq!(others(&user.join(".Sent")), ["dovecot-keywords"]);
        assert_eq!(others(&user.join(".Gone")), [] as [&str; 0]);
        assert_eq!((identity(&user).unwrap().is_some(), identity(&user.join(".Gone")).unwrap()), (true, None));
    }
}
