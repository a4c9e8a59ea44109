//! Putting directories where they belong.

use std::io;
use std::path::Path;

use crate::foundations::files::{self, Owner};
use crate::services::backup::Error;

/// Makes a Maildir. `cur/`, by which it is known, comes last.
pub fn make_maildir(owner: Owner, path: &Path) -> Result<(), Error> {
    for directory in ["tmp", "new", "cur"] {
        owner.make_directory(&path.join(directory))?;
    }
    Ok(())
}

/// Gives a directory its name, which nothing else may have.
pub fn publish(from: &Path, to: &Path) -> Result<(), Error> {
    files::publish_directory(from, to).map_err(|error| match error.source.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists {
            path: to.to_owned(),
            advice: "it was made meanwhile; run the same command again, and what is missing is put into it",
        },
        _ => error.into(),
    })
}
