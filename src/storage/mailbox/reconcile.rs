//! Reconciling a folder's state with its directories, whoever changed them.

mod adoption;
mod plan;

use std::sync::Arc;

use self::adoption::{Adoption, Given, PATIENCE};
use self::plan::{Found, Listing, Plan};
use super::commit::Touched;
use super::folder::{Folder, State};
use super::maildir::directory::{Directories, Mtimes};
use super::maildir::filename::{FileName, Place, suffix};
use super::maildir::keywords_file;
use super::maildir::uidlist::UidList;
use super::snapshot::{Record, Snapshot};
use super::{Error, Flags, Keyword, KeywordSet, Keywords};
use crate::foundations::mail::{ModSeq, Uid};

/// How far the state can be trusted.
#[derive(Clone, Copy)]
pub(super) enum Known<'a> {
    /// It is complete: a file it does not know is foreign, whatever UID its name claims.
    Live,
    /// It comes from an index that may lack the latest changes, or there was none.
    Loading {
        /// A mod-sequence above all ever given out; every message gets it, as it is unknown which changed.
        seed: ModSeq,
        /// UIDs of files that do not have them in their names yet.
        takeover: Option<&'a UidList>,
    },
}

/// The content of the directories, beside the state it was compared with.
#[derive(Clone, Copy)]
struct Difference<'a> {
    from: &'a Snapshot,
    listing: &'a Listing,
    /// What is to be done with the listed files.
    plan: &'a Plan,
    known: Known<'a>,
}

/// One look at the directories.
struct Look {
    /// When they had changed last.
    before: Mtimes,
    /// That was so shortly before that they may have changed again without their times showing it.
    doubtful: bool,
    listing: Listing,
    plan: Plan,
    /// Nothing changed meanwhile, as far as the times show.
    quiet: bool,
}

/// How often a directory is listed again because it changes while it is read.
const ATTEMPTS: usize = 5;

impl Folder {
    /// Reads the directories when somebody else may have changed them unnoticed.
    pub fn refresh(self: &Arc<Self>) -> Result<(), Error> {
        let directories = self.directories()?;
        // Adopting files changes the directories, so only a second look shows that nothing else did.
        for _ in 0..3 {
            let mut state = self.lock();
            if state.watched {
                self.absorb_events(&mut state, &directories);
            }
            self.resolve_doubt(&mut state, &directories)?;
            state.before_change(&directories);
            if !state.stale {
                return Ok(());
            }
            self.reconcile(&mut state, &directories, Known::Live)?;
        }
        Ok(())
    }

