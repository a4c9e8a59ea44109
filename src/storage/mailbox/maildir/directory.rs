//! A folder's directories, held open, and the operations in them.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Timespec, Timestamps};

use super::filename::Place;
use super::inodes::Inodes;
use super::small;
use super::uid_file::{self, UidFile};
use crate::foundations::clock::Timestamp;
use crate::foundations::files::Owner;
use crate::storage::cluster::Tenure;

/// The three directories of one folder; `tmp/` is reached through the root.
#[derive(Debug)]
pub struct Directories {
    root: OwnedFd,
    new: OwnedFd,
    cur: OwnedFd,
    /// Asked before a name appears, changes or goes, and before anybody learns that it has.
    tenure: Tenure,
}

/// A folder that was just made, and may not survive a crash yet.
#[derive(Debug)]
#[must_use = "nobody may learn of the folder before it is on disk"]
pub struct Fresh {
    /// Its file with UIDVALIDITY and identifier, when it has a new one.
    identity: Option<OwnedFd>,
    root: OwnedFd,
    parent: OwnedFd,
}

impl Fresh {
    /// Whether its directory was just created, so that nothing is certain to be on disk.
    pub const fn is_new(&self) -> bool {
        self.identity.is_some()
    }

    /// Puts the folder on disk.
    pub fn sync(&mut self) -> io::Result<()> {
        match self.identity.take() {
            Some(identity) => rustix::fs::fdatasync(identity)?,
            // Already tried: the system reports a failure only once (fsync(2)), and would call lost octets written.
            None => {
                if let Some(identity) = UidFile::read(self.root.as_fd())? {
                    identity.write(self.root.as_fd())?;
                }
            }
        }
        rustix::fs::fsync(&self.root)?;
        rustix::fs::fsync(&self.parent)?;
        Ok(())
    }
}

/// When the directories last changed, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mtimes {
    /// `new/`.
    pub new: i64,
    /// `cur/`.
    pub cur: i64,
}

impl Mtimes {
    /// The later of the two.
    pub fn latest(self) -> i64 {
        self.new.max(self.cur)
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Directories {
    /// Opens a folder. `new/` and `tmp/` are made when they are missing beside a `cur/`.
    pub fn open(path: &Path, tenure: Tenure) -> io::Result<Self> {
        let root = rustix::fs::open(path, DIRECTORY, Mode::empty())?;
        let cur = rustix::fs::openat(&root, "cur", DIRECTORY, Mode::empty())?;
        let new = match rustix::fs::openat(&root, "new", DIRECTORY, Mode::empty()) {
            Ok(new) => new,
            Err(rustix::io::Errno::NOENT) => {
                make(root.as_fd(), "new")?;
                rustix::fs::openat(&root, "new", DIRECTORY, Mode::empty())?
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Self { root, new, cur, tenure })
    }

    /// Makes a folder: its directory in `parent`, `tmp/`, `new/` and finally `cur/`, by which it is recognised. A new
    /// directory gets this identity. All of it is on disk once the returned value has been synced.
    pub fn create(parent: BorrowedFd<'_>, name: &str, kind: FolderKind, identity: &UidFile) -> io::Result<Fresh> {
        let is_new = make(parent, name)?;
        let filled = Self::fill(parent, name, kind, is_new.then_some(identity));
        if filled.is_err() && is_new {
            // Its remains would be in the way of another folder of that name.
            for directory in ["cur", "new", "tmp"] {
                let _ = rustix::fs::unlinkat(parent, format!("{name}/{directory}"), AtFlags::REMOVEDIR);
            }
            for file in ["maildirfolder", uid_file::NAME] {
                let _ = rustix::fs::unlinkat(parent, format!("{name}/{file}"), AtFlags::empty());
            }
            let _ = rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
        }
        filled
    }

    fn fill(parent: BorrowedFd<'_>, name: &str, kind: FolderKind, identity: Option<&UidFile>) -> io::Result<Fresh> {
        let root = rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())?;
        for directory in ["tmp", "new"] {
            make(root.as_fd(), directory)?;
        }
        if kind == FolderKind::Below {
            // Maildir++: tells delivery programs that the quota's maildirsize lies one level up.
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&root, "maildirfolder", flags, Mode::RUSR | Mode::WUSR)?;
            Owner::of_open(root.as_fd())?.give(file)?;
        }
        let identity = identity.map(|identity| identity.write_unsynced(root.as_fd())).transpose()?;
        make(root.as_fd(), "cur")?;
        Ok(Fresh { identity, root, parent: parent.try_clone_to_owned()? })
    }

    /// The folder itself, for writing its small files.
    pub fn own_root(&self) -> io::Result<BorrowedFd<'_>> {
        self.tenure.check()?;
        Ok(self.root.as_fd())
    }

