//! The state of a folder at one moment: immutable, shared by everybody who looks at it.
//!
//! Messages lie in chunks of at most [`Chunk::MOST`]. A change copies the chunk it touches and shares the others, so it
//! costs the same in a folder of a thousand messages and of a million, and two states are compared by comparing the
//! few chunks they do not share.

mod names;

use std::sync::Arc;

use crate::foundations::clock::Timestamp;
use crate::foundations::mail::{ModSeq, Uid, UidValidity};

use self::names::{Names, ROOM, with_room};
use super::maildir::filename::{FileName, Place, write_suffix};
use super::{Flags, KeywordSet, Keywords, Row, Status};

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub uid: Uid,
    pub mod_seq: ModSeq,
    /// Octets on disk.
    pub size: u64,
    /// Octets with CRLF line ends.
    pub virtual_size: u64,
    /// INTERNALDATE in seconds.
    pub date: i64,
    pub keywords: KeywordSet,
    pub flags: Flags,
    pub place: Place,
    /// Whether the stored name is the base alone, to which [`suffix`] belongs; otherwise it is the whole name.
    pub regular: bool,
}

impl Record {
    pub fn row(&self) -> Row {
        Row {
            uid: self.uid,
            flags: self.flags,
            keywords: self.keywords,
            mod_seq: self.mod_seq,
            size: self.virtual_size,
            internal_date: Timestamp::from_unix_seconds(self.date),
        }
    }

    /// The file's whole name, given the stored one.
    pub fn file_name(&self, stored: &[u8]) -> Vec<u8> {
        let mut name = Vec::with_capacity(stored.len() + 16);
        self.write_file_name(stored, &mut name);
        name
    }

    /// Appends the file's whole name.
    pub fn write_file_name(&self, stored: &[u8], name: &mut Vec<u8>) {
        name.extend_from_slice(stored);
        if self.regular {
            write_suffix(self.place, self.flags, self.keywords, name);
        }
    }

    fn unseen(&self) -> u32 {
        u32::from(!self.flags.contains(Flags::SEEN))
    }

    fn deleted(&self) -> u32 {
        u32::from(self.flags.contains(Flags::DELETED))
    }
}

/// The part of a stored name that stays the same when flags change.
pub(super) fn base(stored: &[u8]) -> &[u8] {
    FileName::parse(stored, Place::Cur).map_or(stored, |name| name.base)
}

/// When a message came into its folder, from its file's name: new messages, copies and moved messages are named on
/// arrival; other programs also name a file on arrival, as Maildir requires.
pub(super) fn saved_at(stored: &[u8]) -> Option<Timestamp> {
    let seconds = FileName::parse(stored, Place::Cur)?.seconds();
    i64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Timestamp::from_unix_seconds)
}

/// Determines which messages are recent (RFC 3501 §2.3.2): those in `new/`, and those that arrived with flags, and so
/// in `cur/`, since the folder was loaded; but none that a session has claimed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claims {
    /// UIDs below it have been recent to some session already.
    pub claimed: Uid,
    /// UIDs from it on came since the folder was loaded.
    pub arrived: Uid,
}

impl Claims {
    pub fn leave_recent(self, record: &Record) -> bool {
        record.uid >= self.claimed && (record.place == Place::New || record.uid >= self.arrived)
    }

    /// The messages that are still recent.
    pub fn recent(self, snapshot: &Snapshot) -> impl Iterator<Item = &Record> {
        let concerned = move |chunk: &&Arc<Chunk>| {
            chunk.in_new() > 0 || chunk.records.last().is_some_and(|last| last.uid >= self.claimed.max(self.arrived))
        };
        let chunks = snapshot.chunks().iter().filter(concerned);
        chunks.flat_map(|chunk| chunk.records()).filter(move |record| self.leave_recent(record))
    }
}

/// Some consecutive messages.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    records: Vec<Record>,
    names: Arc<Names>,
    unseen: u32,
    deleted: u32,
    new: u32,
}

impl Clone for Chunk {
    fn clone(&self) -> Self {
        Self { records: with_room(&self.records, ROOM), names: Arc::clone(&self.names), ..*self }
    }
}

