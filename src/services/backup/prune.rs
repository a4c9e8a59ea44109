//! Removing backups, and then what none of the others needs.

use std::collections::{BTreeMap, HashMap};

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

/// A pack of which less than this share (in percent) is needed is written anew with only that.
const WORTH_KEEPING: u64 = 50;

/// Removes snapshots that the rules do not keep, and what only they needed. An interruption at any point leaves the other
/// snapshots whole; what was not removed is removed by the next run. The repository must be open to remove.
///
/// A place may hold what is to go: an append-only directory, a bucket whose key may not delete. A snapshot that is held
/// stays, with what it needs, and the others are gone through.
///
/// # Errors
/// Removing is forbidden, the disk fails, or a snapshot that stays is damaged: then it is not known what it needs, and
/// nothing it might need is removed.
pub fn prune(repository: &Repository, settings: &BackupSettings, now: Timestamp) -> Result<Pruned, Error> {
    let mut pruned = plan(repository, settings, now)?;
    if settings.append_only {
        return Err(Error::AppendOnly(repository.root().to_owned()));
    }
    debug_assert_eq!(repository.access(), Access::Remove);
    let mut wanted = needed(repository, &pruned.kept)?;
    let mut held = Vec::new();
    for id in std::mem::take(&mut pruned.removed) {
        match pruned.unless_held(repository.remove_snapshot(&id))? {
            Some(()) => pruned.removed.push(id),
            None => held.push(id),
        }
    }
    wanted.extend(needed(repository, &held)?);
    pruned.kept.append(&mut held);
    pruned.kept.sort();
    remove_packs(repository, &wanted, &mut pruned)?;
    Ok(pruned)
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
/// The snapshots cannot be listed.
pub fn plan(repository: &Repository, settings: &BackupSettings, now: Timestamp) -> Result<Pruned, Error> {
    let ids = repository.snapshots()?;
    let mut all: Vec<(SnapshotId, bool)> = Vec::with_capacity(ids.len());
    for id in ids {
        let full = match repository.snapshot(&id) {
            Ok(snapshot) => snapshot.full,
            Err(error) if error.is_out_of_reach() => return Err(error),
            // One that is damaged is no reason to keep another one less.
            Err(_) => false,
        };
        all.push((id, full));
    }
    let stays = kept(&all, &settings.retention, now);
    let (kept, removed) = all.into_iter().map(|(id, _)| id).partition(|id| stays.contains(id));
    Ok(Pruned { kept, removed, ..Pruned::default() })
}

fn needed(repository: &Repository, kept: &[SnapshotId]) -> Result<HashMap<ObjectId, Kind>, Error> {
    let mut needed = HashMap::new();
    let mut failure = None;
    for id in kept {
        let snapshot = repository.snapshot(id)?;
        let mut note = |object, kind, _: &str| _ = needed.insert(object, kind);
        each_reference(repository, &snapshot, &mut note, &mut |error, _| failure = Some(error));
    }
    failure.map_or(Ok(needed), Err)
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
