//! Unpacking a tar archive of Maildirs to import them.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, EntryType};

use super::Error;
use super::scripts::{LINK, has_scripts};
use crate::foundations::files::create_directory;

/// Depth to which home directories are looked for: `var/mail/vhosts/example.com/ann` has five.
const DEPTH: usize = 8;

/// Unpacks files, directories, hard links, and the links to active scripts from a compressed tar below a directory,
/// and ignores everything else. Names that lead outside are refused. Blocks.
///
/// # Errors
/// It cannot be read, holds a name that leads outside, or the disk fails.
pub fn unpack(archive: &Path, into: &Path) -> Result<u64, Error> {
    let wrong = |error: io::Error| Error::Archive { path: archive.to_owned(), because: error.to_string() };
    let file = File::open(archive).map_err(wrong)?;
    let mut entries = Archive::new(flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(1 << 18, file)));
    let (mut files, mut links) = (0, Vec::new());
    for entry in entries.entries().map_err(wrong)? {
        let mut entry = entry.map_err(wrong)?;
        let name = entry.path_bytes().into_owned();
        let path = into.join(below(Path::new(OsStr::from_bytes(&name))).map_err(wrong)?);
        match entry.header().entry_type() {
            EntryType::Directory => create_directory(&path, 0o700).map_err(|error| wrong(error.source))?,
            // The pieces of such a file, whose positions are unknown here.
            EntryType::Regular if is_sparse_by_extension(&mut entry).map_err(wrong)? => {
                log::warn!(
                    "`{}` is left out: it is a sparse file in pax format; create the archive again without --sparse",
                    String::from_utf8_lossy(&name)
                );
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                write(&path, &mut entry).map_err(wrong)?;
                files += 1;
            }
            // A message that was copied to another folder.
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let target = into.join(below(Path::new(OsStr::from_bytes(&target))).map_err(wrong)?);
                make_parent(&path).and_then(|()| fs::hard_link(&target, &path)).map_err(wrong)?;
                files += 1;
            }
            EntryType::Symlink if path.file_name() == Some(OsStr::new(LINK)) => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                links.push((path, PathBuf::from(OsStr::from_bytes(&target))));
            }
            _ => {}
        }
    }
    // From here on, nothing is written that could go through one of them.
    for (path, target) in links {
        if leads_down(&target) {
            make_parent(&path).and_then(|()| make_link(&target, &path)).map_err(wrong)?;
        } else {
            log::warn!("The link to `{}` is left out: it points outside the user's directory", target.display());
        }
    }
    Ok(files)
}

/// Whether a link leads to something below its own directory, also through other links of this kind.
fn leads_down(target: &Path) -> bool {
    target.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn make_link(target: &Path, path: &Path) -> io::Result<()> {
    let _ = fs::remove_file(path);
    symlink(target, path)
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |above| create_directory(above, 0o700).map_err(|error| error.source))
}

/// Whether an entry is a sparse file as GNU tar writes it with `--format=pax`, under another name than its own.
fn is_sparse_by_extension(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<bool> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(false) };
    Ok(extensions.flatten().any(|extension| extension.key_bytes().starts_with(b"GNU.sparse.")))
}

fn write(path: &Path, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<()> {
    make_parent(path)?;
    // If a name occurs twice, the later file is the newer one.
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    io::copy(entry, &mut file)?;
    let date = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(entry.header().mtime()?));
    date.map_or(Ok(()), |date| file.set_modified(date))
}

/// A name relative to another directory.
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

/// The users' directories among what was unpacked: those that contain `cur`, except for folders, and those with
/// scripts only, which get an empty inbox.
///
/// # Errors
/// A directory cannot be read, or an inbox cannot be created.
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
    let before = found.len();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), depth - 1, found)?;
        }
    }
    // Scripts next to the users' directories are those of the server.
    if found.len() == before && has_scripts(path) {
        fs::create_dir(path.join("cur"))?;
        found.push(path.to_owned());
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

    #[test]
    fn links_to_active_scripts_come_along_and_no_others() {
        let place = tempfile::tempdir().unwrap();
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (name, target) in [
            ("x.test/ann/.dovecot.sieve", "sieve/main.sieve"),
            ("x.test/bob/.dovecot.sieve", "/etc/passwd"),
            ("x.test/carl/.dovecot.sieve", "sieve/../../ann/sieve/main.sieve"),
            ("x.test/ann/cur", "/etc"),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, name, target).unwrap();
        }
        for name in ["x.test/ann/sieve/main.sieve", "x.test/bob/cur/1.M1.host", "x.test/sieve/global.sieve"] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(EntryType::Regular);
            header.set_size(5);
            header.set_mtime(0);
            tar.append_data(&mut header, name, &b"keep;"[..]).unwrap();
        }
        let (archive, into) = (place.path().join("maildirs.tar.gz"), place.path().join("into"));
        fs::write(&archive, tar.into_inner().unwrap().finish().unwrap()).unwrap();
        assert_eq!(unpack(&archive, &into).unwrap(), 3);
        let domain = into.join("x.test");
        assert_eq!(fs::read(domain.join("ann/.dovecot.sieve")).unwrap(), b"keep;");
        for none in ["bob/.dovecot.sieve", "carl/.dovecot.sieve", "ann/cur"] {
            assert!(fs::symlink_metadata(domain.join(none)).is_err(), "{none}");
        }
        assert_eq!(homes(&into).unwrap(), [domain.join("ann"), domain.join("bob")]);
        assert_eq!(homes(&into).unwrap().len(), 2, "looked at again");
    }

    #[test]
    fn sparse_files_are_read_as_they_were() {
        use std::io::{Seek as _, Write as _};
        let place = tempfile::tempdir().unwrap();
        let sparse = place.path().join("sparse");
        let mut file = File::options().read(true).write(true).create_new(true).open(&sparse).unwrap();
        // With a hole between the two, if the file system supports holes.
        file.write_all(b"begin").unwrap();
        file.seek(io::SeekFrom::Start(1 << 20)).unwrap();
        file.write_all(b"end").unwrap();
        file.rewind().unwrap();
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        tar.append_file("x.test/ann/cur/1.M1.host", &mut file).unwrap();
        let record = b"22 GNU.sparse.major=1\n";
        let append =
            |tar: &mut tar::Builder<flate2::write::GzEncoder<Vec<u8>>>, kind: EntryType, name: &str, content: &[u8]| {
                let mut header = tar::Header::new_ustar();
                header.set_entry_type(kind);
                header.set_size(content.len() as u64);
                header.set_mtime(0);
                tar.append_data(&mut header, name, content).unwrap();
            };
        append(&mut tar, EntryType::XHeader, "x", record);
        append(&mut tar, EntryType::Regular, "x.test/ann/cur/GNUSparseFile.1/2.M2.host", b"1\n0\n3\nend");
        append(&mut tar, EntryType::Regular, "x.test/ann/cur/3.M3.host", b"plain");
        let (archive, into) = (place.path().join("maildirs.tar.gz"), place.path().join("into"));
        fs::write(&archive, tar.into_inner().unwrap().finish().unwrap()).unwrap();
        assert_eq!(unpack(&archive, &into).unwrap(), 2, "the pieces of the other are no message");
        let messages = into.join("x.test/ann/cur");
        assert_eq!(fs::read(messages.join("1.M1.host")).unwrap(), fs::read(&sparse).unwrap());
        assert_eq!(fs::read(messages.join("3.M3.host")).unwrap(), b"plain");
    }
}
