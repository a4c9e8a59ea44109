//! Which directories must be apart: what is written into one would be taken for what belongs to another.

use std::path::{Path, PathBuf};

/// Whether the path is the directory or lies in it, whatever links lead there.
pub fn lies_in(path: &Path, directory: &Path) -> bool {
    path.starts_with(directory) || resolved(path).starts_with(resolved(directory))
}

/// Whether one of two directories is the other or lies in it.
pub fn overlap(one: &Path, other: &Path) -> bool {
    lies_in(one, other) || lies_in(other, one)
}

/// The path without links, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let resolve = |above: &Path| Some((above.canonicalize().ok()?, path.strip_prefix(above).ok()?.to_owned()));
    match path.ancestors().find_map(resolve) {
        // Joining nothing would add a slash.
        Some((above, rest)) if rest.as_os_str().is_empty() => above,
        Some((above, rest)) => above.join(rest),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_nowhere_else() {
        let place = tempfile::tempdir().unwrap();
        let (mail, link) = (place.path().join("mail"), place.path().join("link"));
        std::fs::create_dir(&mail).unwrap();
        std::os::unix::fs::symlink(&mail, &link).unwrap();
        assert!(lies_in(&link, &mail) && lies_in(&link.join("a/b"), &mail) && lies_in(&mail.join("a"), &link));
        assert!(!lies_in(place.path(), &mail) && overlap(place.path(), &mail));
        assert!(!overlap(&place.path().join("mailbox"), &mail), "a name that begins alike is another");
    }
}
