//! Bringing a folder's state and its directories to agree, whoever changed the directories.

use std::io::Read as _;
use std::sync::Arc;

use super::folder::{Folder, State};
use super::maildir::directory::Directories;
use super::maildir::filename::{self, FileName, Place, suffix};
use super::maildir::uidlist::UidList;
use super::snapshot::{Record, Snapshot};
use super::{Error, Flags, Keyword, KeywordSet, Keywords};

/// How much the state is to be trusted.
#[derive(Clone, Copy)]
pub(super) enum Known<'a> {
    /// It is complete: a file it does not know is foreign, whatever UID its name claims.
    Live,
    /// It comes from an index that may lack the latest changes, or there was none.
    Loading {
        /// Mod-sequence above all that were ever given out; every message gets it, as it is not known which changed.
        seed: u64,
        /// UIDs of files that do not have them in their names yet.
        takeover: Option<&'a UidList>,
    },
}

/// UIDs this far above the bound are not believed.
const BELIEVABLE: u32 = 1_000_000;
/// Times a directory is listed again because it changes while it is read.
const ATTEMPTS: usize = 5;

impl Folder {
    /// Reads the directories when somebody else may have changed them and nobody told.
    pub fn refresh(self: &Arc<Self>) -> Result<(), Error> {
        let directories = self.directories()?;
        // Adopting files changes the directories, so it takes a second look to see that nothing else did.
        for _ in 0..3 {
            let mut state = self.lock();
            if state.watched {
                self.absorb_events(&mut state, &directories);
            }
            state.before_change(&directories);
            if !state.stale {
                return Ok(());
            }
            self.reconcile(&mut state, &directories, Known::Live)?;
        }
        Ok(())
    }

    /// Lists the directories and folds in what differs.
    pub fn reconcile(
        self: &Arc<Self>,
        state: &mut State,
        directories: &Arc<Directories>,
        known: Known<'_>,
    ) -> Result<(), Error> {
        self.settle_pending(state, directories)?;
        let snapshot = self.current();
        let failed = self.failed("list the messages");
        let mut before = directories.mtimes().map_err(&failed)?;
        let mut listing = Listing::read(directories).map_err(&failed)?;
        let mut plan = Plan::make(&snapshot, &listing, state, known, directories);
        let mut quiet = directories.mtimes().map_err(&failed)? == before;
        // A file that is renamed while its directory is listed may be passed over: only what is missing twice is gone.
        for _ in 1..ATTEMPTS {
            if quiet || plan.missing.is_empty() {
                break;
            }
            let missing = std::mem::take(&mut plan.missing);
            before = directories.mtimes().map_err(&failed)?;
            listing = Listing::read(directories).map_err(&failed)?;
            plan = Plan::make(&snapshot, &listing, state, known, directories);
            plan.missing.retain(|uid| missing.binary_search(uid).is_ok());
            quiet = directories.mtimes().map_err(&failed)? == before;
        }
        state.seen = before;
        state.stale = !quiet;
        self.apply(state, directories, &snapshot, &plan, &listing, known)
    }

    fn apply(
        self: &Arc<Self>,
        state: &mut State,
        directories: &Arc<Directories>,
        old: &Snapshot,
        plan: &Plan,
        listing: &Listing,
        known: Known<'_>,
    ) -> Result<(), Error> {
        let mut snapshot = old.clone();
        let mut mod_seq = snapshot.highest + 1;
        if let Known::Loading { seed, .. } = known {
            mod_seq = mod_seq.max(seed);
            snapshot.restamp(mod_seq);
            state.delta.whole = true;
        }
        self.apply_missing(state, directories, &mut snapshot, &plan.missing, mod_seq)?;
        for (uid, at) in &plan.changed {
            apply_changed(state, &mut snapshot, *uid, listing.entry(*at), mod_seq);
        }
        let mut adoption = Adoption { folder: self, directories, snapshot, mod_seq, renamed: false };
        for (uid, at) in &plan.accepted {
            adoption.accept(state, listing.entry(*at), *uid)?;
        }
        for at in &plan.newcomers {
            let uid = state.take_uid(&self.name)?;
            adoption.adopt(state, listing.entry(*at), uid)?;
        }
        let (mut snapshot, renamed) = (adoption.snapshot, adoption.renamed);
        // Messages with UIDs below the bound may have come and gone without a trace.
        snapshot.uid_next = snapshot.uid_next.max(state.next_uid);
        if renamed {
            // A UID is in a name on disk before anybody learns it.
            directories.sync(Place::Cur).map_err(self.failed("sync the directory"))?;
            directories.sync(Place::New).map_err(self.failed("sync the directory"))?;
            state.after_change(directories);
            state.stale = !state.watched;
        }
        self.publish(snapshot);
        Ok(())
    }

