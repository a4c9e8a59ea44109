//! The unique parts of file names, by which a deposit recognises messages already there.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};

use crate::foundations::hexadecimal::hexadecimal;
use crate::storage::mailbox::maildir::filename::Place;

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

/// The unique parts of the names in a folder; none if it does not exist.
pub(super) fn uniques(path: &Path) -> std::io::Result<HashSet<Vec<u8>>> {
    let mut found = HashSet::new();
    for place in [Place::New, Place::Cur] {
        let entries = match fs::read_dir(path.join(place.directory())) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            entries => entries?,
        };
        for entry in entries {
            let name = entry?.file_name();
            found.insert(unique(name.as_bytes()).to_vec());
        }
    }
    Ok(found)
}

/// The part of a file name before fields and flags.
pub(in super::super) fn unique(name: &[u8]) -> &[u8] {
    name.split(|octet| matches!(octet, b',' | b':')).next().unwrap_or(name)
}
