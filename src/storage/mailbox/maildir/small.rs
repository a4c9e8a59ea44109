//! Small files that must survive: read whole, replaced whole.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{AtFlags, Mode, OFlags};

use crate::foundations::files::Owner;

/// Largest small file that is read.
const MOST: u64 = 64 << 20;

/// Largest file read that has a line for each message of a folder: some nine million. A folder in use takes more memory
/// than its file, so a lower limit would save nothing.
pub const LISTING: u64 = 1 << 30;

/// Longest content that is overwritten in place: a sector.
const MOST_IN_PLACE: usize = 512;

/// Reads a small file below a directory; `None` when it is not there.
pub fn read(directory: BorrowedFd<'_>, name: &str) -> io::Result<Option<Vec<u8>>> {
    read_within(directory, name, MOST)
}

/// Reads a file of up to this size; `None` when it is not there. A larger one is an error
/// ([`io::ErrorKind::FileTooLarge`]): its first part could mean something different from the whole.
pub fn read_within(directory: BorrowedFd<'_>, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open(directory, name)? else { return Ok(None) };
    let length = file.metadata()?.len();
    let mut content = Vec::with_capacity(usize::try_from(length.min(most)).unwrap_or(0));
    io::Read::read_to_end(&mut io::Read::take(file, most + 1), &mut content)?;
    if content.len() as u64 > most {
        let text = format!("`{name}` has more than {most} octets");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(Some(content))
}

/// Reads the complete lines within the first and the last octets of a file, this many of each; `None` when it is not
/// there.
pub fn read_ends(directory: BorrowedFd<'_>, name: &str, octets: usize) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open(directory, name)? else { return Ok(None) };
    let length = file.metadata()?.len();
    if length <= 2 * octets as u64 {
        let mut content = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact_at(&mut content, 0)?;
        return Ok(Some(content));
    }
    let (mut first, mut last) = (vec![0; octets], vec![0; octets]);
    file.read_exact_at(&mut first, 0)?;
    file.read_exact_at(&mut last, length - octets as u64)?;
    first.truncate(memchr::memrchr(b'\n', &first).map_or(0, |at| at + 1));
    let begin = memchr::memchr(b'\n', &last).map_or(octets, |at| at + 1);
    first.extend_from_slice(&last[begin..]);
    Ok(Some(first))
}

fn open(directory: BorrowedFd<'_>, name: &str) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Ok(file) => Ok(Some(file.into())),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads octets from a position on; fewer only where the file ends before.
pub fn read_at(file: BorrowedFd<'_>, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match rustix::io::pread(file, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    buffer.truncate(filled);
    Ok(buffer)
}

/// Replaces a file: new name, sync, rename, directory sync. It has the old content or the new, whatever happens.
pub fn replace(directory: BorrowedFd<'_>, name: &str, content: &[u8]) -> io::Result<()> {
    replace_unsynced(directory, name, content, Sync::File)?;
    rustix::fs::fsync(directory)?;
    Ok(())
}

/// Overwrites a file in place, which needs no room on a full disk. A power failure in the middle may leave a mixture:
/// only for content that is shorter than a sector, shows its own damage, and tolerates added line ends.
pub fn overwrite(directory: BorrowedFd<'_>, name: &str, content: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    let before = usize::try_from(rustix::fs::fstat(&file)?.st_size).unwrap_or(0).min(MOST_IN_PLACE);
    let mut content = content.to_vec();
    content.resize(content.len().max(before), b'\n');
    write_all(file.as_fd(), &[&content])?;
    rustix::fs::fdatasync(&file)?;
    Ok(())
}

/// Whether the new content must be on disk before it replaces the old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// It must.
    File,
    /// A cache that detects damage itself.
    Nothing,
}

/// Replaces a file without syncing the directory: after a crash the old one may be back.
pub fn replace_unsynced(directory: BorrowedFd<'_>, name: &str, content: &[u8], sync: Sync) -> io::Result<()> {
    let temporary = format!("{name}.tmp");
    let result = write_new(directory, &temporary, content, sync)
        .and_then(|()| Ok(rustix::fs::renameat(directory, &*temporary, directory, name)?));
    if result.is_err() {
        let _ = rustix::fs::unlinkat(directory, &*temporary, AtFlags::empty());
    }
    result
}

/// A new file, written piece by piece, that then replaces the one whose content it updates. Nothing is synced: it is
/// for caches that detect damage themselves. If dropped before, it is removed.
#[derive(Debug)]
pub struct Replacement<'d> {
    directory: BorrowedFd<'d>,
    temporary: String,
    file: OwnedFd,
}

impl<'d> Replacement<'d> {
    /// Begins one for the file of this name.
    pub fn begin(directory: BorrowedFd<'d>, name: &str) -> io::Result<Self> {
        let temporary = format!("{name}.tmp");
        let file = write_unsynced(directory, &temporary, &[])?;
        Ok(Self { directory, temporary, file })
    }

    /// Adds octets.
    pub fn write(&self, content: &[u8]) -> io::Result<()> {
        write_all(self.file.as_fd(), &[content])
    }

    /// Puts it in the place of the old file.
    pub fn publish(self, name: &str) -> io::Result<()> {
        // Its temporary name is gone then, and dropping it removes nothing.
        Ok(rustix::fs::renameat(self.directory, &*self.temporary, self.directory, name)?)
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        let _ = rustix::fs::unlinkat(self.directory, &*self.temporary, AtFlags::empty());
    }
}

fn write_new(directory: BorrowedFd<'_>, name: &str, content: &[u8], sync: Sync) -> io::Result<()> {
    let file = write_unsynced(directory, name, content)?;
    if sync == Sync::File {
        rustix::fs::fdatasync(&file)?;
    }
    Ok(())
}

/// Writes a file in place and returns it for a later sync: after a crash before that it may be there and damaged.
pub fn write_unsynced(directory: BorrowedFd<'_>, name: &str, content: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?;
    // A command that root runs while no server is running leaves nothing that the server cannot open.
    Owner::of_open(directory)?.give(&file)?;
    write_all(file.as_fd(), &[content])?;
    Ok(file)
}

/// Writes pieces one after the other at the file's position.
pub fn write_all(file: BorrowedFd<'_>, pieces: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<io::IoSlice<'_>> = pieces.iter().map(|piece| io::IoSlice::new(piece)).collect();
    let mut left = &mut slices[..];
    io::IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match rustix::io::writev(file, left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => io::IoSlice::advance_slices(&mut left, written),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_cut_off_without_a_word() {
        let root = tempfile::tempdir().unwrap();
        let folder = File::open(root.path()).unwrap();
        let read = |most| read_within(folder.as_fd(), "list", most);
        assert!(read(1).unwrap().is_none());
        let file = File::create(root.path().join("list")).unwrap();
        // A sparse file, larger than small files may be.
        file.set_len(MOST + 10).unwrap();
        assert_eq!(read(LISTING).unwrap().unwrap().len() as u64, MOST + 10);
        assert_eq!(read(MOST + 10).unwrap().unwrap().len() as u64, MOST + 10);
        assert_eq!(read(MOST + 9).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(super::read(folder.as_fd(), "list").is_err());
    }
}
