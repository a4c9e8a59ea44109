//! `postrider.cache`: a summary of each message, so that listing a folder opens no message.
//!
//! A header, then one record after the other: UID, length, CRC-32, octets. Positions are found by reading the file
//! once, when the first summary is asked for; later additions are kept in memory until they are written. It is a cache:
//! damaged or missing summaries are rebuilt.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytes::Bytes;
use parking_lot::Mutex;
use rustix::fs::{AtFlags, Mode, OFlags};

use super::maildir::small::{self, read_at};
use crate::foundations::files::Owner;
use crate::foundations::mail::{Uid, UidValidity};

/// The file's name.
pub(super) const NAME: &str = "postrider.cache";
const MAGIC: &[u8; 8] = b"PRCACHE\x01";
const HEADER: u64 = 16;
const RECORD: usize = 12;
/// Most octets read at once, and about as many written when the file is rewritten.
const WINDOW: usize = 256 << 10;
/// Largest summary that is kept. A larger one is rebuilt each time.
const MOST: usize = 128 << 10;
/// Most summaries in memory at once while a file is rewritten.
const REWRITTEN_TOGETHER: usize = 32;
/// Octets of summaries that may wait to be written.
const WAITING: usize = 4 << 20;
/// Octets of removed messages that the file may hold beyond those of existing ones.
const SLACK: u64 = 1 << 20;

/// A folder's summaries.
#[derive(Debug, Default)]
pub(super) struct Summaries {
    inner: Mutex<Inner>,
    /// Held by whoever rewrites the file.
    compacting: Mutex<()>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Where each summary lies, by UID; `None` until the file has been read.
    places: Option<Vec<Place>>,
    end: u64,
    /// Octets of removed messages in the file, and of summaries that others have replaced; `None` until they have been counted.
    dead: Option<u64>,
    /// Those of the replaced ones until then.
    replaced: u64,
    waiting: BTreeMap<Uid, Bytes>,
    /// Octets that have come to wait since the last time.
    gathered: usize,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    uid: Uid,
    length: u32,
    at: u64,
}

/// The folder and format of summaries that a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub version: u32,
    pub uid_validity: UidValidity,
}

impl Summaries {
    /// Adds a summary, to be written with the next [`Summaries::flush`]. Returns whether so much waits that it is time for that.
    #[must_use]
    pub fn add(&self, uid: Uid, summary: Bytes) -> bool {
        if summary.len() > MOST {
            return false;
        }
        let mut inner = self.inner.lock();
        inner.gathered += summary.len();
        inner.waiting.insert(uid, summary);
        inner.gathered > WAITING
    }

    /// Notes that messages have been removed.
    pub fn forget(&self, uids: &[Uid]) {
        let mut inner = self.inner.lock();
        let Inner { places, dead, waiting, .. } = &mut *inner;
        for uid in uids {
            waiting.remove(uid);
            if let (Some(places), Some(dead)) = (&*places, &mut *dead) {
                let at = places.partition_point(|place| place.uid < *uid);
                let same = places[at..].iter().take_while(|place| place.uid == *uid);
                *dead += same.map(Place::octets).sum::<u64>();
            }
        }
    }

    /// Forgets everything, in memory and on disk.
    pub fn remove(&self, folder: BorrowedFd<'_>) {
        let mut inner = self.inner.lock();
        *inner = Inner::default();
        let _ = rustix::fs::unlinkat(folder, NAME, AtFlags::empty());
    }

    /// Memory it occupies, roughly.
    pub fn memory(&self) -> u64 {
        let inner = self.inner.lock();
        let waiting: usize = inner.waiting.values().map(|summary| summary.len() + 64).sum();
        (waiting + inner.places.as_ref().map_or(0, |places| places.capacity() * size_of::<Place>())) as u64
    }

