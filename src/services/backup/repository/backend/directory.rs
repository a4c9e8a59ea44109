use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::super::{ObjectId, pack};
use super::{ASIDE, Backend, Fetched, Listed};
use crate::foundations::files;
use crate::services::backup::Error;
use crate::services::backup::error::at;

/// A directory on this machine. Unfinished files are in a separate directory, so that in the others names only ever
/// appear: these may be append-only (`chattr +a`), and the files in them immutable (`chattr +i`).
pub struct DirectoryBackend {
    root: PathBuf,
    unfinished: PathBuf,
}

/// The directory for unfinished files.
const UNFINISHED: &str = "unfinished";

impl DirectoryBackend {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), unfinished: root.join(UNFINISHED) }
    }
}

impl DirectoryBackend {
    fn temporary(&self, id: ObjectId) -> PathBuf {
        self.unfinished.join(format!("{}{}.{id}", pack::TEMPORARY, std::process::id()))
    }
}

impl Backend for DirectoryBackend {
    fn shown(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.root.clone() } else { self.root.join(name) }
    }

    fn list(&self, directory: &str) -> Result<Vec<Listed>, Error> {
        let mut found = Vec::new();
        collect(&self.root.join(directory), directory, &mut found)?;
        found.sort();
        Ok(found)
    }

    fn has_foreign_files(&self) -> Result<bool, Error> {
        // The creation of a repository may have been interrupted.
        let known = ["packs", "snapshots", ASIDE, UNFINISHED, "lost+found"];
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            entries => entries.map_err(at("read", &self.root))?,
        };
        for entry in entries {
            let name = entry.map_err(at("read", &self.root))?.file_name();
            if !known.iter().any(|known| name == *known) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn initialize(&self) -> Result<(), Error> {
        for directory in ["packs", "snapshots", UNFINISHED] {
            files::create_directory(&self.root.join(directory), 0o700)?;
        }
        Ok(())
    }

    fn read(&self, name: &str, largest: u64) -> Result<Option<Vec<u8>>, Error> {
        match files::read_bounded(&self.root.join(name), largest) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn read_at(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        let path = self.root.join(name);
        let mut piece = vec![0; length];
        let file = File::open(&path).map_err(at("read", &path))?;
        file.read_exact_at(&mut piece, offset).map_err(at("read", &path))?;
        Ok(piece)
    }

    fn fetch(&self, file: &Listed) -> Result<Fetched, Error> {
        Ok(Fetched { path: self.root.join(&file.name), is_copy: false })
    }

    fn put(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        let id = ObjectId::of(content);
        let temporary = self.temporary(id);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary);
        let written = file.and_then(|mut file| file.write_all(content)).map_err(at("write", &temporary));
        written.and_then(|()| self.take(&temporary, name, id)).inspect_err(|_| _ = fs::remove_file(&temporary))
    }

    fn unfinished(&self) -> &Path {
        &self.unfinished
    }

    fn add(&self, source: &Path, name: &str, id: ObjectId) -> Result<(), Error> {
        let copy = self.temporary(id);
        let added = fs::copy(source, &copy).map_err(at("write", &copy)).and_then(|_| self.take(&copy, name, id));
        added.inspect_err(|_| _ = fs::remove_file(&copy))
    }

    fn take(&self, finished: &Path, name: &str, _: ObjectId) -> Result<(), Error> {
        let path = self.root.join(name);
        let above = path.parent().unwrap_or(&self.root);
        files::create_directory(above, 0o700)?;
        let file = File::open(finished).and_then(|file| file.sync_all());
        file.map_err(at("sync", finished))?;
        fs::rename(finished, &path).map_err(at("rename", finished))?;
        Ok(files::sync_directory(above)?)
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.root.join(name);
        fs::remove_file(&path).map_err(at("remove", &path))?;
        Ok(files::sync_directory(path.parent().unwrap_or(&self.root))?)
    }

    fn set_aside(&self, file: &Listed, name: &str) -> Result<(), Error> {
        let (from, to) = (self.root.join(&file.name), self.root.join(name));
        let above = to.parent().unwrap_or(&self.root);
        files::create_directory(above, 0o700)?;
        fs::rename(&from, &to).map_err(at("rename", &from))?;
        files::sync_directory(above)?;
        Ok(files::sync_directory(from.parent().unwrap_or(&self.root))?)
    }

    fn locks(&self) -> &Path {
        &self.root
    }
}

/// Files in a directory and those directly below it; hidden ones are unfinished.
fn collect(path: &Path, name: &str, found: &mut Vec<Listed>) -> Result<(), Error> {
    for entry in fs::read_dir(path).map_err(at("read", path))? {
        let entry = entry.map_err(at("read", path))?;
        let Ok(own) = entry.file_name().into_string() else { continue };
        if own.starts_with('.') {
            continue;
        }
        let name = format!("{name}/{own}");
        let metadata = entry.metadata().map_err(at("read", &entry.path()))?;
        if metadata.is_dir() {
            collect(&entry.path(), &name, found)?;
        } else {
            found.push(Listed { name, size: metadata.len() });
        }
    }
    Ok(())
}
