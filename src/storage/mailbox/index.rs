//! `postrider.index`: a folder's state in one file, so that opening it need not list its directories.
//!
//! A header and frames, each with its length and CRC-32; the first frames hold all messages, later ones what changed.
//! When the later ones have outgrown the first, the file is rewritten. It is a cache: a damaged, outdated or missing
//! one is rebuilt from the directories. Its content counts only together with the directories' times in its last frame.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};

use super::Usage;
use super::flags::{Flags, KeywordSet};
use super::maildir::directory::Mtimes;
use super::maildir::filename::Place;
use super::maildir::small;
use super::snapshot::{Record, Snapshot};
use crate::foundations::mail::{ModSeq, Uid, UidValidity};

/// The file's name.
pub(super) const NAME: &str = "postrider.index";
const MAGIC: &[u8; 8] = b"PRINDEX\x01";
const HEADER: usize = 12;
/// By how many octets the frames of changes may exceed the initial ones before the file is rewritten.
const SLACK: u64 = 64 << 10;
const ROWS_PER_FRAME: usize = 1024;

/// The content of a folder's index besides the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub uid_next: Uid,
    pub highest: ModSeq,
    /// The directories' change times when this was written; zero if uncertain.
    pub mtimes: Mtimes,
    /// Expunges up to this mod-sequence are no longer remembered.
    pub history_floor: ModSeq,
    /// The space the messages occupy.
    pub usage: Usage,
}

/// An index as read.
#[derive(Debug)]
pub(super) struct Loaded {
    pub snapshot: Snapshot,
    pub meta: Meta,
    /// Whether the file ends with its `meta` and has the messages counted there; otherwise more was written that cannot
    /// be read.
    pub complete: bool,
    /// Expunged messages, by mod-sequence.
    pub history: Vec<(ModSeq, Uid)>,
    pub written: Written,
}

/// How long the parts of the file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Written {
    whole: u64,
    changes: u64,
}

impl Written {
    /// Whether the file should be rewritten rather than grow.
    pub fn is_long(self) -> bool {
        self.whole == 0 || self.changes > self.whole + SLACK
    }
}

/// Reads a folder's index into an empty state; `None` when there is none with this UIDVALIDITY, or it cannot be read.
pub(super) fn read(folder: BorrowedFd<'_>, empty: Snapshot) -> Option<Loaded> {
    match small::read_within(folder, NAME, small::LISTING) {
        Ok(content) => content.and_then(|content| parse(&content, empty)),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            log::warn!(error:% = error; "An index is too large to be read: the folder's directories are listed whenever it is opened");
            None
        }
        Err(error) => {
            log::warn!(error:% = error; "An index cannot be read: the folder's directories are listed instead");
            None
        }
    }
}

/// A folder's usage, from the end of its index alone; `None` when the directories have changed since.
pub(super) fn usage(folder: &Path) -> Option<Usage> {
    let file = File::open(folder.join(NAME)).ok()?;
    let length = file.metadata().ok()?.len();
    let mut end = [0; META_FRAME];
    file.read_exact_at(&mut end, length.checked_sub(META_FRAME as u64)?).ok()?;
    let (payload, _) = frame(&end)?;
    let meta = Reader(payload.strip_prefix(&[META])?).meta()?;
    let now = Mtimes { new: mtime(&folder.join("new"))?, cur: mtime(&folder.join("cur"))? };
    (meta.mtimes == now).then_some(meta.usage)
}

fn mtime(directory: &Path) -> Option<i64> {
    let metadata = directory.metadata().ok()?;
    Some(metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()))
}

/// Removes a folder's index.
pub(super) fn remove(folder: BorrowedFd<'_>) {
    let _ = rustix::fs::unlinkat(folder, NAME, AtFlags::empty());
}

fn parse(content: &[u8], empty: Snapshot) -> Option<Loaded> {
    let header = content.get(..HEADER)?;
    if &header[..8] != MAGIC || header[8..] != empty.uid_validity.get().to_le_bytes() {
        return None;
    }
    let mut loaded = Loaded {
        snapshot: empty,
        meta: Meta {
            uid_next: Uid::MIN,
            highest: ModSeq::MIN,
            mtimes: Mtimes::default(),
            history_floor: ModSeq::MIN,
            usage: Usage::default(),
        },
        complete: false,
        history: Vec::new(),
        written: Written { whole: 0, changes: 0 },
    };
    let mut rest = &content[HEADER..];
    let mut metas = 0;
    while let Some((payload, after)) = frame(rest) {
        let used = (rest.len() - after.len()) as u64;
        if metas == 0 {
            loaded.written.whole += used;
        } else {
            loaded.written.changes += used;
        }
        apply(payload, &mut loaded)?;
        metas += u32::from(payload.first() == Some(&META));
        loaded.complete = payload.first() == Some(&META);
        rest = after;
    }
    // All messages counted must be there, or some stay unseen until somebody changes the directories.
    let counted = loaded.snapshot.len() as u64 == loaded.meta.usage.messages;
    loaded.complete &= rest.is_empty() && counted;
    loaded.snapshot.uid_next = loaded.snapshot.uid_next.max(loaded.meta.uid_next);
    loaded.snapshot.highest = loaded.snapshot.highest.max(loaded.meta.highest);
    Some(loaded)
}

