//! Which folders a user has, and their directories.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::foundations::clock::SharedClock;
use crate::foundations::files::is_directory;
use crate::storage::cluster::Tenure;
use crate::storage::mailbox::folder::is_within_tick;
use crate::storage::mailbox::maildir::directory;
use crate::storage::mailbox::{Error, FolderName};

/// Names of directories of deleted folders begin with it; no folder's does.
pub const REMOVED: &str = "..removed.";

/// The user's folders as directories.
pub struct Tree {
    root: PathBuf,
    tenure: Tenure,
    clock: SharedClock,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    directories: BTreeMap<FolderName, String>,
    /// The change time of the user's directory when it was read.
    mtime: i64,
}

impl Tree {
    /// For a user whose directory is `root`; nothing has been read yet.
    pub fn new(root: &Path, tenure: Tenure, clock: SharedClock) -> Self {
        Self { root: root.to_owned(), tenure, clock, found: Mutex::default() }
    }

    /// Reads which folders there are, if that may have changed. A folder that cannot be read does not hide the others,
    /// and counts as it did before.
    pub fn read(&self) -> Result<(), Error> {
        let failed = |error| Error::io(format!("cannot list the folders in `{}`", self.root.display()), error);
        let root = directory::open(&self.root).map_err(failed)?;
        let mtime = directory::mtime(root.as_fd()).map_err(failed)?;
        let mut found = self.found.lock();
        if found.mtime == mtime {
            return Ok(());
        }
        // Listed at the moment of a change, it may change again without its time showing it.
        let settled = !is_within_tick(mtime, self.clock.now());
        let mut directories = BTreeMap::from([(FolderName::inbox(), String::new())]);
        let (mut names, mut failure) = (Vec::new(), None);
        directory::list(root.as_fd(), &mut |name| names.extend(str::from_utf8(name).map(str::to_owned)))
            .map_err(failed)?;
        names.sort_unstable();
        for name in names {
            if name.starts_with(REMOVED) {
                // Left by an interrupted deletion.
                self.tenure.check()?;
                let _ = std::fs::remove_dir_all(self.root.join(&name));
                continue;
            }
            let folder = FolderName::from_directory(&name);
            if folder.is_none() && !name.starts_with('.') {
                continue;
            }
            match is_directory(&self.root.join(&name).join("cur")) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    failure = Some(error);
                    if !folder.as_ref().is_some_and(|folder| found.directories.contains_key(folder)) {
                        continue;
                    }
                }
            }
            let Some(folder) = folder else {
                let path = self.root.join(&name);
                log::warn!(path:% = path.display();
                    "The name of this folder cannot be shown to clients, so nobody sees its mail: rename its directory, or import it");
                continue;
            };
            // Other programs name directories in UTF-8, too, and so there may be two of one folder. Ours is the one that sessions
            // have seen so far, or else the one that this program would make, however they are listed.
            let second = match directories.entry(folder) {
                Entry::Vacant(first) => {
                    first.insert(name);
                    continue;
                }
                Entry::Occupied(mut first) => {
                    let (shown, usual) = (found.directories.get(first.key()), first.key().directory());
                    let rank = |name: &String| (shown == Some(name), *name == usual);
                    if rank(&name) > rank(first.get()) { first.insert(name) } else { name }
                }
            };
            let path = self.root.join(second);
            log::warn!(path:% = path.display();
                "Another directory has the mail of the folder of this name, so nobody sees the mail here: rename this one, or import it");
        }
        // Folders that could not be read are tried again.
        let mtime = if failure.is_none() && settled { mtime } else { 0 };
        *found = Found { directories, mtime };
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Forces the next look to read it, whatever its time says: there may be another directory, or a folder may be
    /// gone.
    pub fn doubt(&self) {
        self.found.lock().mtime = 0;
    }

    /// Whether a folder was there when the tree was last read or changed.
    pub fn has(&self, folder: &FolderName) -> bool {
        self.found.lock().directories.contains_key(folder)
    }

    /// All folders, sorted.
    pub fn names(&self) -> Vec<FolderName> {
        self.found.lock().directories.keys().cloned().collect()
    }

    /// How many folders there are.
    pub fn len(&self) -> usize {
        self.found.lock().directories.len()
    }

    /// A folder's directory.
    pub fn path_of(&self, folder: &FolderName) -> Option<PathBuf> {
        let found = self.found.lock();
        let directory = found.directories.get(folder)?;
        Some(if directory.is_empty() { self.root.clone() } else { self.root.join(directory) })
    }

    /// Notes a folder whose directory was made.
    pub fn add(&self, folder: &FolderName, directory: String) {
        self.found.lock().directories.insert(folder.clone(), directory);
    }

    /// Notes that a folder is gone.
    pub fn remove(&self, folder: &FolderName) {
        self.found.lock().directories.remove(folder);
    }

    /// Notes a folder's new name and directory.
    pub fn rename(&self, from: &FolderName, to: &FolderName, directory: String) {
        let mut found = self.found.lock();
        found.directories.remove(from);
        found.directories.insert(to.clone(), directory);
    }
}