    /// The folder itself.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Which directories these are.
    pub fn inodes(&self) -> io::Result<Inodes> {
        Inodes::of(self.root.as_fd(), self.cur.as_fd())
    }

    /// One of its directories.
    pub fn place(&self, place: Place) -> BorrowedFd<'_> {
        match place {
            Place::New => self.new.as_fd(),
            Place::Cur => self.cur.as_fd(),
        }
    }

    /// When its directories last changed.
    pub fn mtimes(&self) -> io::Result<Mtimes> {
        Ok(Mtimes { new: mtime(self.new.as_fd())?, cur: mtime(self.cur.as_fd())? })
    }

    /// Writes a message into `tmp/`, with its date, and syncs it. Returns the date that the file has: if the file system
    /// cannot store the given one (ext4 begins in 1901), the nearest. On failure nothing is left behind.
    pub fn write_temporary(&self, unique: &str, pieces: &[&[u8]], date: Timestamp) -> io::Result<Timestamp> {
        self.tenure.check()?;
        let path = format!("tmp/{unique}");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.root, &*path, flags, Mode::RUSR | Mode::WUSR) {
            Err(rustix::io::Errno::NOENT) => {
                make(self.root(), "tmp")?;
                rustix::fs::openat(&self.root, &*path, flags, Mode::RUSR | Mode::WUSR)?
            }
            other => other?,
        };
        let written = Owner::of_open(self.root())
            .and_then(|owner| owner.give(&file))
            .and_then(|()| small::write_all(file.as_fd(), pieces))
            .and_then(|()| Ok(rustix::fs::futimens(&file, &timestamps(date))?))
            .and_then(|()| Ok(rustix::fs::fdatasync(&file)?))
            .and_then(|()| Ok(rustix::fs::fstat(&file)?));
        if written.is_err() {
            self.remove_temporary(unique);
        }
        Ok(Timestamp::from_unix_seconds(written?.st_mtime))
    }

    /// Removes a file from `tmp/`, if possible.
    pub fn remove_temporary(&self, unique: &str) {
        let _ = rustix::fs::unlinkat(&self.root, format!("tmp/{unique}"), AtFlags::empty());
    }

    /// Removes abandoned files from `tmp/`: those whose inode last changed before `before`, since the modification time
    /// of a file is its message's date.
    pub fn tidy(&self, before: Timestamp) -> io::Result<()> {
        self.tenure.check()?;
        let temporary = match rustix::fs::openat(&self.root, "tmp", DIRECTORY, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            opened => opened?,
        };
        let mut names = Vec::new();
        list(temporary.as_fd(), &mut |name| names.push(name.to_vec()))?;
        for name in names {
            let stat = rustix::fs::statat(&temporary, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
            let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            if is_file && stat.st_ctime < before.unix_seconds() {
                rustix::fs::unlinkat(&temporary, &*name, AtFlags::empty())?;
            }
        }
        Ok(())
    }

    /// Makes a file in `tmp/` visible under its name.
    pub fn publish(&self, unique: &str, place: Place, name: &[u8]) -> io::Result<()> {
        self.tenure.check()?;
        Ok(rustix::fs::renameat(&self.root, format!("tmp/{unique}"), self.place(place), name)?)
    }

    /// Renames a message. If somebody else renamed it first, the result is `NotFound`.
    pub fn rename(&self, from: (Place, &[u8]), to: (Place, &[u8])) -> io::Result<()> {
        self.tenure.check()?;
        Ok(rustix::fs::renameat(self.place(from.0), from.1, self.place(to.0), to.1)?)
    }

    /// Removes a message; returns whether it was there.
    pub fn remove(&self, place: Place, name: &[u8]) -> io::Result<bool> {
        self.tenure.check()?;
        match rustix::fs::unlinkat(self.place(place), name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a message a second name, in another folder or this one.
    pub fn link(&self, from: (Place, &[u8]), other: &Self, to: (Place, &[u8])) -> io::Result<()> {
        self.tenure.check()?;
        Ok(rustix::fs::linkat(self.place(from.0), from.1, other.place(to.0), to.1, AtFlags::empty())?)
    }

    /// Whether a message's file is there.
    pub fn has(&self, place: Place, name: &[u8]) -> bool {
        rustix::fs::statat(self.place(place), name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Size and date of a message's file; `None` when it is not a plain file.
    pub fn stat(&self, place: Place, name: &[u8]) -> io::Result<Option<(u64, Timestamp)>> {
        let stat = rustix::fs::statat(self.place(place), name, AtFlags::SYMLINK_NOFOLLOW)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        Ok(plain.then(|| (size, Timestamp::from_unix_seconds(stat.st_mtime))))
    }

    /// When a message's file was last written to, in nanoseconds since 1970. `None` when it is not a plain file, or has another
    /// name, too: then it was complete when it got this one.
    pub fn written_at(&self, place: Place, name: &[u8]) -> io::Result<Option<i64>> {
        let stat = rustix::fs::statat(self.place(place), name, AtFlags::SYMLINK_NOFOLLOW)?;
        let alone = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 1;
        Ok(alone.then(|| nanoseconds(&stat)))
    }

    /// Opens a message's file.
    pub fn open_message(&self, place: Place, name: &[u8]) -> io::Result<std::fs::File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        Ok(rustix::fs::openat(self.place(place), name, flags, Mode::empty())?.into())
    }

    /// Syncs a directory, and succeeds only while this process still owns the mail.
    pub fn sync(&self, place: Place) -> io::Result<()> {
        rustix::fs::fsync(self.place(place))?;
        Ok(self.tenure.check()?)
    }

    /// Calls back with the name of each file in a directory.
    pub fn list(&self, place: Place, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        // Opened again: a directory's read position belongs to its descriptor.
        let directory = rustix::fs::openat(&self.root, place.directory(), DIRECTORY, Mode::empty())?;
        list(directory.as_fd(), &mut each)
    }
}

/// Whether a folder is the user's own directory or one below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderKind {
    /// The inbox.
    Root,
    /// Any other.
    Below,
}

/// Calls back with the name of each entry of an open directory, except `.` and `..`.
pub fn list(directory: BorrowedFd<'_>, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![MaybeUninit::<u8>::uninit(); 64 << 10];
    let mut entries = RawDir::new(directory, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            each(name);
        }
    }
    Ok(())
}

/// When a directory last changed.
pub fn mtime(directory: BorrowedFd<'_>) -> io::Result<i64> {
    Ok(nanoseconds(&rustix::fs::fstat(directory)?))
}

/// When something was last changed, in nanoseconds since 1970.
fn nanoseconds(stat: &rustix::fs::Stat) -> i64 {
    let nanoseconds = i64::try_from(stat.st_mtime_nsec).unwrap_or(0);
    stat.st_mtime.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// Makes a directory that only its owner can enter, who is that of the one above it; an existing one is no error. Returns
/// whether it was missing.
pub fn make(parent: BorrowedFd<'_>, name: &str) -> io::Result<bool> {
    match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        Ok(()) => {
            let owner = Owner::of_open(parent)?;
            if owner != Owner::SELF {
                owner.give(rustix::fs::openat(parent, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?)?;
            }
            Ok(true)
        }
        Err(rustix::io::Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Opens a directory.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, DIRECTORY, Mode::empty())?)
}

fn timestamps(date: Timestamp) -> Timestamps {
    let time = Timespec { tv_sec: date.unix_seconds(), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::clock::{Clock as _, SystemClock};

    #[test]
    fn what_was_left_in_tmp_goes_by_the_age_of_its_state() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("cur")).unwrap();
        let directories = Directories::open(root.path(), Tenure::alone()).unwrap();
        // A message's date may lie far back, though its file is being written now.
        directories.write_temporary("1.M1P1Q1.host", &[b"x"], Timestamp::from_unix_seconds(1)).unwrap();
        let left = || std::fs::read_dir(root.path().join("tmp")).unwrap().count();
        let now = SystemClock.now();
        for (seconds, wanted) in [(-60, 1), (60, 0)] {
            directories.tidy(Timestamp::from_unix_seconds(now.unix_seconds() + seconds)).unwrap();
            assert_eq!(left(), wanted);
        }
    }
}
