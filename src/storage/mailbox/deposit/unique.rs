//! The unique parts of the names of files, by which a deposit knows what is there already.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};

use crate::foundations::hexadecimal::hexadecimal;
use crate::storage::mailbox::maildir::filename::Place;

/// The longest unique part behind which there is room for all our fields and flags in a name, which has at most 255 octets.
pub(super) const LONGEST_UNIQUE: usize = 160;
/// What is left of a longer one: enough for the time with which it begins, and so for the order of messages.
const KEPT_OF_UNIQUE: usize = 64;

/// The unique part as it is here: another for one that is too long, and always the same.
pub(super) fn fitting(unique: &str) -> Cow<'_, str> {
    if unique.len() <= LONGEST_UNIQUE {
        return Cow::Borrowed(unique);
    }
    let hash = hexadecimal(&digest(&SHA256, unique.as_bytes()).as_ref()[..16]);
    let begin = &unique[..unique.floor_char_boundary(KEPT_OF_UNIQUE)];
    Cow::Owned(format!("{begin}-{hash}"))
}

/// The unique parts of the names in a folder, of which there are none in one that is not there.
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

/// What stands before fields and flags in the name of a file.
pub(in super::super) fn unique(name: &[u8]) -> &[u8] {
    name.split(|octet| matches!(octet, b',' | b':')).next().unwrap_or(name)
}