    fn apply_missing(
        &self,
        state: &mut State,
        directories: &Directories,
        snapshot: &mut Snapshot,
        missing: &[u32],
        mod_seq: u64,
    ) -> Result<(), Error> {
        let Some(last) = missing.last() else { return Ok(()) };
        if *last >= state.uid_file.bound {
            self.raise_bound(state, directories)?;
        }
        snapshot.remove(missing);
        snapshot.highest = snapshot.highest.max(mod_seq);
        self.remember_removed(state, mod_seq, missing);
        Ok(())
    }

    /// Folds in that a file has appeared under a name: a message of ours with other flags, or a foreign one. With the
    /// folder locked. For news from inotify; the answer is whether the directories must be listed after all.
    pub fn absorb_appeared(
        self: &Arc<Self>,
        state: &mut State,
        directories: &Arc<Directories>,
        names: &[(Place, Vec<u8>)],
    ) -> Result<(), Error> {
        let mut listing = Listing::default();
        for (place, name) in names {
            if directories.has(*place, name) {
                listing.add(*place, name);
            }
        }
        if listing.entries.is_empty() {
            return Ok(());
        }
        listing.sort();
        let old = self.current();
        if listing.entries.iter().all(|entry| state.knows(&old, entry, &listing)) {
            return Ok(());
        }
        self.settle_pending(state, directories)?;
        let old = self.current();
        let plan = Plan::make(&old, &listing, state, Known::Live, directories);
        if plan.changed.is_empty() && plan.newcomers.is_empty() {
            return Ok(());
        }
        self.apply(state, directories, &old, &plan, &listing, Known::Live)
    }
}

impl State {
    fn knows(&self, snapshot: &Snapshot, entry: &Entry, listing: &Listing) -> bool {
        let found = Found { place: entry.place, name: listing.name(entry) };
        let pending = self.pending.iter().find(|pending| pending.record.uid == entry.uid);
        match (pending, snapshot.by_uid(entry.uid)) {
            (Some(pending), _) => is_recorded(&pending.record, &pending.name, found),
            (None, Some((record, stored))) => is_recorded(record, stored, found),
            (None, None) => false,
        }
    }
}

/// A file found in a directory.
#[derive(Debug, Clone, Copy)]
struct Found<'a> {
    place: Place,
    name: &'a [u8],
}

/// Files as found.
#[derive(Debug, Default)]
struct Listing {
    heap: Vec<u8>,
    /// By UID; those without come first, as 0.
    entries: Vec<Entry>,
    /// Whether these are all files there are.
    whole: bool,
}

#[derive(Debug)]
struct Entry {
    uid: u32,
    place: Place,
    length: u8,
    start: usize,
}

impl Listing {
    fn read(directories: &Directories) -> std::io::Result<Self> {
        let mut listing = Self::default();
        // `new/` first: a file moves from there to `cur/`, so it may be seen twice but not passed over.
        for place in [Place::New, Place::Cur] {
            directories.list(place, |name| listing.add(place, name))?;
        }
        listing.sort();
        listing.whole = true;
        Ok(listing)
    }

    fn sort(&mut self) {
        self.entries.sort_unstable_by_key(|entry| (entry.uid, entry.start));
    }

    fn add(&mut self, place: Place, name: &[u8]) {
        if let Some(parsed) = FileName::parse(name, place)
            && let Ok(length) = u8::try_from(name.len())
        {
            let uid = parsed.uid.unwrap_or(0);
            self.entries.push(Entry { uid, place, length, start: self.heap.len() });
            self.heap.extend_from_slice(name);
        }
    }

    fn name(&self, entry: &Entry) -> &[u8] {
        &self.heap[entry.start..entry.start + usize::from(entry.length)]
    }

    fn entry(&self, at: usize) -> Found<'_> {
        let entry = &self.entries[at];
        Found { place: entry.place, name: self.name(entry) }
    }
}

