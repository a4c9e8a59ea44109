//! Files below a directory whose owner may change it at any time.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, fstat, openat, readlinkat};
use rustix::io::Errno;

use super::{Error, at};

/// Opens a plain file below a directory for reading; `None` if part of the path below is a link to something its owner
/// does not own ([`super::leads_to_own`]), or if there is no plain file. The check is made on what was opened: a link
/// set after the check changes nothing.
///
/// # Errors
/// It is not there, or cannot be read.
pub fn open_own(home: &Path, below: &Path) -> Result<Option<File>, Error> {
    let path = home.join(below);
    let failed = |errno: Errno| at("read", &path)(errno.into());
    let mut here: OwnedFd = File::open(home).map_err(at("read", home))?.into();
    let mut parts = below.components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else { return Ok(None) };
        let flags = match parts.peek() {
            Some(_) => OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            // Opening a pipe in place of a file would block.
            None => OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
        };
        match step(&here, name, flags).map_err(failed)? {
            Some(next) => here = next,
            None => return Ok(None),
        }
    }
    let is_file = FileType::from_raw_mode(fstat(&here).map_err(failed)?.st_mode) == FileType::RegularFile;
    Ok(is_file.then(|| File::from(here)))
}

/// Reads such a file, of at most `limit` octets.
///
/// # Errors
/// It is not there, cannot be read, or is larger.
pub fn read_own(home: &Path, below: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let Some(file) = open_own(home, below)? else { return Ok(None) };
    let path = home.join(below);
    let mut content = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut content).map_err(at("read", &path))?;
    if content.len() as u64 > limit {
        return Err(at("read", &path)(std::io::Error::other(format!("it is larger than {limit} octets"))));
    }
    Ok(Some(content))
}

/// One component of the path; `None` for a link to something its owner does not own, or to nothing.
fn step(here: &OwnedFd, name: &OsStr, flags: OFlags) -> Result<Option<OwnedFd>, Errno> {
    let link = match openat(here, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
        // Which of the two errors a link gives depends on the flags.
        Err(Errno::LOOP | Errno::NOTDIR) => {
            openat(here, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?
        }
        opened => return opened.map(Some),
    };
    let owner = fstat(&link)?;
    if FileType::from_raw_mode(owner.st_mode) != FileType::Symlink {
        return Err(Errno::NOTDIR);
    }
    let target = OsString::from_vec(readlinkat(&link, "", Vec::new())?.into_bytes());
    let opened = match openat(here, &target, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        opened => opened?,
    };
    let is_own = owner.st_uid == 0 || fstat(&opened)?.st_uid == owner.st_uid;
    Ok(is_own.then_some(opened))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{chown, lchown, symlink};

    use super::*;

    #[test]
    fn links_are_followed_to_what_is_their_owners_only() {
        let place = tempfile::tempdir().unwrap();
        let home = place.path().join("home");
        fs::create_dir_all(home.join("cur")).unwrap();
        fs::create_dir_all(place.path().join("other")).unwrap();
        fs::write(home.join("cur/plain"), "mine").unwrap();
        fs::write(place.path().join("other/secret"), "not mine").unwrap();
        symlink("plain", home.join("cur/link")).unwrap();
        symlink("nowhere", home.join("cur/dangling")).unwrap();
        symlink(place.path().join("other/secret"), home.join("cur/theft")).unwrap();
        symlink(place.path().join("other"), home.join("new")).unwrap();
        let read = |below: &str| {
            let content = read_own(&home, Path::new(below), 100);
            content.map(|content| content.map(|content| String::from_utf8(content).unwrap()))
        };
        assert_eq!(read("cur/plain").unwrap().as_deref(), Some("mine"));
        assert_eq!((read("cur").unwrap(), read("../other/secret").unwrap()), (None, None));
        assert!(read("cur/missing").is_err() && read("cur/plain/below").is_err());
        assert!(read_own(&home, Path::new("cur/plain"), 3).is_err());
        // Only root may give files away.
        if chown(place.path().join("other/secret"), Some(1001), None).is_err() {
            return;
        }
        chown(place.path().join("other"), Some(1001), None).unwrap();
        // A link set by root is trusted.
        assert_eq!(read("cur/theft").unwrap().as_deref(), Some("not mine"));
        for link in ["cur/link", "cur/dangling", "cur/theft", "new"] {
            lchown(home.join(link), Some(1002), None).unwrap();
        }
        chown(home.join("cur/plain"), Some(1002), None).unwrap();
        assert_eq!(read("cur/link").unwrap().as_deref(), Some("mine"));
        for below in ["cur/theft", "cur/dangling", "new/secret"] {
            assert_eq!(read(below).unwrap(), None, "{below}");
        }
    }
}