    /// Writes pending summaries.
    pub fn flush(&self, folder: BorrowedFd<'_>, stamp: Stamp) -> io::Result<()> {
        let mut inner = self.inner.lock();
        if inner.waiting.is_empty() {
            return Ok(());
        }
        // What cannot be written is computed again when it is needed: it must not gather in memory.
        let waiting = std::mem::take(&mut inner.waiting);
        inner.gathered = 0;
        let file = open(folder, stamp)?;
        let end = rustix::fs::fstat(&file)?.st_size;
        let mut at = u64::try_from(end).unwrap_or(HEADER);
        let mut content = Vec::new();
        let mut added = Vec::new();
        for (uid, summary) in waiting {
            write_record(&mut content, uid, &summary);
            added.push(Place { uid, length: summary.len() as u32, at: at + RECORD as u64 });
            at += (RECORD + summary.len()) as u64;
        }
        if let Err(error) = small::write_all(file.as_fd(), &[&content]) {
            // Half a record at the end would hide what is written after it.
            let _ = rustix::fs::ftruncate(&file, u64::try_from(end).unwrap_or(0));
            inner.places = None;
            return Err(error);
        }
        let Inner { places, dead, replaced, end, .. } = &mut *inner;
        if let Some(places) = places {
            places.extend(added);
            *dead.as_mut().unwrap_or(replaced) += keep_latest(places);
        }
        *end = at;
        Ok(())
    }

    /// Those summaries of some messages that are not written yet.
    pub fn waiting(&self, uids: &[Uid]) -> Vec<Option<Bytes>> {
        let inner = self.inner.lock();
        uids.iter().map(|uid| inner.waiting.get(uid).cloned()).collect()
    }

    /// The summaries of some messages; `None` for those that must be computed.
    pub fn read(&self, folder: BorrowedFd<'_>, stamp: Stamp, uids: &[Uid]) -> io::Result<Vec<Option<Bytes>>> {
        let mut inner = self.inner.lock();
        if inner.places.is_none() {
            inner.load(folder, stamp)?;
        }
        let mut found: Vec<Option<Bytes>> = uids.iter().map(|uid| inner.waiting.get(uid).cloned()).collect();
        let mut wanted: Vec<(Place, usize)> = Vec::new();
        for (n, uid) in uids.iter().enumerate() {
            let places = inner.places.as_deref().unwrap_or_default();
            let at = places.partition_point(|place| place.uid <= *uid);
            if let Some(place) = at.checked_sub(1).map(|at| places[at]).filter(|place| place.uid == *uid) {
                wanted.push((place, n));
            }
        }
        drop(inner);
        if wanted.is_empty() {
            return Ok(found);
        }
        wanted.sort_unstable_by_key(|(place, _)| place.at);
        let file = open(folder, stamp)?;
        let mut wanted = &wanted[..];
        while let Some(((first, _), _)) = wanted.split_first() {
            let start = first.at - RECORD as u64;
            let end_of = |place: &Place| place.at + u64::from(place.length);
            let together = wanted.partition_point(|(place, _)| end_of(place) - start <= WINDOW as u64).max(1);
            let (here, rest) = wanted.split_at(together);
            wanted = rest;
            let length = here.last().map_or(0, |(place, _)| end_of(place) - start);
            let window = Bytes::from(read_at(file.as_fd(), start, usize::try_from(length).unwrap_or(0))?);
            for (place, n) in here {
                let at = usize::try_from(place.at - start).unwrap_or(usize::MAX);
                if found[*n].is_none() {
                    found[*n] = checked(&window, at, place);
                }
            }
        }
        Ok(found)
    }

    /// Rewrites the file without removed messages when those take up too much. They are counted as they go, so that
    /// checking costs nothing, however many messages there are.
    pub fn compact(&self, folder: BorrowedFd<'_>, stamp: Stamp, exists: impl Fn(Uid) -> bool) -> io::Result<()> {
        let Some(_compacting) = self.compacting.try_lock() else { return Ok(()) };
        let (live, end) = {
            let mut inner = self.inner.lock();
            let Inner { places, dead, replaced, waiting, end, .. } = &mut *inner;
            let Some(places) = places else { return Ok(()) };
            let gone = || places.iter().filter(|place| !exists(place.uid)).map(Place::octets).sum::<u64>();
            let count = || gone() + *replaced;
            let dead = *dead.get_or_insert_with(count);
            if dead <= end.saturating_sub(HEADER + dead) + SLACK || !waiting.is_empty() {
                return Ok(());
            }
            let live: Vec<Uid> = places.iter().map(|place| place.uid).filter(|uid| exists(*uid)).collect();
            (live, *end)
        };
        let new = small::Replacement::begin(folder, NAME)?;
        self.rewrite(folder, stamp, &live, &mut |content| new.write(content))?;
        let mut inner = self.inner.lock();
        let file = open(folder, stamp)?;
        let size = u64::try_from(rustix::fs::fstat(&file)?.st_size).unwrap_or(0);
        if size < end {
            // It was emptied meanwhile: the data read from it is obsolete.
            return Ok(());
        }
        let mut at = end;
        while at < size {
            // Written meanwhile.
            let added = read_at(file.as_fd(), at, WINDOW)?;
            if added.is_empty() {
                break;
            }
            at += added.len() as u64;
            new.write(&added)?;
        }
        new.publish(NAME)?;
        inner.places = None;
        Ok(())
    }