/// What must be done so that state and directories agree. Files are given by their position in the listing.
#[derive(Debug, Default)]
struct Plan {
    /// UIDs whose files are gone, ascending.
    missing: Vec<u32>,
    /// Known messages under another name.
    changed: Vec<(u32, usize)>,
    /// Messages that the state has not heard of and whose UID is believed or taken over, ascending.
    accepted: Vec<(u32, usize)>,
    /// Files that get a new UID, in the order in which they get it.
    newcomers: Vec<usize>,
}

impl Plan {
    fn make(
        snapshot: &Snapshot,
        listing: &Listing,
        state: &State,
        known: Known<'_>,
        directories: &Directories,
    ) -> Self {
        let mut plan = Self::default();
        let mut present = vec![false; if listing.whole { snapshot.len() } else { 0 }];
        let mut start = 0;
        for group in listing.entries.chunk_by(|a, b| a.uid == b.uid && a.uid != 0) {
            let positions = start..start + group.len();
            start = positions.end;
            match (group[0].uid, snapshot.find(group[0].uid)) {
                (0, _) => plan.unnumbered(listing, positions.start, known),
                (uid, Ok(index)) => {
                    if let Some(present) = present.get_mut(index) {
                        *present = true;
                    }
                    plan.known(snapshot, uid, positions, listing, directories);
                }
                (uid, Err(_)) => plan.unknown(uid, positions, state, snapshot, known),
            }
        }
        plan.missing =
            snapshot.iter().zip(present).filter(|(_, here)| !here).map(|((record, _), _)| record.uid).collect();
        plan.accepted.sort_unstable();
        let accepted = std::mem::take(&mut plan.accepted);
        for (uid, at) in accepted {
            // A UID that is named twice, or that comes after higher ones, is not believed.
            if plan.accepted.last().is_some_and(|(last, _)| *last == uid) || uid < snapshot.uid_next {
                plan.newcomers.push(at);
            } else {
                plan.accepted.push((uid, at));
            }
        }
        let order = |at: &usize| {
            let found = listing.entry(*at);
            let seconds = FileName::parse(found.name, found.place).map_or(0, |name| name.seconds());
            (seconds, found.name)
        };
        plan.newcomers.sort_by(|a, b| order(a).cmp(&order(b)));
        plan
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

    /// Files with a UID that the state knows: one of them is that message.
    fn known(
        &mut self,
        snapshot: &Snapshot,
        uid: u32,
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
        let same_base = |at: &usize| listing.entry(*at).name.starts_with(super::snapshot::base(stored));
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

    /// Files with a UID that the state has not heard of.
    fn unknown(
        &mut self,
        uid: u32,
        mut positions: std::ops::Range<usize>,
        state: &State,
        snapshot: &Snapshot,
        known: Known<'_>,
    ) {
        let highest =
            state.uid_file.bound.max(snapshot.uid_next).saturating_add(BELIEVABLE).min(u32::MAX - UID_RESERVE);
        let believed = matches!(known, Known::Loading { .. }) && uid >= snapshot.uid_next && uid < highest;
        if believed && let Some(first) = positions.next() {
            self.accepted.push((uid, first));
        }
        self.newcomers.extend(positions);
    }
}

/// UIDs at the upper end that are never taken from names.
const UID_RESERVE: u32 = 1 << 20;

/// Whether a file is the one the state means.
fn is_recorded(record: &Record, stored: &[u8], found: Found<'_>) -> bool {
    if record.place != found.place {
        return false;
    }
    match found.name.strip_prefix(stored) {
        Some(rest) if record.regular => rest == suffix(record.place, record.flags, record.keywords).as_bytes(),
        Some(rest) => rest.is_empty(),
        None => false,
    }
}

/// What a file's name says, with `$Forwarded` as the flag it is to us where Dovecot has made it a keyword.
fn read_name<'a>(found: Found<'a>, keywords: &Keywords) -> Option<FileName<'a>> {
    let mut parsed = FileName::parse(found.name, found.place)?;
    let forwarded = Keyword::parse("$Forwarded").ok().and_then(|keyword| keywords.slot(&keyword));
    if let Some(slot) = forwarded.map(KeywordSet::slot)
        && parsed.keywords.contains(slot)
    {
        parsed.keywords = parsed.keywords.without(slot);
        parsed.flags |= Flags::FORWARDED;
        parsed.regular = false;
    }
    Some(parsed)
}