/// The next frame's content and what follows it; `None` at the end and where a frame is damaged.
fn frame(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader(rest);
    let length = reader.u32()? as usize;
    let crc = reader.u32()?;
    let payload = reader.take(length)?;
    (crc32fast::hash(payload) == crc).then_some((payload, reader.0))
}

const ROWS: u8 = 1;
const REMOVED: u8 = 2;
const META: u8 = 3;
/// Length, CRC-32, kind, and the values.
const META_FRAME: usize = 4 + 4 + 1 + 4 + 6 * 8;

/// `None` when the frame, though undamaged, is not one of this version.
fn apply(payload: &[u8], loaded: &mut Loaded) -> Option<()> {
    let mut reader = Reader(payload);
    match reader.u8()? {
        ROWS => {
            while !reader.0.is_empty() {
                let (record, name) = reader.row()?;
                if loaded.snapshot.last_uid().is_none_or(|last| record.uid > last) {
                    loaded.snapshot.push(record, name);
                } else {
                    loaded.snapshot.update(record.uid, Some(name), |slot| *slot = record);
                }
            }
        }
        REMOVED => {
            let mod_seq = reader.mod_seq()?;
            let mut uids = Vec::new();
            while !reader.0.is_empty() {
                uids.push(reader.uid()?);
            }
            loaded.history.extend(uids.iter().map(|uid| (mod_seq, *uid)));
            uids.sort_unstable();
            loaded.snapshot.remove(&uids);
        }
        META => loaded.meta = reader.meta()?,
        _ => return None,
    }
    Some(())
}

/// Frames to be written.
#[derive(Debug, Default)]
pub(super) struct Frames(Vec<u8>);

impl Frames {
    /// Adds messages with their stored names.
    pub fn rows<'a>(&mut self, rows: impl Iterator<Item = (&'a Record, &'a [u8])>) {
        let mut rows = rows.peekable();
        while rows.peek().is_some() {
            self.frame(ROWS, |out| {
                for (record, name) in rows.by_ref().take(ROWS_PER_FRAME) {
                    write_row(out, record, name);
                }
            });
        }
    }

    /// Adds expunged messages in the order of their mod-sequences.
    pub fn removed(&mut self, removed: &[(ModSeq, Uid)]) {
        for same in removed.chunk_by(|a, b| a.0 == b.0) {
            self.frame(REMOVED, |out| {
                out.extend_from_slice(&same[0].0.get().to_le_bytes());
                same.iter().for_each(|(_, uid)| out.extend_from_slice(&uid.get().to_le_bytes()));
            });
        }
    }

    /// Adds the rest; always last.
    pub fn meta(&mut self, meta: &Meta) {
        self.frame(META, |out| {
            out.extend_from_slice(&meta.uid_next.get().to_le_bytes());
            out.extend_from_slice(&meta.highest.get().to_le_bytes());
            out.extend_from_slice(&meta.mtimes.new.to_le_bytes());
            out.extend_from_slice(&meta.mtimes.cur.to_le_bytes());
            out.extend_from_slice(&meta.history_floor.get().to_le_bytes());
            out.extend_from_slice(&meta.usage.octets.to_le_bytes());
            out.extend_from_slice(&meta.usage.messages.to_le_bytes());
        });
    }

    fn frame(&mut self, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 8]);
        self.0.push(kind);
        fill(&mut self.0);
        let length = (self.0.len() - start - 8) as u32;
        let crc = crc32fast::hash(&self.0[start + 8..]);
        self.0[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.0[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }

    /// Rewrites the file with these frames.
    pub fn replace(&self, folder: BorrowedFd<'_>, uid_validity: UidValidity) -> io::Result<Written> {
        let mut content = Vec::with_capacity(HEADER + self.0.len());
        content.extend_from_slice(MAGIC);
        content.extend_from_slice(&uid_validity.get().to_le_bytes());
        content.extend_from_slice(&self.0);
        small::replace_unsynced(folder, NAME, &content, small::Sync::Nothing)?;
        Ok(Written { whole: self.0.len() as u64, changes: 0 })
    }

    /// Adds these frames at the file's end.
    pub fn append(&self, folder: BorrowedFd<'_>, written: Written) -> io::Result<Written> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(folder, NAME, flags, Mode::empty())?;
        small::write_all(file.as_fd(), &[&self.0])?;
        Ok(Written { changes: written.changes + self.0.len() as u64, ..written })
    }
}

const CUR: u8 = 1;
const IRREGULAR: u8 = 2;

