//! The unique parts of file names, by which a deposit recognises messages already there.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use crate::foundations::hexadecimal::hexadecimal;
use crate::storage::mailbox::maildir::filename::{FileName, Place};

/// The longest unique part that leaves room for all our fields and flags in a name of at most 255 octets.
pub(super) const LONGEST_UNIQUE: usize = 160;
/// The length to which a longer one is cut: enough for the time at its beginning, and so for the order of messages.
const KEPT_OF_UNIQUE: usize = 64;

/// The unique part as used here: a replacement, always the same, for one that is too long.
pub(super) fn fitting(unique: &str) -> Cow<'_, str> {
    if unique.len() <= LONGEST_UNIQUE {
        return Cow::Borrowed(unique);
    }
    let hash = hexadecimal(&digest(&SHA256, unique.as_bytes()).as_ref()[..16]);
    let begin = &unique[..unique.floor_char_boundary(KEPT_OF_UNIQUE)];
    Cow::Owned(format!("{begin}-{hash}"))
}

/// A message that is already there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// The unique part of its file's name.
    pub unique: String,
    /// The file.
    pub path: PathBuf,
    /// Its size with CRLF line ends, if its name tells.
    pub virtual_size: Option<u64>,
}

/// The messages in a folder, except those with names that no deposit gives.
pub(super) fn present(path: &Path) -> std::io::Result<Vec<Present>> {
    let mut found = Vec::new();
    each_name(path, |place, name| {
        let Ok(unique) = std::str::from_utf8(unique(name)) else { return };
        if let Some(parsed) = FileName::parse(name, place) {
            let path = path.join(place.directory()).join(OsStr::from_bytes(name));
            found.push(Present { unique: unique.to_owned(), path, virtual_size: parsed.virtual_size });
        }
    })?;
    Ok(found)
}

/// The unique parts of the names in a folder; none if it does not exist.
pub(super) fn uniques(path: &Path) -> std::io::Result<HashSet<Vec<u8>>> {
    let mut found = HashSet::new();
    each_name(path, |_, name| {
        found.insert(unique(name).to_vec());
    })?;
    Ok(found)
}

fn each_name(path: &Path, mut each: impl FnMut(Place, &[u8])) -> std::io::Result<()> {
    for place in [Place::New, Place::Cur] {
        let entries = match fs::read_dir(path.join(place.directory())) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            entries => entries?,
        };
        for entry in entries {
            each(place, entry?.file_name().as_bytes());
        }
    }
    Ok(())
}

/// The part of a file name before fields and flags.
pub(in super::super) fn unique(name: &[u8]) -> &[u8] {
    name.split(|octet| matches!(octet, b',' | b':')).next().unwrap_or(name)
}