    /// Provides a file with these summaries, piece by piece: a large folder has hundreds of megabytes of them.
    fn rewrite(
        &self,
        folder: BorrowedFd<'_>,
        stamp: Stamp,
        uids: &[Uid],
        write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut content = header(stamp);
        for uids in uids.chunks(REWRITTEN_TOGETHER) {
            for (uid, summary) in uids.iter().zip(self.read(folder, stamp, uids)?) {
                let Some(summary) = summary else { continue };
                write_record(&mut content, *uid, &summary);
                if content.len() >= WINDOW {
                    write(&content)?;
                    content.clear();
                }
            }
        }
        write(&content)
    }
}

impl Place {
    /// The octets it occupies in the file.
    fn octets(&self) -> u64 {
        u64::from(self.length) + RECORD as u64
    }
}

impl Inner {
    /// Reads the position of each summary.
    fn load(&mut self, folder: BorrowedFd<'_>, stamp: Stamp) -> io::Result<()> {
        let file = open(folder, stamp)?;
        let size = u64::try_from(rustix::fs::fstat(&file)?.st_size).unwrap_or(0);
        let mut places: Vec<Place> = Vec::new();
        let mut at = HEADER;
        let mut window = Vec::new();
        let mut start = 0u64;
        while at + RECORD as u64 <= size {
            let inside = at.checked_sub(start).and_then(|inside| usize::try_from(inside).ok()).unwrap_or(usize::MAX);
            let Some(head) = window.get(inside..).and_then(|rest: &[u8]| rest.first_chunk::<RECORD>()) else {
                start = at;
                window = read_at(file.as_fd(), at, WINDOW)?;
                if window.len() < RECORD {
                    break;
                }
                continue;
            };
            let word = |n: usize| u32::from_le_bytes([head[n], head[n + 1], head[n + 2], head[n + 3]]);
            let (Some(uid), length) = (Uid::new(word(0)), word(4)) else { break };
            let after = at + RECORD as u64 + u64::from(length);
            if length as usize > MOST || after > size {
                break;
            }
            places.push(Place { uid, length, at: at + RECORD as u64 });
            at = after;
        }
        if at < size {
            // After an incomplete record, nothing written would be found again.
            rustix::fs::ftruncate(&file, at)?;
        }
        self.replaced = keep_latest(&mut places);
        self.places = Some(places);
        self.dead = None;
        self.end = at;
        Ok(())
    }
}

/// Sorts summaries by message and leaves the latest of each. Returns how many octets the others occupy.
fn keep_latest(places: &mut Vec<Place>) -> u64 {
    places.sort_by_key(|place| place.uid);
    let mut replaced = 0;
    places.dedup_by(|later, earlier| {
        let is_same = later.uid == earlier.uid;
        if is_same {
            replaced += earlier.octets();
            *earlier = *later;
        }
        is_same
    });
    replaced
}

/// UID, length, CRC-32, octets.
fn write_record(out: &mut Vec<u8>, uid: Uid, summary: &[u8]) {
    out.extend_from_slice(&uid.get().to_le_bytes());
    out.extend_from_slice(&(summary.len() as u32).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(summary).to_le_bytes());
    out.extend_from_slice(summary);
}

/// A summary out of what was read of the file; `None` when it is damaged.
fn checked(window: &Bytes, at: usize, place: &Place) -> Option<Bytes> {
    let end = at.checked_add(place.length as usize)?;
    let head = window.get(at.checked_sub(RECORD)?..at)?;
    let summary = window.get(at..end)?;
    let valid = head[..4] == place.uid.get().to_le_bytes() && head[8..] == crc32fast::hash(summary).to_le_bytes();
    valid.then(|| window.slice(at..end))
}

fn header(stamp: Stamp) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&stamp.version.to_le_bytes());
    header.extend_from_slice(&stamp.uid_validity.get().to_le_bytes());
    header
}

