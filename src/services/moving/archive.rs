//! A tar of Maildirs, unpacked to be moved in.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use tar::{Archive, EntryType};

use super::Error;
use crate::foundations::files::create_directory;

/// Depth at which homes are looked for: `var/mail/vhosts/example.com/ann` has five.
const DEPTH: usize = 8;

/// Unpacks files, directories and hard links of a compressed tar below a directory, whatever else it holds. Names that
/// lead elsewhere are refused. Blocks.
///
/// # Errors
/// It cannot be read, holds a name that leads elsewhere, or the disk fails.
pub fn unpack(archive: &Path, into: &Path) -> Result<u64, Error> {
    let wrong = |error: io::Error| Error::Archive { path: archive.to_owned(), because: error.to_string() };
    let file = File::open(archive).map_err(wrong)?;
    let mut entries = Archive::new(flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(1 << 18, file)));
    let mut files = 0;
    for entry in entries.entries().map_err(wrong)? {
        let mut entry = entry.map_err(wrong)?;
        let name = entry.path_bytes().into_owned();
        let path = into.join(below(Path::new(std::ffi::OsStr::from_bytes(&name))).map_err(wrong)?);
        match entry.header().entry_type() {
            EntryType::Directory => create_directory(&path, 0o700).map_err(|error| wrong(error.source))?,
            EntryType::Regular | EntryType::Continuous => {
                write(&path, &mut entry).map_err(wrong)?;
                files += 1;
            }
            // A message that was copied to another folder.
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let target = into.join(below(Path::new(std::ffi::OsStr::from_bytes(&target))).map_err(wrong)?);
                make_parent(&path).and_then(|()| fs::hard_link(&target, &path)).map_err(wrong)?;
                files += 1;
            }
            _ => {}
        }
    }
    Ok(files)
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |above| create_directory(above, 0o700).map_err(|error| error.source))
}

fn write(path: &Path, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<()> {
    make_parent(path)?;
    // A name that comes twice is the newer file.
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    io::copy(entry, &mut file)?;
    let date = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(entry.header().mtime()?));
    date.map_or(Ok(()), |date| file.set_modified(date))
}

/// A name as it lies below another directory.
fn below(name: &Path) -> io::Result<PathBuf> {
    let mut path = PathBuf::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(io::Error::other(format!("the name `{}` leads elsewhere", name.display())));
            }
        }
    }
    Ok(path)
}

/// The directories of users in what was unpacked: those with a `cur` in them, but for their folders.
///
/// # Errors
/// A directory cannot be read.
pub fn homes(below: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    collect(below, DEPTH, &mut found)
        .map_err(|error| Error::Archive { path: below.to_owned(), because: error.to_string() })?;
    found.sort();
    Ok(found)
}

fn collect(path: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.join("cur").is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    if depth == 0 {
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), depth - 1, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        for (name, path) in [("./a/b", "a/b"), ("/var/mail", "var/mail"), ("a//b/.", "a/b")] {
            assert_eq!(below(Path::new(name)).unwrap(), Path::new(path));
        }
        assert!(below(Path::new("a/../../b")).is_err());
    }
}