fn write_row(out: &mut Vec<u8>, record: &Record, name: &[u8]) {
    let place = if record.place == Place::Cur { CUR } else { 0 };
    let irregular = if record.regular { 0 } else { IRREGULAR };
    out.extend_from_slice(&record.uid.get().to_le_bytes());
    out.extend_from_slice(&record.mod_seq.get().to_le_bytes());
    out.extend_from_slice(&record.size.to_le_bytes());
    out.extend_from_slice(&record.virtual_size.to_le_bytes());
    out.extend_from_slice(&record.date.to_le_bytes());
    out.extend_from_slice(&record.keywords.bits().to_le_bytes());
    // File names have at most 255 octets.
    out.extend_from_slice(&[record.flags.bits(), place | irregular, name.len() as u8]);
    out.extend_from_slice(name);
}

/// Takes values off the front of octets.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[value]| value)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn uid(&mut self) -> Option<Uid> {
        self.u32().and_then(Uid::new)
    }

    fn mod_seq(&mut self) -> Option<ModSeq> {
        self.u64().and_then(ModSeq::new)
    }

    fn meta(&mut self) -> Option<Meta> {
        Some(Meta {
            uid_next: self.uid()?,
            highest: self.mod_seq()?,
            mtimes: Mtimes { new: self.u64()?.cast_signed(), cur: self.u64()?.cast_signed() },
            history_floor: self.mod_seq()?,
            usage: Usage { octets: self.u64()?, messages: self.u64()? },
        })
    }

    fn row(&mut self) -> Option<(Record, &'a [u8])> {
        let uid = self.uid().filter(|uid| *uid < Uid::MAX)?;
        let mod_seq = self.mod_seq()?;
        let size = self.u64()?;
        let virtual_size = self.u64()?;
        let date = self.u64()?.cast_signed();
        let keywords = KeywordSet::from_bits(self.u32()?);
        let [flags, bits, length] = self.array()?;
        let name = self.take(usize::from(length))?;
        let place = if bits & CUR == 0 { Place::New } else { Place::Cur };
        let regular = bits & IRREGULAR == 0;
        let flags = Flags::from_bits(flags);
        Some((Record { uid, mod_seq, size, virtual_size, date, keywords, flags, place, regular }, name))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::mailbox::Keywords;

    fn empty() -> Snapshot {
        Snapshot::empty(UidValidity::new(7).unwrap(), ModSeq::MIN, Arc::new(Keywords::none()))
    }

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    fn mod_seq(number: u64) -> ModSeq {
        ModSeq::new(number).unwrap()
    }

    fn record(number: u32, flags: Flags) -> Record {
        let (uid, place, keywords) = (uid(number), Place::Cur, KeywordSet::slot(3));
        Record { uid, mod_seq: mod_seq(9), size: 1, virtual_size: 2, date: -5, keywords, flags, place, regular: true }
    }

    fn removed() -> [(ModSeq, Uid); 3] {
        [(mod_seq(12), uid(7)), (mod_seq(12), uid(6)), (mod_seq(13), uid(3000))]
    }

    /// An index whose end counts this many messages; there are 2,997.
    fn content(left: u64) -> Vec<u8> {
        let rows: Vec<Record> = (1..=3000).map(|uid| record(uid, Flags::NONE)).collect();
        let mut frames = Frames::default();
        frames.rows(rows.iter().map(|row| (row, &b"name"[..])));
        let meta = Meta {
            uid_next: uid(3005),
            highest: mod_seq(11),
            mtimes: Mtimes { new: 1, cur: 2 },
            history_floor: mod_seq(4),
            usage: Usage { octets: 0, messages: 3000 },
        };
        frames.meta(&meta);
        frames.rows([(&record(5, Flags::SEEN), &b"other"[..])].into_iter());
        frames.removed(&removed());
        frames.meta(&Meta { highest: mod_seq(13), usage: Usage { octets: 0, messages: left }, ..meta });
        let mut content = MAGIC.to_vec();
        content.extend_from_slice(&7u32.to_le_bytes());
        content.extend_from_slice(&frames.0);
        content
    }

    #[test]
    fn reads_what_it_writes() {
        let loaded = parse(&content(2997), empty()).unwrap();
        assert!(loaded.complete);
        let Meta { uid_next, highest, history_floor, .. } = loaded.meta;
        assert_eq!((uid_next, highest, history_floor), (uid(3005), mod_seq(13), mod_seq(4)));
        assert_eq!((loaded.snapshot.len(), loaded.snapshot.uid_next), (2997, uid(3005)));
        assert_eq!(loaded.snapshot.by_uid(uid(5)), Some((&record(5, Flags::SEEN), &b"other"[..])));
        assert_eq!(loaded.snapshot.find(uid(7)), Err(5));
        assert_eq!(loaded.history, removed());
    }

    #[test]
    fn messages_that_are_counted_and_not_there_are_missed() {
        assert!(parse(&content(2998), empty()).is_some_and(|loaded| !loaded.complete));
    }

    #[test]
    fn damage_is_noticed() {
        let content = content(2997);
        for at in (0..content.len()).step_by(97).chain([0, 8, content.len() - 1]) {
            let mut damaged = content.clone();
            damaged[at] ^= 0x40;
            assert!(parse(&damaged, empty()).is_none_or(|loaded| !loaded.complete), "{at}");
            assert!(at == 0 || parse(&content[..at], empty()).is_none_or(|loaded| !loaded.complete || at > 9), "{at}");
        }
    }
}
