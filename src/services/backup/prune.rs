//! Removing backups, and then what none of the others needs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use super::references::each_reference;
use super::repository::{Access, Block, Kind, Location, ObjectId, Repository, SnapshotId};
use super::retention::kept;
use super::{BackupSettings, Error};
use crate::foundations::clock::Timestamp;
use crate::foundations::failure;

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pruned {
    /// Snapshots that stay.
    pub kept: Vec<SnapshotId>,
    /// Snapshots that went.
    pub removed: Vec<SnapshotId>,
    /// Snapshots that cannot be read and were set aside.
    pub set_aside: Vec<SnapshotId>,
    /// Where the files that were set aside are, those of packs among them.
    pub aside: Vec<PathBuf>,
    /// What of the snapshots that stay cannot be read, as sentences, at most 100: what only that would have named went.
    pub given_up: Vec<String>,
    /// Octets of packs that went.
    pub freed: u64,
    /// Octets that were written again, from packs most of which nothing needed any more.
    pub written: u64,
    /// Why each file that was to go is still there: the place does not let go of it.
    pub held: Vec<String>,
}

impl Pruned {
    /// What came of removing a file, or `None` when the place holds it.
    fn unless_held<T>(&mut self, removed: Result<T, Error>) -> Result<Option<T>, Error> {
        match removed {
            Ok(removed) => Ok(Some(removed)),
            Err(error) if error.kind() == failure::Kind::NoPermission => {
                self.held.push(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// What becomes of snapshots and packs that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damaged {
    /// They stay, and while a snapshot that stays cannot be read nothing is removed.
    Stay,
    /// They are put where they are no part of the repository, and what only they needed goes.
    SetAside,
}

/// A pack of which less than this share (in percent) is needed is written anew with only that.
const WORTH_KEEPING: u64 = 50;

/// Removes snapshots that the rules do not keep, and what only they needed. An interruption at any point leaves the other
/// snapshots whole; what was not removed is removed by the next run. The repository must be open to remove.
///
/// The backups in `named` go too, whatever the rules say.
///
/// A place may hold what is to go: an append-only directory, a bucket whose key may not delete. A snapshot that is held
/// stays, with what it needs, and the others are gone through.
///
/// # Errors
/// Removing is forbidden, the disk fails, not one snapshot is there or can be read, one that is named is not there or the only one, or
/// one that stays is damaged and is not to be set aside: then it is not known what it needs, and nothing it might need is
/// removed.
pub fn prune(
    repository: &Repository,
    settings: &BackupSettings,
    now: Timestamp,
    damaged: Damaged,
    named: &[SnapshotId],
) -> Result<Pruned, Error> {
    let mut pruned = plan(repository, settings, now, damaged, named)?;
    if settings.append_only {
        return Err(Error::AppendOnly(repository.root().to_owned()));
    }
    debug_assert_eq!(repository.access(), Access::Remove);
    let (mut wanted, given_up) = needed(repository, &pruned.kept, damaged)?;
    pruned.given_up = given_up;
    set_aside(repository, damaged, &mut pruned)?;
    let mut held = Vec::new();
    for id in std::mem::take(&mut pruned.removed) {
        match pruned.unless_held(repository.remove_snapshot(&id))? {
            Some(()) => pruned.removed.push(id),
            None => held.push(id),
        }
    }
    let (also_wanted, given_up) = needed(repository, &held, damaged)?;
    wanted.extend(also_wanted);
    pruned.given_up.extend(given_up);
    pruned.kept.append(&mut held);
    pruned.kept.sort();
    remove_packs(repository, &wanted, &mut pruned)?;
    Ok(pruned)
}

/// Puts snapshots and packs aside that cannot be read.
fn set_aside(repository: &Repository, damaged: Damaged, pruned: &mut Pruned) -> Result<(), Error> {
    if damaged == Damaged::Stay {
        return Ok(());
    }
    for id in std::mem::take(&mut pruned.set_aside) {
        let file = repository.snapshot_file(&id)?;
        if let Some(path) = pruned.unless_held(repository.set_aside(&file))? {
            pruned.aside.push(path);
            pruned.set_aside.push(id);
        }
    }
    for file in repository.damaged_packs() {
        if let Some(path) = pruned.unless_held(repository.set_aside(file))? {
            pruned.aside.push(path);
        }
    }
    Ok(())
}

/// Removes the packs that nothing needs, and writes those anew of which little is needed.
fn remove_packs(repository: &Repository, needed: &HashMap<ObjectId, Kind>, pruned: &mut Pruned) -> Result<(), Error> {
    let mut packs: BTreeMap<u32, Vec<(Location, ObjectId)>> = BTreeMap::new();
    for (location, id) in repository.by_place() {
        packs.entry(location.pack).or_default().push((location, id));
    }
    let octets = |objects: &mut dyn Iterator<Item = &(Location, ObjectId)>| -> u64 {
        objects.map(|(location, _)| u64::from(location.length)).sum()
    };
    let mut thin = Vec::new();
    for number in 0..repository.packs() {
        // A pack whose objects all lie elsewhere too is not among them.
        let objects = packs.remove(&number).unwrap_or_default();
        let all = octets(&mut objects.iter());
        let live = octets(&mut objects.iter().filter(|(_, id)| needed.contains_key(id)));
        // One without octets may be needed, too.
        let some_needed = objects.iter().any(|(_, id)| needed.contains_key(id));
        let all_needed = some_needed && objects.iter().all(|(_, id)| needed.contains_key(id));
        if all_needed || (live > 0 && live * 100 >= all * WORTH_KEEPING) {
            continue;
        }
        if some_needed {
            thin.push((number, objects));
        } else {
            pruned.freed += pruned.unless_held(repository.remove_pack(number))?.unwrap_or(0);
        }
    }
    // Where one file is held others may be, and what is written beside them would only take more room.
    if !pruned.held.is_empty() {
        return Ok(());
    }
    // One with a damaged object is left as it is: what can be read of it can be read where it lies.
    let mut whole = Vec::new();
    for (number, objects) in thin {
        if can_be_read(repository, &objects, needed)? {
            whole.push((number, objects));
        }
    }
    let thin = whole;
    for (_, objects) in &thin {
        pruned.written += copy(repository, objects, needed)?;
    }
    repository.finish_packs()?;
    for (number, _) in thin {
        pruned.freed += pruned.unless_held(repository.remove_pack(number))?.unwrap_or(0);
    }
    Ok(())
}

/// What would be removed.
///
/// # Errors
/// The snapshots cannot be listed, not one of them is there or can be read, or one that is named is not there or the
/// only one.
pub fn plan(
    repository: &Repository,
    settings: &BackupSettings,
    now: Timestamp,
    damaged: Damaged,
    named: &[SnapshotId],
) -> Result<Pruned, Error> {
    let ids = repository.snapshots()?;
    if let Some(unknown) = named.iter().find(|id| !ids.contains(id)) {
        return Err(Error::NoSnapshot(format!("is named {unknown}")));
    }
    // Without any it is not known either what the packs hold: the list may have been lost, and they with it.
    if ids.is_empty() && repository.packs() > 0 {
        return Err(Error::Unlisted(repository.root().to_owned()));
    }
    let mut all: Vec<(SnapshotId, bool)> = Vec::with_capacity(ids.len());
    let mut unreadable = BTreeSet::new();
    for id in ids {
        let full = match repository.snapshot(&id) {
            Ok(snapshot) => snapshot.full,
            Err(error) if error.is_out_of_reach() => return Err(error),
            Err(error) => {
                if error.is_damage() {
                    unreadable.insert(id.clone());
                }
                false
            }
        };
        all.push((id, full));
    }
    if !all.is_empty() && all.len() == unreadable.len() {
        return Err(Error::NoneWhole(repository.root().to_owned()));
    }
    // A damaged one keeps its place until the rules are done with it, but takes none from another.
    let mut stays = kept(&all, &settings.retention, now);
    stays.retain(|id| unreadable.contains(id));
    all.retain(|(id, _)| !unreadable.contains(id));
    if let Some(only) = named.first().filter(|_| all.iter().all(|(id, _)| named.contains(id))) {
        return Err(Error::OnlyOne(only.to_string()));
    }
    // What goes by its name takes no place from another either.
    let (gone, all): (Vec<_>, Vec<_>) = all.into_iter().partition(|(id, _)| named.contains(id));
    stays.retain(|id| !named.contains(id));
    stays.extend(kept(&all, &settings.retention, now));
    let (mut kept, mut removed): (Vec<_>, Vec<_>) =
        all.into_iter().map(|(id, _)| id).partition(|id| stays.contains(id));
    removed.extend(gone.into_iter().map(|(id, _)| id));
    removed.sort();
    let mut set_aside = Vec::new();
    match damaged {
        Damaged::SetAside => set_aside.extend(unreadable),
        Damaged::Stay => {
            let (stay, go): (Vec<_>, Vec<_>) = unreadable.into_iter().partition(|id| stays.contains(id));
            kept.extend(stay);
            removed.extend(go);
            kept.sort();
            removed.sort();
        }
    }
    Ok(Pruned { kept, removed, set_aside, ..Pruned::default() })
}

/// Most of what cannot be read that is told one by one.
const MOST_TOLD: usize = 100;

/// What snapshots need, and what is not known of it.
type Needs = (HashMap<ObjectId, Kind>, Vec<String>);

fn needed(repository: &Repository, kept: &[SnapshotId], damaged: Damaged) -> Result<Needs, Error> {
    let (mut needed, mut unknown) = (HashMap::new(), Vec::new());
    for id in kept {
        let mut failures = Vec::new();
        match repository.snapshot(id) {
            Ok(snapshot) => {
                let mut note = |object, kind, _: &str| _ = needed.insert(object, kind);
                let mut failed = |error, whose: &str| failures.push((error, whose.to_owned()));
                each_reference(repository, &snapshot, &mut note, &mut failed);
            }
            Err(error) => failures.push((error, "all of it".to_owned())),
        }
        for (error, whose) in failures {
            match damaged {
                Damaged::SetAside if error.is_damage() && unknown.len() >= MOST_TOLD => {}
                Damaged::SetAside if error.is_damage() => unknown.push(format!("{id}: {whose}: {error}")),
                Damaged::Stay if error.is_damage() => return Err(Error::NeedsUnknown(Box::new(error))),
                _ => return Err(error),
            }
        }
    }
    Ok((needed, unknown))
}

/// Whether what is needed of a pack is as it was stored.
fn can_be_read(
    repository: &Repository,
    objects: &[(Location, ObjectId)],
    needed: &HashMap<ObjectId, Kind>,
) -> Result<bool, Error> {
    for (_, id) in objects.iter().filter(|(_, id)| needed.contains_key(id)) {
        match repository.read(id) {
            Ok(_) => {}
            Err(error) if error.is_damage() => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Writes what is needed of a pack into another one; its octets.
fn copy(
    repository: &Repository,
    objects: &[(Location, ObjectId)],
    needed: &HashMap<ObjectId, Kind>,
) -> Result<u64, Error> {
    let mut written = 0;
    for kind in [Kind::Content, Kind::List] {
        let mut block = Block::new(repository, kind)?;
        for (_, id) in objects.iter().filter(|(_, id)| needed.get(id) == Some(&kind)) {
            let content = repository.read(id)?;
            written += content.len() as u64;
            block.copy(*id, &content)?;
        }
        block.flush()?;
    }
    Ok(written)
}
