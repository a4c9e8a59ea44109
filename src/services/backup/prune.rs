//! Removing backups, and then what none of the others needs.

use std::collections::{BTreeMap, HashMap};

use super::references::each_reference;
use super::repository::{Access, Block, Kind, Location, ObjectId, Repository, SnapshotId};
use super::retention::kept;
use super::{BackupSettings, Error};
use crate::foundations::clock::Timestamp;

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
}

/// A pack of which less than this share (in percent) is needed is written anew with only that.
const WORTH_KEEPING: u64 = 50;

/// Removes snapshots that the rules do not keep, and what only they needed. An interruption at any point leaves the other
/// snapshots whole; what was not removed is removed by the next run. The repository must be open to remove.
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
    let needed = needed(repository, &pruned.kept)?;
    for id in &pruned.removed {
        repository.remove_snapshot(id)?;
    }
    let mut packs: BTreeMap<u32, Vec<(Location, ObjectId)>> = BTreeMap::new();
    for (location, id) in repository.by_place() {
        packs.entry(location.pack).or_default().push((location, id));
    }
    let octets = |objects: &mut dyn Iterator<Item = &(Location, ObjectId)>| -> u64 {
        objects.map(|(location, _)| u64::from(location.length)).sum()
    };
    let mut going = Vec::new();
    for number in 0..repository.packs() {
        // A pack whose objects all lie elsewhere too is not among them.
        let objects = packs.remove(&number).unwrap_or_default();
        let all = octets(&mut objects.iter());
        let live = octets(&mut objects.iter().filter(|(_, id)| needed.contains_key(id)));
        let all_needed = !objects.is_empty() && objects.iter().all(|(_, id)| needed.contains_key(id));
        if all_needed || (live > 0 && live * 100 >= all * WORTH_KEEPING) {
            continue;
        }
        pruned.written += copy(repository, &objects, &needed)?;
        going.push(number);
    }
    repository.finish_packs()?;
    for number in going {
        pruned.freed += repository.remove_pack(number)?;
    }
    Ok(pruned)
}

/// What would be removed.
///
/// # Errors
/// The snapshots cannot be listed.
pub fn plan(repository: &Repository, settings: &BackupSettings, now: Timestamp) -> Result<Pruned, Error> {
    let ids = repository.snapshots()?;
    // One that cannot be read is no reason to keep another one less.
    let full = |id: &SnapshotId| repository.snapshot(id).is_ok_and(|snapshot| snapshot.full);
    let all: Vec<(SnapshotId, bool)> = ids.into_iter().map(|id| (id.clone(), full(&id))).collect();
    let stays = kept(&all, &settings.retention, now);
    let (kept, removed) = all.into_iter().map(|(id, _)| id).partition(|id| stays.contains(id));
    Ok(Pruned { kept, removed, freed: 0, written: 0 })
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
