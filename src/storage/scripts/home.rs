//! One user's scripts.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::name::{ENDING, script_files};
use super::{Error, ScriptName, ScriptSettings, Stamp};
use crate::foundations::files::{self, Owner};

/// The directory of the scripts.
const DIRECTORY: &str = "sieve";
/// The link to the active one.
const LINK: &str = ".dovecot.sieve";
/// The name under which a plain file in place of the link is kept.
const RESCUED: &str = "dovecot.orig";

/// One user's scripts.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    root: Arc<Path>,
    pub(super) settings: Arc<ScriptSettings>,
}

/// A script in a list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Entry {
    /// Its name.
    pub name: ScriptName,
    /// Whether it is the active one.
    pub active: bool,
    /// Octets.
    pub size: u64,
}

/// The active script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// Its name, if it is one of the user's scripts rather than a plain file.
    pub name: Option<ScriptName>,
    /// Its text.
    pub source: Vec<u8>,
}

/// What happens to a script's text when another replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Old {
    /// It is kept under another name.
    Kept,
    /// It is dropped.
    Dropped,
}

/// Held while scripts are changed.
pub(super) struct Lock(#[expect(dead_code, reason = "held, never looked at")] File);

impl Home {
    pub(super) const fn new(path: PathBuf, root: Arc<Path>, settings: Arc<ScriptSettings>) -> Self {
        Self { path, root, settings }
    }

    /// All scripts, sorted by name.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, Error> {
        let found = script_files(&self.directory())?;
        let active = self.active_name()?;
        let mut scripts = Vec::new();
        for (name, path) in found {
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => {
                    scripts.push(Entry { active: active.as_ref() == Some(&name), name, size: metadata.len() });
                }
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(files::Error { verb: "read", path, source }.into());
                }
                // Deleted since, or not a script.
                _ => {}
            }
        }
        scripts.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(scripts)
    }

    /// The text of a script.
    ///
    /// # Errors
    /// It is not there, is too large, or cannot be read.
    pub fn read(&self, name: &ScriptName) -> Result<Vec<u8>, Error> {
        match files::read_bounded(&self.path_of(name), self.settings.script_size.get()) {
            Err(error) if is_missing(&error.source) => Err(Error::NoScript(name.clone())),
            content => Ok(content?),
        }
    }

    /// Whether there is an active script, and its version: one look at the disk.
    ///
    /// # Errors
    /// The disk cannot be asked.
    pub fn stamp(&self) -> Result<Option<Stamp>, Error> {
        Ok(Stamp::of(&self.link())?)
    }

    /// The version of one of the scripts.
    ///
    /// # Errors
    /// The disk cannot be asked.
    pub fn stamp_of(&self, name: &ScriptName) -> Result<Option<Stamp>, Error> {
        Ok(Stamp::of(&self.path_of(name))?)
    }

    /// The active script, if there is one.
    ///
    /// # Errors
    /// It is too large or cannot be read.
    pub fn active(&self) -> Result<Option<Active>, Error> {
        let name = self.active_name()?;
        match files::read_bounded(&self.link(), self.settings.script_size.get()) {
            Ok(source) => Ok(Some(Active { name, source })),
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The name of the active script, when the link leads to one of the user's.
    ///
    /// # Errors
    /// The disk cannot be asked.
    pub fn active_name(&self) -> Result<Option<ScriptName>, Error> {
        let link = self.link();
        let target = match fs::read_link(&link) {
            Ok(target) => self.path.join(target),
            // Nothing there, or no link.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => {
                return Ok(None);
            }
            Err(source) => return Err(files::Error { verb: "read", path: link, source }.into()),
        };
        // The server may not be able to look at what lies elsewhere.
        let Some(name) = target.strip_prefix(self.directory()).ok().and_then(ScriptName::of_file) else {
            return Ok(None);
        };
        Ok(files::is_there(&target)?.then_some(name))
    }

    /// Whether a script of this size could be stored under this name (RFC 5804 §2.5).
    ///
    /// # Errors
    /// It could not; or the directory cannot be read.
    pub fn has_space(&self, name: &ScriptName, size: u64) -> Result<(), Error> {
        let settings = &self.settings;
        if size > settings.script_size.get() {
            return Err(Error::TooLarge(settings.script_size));
        }
        let others: Vec<Entry> = self.list()?.into_iter().filter(|entry| entry.name != *name).collect();
        if others.len() >= settings.scripts_per_user as usize {
            return Err(Error::TooMany(settings.scripts_per_user));
        }
        let together = others.iter().map(|entry| entry.size).fold(size, u64::saturating_add);
        if together > settings.quota.get() { Err(Error::OverQuota(settings.quota)) } else { Ok(()) }
    }

    /// Stores a script; one of that name is replaced.
    ///
    /// # Errors
    /// There is no room for it, or the disk fails; then the old one is as it was.
    pub fn put(&self, name: &ScriptName, source: &[u8]) -> Result<(), Error> {
        let _lock = self.lock()?;
        self.has_space(name, source.len() as u64)?;
        self.write(name, source)
    }

    /// Stores a script in place of one the caller has seen: `is_known` is called with the present text, `None` when
    /// there is none of that name. The old text may be kept under another name, which is returned.
    ///
    /// # Errors
    /// The present text is a different one, there is no room, or the disk fails; then the old one is as it was.
    pub fn replace(
        &self,
        name: &ScriptName,
        is_known: impl FnOnce(Option<&[u8]>) -> bool,
        source: &[u8],
        old: Old,
    ) -> Result<Option<ScriptName>, Error> {
        let _lock = self.lock()?;
        let present = match self.read(name) {
            Ok(text) => Some(text),
            Err(Error::NoScript(_)) => None,
            Err(error) => return Err(error),
        };
        if !is_known(present.as_deref()) {
            return Err(Error::Changed(name.clone()));
        }
        let kept = match (old, present) {
            (Old::Kept, Some(text)) => Some((self.free_name(name)?, text)),
            _ => None,
        };
        self.has_space(name, source.len() as u64)?;
        // The old text first: a crash in between leaves it twice rather than not at all.
        if let Some((kept, text)) = &kept {
            self.has_space(kept, (text.len() + source.len()) as u64)?;
            self.write(kept, text)?;
        }
        self.write(name, source)?;
        Ok(kept.map(|(kept, _)| kept))
    }

    /// A free name for the earlier version of a script.
    fn free_name(&self, name: &ScriptName) -> Result<ScriptName, Error> {
        let short = &name.as_str()[..name.as_str().floor_char_boundary(ScriptName::LONGEST - 12)];
        let mut kept: ScriptName = format!("{short} (old)").parse()?;
        let mut number = 1u32;
        while files::is_there(&self.path_of(&kept))? {
            number += 1;
            kept = format!("{short} (old {number})").parse()?;
        }
        Ok(kept)
    }

    /// Makes a script the active one; `None` leaves none active.
    ///
    /// # Errors
    /// It is not there, or the disk fails.
    pub fn activate(&self, name: Option<&ScriptName>) -> Result<(), Error> {
        let _lock = self.lock()?;
        let link = self.link();
        if let Some(name) = name
            && !is_file(fs::metadata(self.path_of(name)), &link)?
        {
            return Err(Error::NoScript(name.clone()));
        }
        if is_file(fs::symlink_metadata(&link), &link)? {
            self.rescue()?;
        }
        match name {
            Some(name) => self.point_to(name),
            None => match fs::remove_file(&link) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(files::Error { verb: "remove", path: link, source: error }.into())
                }
                _ => Ok(files::sync_directory(&self.path)?),
            },
        }
    }

    /// Deletes a script (RFC 5804 §2.10).
    ///
    /// # Errors
    /// It is not there, it is the active one, or the disk fails.
    pub fn delete(&self, name: &ScriptName) -> Result<(), Error> {
        let _lock = self.lock()?;
        if self.active_name()?.as_ref() == Some(name) {
            return Err(Error::IsActive(name.clone()));
        }
        let path = self.path_of(name);
        match fs::remove_file(&path) {
            Ok(()) => self.sync_and_tidy(&path),
            // Of a long name, a directory may be missing, or be a file.
            Err(error) if is_missing(&error) => Err(Error::NoScript(name.clone())),
            Err(source) => Err(files::Error { verb: "remove", path, source }.into()),
        }
    }

    /// Gives a script another name; the active one stays active (RFC 5804 §2.11.1).
    ///
    /// # Errors
    /// It is not there, the new name is taken, or the disk fails.
    pub fn rename(&self, from: &ScriptName, to: &ScriptName) -> Result<(), Error> {
        let _lock = self.lock()?;
        let (old, new) = (self.path_of(from), self.path_of(to));
        let was_active = self.active_name()?.as_ref() == Some(from);
        if !files::is_there(&old)? {
            return Err(Error::NoScript(from.clone()));
        }
        self.make_room(&new)?;
        // Two names for a moment, so that a crash in between loses neither the script nor its being active.
        match fs::hard_link(&old, &new) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NoScript(from.clone())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(Error::Exists(to.clone())),
            Err(source) => return Err(files::Error { verb: "rename", path: old, source }.into()),
        }
        let renamed = files::sync_directory(new.parent().unwrap_or(&self.path)).map_err(Error::from);
        let renamed = renamed.and_then(|()| if was_active { self.point_to(to) } else { Ok(()) });
        if let Err(error) = renamed {
            // Unless the link already leads there, the new name would be in the way of the next attempt.
            if self.active_name()?.as_ref() != Some(to) {
                let _ = fs::remove_file(&new);
            }
            return Err(error);
        }
        fs::remove_file(&old).map_err(|source| files::Error { verb: "remove", path: old.clone(), source })?;
        self.sync_and_tidy(&old)
    }

    /// A path below the user's directory for files kept beside the scripts.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn directory(&self) -> PathBuf {
        self.path.join(DIRECTORY)
    }

    fn link(&self) -> PathBuf {
        self.path.join(LINK)
    }

    /// The file of a script.
    pub fn path_of(&self, name: &ScriptName) -> PathBuf {
        self.directory().join(name.file())
    }

    fn write(&self, name: &ScriptName, source: &[u8]) -> Result<(), Error> {
        let path = self.path_of(name);
        self.make_room(&path)?;
        Ok(self.owner()?.write_durable(&path, source, MODE)?)
    }

    /// Makes the directories that a long name needs.
    fn make_room(&self, path: &Path) -> Result<(), Error> {
        let (directory, above) = (self.directory(), path.parent().unwrap_or(&self.path));
        if !files::is_directory(above)? {
            self.owner()?.make_directory(above)?;
            for made in above.ancestors().skip(1).take_while(|made| made.starts_with(&directory)) {
                files::sync_directory(made)?;
            }
        }
        Ok(())
    }

    /// After a script was removed: makes that durable, and removes what was there only for its long name.
    fn sync_and_tidy(&self, path: &Path) -> Result<(), Error> {
        let directory = self.directory();
        files::sync_directory(path.parent().unwrap_or(&directory))?;
        // One with other scripts in it stays.
        let mut above = path.ancestors().skip(1).take_while(|above| *above != directory);
        let _ = above.try_for_each(fs::remove_dir);
        Ok(())
    }

    pub(super) fn owner(&self) -> Result<Owner, Error> {
        Ok(Owner::of(&self.root)?)
    }

    /// Waits until nobody else changes these scripts; makes the directory when it is missing.
    pub(super) fn lock(&self) -> Result<Lock, Error> {
        let directory = self.directory();
        if !files::is_directory(&directory)? {
            self.owner()?.make_directory(&directory)?;
            for made in [&self.path, self.path.parent().unwrap_or(&self.root), &*self.root] {
                files::sync_directory(made)?;
            }
        }
        Ok(Lock(files::lock_directory(&directory)?))
    }

    /// Points the link to a script, by one rename.
    fn point_to(&self, name: &ScriptName) -> Result<(), Error> {
        let (link, new) = (self.link(), self.path.join(format!("{LINK}.new")));
        // Left by a crash.
        let _ = fs::remove_file(&new);
        let target = Path::new(DIRECTORY).join(name.file());
        symlink(target, &new).map_err(|source| files::Error { verb: "create", path: new.clone(), source })?;
        self.owner()?.give_link(&new)?;
        Ok(files::rename_durable(&new, &link)?)
    }

    /// Keeps a plain file found in place of the link.
    fn rescue(&self) -> Result<(), Error> {
        let mut kept = self.directory().join(format!("{RESCUED}{ENDING}"));
        let mut number = 1u32;
        while files::is_there(&kept)? {
            number += 1;
            kept = self.directory().join(format!("{RESCUED}.{number}{ENDING}"));
        }
        Ok(files::rename_durable(&self.link(), &kept)?)
    }
}

/// Whether this is a plain file.
fn is_file(found: io::Result<fs::Metadata>, path: &Path) -> Result<bool, Error> {
    match found {
        Ok(metadata) => Ok(metadata.is_file()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(files::Error { verb: "look at", path: path.to_owned(), source }.into()),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Permission bits of scripts' files: as Dovecot makes them, for the server's user alone.
const MODE: u32 = 0o600;

#[cfg(test)]
#[path = "home_tests.rs"]
mod tests;
