//! The file that says that a place holds backups, and in which format.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Access;
use super::backend::{self, Backend, Listed};
use super::snapshot::ENDING;
use crate::services::backup::Error;
use crate::services::backup::error::damaged;

/// The format this program writes and reads.
pub const FORMAT: u32 = 1;
const MARK: &str = "postrider-backup.json";

#[derive(Serialize, Deserialize)]
struct Mark {
    format: u32,
}

/// Whether there is a repository.
pub fn is_there(backend: &dyn Backend) -> Result<bool, Error> {
    Ok(backend.read(MARK, LARGEST)?.is_some() || has_backups(backend)?)
}

/// Creates a repository if that is wanted, and checks what is there.
pub fn prepare(backend: &dyn Backend, access: Access) -> Result<(), Error> {
    let mark = backend.shown(MARK);
    let content = match backend.read(MARK, LARGEST)? {
        Some(content) => content,
        None if has_backups(backend)? => {
            log::warn!(file:% = mark.display(); "The file that marks this as a repository of backups is missing");
            if access != Access::Read {
                write_mark_anew(backend, None);
            }
            return Ok(());
        }
        None if backend.has_foreign_files()? => return Err(Error::NotRepository(backend.shown(""))),
        None if access != Access::Add => return Err(Error::NoRepository(backend.shown(""))),
        None => {
            backend.initialize()?;
            backend.put(MARK, mark_text().as_bytes())?;
            return Ok(());
        }
    };
    match serde_json::from_slice::<Mark>(&content) {
        Ok(found) if found.format == FORMAT => Ok(()),
        Ok(found) => Err(Error::Format { path: mark, format: found.format }),
        Err(error) if has_backups(backend)? => {
            let path = mark.display();
            log::warn!(file:% = path, error:% = error; "The file that marks this as a repository of backups is damaged");
            if access != Access::Read {
                write_mark_anew(backend, Some(content.len() as u64));
            }
            Ok(())
        }
        Err(error) => Err(damaged(&mark, error)),
    }
}

fn mark_text() -> String {
    serde_json::json!({ "format": FORMAT, "what": "backups made by postrider" }).to_string()
}

/// Whether there is something that only a repository has. Every snapshot says its format itself.
fn has_backups(backend: &dyn Backend) -> Result<bool, Error> {
    for (directory, ending) in [("snapshots", ENDING), ("packs", "pack")] {
        let files = match backend.list(directory) {
            Err(Error::File(error)) if error.source.kind() == io::ErrorKind::NotFound => continue,
            files => files?,
        };
        let is_one = |file: &Listed| Path::new(&file.name).extension().is_some_and(|found| found == ending);
        if files.iter().any(is_one) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes the mark again, and sets the damaged one of this size aside. If that fails, the backups can
/// still be used.
fn write_mark_anew(backend: &dyn Backend, damaged: Option<u64>) {
    let written = backend
        .initialize()
        .and_then(|()| match damaged {
            Some(size) => backend.set_aside(&Listed { name: MARK.to_owned(), size }, &backend::aside(MARK)),
            None => Ok(()),
        })
        .and_then(|()| backend.put(MARK, mark_text().as_bytes()));
    match written {
        Ok(()) => log::info!(file:% = backend.shown(MARK).display(); "The file was written again"),
        Err(error) => log::warn!(error:% = error; "The file cannot be written again"),
    }
}

/// Largest mark that is read.
const LARGEST: u64 = 1 << 16;
