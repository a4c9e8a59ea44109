//! Putting directories where they belong.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::foundations::files::{self, Owner};
use crate::services::backup::Error;
use crate::services::backup::error::at;

/// In a directory that is being filled: from which backup.
pub const NOTE: &str = "postrider-restored-from";

/// Makes a Maildir. `cur/`, by which it is known, comes last.
pub fn make_maildir(owner: Owner, path: &Path) -> Result<(), Error> {
    for directory in ["tmp", "new", "cur"] {
        owner.make_directory(&path.join(directory))?;
    }
    Ok(())
}

/// Makes a directory that is filled before anybody sees it. What a restore of the same backup has left there, when it was
/// interrupted, is gone on with; what one of another backup has left would be mixed with what comes now, and goes.
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

/// The path, if something is there that is no directory, nor a link to one.
pub fn in_the_way(path: &Path) -> Option<PathBuf> {
    (fs::symlink_metadata(path).is_ok() && !path.is_dir()).then(|| path.to_owned())
}

/// Gives a directory that was begun its name, which nothing else may have.
pub fn publish(from: &Path, to: &Path) -> Result<(), Error> {
    let note = from.join(NOTE);
    fs::remove_file(&note).map_err(at("remove", &note))?;
    files::publish_directory(from, to).map_err(|error| match error.source.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists {
            path: to.to_owned(),
            advice: "it was made meanwhile; run the same command again, and what is missing is put into it",
        },
        _ => error.into(),
    })
}