fn apply_changed(state: &mut State, snapshot: &mut Snapshot, uid: u32, found: Found<'_>, mod_seq: u64) {
    let Some(parsed) = read_name(found, &snapshot.keywords) else { return };
    let stored = if parsed.regular { parsed.base } else { found.name };
    snapshot.update(uid, Some(stored), |record| {
        if (record.flags, record.keywords) != (parsed.flags, parsed.keywords) {
            record.mod_seq = mod_seq;
        }
        record.place = found.place;
        record.flags = parsed.flags;
        record.keywords = parsed.keywords;
        record.regular = parsed.regular;
    });
    state.delta.changed.push(uid);
}

/// Files becoming messages of the folder.
struct Adoption<'a> {
    folder: &'a Arc<Folder>,
    directories: &'a Directories,
    snapshot: Snapshot,
    mod_seq: u64,
    renamed: bool,
}

impl Adoption<'_> {
    /// Takes a file with the UID its name has, or writes the UID it had before into its name.
    fn accept(&mut self, state: &mut State, found: Found<'_>, uid: u32) -> Result<(), Error> {
        let Some(parsed) = read_name(found, &self.snapshot.keywords) else { return Ok(()) };
        state.next_uid = state.next_uid.max(uid.saturating_add(1));
        if parsed.uid != Some(uid) {
            return self.adopt(state, found, uid);
        }
        let Some(record) = self.record(state, found, &parsed, uid)? else { return Ok(()) };
        let stored = if parsed.regular { parsed.base } else { found.name };
        self.push(state, record, stored);
        Ok(())
    }

    /// Gives a file a UID by renaming it.
    fn adopt(&mut self, state: &mut State, found: Found<'_>, uid: u32) -> Result<(), Error> {
        let Some(parsed) = read_name(found, &self.snapshot.keywords) else { return Ok(()) };
        let Some(mut record) = self.record(state, found, &parsed, uid)? else { return Ok(()) };
        record.regular = true;
        if record.place == Place::New {
            (record.flags, record.keywords) = Default::default();
        }
        let fresh = || filename::fresh(&self.folder.environment.unique(), uid, record.size, record.virtual_size);
        let base = filename::adopted(parsed.base, uid, record.size, record.virtual_size).unwrap_or_else(fresh);
        let name = record.file_name(base.as_bytes());
        match self.directories.rename((found.place, found.name), (found.place, &name)) {
            Ok(()) => {
                self.renamed = true;
                self.push(state, record, base.as_bytes());
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                state.stale = true;
                Ok(())
            }
            Err(error) => Err(self.folder.failed("give a UID to a message")(error)),
        }
    }

    fn push(&mut self, state: &mut State, record: Record, stored: &[u8]) {
        state.delta.changed.push(record.uid);
        self.snapshot.push(record, stored);
    }

    /// What is to be known about a file; `None` when it is gone again or no file.
    fn record(
        &self,
        state: &mut State,
        found: Found<'_>,
        parsed: &FileName<'_>,
        uid: u32,
    ) -> Result<Option<Record>, Error> {
        let measured = measure(self.directories, found, parsed);
        let (size, virtual_size, date) = match measured {
            Ok(Some(measured)) => measured,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                state.stale = true;
                return Ok(None);
            }
            Err(error) => return Err(self.folder.failed("look at a message")(error)),
        };
        Ok(Some(Record {
            uid,
            mod_seq: self.mod_seq,
            size,
            virtual_size,
            date,
            keywords: parsed.keywords,
            flags: parsed.flags,
            place: found.place,
            regular: parsed.regular,
        }))
    }
}

/// Size, size with CRLF line ends and date of a file; `None` when it is not a plain file.
fn measure(
    directories: &Directories,
    found: Found<'_>,
    parsed: &FileName<'_>,
) -> std::io::Result<Option<(u64, u64, i64)>> {
    let Some((size, date)) = directories.stat(found.place, found.name)? else { return Ok(None) };
    let virtual_size = match parsed.virtual_size {
        Some(virtual_size) if parsed.size == Some(size) && virtual_size >= size => virtual_size,
        _ => size + bare_line_feeds(directories.open_message(found.place, found.name)?)?,
    };
    Ok(Some((size, virtual_size, date.unix_seconds())))
}

/// How many lines of a file end without a CR.
fn bare_line_feeds(mut file: std::fs::File) -> std::io::Result<u64> {
    let mut buffer = vec![0; 64 << 10];
    let mut before = 0;
    let mut count = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(count);
        }
        for at in memchr::memchr_iter(b'\n', &buffer[..read]) {
            let previous = if at == 0 { before } else { buffer[at - 1] };
            count += u64::from(previous != b'\r');
        }
        before = buffer[read - 1];
    }
}
