//! Checks that backups are as they were stored.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::Path;

use rayon::prelude::*;

use super::error::at;
use super::references::each_reference;
use super::repository::{Kind, Location, ObjectId, Repository, SnapshotId};
use super::{Error, Progress};
use crate::foundations::counted::{are, counted};

/// How much to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Whether everything that snapshots name exists.
    Structure,
    /// Also every octet of every pack.
    Everything,
}

/// What was found.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Verified {
    /// Snapshots checked.
    pub snapshots: u64,
    /// Objects that they need.
    pub objects: u64,
    /// Octets of objects that were read and compared with their SHA-256.
    pub octets: u64,
    /// Snapshots that were taken without secrets: to restore one, these are needed from elsewhere.
    pub without_secrets: u64,
    /// What is wrong, as sentences.
    pub problems: Vec<String>,
}

/// Most problems that are reported individually.
const MOST_TOLD: usize = 100;

/// Checks snapshots, and with [`Depth::Everything`] the whole repository.
///
/// # Errors
/// The directory cannot be read, or the storage does not answer. Damage is not an error but among the problems.
pub fn verify(
    repository: &Repository,
    snapshots: &[SnapshotId],
    depth: Depth,
    progress: &Progress,
) -> Result<Verified, Error> {
    let mut verified = Verified::default();
    verified.problems.extend(repository.damage().map(ToString::to_string));
    let mut needed: HashSet<ObjectId> = HashSet::new();
    for id in snapshots {
        let snapshot = match repository.snapshot(id) {
            Ok(snapshot) => snapshot,
            Err(error) if error.is_out_of_reach() => return Err(error),
            Err(error) => {
                verified.problems.push(error.to_string());
                continue;
            }
        };
        verified.without_secrets += u64::from(!snapshot.secrets_left_out.is_empty());
        verified.snapshots += 1;
        let mut missing: BTreeMap<String, u64> = BTreeMap::new();
        let (mut unreadable, mut out_of_reach) = (Vec::new(), None);
        let mut note = |object: ObjectId, _: Kind, whose: &str| {
            needed.insert(object);
            if !repository.has(&object) {
                *missing.entry(whose.to_owned()).or_default() += 1;
            }
        };
        let mut failed = |error: Error, whose: &str| match error.is_out_of_reach() {
            true => out_of_reach = Some(error),
            false => unreadable.push(format!("{id}: {whose}: {error}")),
        };
        each_reference(repository, &snapshot, &mut note, &mut failed);
        if let Some(error) = out_of_reach {
            return Err(error);
        }
        verified.problems.extend(unreadable);
        let told = missing
            .iter()
            .map(|(whose, count)| format!("{id}: {whose}: {} {} missing", counted(*count, "object"), are(*count)));
        verified.problems.extend(told);
    }
    verified.objects = needed.len() as u64;
    if depth == Depth::Everything {
        let (octets, problems) = repository.with_threads(|| read_everything(repository, progress))?;
        verified.octets = octets;
        verified.problems.extend(problems);
    }
    if let Some(more) = verified.problems.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        verified.problems.truncate(MOST_TOLD);
        verified.problems.push(format!("and {more} more"));
    }
    Ok(verified)
}

fn read_everything(repository: &Repository, progress: &Progress) -> Result<(u64, Vec<String>), Error> {
    let mut in_packs: BTreeMap<u32, Vec<(Location, ObjectId)>> = BTreeMap::new();
    for (location, id) in repository.by_place() {
        in_packs.entry(location.pack).or_default().push((location, id));
    }
    let packs = (0..repository.packs()).into_par_iter().map(|number| {
        let objects = in_packs.get(&number).map_or(&[][..], Vec::as_slice);
        let read = repository.with_pack(number, |path, damage| {
            let (octets, mut problems) = read_pack(repository, path, objects, progress);
            problems.extend(damage.map(|error| error.to_string()));
            (octets, problems)
        });
        match read {
            Err(error) if error.is_out_of_reach() => Err(error),
            read => Ok(read.unwrap_or_else(|error| (0, vec![error.to_string()]))),
        }
    });
    packs.try_reduce(Default::default, |(octets, mut problems), (more, others)| {
        problems.extend(others);
        Ok((octets + more, problems))
    })
}

/// Reads every object of a pack from its file on this machine.
fn read_pack(
    repository: &Repository,
    path: &Path,
    objects: &[(Location, ObjectId)],
    progress: &Progress,
) -> (u64, Vec<String>) {
    let file = match File::open(path).map_err(at("read", path)) {
        Ok(file) => file,
        Err(error) => return (0, vec![error.to_string()]),
    };
    let blocks: Vec<_> = objects.chunk_by(|(a, _), (b, _)| a.block == b.block).collect();
    let read = blocks.par_iter().map(|objects| {
        let mut octets = 0;
        let result = repository.block_in(&file, objects[0].0).and_then(|block| {
            objects.iter().try_for_each(|(location, id)| {
                octets += repository.slice(&block, *location, id)?.len() as u64;
                Ok(())
            })
        });
        progress.add(objects.len() as u64, octets);
        (octets, result.err().map(|error| error.to_string()))
    });
    let read: Vec<_> = read.collect();
    (read.iter().map(|(octets, _)| octets).sum(), read.into_iter().filter_map(|(_, problem)| problem).collect())
}
