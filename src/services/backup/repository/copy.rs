//! Copies of a repository from one shelf to another.

use std::collections::HashSet;
use std::path::Path;

use rayon::prelude::*;

use super::shelf::{self, Listed, Shelf};
use super::snapshot::LARGEST;
use super::store::prepare;
use super::{Access, ObjectId, Snapshot, pack};
use crate::services::backup::error::damaged;
use crate::services::backup::{BackupSettings, Destination, Error};

/// Copies what the other place lacks, packs before the snapshots that name what is in them. Blocks.
///
/// # Errors
/// There is no repository at the one place or something else at the other, a file is damaged, or disk or storage fail.
/// What was copied stays and shortens the next run.
pub fn copy(from: &Destination, to: &Destination, settings: &BackupSettings) -> Result<(), Error> {
    let (from, to) = (shelf::open(from, settings)?, shelf::open(to, settings)?);
    prepare(&*from, Access::Read)?;
    prepare(&*to, Access::Add)?;
    let _lock = shelf::lock(&*to, Access::Add)?;
    to.furnish()?;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(usize::from(settings.threads)).build();
    let threads = threads.map_err(|error| Error::Interrupted(error.to_string()))?;
    for directory in ["packs", "snapshots"] {
        let there: HashSet<String> = to.list(directory)?.into_iter().map(|file| file.name).collect();
        let mut missing = from.list(directory)?;
        missing.retain(|file| !there.contains(&file.name));
        threads.install(|| missing.par_iter().try_for_each(|file| copy_file(&*from, &*to, file)))?;
    }
    Ok(())
}

/// Copies a file, if it is what it was when it was written.
fn copy_file(from: &dyn Shelf, to: &dyn Shelf, file: &Listed) -> Result<(), Error> {
    let shown = from.shown(&file.name);
    if file.name.starts_with("snapshots/") {
        let content = from.read(&file.name, LARGEST)?.ok_or_else(|| damaged(&shown, "it has gone meanwhile"))?;
        Snapshot::from_octets(&shown, &content)?;
        return to.put(&file.name, &content);
    }
    let stem = Path::new(&file.name).file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    // Nothing of ours.
    let Ok(id) = stem.parse::<ObjectId>() else { return Ok(()) };
    let fetched = from.fetch(file)?;
    if pack::hash_file(&fetched.path)? != id {
        return Err(damaged(&shown, "its SHA-256 is no longer the one in its name"));
    }
    to.add(&fetched.path, &file.name, id)
}
