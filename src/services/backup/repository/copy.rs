//! Copies of a repository from one backend to another.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;

use super::backend::{self, Backend, DirectoryBackend, Fetched, Listed};
use super::marker::prepare;
use super::snapshot::LARGEST;
use super::{Access, ObjectId, Snapshot, pack};
use crate::services::backup::error::damaged;
use crate::services::backup::{BackupSettings, Destination, Error};

/// Copies what the other place lacks, packs before the snapshots that name what is in them. Blocks.
///
/// # Errors
/// There is no repository at the source or something else at the target, a file is damaged, or disk or storage fail.
/// What was copied stays and shortens the next run.
pub fn copy(from: &Destination, to: &Destination, settings: &BackupSettings) -> Result<(), Error> {
    let (from, to) = (backend::open(from, settings)?, backend::open(to, settings)?);
    prepare(&*from, Access::Read)?;
    prepare(&*to, Access::Add)?;
    let _lock = backend::lock(&*to, Access::Add)?;
    to.initialize()?;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(usize::from(settings.threads)).build();
    let threads = threads.map_err(|error| Error::Interrupted(error.to_string()))?;
    let mut others = Vec::new();
    // A backup may be made meanwhile. Snapshots are listed before packs, so all their packs are among those listed.
    let snapshots = from.list("snapshots")?;
    for (directory, files) in [("packs", from.list("packs")?), ("snapshots", snapshots)] {
        let there: HashMap<String, u64> = to.list(directory)?.into_iter().map(|file| (file.name, file.size)).collect();
        let (known, missing): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| there.contains_key(&file.name));
        threads.install(|| missing.par_iter().try_for_each(|file| copy_file(&*from, &*to, file)))?;
        others.extend(known.into_iter().filter(|file| there.get(&file.name) != Some(&file.size)));
    }
    // Only the content says which of the two is damaged.
    match others.iter().find(|file| whole(&*from, file).is_ok()) {
        Some(file) => Err(other_size(&to.shown(&file.name))),
        None => Ok(()),
    }
}

/// The file at the target differs in length from the one here, which is intact. Nothing is overwritten there.
pub fn other_size(path: &Path) -> Error {
    damaged(path, "its size has changed since it was written; move it away, and copy again")
}

/// Checks some files of a repository in a directory by the SHA-256 in them or in their names. Blocks.
///
/// # Errors
/// One is damaged or has disappeared, or the disk fails.
pub fn check(root: &Path, names: &[String], settings: &BackupSettings) -> Result<(), Error> {
    let backend = DirectoryBackend::new(root);
    let threads = rayon::ThreadPoolBuilder::new().num_threads(usize::from(settings.threads)).build();
    let threads = threads.map_err(|error| Error::Interrupted(error.to_string()))?;
    let file = |name: &String| Listed { name: name.clone(), size: 0 };
    threads.install(|| names.par_iter().try_for_each(|name| whole(&backend, &file(name)).map(drop)))
}

/// A file that is intact.
enum IntactFile {
    Snapshot(Vec<u8>),
    Pack(Fetched, ObjectId),
    /// Nothing of ours.
    Other,
}

/// Reads a file and compares it with its SHA-256.
fn whole(backend: &dyn Backend, file: &Listed) -> Result<IntactFile, Error> {
    let shown = backend.shown(&file.name);
    if file.name.starts_with("snapshots/") {
        let content =
            backend.read(&file.name, LARGEST)?.ok_or_else(|| damaged(&shown, "it has disappeared meanwhile"))?;
        Snapshot::from_octets(&shown, &content)?;
        return Ok(IntactFile::Snapshot(content));
    }
    let stem = Path::new(&file.name).file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let Ok(id) = stem.parse::<ObjectId>() else { return Ok(IntactFile::Other) };
    let fetched = backend.fetch(file)?;
    if pack::hash_file(&fetched.path)? != id {
        return Err(damaged(&shown, "its SHA-256 does not match its name"));
    }
    Ok(IntactFile::Pack(fetched, id))
}

/// Copies a file if it is intact.
fn copy_file(from: &dyn Backend, to: &dyn Backend, file: &Listed) -> Result<(), Error> {
    match whole(from, file)? {
        IntactFile::Snapshot(content) => to.put(&file.name, &content),
        IntactFile::Pack(fetched, id) => to.add(&fetched.path, &file.name, id),
        IntactFile::Other => Ok(()),
    }
}
