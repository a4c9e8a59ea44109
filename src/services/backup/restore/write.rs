//! Putting directories where they belong.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::foundations::files::{self, Owner};
use crate::services::backup::Error;
use crate::services::backup::error::at;

/// In a directory that is being filled: the backup it comes from.
pub const NOTE: &str = "postrider-restored-from";

/// Creates a Maildir. `cur/`, which identifies it, comes last.
pub fn make_maildir(owner: Owner, path: &Path) -> Result<(), Error> {
    for directory in ["tmp", "new", "cur"] {
        owner.make_directory(&path.join(directory))?;
    }
    Ok(())
}

/// Creates a directory that is filled before anybody sees it. What an interrupted restore of the same backup has left there
/// is continued; what a restore of another backup has left would get mixed up with this one, and is removed.
pub fn begin(owner: Owner, path: &Path, backup: &str) -> Result<(), Error> {
    let note = path.join(NOTE);
    if fs::read(&note).is_ok_and(|noted| noted == backup.as_bytes()) {
        return Ok(());
    }
    forget(path)?;
    owner.make_directory(path)?;
    Ok(owner.write_new(&note, backup.as_bytes(), 0o600, 0)?)
}

/// Removes a directory that was begun, if there is one.
pub fn forget(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The path, if something is there that is neither a directory nor a link to one.
pub fn in_the_way(path: &Path) -> Option<PathBuf> {
    (fs::symlink_metadata(path).is_ok() && !path.is_dir()).then(|| path.to_owned())
}

/// Gives a finished directory its name, which nothing else may have.
pub fn publish(from: &Path, to: &Path) -> Result<(), Error> {
    let note = from.join(NOTE);
    fs::remove_file(&note).map_err(at("remove", &note))?;
    files::publish_directory(from, to).map_err(|error| match error.source.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists {
            path: to.to_owned(),
            advice: "it was created meanwhile; run the same command again to add what is missing",
        },
        _ => error.into(),
    })
}
