//! A user's files other than messages.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::Restored;
use super::user::{Restoring, safe};
use crate::services::backup::Error;
use crate::services::backup::error::{at, damaged};
use crate::services::backup::repository::{FileContent, FileRecord, UserRecord};
use crate::storage::mailbox::UidFile;

/// What the existing files are, where others are restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Those of an interrupted restore, perhaps by a power failure, so they may be incomplete.
    Begun,
    /// A user's.
    Living,
}

/// How far the next UID of a restored folder is above those that the backup knows. Messages that arrived after
/// the backup have had UIDs that no other message may get.
const UIDS_PASSED_OVER: u32 = 100_000;

/// The intended content of a file.
enum Wanted<'f> {
    Link(&'f str),
    Octets(Vec<u8>),
}

impl Restoring<'_> {
    /// Restores files other than messages, if `wanted` accepts them.
    pub fn files(
        &self,
        home: &Path,
        existing: Existing,
        record: &UserRecord,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Restored, Error> {
        let mut restored = Restored::default();
        for file in record.files.iter().filter(|file| wanted(&file.path)) {
            restored = restored.and(self.file(home, existing, file)?);
        }
        Ok(restored)
    }

    fn file(&self, home: &Path, existing: Existing, file: &FileRecord) -> Result<Restored, Error> {
        let path = match self.place(home, file) {
            Ok(path) => path,
            Err(error) => return Restored::lost(1, error),
        };
        let wanted = match &file.content {
            FileContent::Link(target) => Wanted::Link(target),
            FileContent::Objects(objects) => match self.repository.read_all(objects) {
                Ok(content) => Wanted::Octets(raised(&path, content)),
                Err(error) => return Restored::lost(1, error),
            },
        };
        let two_of_a_name = || damaged(self.repository.root(), format!("`{}` is a file and a directory", file.path));
        let mut above = path.ancestors().skip(1).take_while(|above| *above != home);
        let obstacle = above.find(|above| fs::symlink_metadata(above).is_ok_and(|found| !found.is_dir()));
        if let Some(obstacle) = obstacle {
            if existing == Existing::Begun {
                return Restored::lost(1, two_of_a_name());
            }
            let below = path.strip_prefix(obstacle).unwrap_or(&path);
            return self.put_beside(&self.beside(obstacle).join(below), file, &wanted);
        }
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.put(&path, file, &wanted),
            Err(error) => return Err(at("look for", &path)(error)),
        };
        let is_same = match &wanted {
            // The existing user chooses again which one is active.
            Wanted::Link(_) => found.is_symlink(),
            Wanted::Octets(content) => {
                let is_file = fs::metadata(&path).is_ok_and(|found| found.is_file());
                is_file && fs::read(&path).map_err(at("read", &path))? == *content
            }
        };
        match existing {
            _ if is_same => Ok(Restored::default()),
            Existing::Living => self.put_beside(&self.beside(&path), file, &wanted),
            Existing::Begun if found.is_dir() => Restored::lost(1, two_of_a_name()),
            Existing::Begun => {
                fs::remove_file(&path).map_err(at("remove", &path))?;
                self.put(&path, file, &wanted)
            }
        }
    }

    /// The path for the backup's version of a file when another exists.
    fn beside(&self, path: &Path) -> PathBuf {
        let mut name = path.to_owned().into_os_string();
        name.push(format!(".restored-{}", self.mark));
        PathBuf::from(name)
    }

    fn put_beside(&self, path: &Path, file: &FileRecord, wanted: &Wanted<'_>) -> Result<Restored, Error> {
        // Perhaps by an earlier run.
        if fs::symlink_metadata(path).is_err() {
            self.put(path, file, wanted)?;
        }
        Ok(Restored { kept_beside: vec![path.display().to_string()], ..Restored::default() })
    }

    fn put(&self, path: &Path, file: &FileRecord, wanted: &Wanted<'_>) -> Result<Restored, Error> {
        self.owner.make_directory(path.parent().unwrap_or(path))?;
        match wanted {
            Wanted::Link(target) => {
                std::os::unix::fs::symlink(target, path).map_err(at("create", path))?;
                self.owner.give_link(path)?;
            }
            Wanted::Octets(content) => self.owner.write_new(path, content, file.mode, file.changed)?,
        }
        Ok(Restored { files: 1, ..Restored::default() })
    }

    /// Where a user's file belongs. No link leads out of the user's directory, and nothing is written through one.
    fn place(&self, home: &Path, file: &FileRecord) -> Result<PathBuf, Error> {
        let below = safe(&file.path, self.repository.root())?;
        let wrong = |why: &str| Err(damaged(self.repository.root(), format!("`{}` {why}", file.path)));
        if let FileContent::Link(target) = &file.content
            && !stays_within(below, Path::new(target))
        {
            return wrong("is a link that points outside the user's directory");
        }
        let mut above = below.ancestors().skip(1).map(|above| home.join(above)).take_while(|above| above != home);
        if above.any(|above| fs::symlink_metadata(above).is_ok_and(|found| found.is_symlink())) {
            return wrong("is below a link");
        }
        Ok(home.join(below))
    }
}

/// The UID list, with room for UIDs assigned after the backup; other files as they are.
fn raised(path: &Path, content: Vec<u8>) -> Vec<u8> {
    if path.file_name().is_none_or(|name| name != UidFile::NAME) {
        return content;
    }
    match UidFile::parse(&content) {
        Some(file) => UidFile { bound: file.bound.saturating_add(UIDS_PASSED_OVER), ..file }.to_text().into_bytes(),
        None => content,
    }
}

/// Whether a link at a path leads to something below the directory that the path is below.
fn stays_within(link: &Path, target: &Path) -> bool {
    let mut depth = link.components().count().saturating_sub(1);
    let mut goes_down = false;
    target.components().all(|part| match part {
        Component::Normal(_) => {
            goes_down = true;
            true
        }
        // After a name, which may be that of another link, it could lead anywhere.
        Component::ParentDir if depth > 0 && !goes_down => {
            depth -= 1;
            true
        }
        Component::CurDir => true,
        Component::ParentDir | Component::RootDir | Component::Prefix(_) => false,
    })
}