impl Chunk {
    /// Most messages in one.
    pub const MOST: usize = 512;

    pub fn records(&self) -> &[Record] {
        &self.records
    }

    pub fn name(&self, index: usize) -> &[u8] {
        self.names.get(index)
    }

    /// How many lie in `new/`.
    pub fn in_new(&self) -> u32 {
        self.new
    }

    fn recount(&mut self) {
        self.unseen = self.records.iter().map(Record::unseen).sum();
        self.deleted = self.records.iter().map(Record::deleted).sum();
        self.new = self.records.iter().filter(|record| record.place == Place::New).count() as u32;
    }
}

/// Totals of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub messages: u32,
    pub unseen: u32,
    pub deleted: u32,
    pub new: u32,
    pub octets: u64,
    pub virtual_octets: u64,
}

impl Counts {
    fn add(&mut self, record: &Record) {
        self.messages += 1;
        self.unseen += record.unseen();
        self.deleted += record.deleted();
        self.new += u32::from(record.place == Place::New);
        self.octets += record.size;
        self.virtual_octets += record.virtual_size;
    }

    fn subtract(&mut self, record: &Record) {
        self.messages -= 1;
        self.unseen -= record.unseen();
        self.deleted -= record.deleted();
        self.new -= u32::from(record.place == Place::New);
        self.octets -= record.size;
        self.virtual_octets -= record.virtual_size;
    }
}

/// A folder at one moment.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub uid_validity: UidValidity,
    /// UIDNEXT; messages being stored right now have this UID and higher ones.
    pub uid_next: Uid,
    pub highest: ModSeq,
    pub keywords: Arc<Keywords>,
    pub counts: Counts,
    /// Whether the folder is no longer there.
    pub gone: bool,
    chunks: Vec<Arc<Chunk>>,
    /// How many messages precede each chunk.
    starts: Vec<u32>,
}

impl Snapshot {
    pub fn empty(uid_validity: UidValidity, highest: ModSeq, keywords: Arc<Keywords>) -> Self {
        Self {
            uid_validity,
            uid_next: Uid::MIN,
            highest,
            keywords,
            counts: Counts::default(),
            gone: false,
            chunks: Vec::new(),
            starts: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.counts.messages as usize
    }

    pub fn chunks(&self) -> &[Arc<Chunk>] {
        &self.chunks
    }

    fn locate(&self, index: usize) -> Option<(usize, usize)> {
        let chunk = self.starts.partition_point(|start| *start as usize <= index).checked_sub(1)?;
        let inside = index - self.starts[chunk] as usize;
        (inside < self.chunks[chunk].records.len()).then_some((chunk, inside))
    }

    pub fn get(&self, index: usize) -> Option<&Record> {
        self.locate(index).map(|(chunk, inside)| &self.chunks[chunk].records[inside])
    }

    /// The position of a UID, or the one it would have.
    pub fn find(&self, uid: Uid) -> Result<usize, usize> {
        let (chunk, inside) = self.find_inside(uid);
        match inside {
            Ok(inside) => Ok(self.starts[chunk] as usize + inside),
            Err(inside) => Err(self.starts.get(chunk).map_or(0, |start| *start as usize) + inside),
        }
    }

    fn find_inside(&self, uid: Uid) -> (usize, Result<usize, usize>) {
        let chunk = self.chunks.partition_point(|chunk| chunk.records[0].uid <= uid).saturating_sub(1);
        match self.chunks.get(chunk) {
            Some(found) => (chunk, found.records.binary_search_by_key(&uid, |record| record.uid)),
            None => (chunk, Err(0)),
        }
    }

    /// A message and its stored name.
    pub fn by_uid(&self, uid: Uid) -> Option<(&Record, &[u8])> {
        let (chunk, inside) = self.find_inside(uid);
        let inside = inside.ok()?;
        Some((&self.chunks[chunk].records[inside], self.chunks[chunk].name(inside)))
    }

    pub fn last_uid(&self) -> Option<Uid> {
        self.chunks.last().and_then(|chunk| chunk.records.last()).map(|record| record.uid)
    }

    /// All messages with their stored names, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&Record, &[u8])> {
        self.chunks.iter().flat_map(|chunk| chunk.records.iter().enumerate().map(|(n, record)| (record, chunk.name(n))))
    }