/// Opens the file for reading and appending; one of another format is emptied first.
fn open(folder: BorrowedFd<'_>, stamp: Stamp) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(folder, NAME, flags, Mode::RUSR | Mode::WUSR)?;
    let header = header(stamp);
    if read_at(file.as_fd(), 0, header.len())? != header {
        rustix::fs::ftruncate(&file, 0)?;
        Owner::of_open(folder)?.give(&file)?;
        small::write_all(file.as_fd(), &[&header])?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    #[test]
    fn the_file_shrinks_once_most_of_it_is_of_removed_messages() {
        const STAMP: Stamp = Stamp { version: 1, uid_validity: UidValidity::MIN };
        let directory = tempfile::tempdir().unwrap();
        let folder = std::fs::File::open(directory.path()).unwrap();
        let length = || std::fs::metadata(directory.path().join(NAME)).unwrap().len();
        let summaries = Summaries::default();
        let summary = |uid: u32| Bytes::from(vec![uid.to_le_bytes()[0]; 100 << 10]);
        let mut gone: Vec<Uid> = Vec::new();
        let mut forget = |numbers: std::ops::RangeInclusive<u32>| {
            let uids: Vec<Uid> = numbers.map(uid).collect();
            summaries.forget(&uids);
            gone.extend(uids);
            summaries.compact(folder.as_fd(), STAMP, |uid| !gone.contains(&uid)).unwrap();
        };
        (1..=40).for_each(|number| _ = summaries.add(uid(number), summary(number)));
        summaries.flush(folder.as_fd(), STAMP).unwrap();
        let found = summaries.read(folder.as_fd(), STAMP, &[uid(1), uid(40)]).unwrap();
        assert_eq!(found, [Some(summary(1)), Some(summary(40))]);
        let whole = length();
        forget(1..=5);
        forget(6..=25);
        assert_eq!(length(), whole, "less than half and the slack");
        forget(26..=30);
        assert!(length() < whole / 3, "{} of {whole}", length());
        let found = summaries.read(folder.as_fd(), STAMP, &[uid(30), uid(31), uid(40)]).unwrap();
        assert_eq!(found, [None, Some(summary(31)), Some(summary(40))]);
    }

    #[test]
    fn the_file_shrinks_once_most_of_it_is_of_replaced_summaries() {
        const STAMP: Stamp = Stamp { version: 1, uid_validity: UidValidity::MIN };
        let directory = tempfile::tempdir().unwrap();
        let folder = std::fs::File::open(directory.path()).unwrap();
        let length = || std::fs::metadata(directory.path().join(NAME)).unwrap().len();
        let summary = |n: u8| Bytes::from(vec![n; 100 << 10]);
        for known in [false, true] {
            let mut summaries = Summaries::default();
            for n in 0..30 {
                assert!(!summaries.add(uid(1), summary(n)));
                summaries.flush(folder.as_fd(), STAMP).unwrap();
                if !known {
                    // As after a restart.
                    summaries = Summaries::default();
                }
                assert_eq!(summaries.read(folder.as_fd(), STAMP, &[uid(1)]).unwrap(), [Some(summary(n))]);
                summaries.compact(folder.as_fd(), STAMP, |_| true).unwrap();
                assert!(length() < 3 << 20, "{}", length());
            }
        }
    }

    #[test]
    fn a_large_file_is_rewritten_piece_by_piece() {
        const STAMP: Stamp = Stamp { version: 1, uid_validity: UidValidity::MIN };
        let directory = tempfile::tempdir().unwrap();
        let folder = std::fs::File::open(directory.path()).unwrap();
        let summaries = Summaries::default();
        let uids: Vec<Uid> = (1..=100).map(uid).collect();
        uids.iter().for_each(|uid| _ = summaries.add(*uid, Bytes::from(vec![7; 100 << 10])));
        summaries.flush(folder.as_fd(), STAMP).unwrap();
        let (mut whole, mut largest) = (Vec::new(), 0);
        let mut write = |piece: &[u8]| {
            largest = largest.max(piece.len());
            whole.extend_from_slice(piece);
            Ok(())
        };
        summaries.rewrite(folder.as_fd(), STAMP, &uids, &mut write).unwrap();
        assert!(largest <= WINDOW + RECORD + MOST, "{largest}");
        assert_eq!(whole, std::fs::read(directory.path().join(NAME)).unwrap());
        summaries.compact(folder.as_fd(), STAMP, |uid| uid.get() > 90).unwrap();
        let files = std::fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().file_name());
        assert_eq!(files.collect::<Vec<_>>(), [NAME], "nothing is left beside it");
    }
}
