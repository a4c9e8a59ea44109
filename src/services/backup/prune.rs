//! Removing backups, and then what no other backup needs.

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
    /// Snapshots that were removed.
    pub removed: Vec<SnapshotId>,
    /// Unreadable snapshots that were set aside.
    pub set_aside: Vec<SnapshotId>,
    /// Where the files are that were set aside, including packs.
    pub aside: Vec<PathBuf>,
    /// What cannot be read of the remaining snapshots, as sentences, at most 100: objects that only this would have named were removed.
    pub given_up: Vec<String>,
    /// Octets of packs that were removed.
    pub freed: u64,
    /// Octets that were written again, from packs that were mostly unused.
    pub written: u64,
    /// Why each file that should have been removed is still there: the storage does not allow its removal.
    pub held: Vec<String>,
}

impl Pruned {
    /// The result of removing a file, or `None` when the storage does not allow it.
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

/// What happens to unreadable snapshots and packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damaged {
    /// They stay, and as long as a remaining snapshot cannot be read, nothing is removed.
    Stay,
    /// They are moved out of the repository, and what only they needed is removed.
    SetAside,
}

/// A pack of which less than this share (in percent) is needed is rewritten with only that.
const WORTH_KEEPING: u64 = 50;

/// Removes snapshots that the rules do not keep, and what only they needed. An interruption at any point leaves the other
/// snapshots intact; the next run removes the rest. The repository must have been opened for removing.
///
/// The backups in `named` are removed too, whatever the rules say.
///
/// The storage may not allow removal: an append-only directory, a bucket whose key may not delete. Then a snapshot
/// stays, with what it needs, and the run continues with the others.
///
/// # Errors
/// Removing is forbidden, the disk fails, there is no readable snapshot, a named one does not exist or is the only one, or
/// a remaining one is damaged and must not be set aside: then it is not known what it needs, and nothing it might need is
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

/// Sets unreadable snapshots and packs aside.
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

/// Removes unused packs, and rewrites mostly unused ones.
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
        // A pack whose objects are all in other packs too is not among them.
        let objects = packs.remove(&number).unwrap_or_default();
        let all = octets(&mut objects.iter());
        let live = octets(&mut objects.iter().filter(|(_, id)| needed.contains_key(id)));
        // An empty object may be needed, too.
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
    // If one file cannot be removed, others may not be either, and rewriting them would only take more space.
    if !pruned.held.is_empty() {
        return Ok(());
    }
    // A pack with a damaged object is left as it is: its readable objects can be read where they are.
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
/// The snapshots cannot be listed, there is no readable one, or a named one does not exist or is the
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
        return Err(Error::NoSnapshot(format!("named {unknown}")));
    }
    // Without any snapshot it is not known what the packs are for: the snapshots may have been lost.
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
    // A damaged one stays as long as the rules would keep it, but does not take the place of another.
    let mut stays = kept(&all, &settings.retention, now);
    stays.retain(|id| unreadable.contains(id));
    all.retain(|(id, _)| !unreadable.contains(id));
    if let Some(only) = named.first().filter(|_| all.iter().all(|(id, _)| named.contains(id))) {
        return Err(Error::OnlyOne(only.to_string()));
    }
    // A backup removed by name does not take the place of another either.
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

/// Most unreadable things that are reported individually.
const MOST_TOLD: usize = 100;

/// What snapshots need, as far as it is known.
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

/// Whether the needed objects of a pack are as they were stored.
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

/// Writes the needed objects of a pack into another one, and returns their octets.
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