    /// The messages marked `\Deleted`, ascending; chunks without any are skipped.
    pub fn deleted(&self) -> impl Iterator<Item = &Record> {
        let chunks = self.chunks.iter().filter(|chunk| chunk.deleted > 0);
        chunks.flat_map(|chunk| chunk.records.iter().filter(|record| record.deleted() == 1))
    }

    /// The position of the first unseen message.
    pub fn first_unseen(&self) -> Option<usize> {
        let chunk = self.chunks.iter().position(|chunk| chunk.unseen > 0)?;
        let inside = self.chunks[chunk].records.iter().position(|record| record.unseen() == 1)?;
        Some(self.starts[chunk] as usize + inside)
    }

    pub fn status(&self, recent: u32) -> Status {
        Status {
            messages: self.counts.messages,
            recent,
            unseen: self.counts.unseen,
            deleted: self.counts.deleted,
            deleted_octets: self.deleted().map(|record| record.size).sum(),
            size: self.counts.virtual_octets,
            uid_next: self.uid_next,
            uid_validity: self.uid_validity,
            highest_mod_seq: self.highest,
            mailbox_id: None,
        }
    }

    /// Memory it occupies, roughly, not counting what is shared with other states.
    pub fn memory(&self) -> u64 {
        let chunk = |chunk: &Arc<Chunk>| chunk.records.capacity() * size_of::<Record>() + chunk.names.memory();
        (self.chunks.iter().map(chunk).sum::<usize>() + self.chunks.len() * 160 + 1024) as u64
    }

    /// Adds a message at the end; its UID is above all others.
    pub fn push(&mut self, record: Record, name: &[u8]) {
        self.counts.add(&record);
        self.uid_next = self.uid_next.max(record.uid.saturating_add(1));
        self.highest = self.highest.max(record.mod_seq);
        if self.chunks.last().is_none_or(|chunk| chunk.records.len() >= Chunk::MOST) {
            self.starts.push(self.counts.messages - 1);
            self.chunks.push(Arc::default());
        }
        let last = self.chunks.len() - 1;
        let chunk = Arc::make_mut(&mut self.chunks[last]);
        chunk.unseen += record.unseen();
        chunk.deleted += record.deleted();
        chunk.new += u32::from(record.place == Place::New);
        chunk.records.push(record);
        Arc::make_mut(&mut chunk.names).push(name);
    }

    /// Changes a message; with a name, its stored name too. UID and sizes must stay.
    pub fn update(&mut self, uid: Uid, name: Option<&[u8]>, change: impl FnOnce(&mut Record)) -> bool {
        let (chunk, Ok(inside)) = self.find_inside(uid) else { return false };
        let chunk = Arc::make_mut(&mut self.chunks[chunk]);
        let record = &mut chunk.records[inside];
        let before = *record;
        change(record);
        let after = *record;
        chunk.unseen = chunk.unseen + after.unseen() - before.unseen();
        chunk.deleted = chunk.deleted + after.deleted() - before.deleted();
        chunk.new = chunk.new + u32::from(after.place == Place::New) - u32::from(before.place == Place::New);
        self.counts.subtract(&before);
        self.counts.add(&after);
        self.highest = self.highest.max(after.mod_seq);
        if let Some(name) = name.filter(|name| *name != chunk.names.get(inside)) {
            let mut names = Names::default();
            for index in 0..chunk.records.len() {
                names.push(if index == inside { name } else { chunk.names.get(index) });
            }
            chunk.names = Arc::new(names);
        }
        true
    }

    /// Removes messages, whose UIDs ascend.
    pub fn remove(&mut self, uids: &[Uid]) {
        let mut left = uids;
        while let Some(first) = left.first() {
            let (at, inside) = self.find_inside(*first);
            let Some(old) = self.chunks.get(at).cloned() else { return };
            // UIDs up to the next chunk's first belong to this one.
            let end = self.chunks.get(at + 1).map_or(Uid::MAX, |next| next.records[0].uid);
            let (here, rest) = left.split_at(left.partition_point(|uid| *uid < end).max(1));
            left = rest;
            if inside.is_err() && here.len() == 1 {
                continue;
            }
            let chunk = self.without(&old, here);
            if chunk.records.is_empty() {
                self.chunks.remove(at);
            } else {
                self.chunks[at] = Arc::new(chunk);
            }
        }
        self.restart();
    }

