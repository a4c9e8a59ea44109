//! Identifies the directories of a folder, whatever their path.
//!
//! A path may come to lead to another directory than the one that is open: somebody moves or removes a mailbox, and
//! puts a copy or a restored backup in its place.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Statx, StatxFlags};
use rustix::io::Errno;

/// The directory of a folder, and the `cur/` by which it is recognised.
#[derive(Debug, Clone, Copy)]
pub struct Inodes {
    root: Option<Inode>,
    cur: Option<Inode>,
}

impl Inodes {
    /// What lies at a path.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { root: Inode::at(path)?, cur: Inode::at(&path.join("cur"))? })
    }

    /// For directories that are open.
    pub fn of(root: BorrowedFd<'_>, cur: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { root: Some(Inode::of(root)?), cur: Some(Inode::of(cur)?) })
    }

    /// Whether a folder lies there.
    pub const fn is_folder(self) -> bool {
        self.cur.is_some()
    }

    /// Whether these are the same directories; two missing ones count as the same.
    pub fn is_same_as(self, other: Self) -> bool {
        let same = |one: Option<Inode>, other: Option<Inode>| one.zip(other).is_some_and(|(a, b)| a.is_same_as(b));
        same(self.root, other.root) && same(self.cur, other.cur)
    }
}

/// One directory.
#[derive(Debug, Clone, Copy)]
struct Inode {
    device: (u32, u32),
    number: u64,
    /// When it was created, if the file system knows: inode numbers of removed directories are reused.
    born: Option<(i64, u32)>,
}

impl Inode {
    const WANTED: StatxFlags = StatxFlags::INO.union(StatxFlags::BTIME);

    fn at(path: &Path) -> io::Result<Option<Self>> {
        match rustix::fs::statx(CWD, path, AtFlags::empty(), Self::WANTED) {
            Ok(found) => Ok(Some(Self::found(&found))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn of(directory: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self::found(&rustix::fs::statx(directory, "", AtFlags::EMPTY_PATH, Self::WANTED)?))
    }

    fn found(found: &Statx) -> Self {
        let knows_birth = found.stx_mask & StatxFlags::BTIME.bits() != 0;
        Self {
            device: (found.stx_dev_major, found.stx_dev_minor),
            number: found.stx_ino,
            born: knows_birth.then_some((found.stx_btime.tv_sec, found.stx_btime.tv_nsec)),
        }
    }

    fn is_same_as(self, other: Self) -> bool {
        let same_birth = self.born.zip(other.born).is_none_or(|(one, other)| one == other);
        self.device == other.device && self.number == other.number && same_birth
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn what_was_put_in_the_place_of_a_folder_is_another() {
        let root = tempfile::tempdir().unwrap();
        let (path, away) = (root.path().join("ann"), root.path().join("ann-was-here"));
        fs::create_dir_all(path.join("cur")).unwrap();
        let (open, cur) = (fs::File::open(&path).unwrap(), fs::File::open(path.join("cur")).unwrap());
        let before = Inodes::of(open.as_fd(), cur.as_fd()).unwrap();
        assert!(before.is_same_as(Inodes::at(&path).unwrap()));
        fs::rename(&path, &away).unwrap();
        let missing = Inodes::at(&path).unwrap();
        assert!(!missing.is_folder() && !before.is_same_as(missing) && !missing.is_same_as(missing));
        assert!(before.is_same_as(Inodes::at(&away).unwrap()), "its name does not matter");
        fs::create_dir_all(path.join("cur")).unwrap();
        let other = Inodes::at(&path).unwrap();
        assert!(other.is_folder() && !before.is_same_as(other));
        // Emptied, and filled again.
        fs::rename(away.join("cur"), root.path().join("cur-was-here")).unwrap();
        fs::create_dir(away.join("cur")).unwrap();
        assert!(!before.is_same_as(Inodes::at(&away).unwrap()));
    }
}