    /// Lists the directories again if that was done too early, once a further change would show.
    pub fn resolve_doubt(self: &Arc<Self>, state: &mut State, directories: &Arc<Directories>) -> Result<(), Error> {
        if !state.doubtful || (!state.watched && self.is_within_tick(state.seen)) {
            return Ok(());
        }
        state.stale = true;
        self.reconcile(state, directories, Known::Live)?;
        if state.stale {
            // Adopting files has changed the directories.
            self.reconcile(state, directories, Known::Live)?;
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
        // The directories may be those of the same folder under its new name, where others give out the numbers by now.
        self.still_there()?;
        self.settle_pending(state, directories)?;
        let snapshot = self.current();
        let mut look = self.look(&snapshot, state, directories, known)?;
        // A file that is renamed while its directory is listed may be missed: only one missing twice is gone.
        for _ in 1..ATTEMPTS {
            if look.quiet || look.plan.missing.is_empty() {
                break;
            }
            let missing = look.plan.missing;
            look = self.look(&snapshot, state, directories, known)?;
            look.plan.missing.retain(|uid| missing.binary_search(uid).is_ok());
        }
        state.seen = look.before;
        state.stale = !look.quiet;
        state.doubtful = look.doubtful && !state.watched;
        state.passed_over = false;
        let difference = Difference { from: &snapshot, listing: &look.listing, plan: &look.plan, known };
        self.apply(state, directories, difference)
    }

    fn look(
        &self,
        snapshot: &Snapshot,
        state: &State,
        directories: &Directories,
        known: Known<'_>,
    ) -> Result<Look, Error> {
        let failed = self.failed("list the messages");
        let before = directories.mtimes().map_err(&failed)?;
        let doubtful = self.is_within_tick(before);
        let listing = Listing::read(directories).map_err(&failed)?;
        let plan = Plan::make(snapshot, &listing, state, known, directories);
        let quiet = directories.mtimes().map_err(&failed)? == before;
        Ok(Look { before, doubtful, listing, plan, quiet })
    }

    /// Makes the plan the state of the folder. On failure the directories must be listed again.
    fn apply(
        self: &Arc<Self>,
        state: &mut State,
        directories: &Arc<Directories>,
        difference: Difference<'_>,
    ) -> Result<(), Error> {
        let applied = self.try_apply(state, directories, difference);
        state.stale |= applied.is_err();
        applied
    }

    fn try_apply(
        self: &Arc<Self>,
        state: &mut State,
        directories: &Arc<Directories>,
        Difference { from, listing, plan, known }: Difference<'_>,
    ) -> Result<(), Error> {
        let mut snapshot = from.clone();
        if plan.entries().any(|at| has_unknown_letter(listing.entry(at), &snapshot.keywords)) {
            // The program that put the file there has added a keyword to the folder before.
            let table = keywords_file::read(directories.root()).map_err(self.failed("read the keywords"))?;
            snapshot.keywords = Arc::new(table);
        }
        let mut mod_seq = snapshot.next_mod_seq();
        if let Known::Loading { seed, .. } = known {
            mod_seq = mod_seq.max(seed);
            snapshot.restamp(mod_seq);
            state.delta.whole = true;
        }
        self.apply_missing(state, directories, &mut snapshot, &plan.missing, mod_seq)?;
        for (uid, at) in &plan.changed {
            apply_changed(state, &mut snapshot, *uid, listing.entry(*at), mod_seq);
        }
        let (renamed, buffer) = (false, Vec::new());
        let mut adoption =
            Adoption { folder: self, directories, snapshot, mod_seq, renamed, patience: PATIENCE, buffer };
        for (uid, at) in &plan.accepted {
            adoption.accept(state, listing.entry(*at), *uid)?;
        }
        for at in &plan.newcomers {
            let uid = state.take_uid(&self.name)?;
            // RFC 9051 §2.3.1.1: UIDNEXT changes only with new messages, however often a directory or a file that cannot
            // be read is found among them.
            if adoption.adopt(state, listing.entry(*at), uid)? == Given::No {
                state.next_uid = uid;
            }
        }
        let (mut snapshot, renamed) = (adoption.snapshot, adoption.renamed);
        // Messages with UIDs below the bound may have come and gone without a trace.
        snapshot.uid_next = snapshot.uid_next.max(state.next_uid);
        if renamed {
            // A UID is in a name on disk before anybody learns it.
            directories.sync(Place::Cur).map_err(self.failed("sync the directory"))?;
            directories.sync(Place::New).map_err(self.failed("sync the directory"))?;
            state.after_change(directories, Touched { cur: true, new: true });
            // Anything that must be listed for another reason still must.
            state.stale |= !state.watched;
        }
        // Only now: work that fails before this is repeated, and would be recorded twice.
        if !plan.missing.is_empty() {
            self.remember_removed(state, mod_seq, &plan.missing);
        }
        self.publish(snapshot);
        Ok(())
    }

    fn apply_missing(
        &self,
        state: &mut State,
        directories: &Directories,
        snapshot: &mut Snapshot,
        missing: &[Uid],
        mod_seq: ModSeq,
    ) -> Result<(), Error> {
        let Some(last) = missing.last() else { return Ok(()) };
        if *last >= state.uid_file.bound {
            self.raise_bound(state, directories)?;
        }
        snapshot.remove(missing);
        snapshot.highest = snapshot.highest.max(mod_seq);
        Ok(())
    }

    /// Folds in files that have appeared under these names, as inotify reports: messages of ours with other flags, or
    /// foreign ones. The folder is locked.
    pub fn absorb_appeared(
        self: &Arc<Self>,
        state: &mut State,
        directories: &Arc<Directories>,
        names: &[(Place, Vec<u8>)],
    ) -> Result<(), Error> {
        let mut listing = Listing::default();
        let old = self.current();
        for (place, name) in names {
            // There is no need to look for what changes of our own have caused.
            if !state.is_ours(&old, *place, name) && directories.has(*place, name) {
                listing.add(*place, name);
            }
        }
        if listing.entries.is_empty() {
            return Ok(());
        }
        listing.sort();
        self.settle_pending(state, directories)?;
        let old = self.current();
        let plan = Plan::make(&old, &listing, state, Known::Live, directories);
        if plan.changed.is_empty() && plan.newcomers.is_empty() {
            return Ok(());
        }
        let difference = Difference { from: &old, listing: &listing, plan: &plan, known: Known::Live };
        self.apply(state, directories, difference)
    }

    /// Makes new messages of those whose files have another size than when they were found. Programs such as `cp` and
    /// `tar` write a file in its place, where it can be found before it is complete; and what a client knows of a
    /// message never changes (RFC 9051 §2.3.1.1). The folder is locked.
    pub fn take_anew(
        self: &Arc<Self>,
        state: &mut State,
        directories: &Arc<Directories>,
        uids: &[Uid],
    ) -> Result<(), Error> {
        let known = self.current();
        let (mut listing, mut plan) = (Listing::default(), Plan::default());
        for uid in uids {
            let Some((record, stored)) = known.by_uid(*uid) else { continue };
            let name = record.file_name(stored);
            if matches!(directories.stat(record.place, &name), Ok(Some((size, _))) if size != record.size) {
                plan.missing.push(*uid);
                listing.add(record.place, &name);
            }
        }
        if plan.missing.is_empty() {
            return Ok(());
        }
        // As in `reconcile`: others may give out the numbers by now.
        self.still_there()?;
        plan.missing.sort_unstable();
        plan.newcomers = (0..listing.entries.len()).collect();
        // They get higher UIDs than what is on its way to the disk.
        self.settle_pending(state, directories)?;
        let old = self.current();
        let difference = Difference { from: &old, listing: &listing, plan: &plan, known: Known::Live };
        self.apply(state, directories, difference)
    }
}

/// Whether a file is the one the state refers to.
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

/// The content of a file's name, with `$Forwarded` as the flag it is to us where Dovecot has made it a keyword.
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

/// Whether a file's name has a letter for a keyword that the table does not name.
fn has_unknown_letter(found: Found<'_>, keywords: &Keywords) -> bool {
    let parsed = FileName::parse(found.name, found.place);
    parsed.is_some_and(|parsed| parsed.keywords.slots().any(|slot| keywords.name(slot).is_none()))
}

fn apply_changed(state: &mut State, snapshot: &mut Snapshot, uid: Uid, found: Found<'_>, mod_seq: ModSeq) {
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
