//! Looks at mailboxes without opening them: nothing is created, and no index is touched. Disk usage, for commands that run beside
//! the server; and whether a folder has old messages.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::maildir::filename::Place;
use super::snapshot::saved_at;
use super::user::directory_of;
use super::{Error, FolderName, Mailboxes, Usage};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;

impl Mailboxes {
    /// Whether a folder other than the inbox has a message that came before a moment, as its file's name says. The user stays with
    /// the node that has them.
    ///
    /// # Errors
    /// A directory cannot be read, or the address cannot be a directory's name.
    pub async fn has_older(&self, user: &Address, folder: &FolderName, than: Timestamp) -> Result<bool, Error> {
        let (root, user, folder) = (self.inner.root.clone(), user.clone(), folder.clone());
        self.inner.environment.job(move || has_older(&directory_of(&root, &user)?, &folder, than)).await
    }
}

fn has_older(home: &Path, folder: &FolderName, than: Timestamp) -> Result<bool, Error> {
    for found in entries(home)? {
        // Other programs name directories in UTF-8, too.
        let name = found.file_name().to_str().and_then(FolderName::from_directory);
        if name.as_ref() != Some(folder) {
            continue;
        }
        for place in [Place::New, Place::Cur] {
            let files = entries(&found.path().join(place.directory()))?;
            if files.iter().any(|file| saved_at(file.file_name().as_bytes()).is_some_and(|at| at < than)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

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
fn entries(directory: &Path) -> Result<Vec<fs::DirEntry>, Error> {
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

    #[test]
    fn old_messages_are_found_by_the_names_of_files() {
        let root = tempfile::tempdir().unwrap();
        let old = |folder: &str| {
            has_older(root.path(), &folder.parse().unwrap(), Timestamp::from_unix_seconds(1_000_000_000)).unwrap()
        };
        for (path, folder, wanted) in [
            ("cur/900000000.M1.host:2,S", "Trash", false),
            (".Trash/cur/1000000000.M1.host,U=1,S=1,W=1:2,S", "Trash", false),
            (".Trash/cur/no-time:2,S", "Trash", false),
            (".Trash.Below/cur/900000000.M1.host:2,S", "Trash", false),
            (".Trash/new/900000000.M2.host", "Trash", true),
            (".Gelöscht/cur/900000000.M1.host:2,S", "Gelöscht", true),
            (".Papierk&APY-rbe/cur/900000000.M1.host,U=1:2,S", "Papierkörbe", true),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
            assert_eq!(old(folder), wanted, "{folder}");
        }
        assert!(!has_older(&root.path().join("nobody"), &"Trash".parse().unwrap(), Timestamp::EPOCH).unwrap());
    }
}
