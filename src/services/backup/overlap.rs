//! Checks that directories do not overlap: files written into one would be taken for files of another.

use std::path::{Path, PathBuf};

/// Whether the path is the directory or is inside it, also through links.
pub fn lies_in(path: &Path, directory: &Path) -> bool {
    path.starts_with(directory) || resolved(path).starts_with(resolved(directory))
}

/// Whether two directories are the same or one is inside the other.
pub fn overlap(one: &Path, other: &Path) -> bool {
    lies_in(one, other) || lies_in(other, one)
}

/// The path with links resolved, as far as it exists.
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
