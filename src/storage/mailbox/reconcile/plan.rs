//! The files found in a folder's directories, and the resulting actions.

use super::{Known, is_recorded};
use crate::foundations::mail::Uid;
use crate::storage::mailbox::folder::State;
use crate::storage::mailbox::maildir::directory::Directories;
use crate::storage::mailbox::maildir::filename::{FileName, Place};
use crate::storage::mailbox::snapshot::{Snapshot, base};

/// UIDs further than this above the bound are not trusted.
const BELIEVABLE: u32 = 1_000_000;

/// A file found in a directory.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    pub place: Place,
    pub name: &'a [u8],
}

/// Files as found.
#[derive(Debug, Default)]
pub struct Listing {
    heap: Vec<u8>,
    /// By UID; files without one come first.
    pub entries: Vec<Entry>,
    /// Whether these are all the files.
    whole: bool,
}

#[derive(Debug)]
pub struct Entry {
    pub uid: Option<Uid>,
    pub place: Place,
    length: u8,
    start: usize,
}

impl Listing {
    pub fn read(directories: &Directories) -> std::io::Result<Self> {
        let mut listing = Self::default();
        // `new/` first: files move from there to `cur/`, so one may be seen twice but not missed.
        for place in [Place::New, Place::Cur] {
            directories.list(place, |name| listing.add(place, name))?;
        }
        listing.sort();
        listing.whole = true;
        Ok(listing)
    }

    pub fn sort(&mut self) {
        self.entries.sort_unstable_by_key(|entry| (entry.uid, entry.start));
    }

    pub fn add(&mut self, place: Place, name: &[u8]) {
        if let Some(parsed) = FileName::parse(name, place)
            && let Ok(length) = u8::try_from(name.len())
        {
            self.entries.push(Entry { uid: parsed.uid, place, length, start: self.heap.len() });
            self.heap.extend_from_slice(name);
        }
    }

    pub fn name(&self, entry: &Entry) -> &[u8] {
        &self.heap[entry.start..entry.start + usize::from(entry.length)]
    }

    pub fn entry(&self, at: usize) -> Found<'_> {
        let entry = &self.entries[at];
        Found { place: entry.place, name: self.name(entry) }
    }
}

/// What must be done so that state and directories agree. Files are given by their position in the listing.
#[derive(Debug, Default)]
pub struct Plan {
    /// UIDs whose files are gone, ascending.
    pub missing: Vec<Uid>,
    /// Known messages under a new name.
    pub changed: Vec<(Uid, usize)>,
    /// Unknown messages whose UID is trusted or taken over, ascending.
    pub accepted: Vec<(Uid, usize)>,
    /// Files that get a new UID, in that order.
    pub newcomers: Vec<usize>,
}

impl Plan {
    /// The files to be looked at, by their positions in the listing.
    pub fn entries(&self) -> impl Iterator<Item = usize> {
        let known = self.changed.iter().chain(&self.accepted).map(|(_, at)| *at);
        known.chain(self.newcomers.iter().copied())
    }

    /// Compares the state with the listing.
    pub fn make(
        snapshot: &Snapshot,
        listing: &Listing,
        state: &State,
        known: Known<'_>,
        directories: &Directories,
    ) -> Self {
        let mut plan = Self::default();
        let mut present = vec![false; if listing.whole { snapshot.len() } else { 0 }];
        let mut start = 0;
        for group in listing.entries.chunk_by(|a, b| a.uid.is_some() && a.uid == b.uid) {
            let positions = start..start + group.len();
            start = positions.end;
            let Some(uid) = group[0].uid else {
                plan.unnumbered(listing, positions.start, known);
                continue;
            };
            match snapshot.find(uid) {
                Ok(index) => {
                    if let Some(present) = present.get_mut(index) {
                        *present = true;
                    }
                    plan.known(snapshot, uid, positions, listing, directories);
                }
                Err(_) => plan.unknown(uid, positions, state, snapshot, known),
            }
        }
        plan.missing =
            snapshot.iter().zip(present).filter(|(_, here)| !here).map(|((record, _), _)| record.uid).collect();
        plan.accept_increasing(snapshot.uid_next);
        plan.sort_newcomers(listing);
        plan
    }

    /// A UID that occurs twice, or is not above all UIDs given out, is not trusted: the file gets a new one.
    fn accept_increasing(&mut self, uid_next: Uid) {
        self.accepted.sort_unstable();
        let accepted = std::mem::take(&mut self.accepted);
        for (uid, at) in accepted {
            if self.accepted.last().is_some_and(|(last, _)| *last == uid) || uid < uid_next {
                self.newcomers.push(at);
            } else {
                self.accepted.push((uid, at));
            }
        }
    }

    /// Files get new UIDs in the order of the times in their names.
    fn sort_newcomers(&mut self, listing: &Listing) {
        // Each name is read once: a folder that another program has filled has them by the hundred thousand.
        self.newcomers.sort_by_cached_key(|at| {
            let found = listing.entry(*at);
            let seconds = FileName::parse(found.name, found.place).map_or(0, |name| name.seconds());
            (seconds, found.name)
        });
    }

    fn unnumbered(&mut self, listing: &Listing, at: usize, known: Known<'_>) {
        let found = listing.entry(at);
        let base = FileName::parse(found.name, found.place).map_or(found.name, |name| name.base);
        match known {
            Known::Loading { takeover: Some(list), .. } => match list.uids.get(base) {
                Some(uid) => self.accepted.push((*uid, at)),
                None => self.newcomers.push(at),
            },
            Known::Loading { takeover: None, .. } | Known::Live => self.newcomers.push(at),
        }
    }

    /// Files with a known UID: one of them is that message.
    fn known(
        &mut self,
        snapshot: &Snapshot,
        uid: Uid,
        positions: std::ops::Range<usize>,
        listing: &Listing,
        directories: &Directories,
    ) {
        let Some((record, stored)) = snapshot.by_uid(uid) else { return };
        let mut positions: Vec<usize> = positions.collect();
        if positions.len() > 1 {
            // Seen under two names, perhaps because it was renamed while the directory was listed.
            positions.retain(|at| {
                let found = listing.entry(*at);
                directories.has(found.place, found.name)
            });
        }
        let same_base = |at: &usize| listing.entry(*at).name.starts_with(base(stored));
        let recorded = positions.iter().position(|at| is_recorded(record, stored, listing.entry(*at)));
        if recorded.is_none() && !listing.whole && directories.has(record.place, &record.file_name(stored)) {
            // The message is where it was, and these are copies of it.
            self.newcomers.extend(positions);
            return;
        }
        let chosen = recorded.or_else(|| positions.iter().position(same_base)).unwrap_or(0);
        if positions.is_empty() {
            return;
        }
        let at = positions.remove(chosen);
        if recorded.is_none() {
            self.changed.push((uid, at));
        }
        self.newcomers.extend(positions);
    }

    /// Files with an unknown UID.
    fn unknown(
        &mut self,
        uid: Uid,
        mut positions: std::ops::Range<usize>,
        state: &State,
        snapshot: &Snapshot,
        known: Known<'_>,
    ) {
        let end = state.uid_file.bound.max(snapshot.uid_next).saturating_add(BELIEVABLE);
        let believable = uid >= snapshot.uid_next && uid < end && uid.get() < u32::MAX - UID_RESERVE;
        if believable
            && matches!(known, Known::Loading { .. })
            && let Some(first) = positions.next()
        {
            self.accepted.push((uid, first));
        }
        self.newcomers.extend(positions);
    }
}

/// UIDs at the upper end that are never accepted from names.
const UID_RESERVE: u32 = 1 << 20;