    fn without(&mut self, old: &Chunk, uids: &[Uid]) -> Chunk {
        let mut chunk = Chunk::default();
        let mut names = Names::default();
        for (n, record) in old.records.iter().enumerate() {
            if uids.binary_search(&record.uid).is_ok() {
                self.counts.subtract(record);
            } else {
                chunk.records.push(*record);
                names.push(old.name(n));
            }
        }
        chunk.names = Arc::new(names);
        chunk.recount();
        chunk
    }

    fn restart(&mut self) {
        let mut before = 0;
        self.starts.clear();
        for chunk in &self.chunks {
            self.starts.push(before);
            before += chunk.records.len() as u32;
        }
    }

    /// The mod-sequence of the next change.
    pub fn next_mod_seq(&self) -> ModSeq {
        // They begin with the time in microseconds, so the largest is not reached.
        self.highest.saturating_add(1)
    }

    /// Gives every message a mod-sequence.
    pub fn restamp(&mut self, mod_seq: ModSeq) {
        self.highest = self.highest.max(mod_seq);
        for chunk in &mut self.chunks {
            Arc::make_mut(chunk).records.iter_mut().for_each(|record| record.mod_seq = mod_seq);
        }
    }
}

/// The difference between two states of the same folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Messages only the old one has, ascending.
    pub removed: Vec<Record>,
    /// UIDs that only the new one has, ascending.
    pub added: Vec<Uid>,
    /// UIDs of messages with other flags, keywords or mod-sequence, ascending.
    pub changed: Vec<Uid>,
}

impl Difference {
    /// Compares two states, looking only into chunks they do not share.
    pub fn between(old: &Snapshot, new: &Snapshot) -> Self {
        let mut difference = Self::default();
        let (mut a, mut b) = (Walk::new(&old.chunks), Walk::new(&new.chunks));
        loop {
            if a.skip_shared(&mut b) {
                continue;
            }
            match (a.record(), b.record()) {
                (None, None) => return difference,
                (Some(old), None) => {
                    difference.removed.push(*old);
                    a.advance();
                }
                (None, Some(new)) => {
                    difference.added.push(new.uid);
                    b.advance();
                }
                (Some(old), Some(new)) => match old.uid.cmp(&new.uid) {
                    std::cmp::Ordering::Less => {
                        difference.removed.push(*old);
                        a.advance();
                    }
                    std::cmp::Ordering::Greater => {
                        difference.added.push(new.uid);
                        b.advance();
                    }
                    std::cmp::Ordering::Equal => {
                        if (old.flags, old.keywords, old.mod_seq) != (new.flags, new.keywords, new.mod_seq) {
                            difference.changed.push(new.uid);
                        }
                        a.advance();
                        b.advance();
                    }
                },
            }
        }
    }
}

/// A walk over a state's messages.
struct Walk<'a> {
    chunks: &'a [Arc<Chunk>],
    inside: usize,
}

impl<'a> Walk<'a> {
    fn new(chunks: &'a [Arc<Chunk>]) -> Self {
        Self { chunks, inside: 0 }
    }

    /// Skips a whole chunk when both stand at the beginning of the same one.
    fn skip_shared(&mut self, other: &mut Self) -> bool {
        if self.inside != 0 || other.inside != 0 {
            return false;
        }
        let ([mine, my_rest @ ..], [theirs, their_rest @ ..]) = (self.chunks, other.chunks) else { return false };
        if !Arc::ptr_eq(mine, theirs) {
            return false;
        }
        self.chunks = my_rest;
        other.chunks = their_rest;
        true
    }

    fn record(&self) -> Option<&'a Record> {
        self.chunks.first().map(|chunk| &chunk.records[self.inside])
    }

    fn advance(&mut self) {
        self.inside += 1;
        if self.chunks.first().is_some_and(|chunk| self.inside >= chunk.records.len()) {
            self.chunks = &self.chunks[1..];
            self.inside = 0;
        }
    }
}
