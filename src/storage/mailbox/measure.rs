//! Disk usage of mailboxes, for commands that run beside the server: nothing is created, and no index is touched.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::maildir::filename::Place;
use super::user::directory_of;
use super::{Error, Usage};
use crate::foundations::address::Address;

/// The usage of a user's mail, by looking at every file. Blocks.
///
/// # Errors
/// A directory cannot be read, or the address cannot be a directory's name.
pub fn measure(mail_root: &Path, user: &Address) -> Result<Usage, Error> {
    let home = directory_of(mail_root, user)?;
    let mut folders = vec![home.clone()];
    for entry in entries(&home)? {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // No folder's name has two dots: this is one being made or deleted.
        if name.starts_with('.') && !name.starts_with("..") {
            folders.push(entry.path());
        }
    }
    let mut usage = Usage::default();
    for folder in folders {
        for place in [Place::New, Place::Cur] {
            for entry in entries(&folder.join(place.directory()))? {
                // A file that has just disappeared does not count.
                let Ok(metadata) = entry.metadata() else { continue };
                if metadata.is_file() {
                    usage.octets += metadata.len();
                    usage.messages += 1;
                }
            }
        }
    }
    Ok(usage)
}

/// What is in a directory; nothing, when it is not there.
fn entries(directory: &PathBuf) -> Result<Vec<fs::DirEntry>, Error> {
    let read = fs::read_dir(directory).and_then(Iterator::collect);
    match read {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Vec::new()),
        read => read.map_err(|error| Error::io(format!("read {}", directory.display()), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_in_all_folders_count() {
        let root = tempfile::tempdir().unwrap();
        let user = "ann@example.test".parse().unwrap();
        assert_eq!(measure(root.path(), &user).unwrap(), Usage::default());
        let home = root.path().join("example.test/ann");
        for (path, text) in [
            ("cur/1.M1.host:2,S", "12345"),
            ("new/2.M2.host", "123"),
            (".Old/cur/3.M3.host:2,", "1"),
            ("tmp/4.M4.host", "123456"),
            ("..arriving.New/cur/5.M5.host:2,", "123456"),
            ("sieve/main.sieve", "keep;"),
        ] {
            fs::create_dir_all(home.join(path).parent().unwrap()).unwrap();
            fs::write(home.join(path), text).unwrap();
        }
        assert_eq!(measure(root.path(), &user).unwrap(), Usage { octets: 9, messages: 3 });
    }
}
