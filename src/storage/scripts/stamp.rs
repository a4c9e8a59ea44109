//! Versions of script files.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::foundations::files;

/// Distinguishes contents of the active script without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The version of a file; `None` when it is not there, or is a link to nothing.
    ///
    /// # Errors
    /// The disk cannot be asked.
    pub fn of(path: &Path) -> Result<Option<Self>, files::Error> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(Self {
                file: (metadata.dev(), metadata.ino()),
                size: metadata.size(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(files::Error { verb: "look at", path: path.to_owned(), source }),
        }
    }
}
