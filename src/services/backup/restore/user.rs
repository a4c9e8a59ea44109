use std::fs;
use std::path::{Component, Path};

use rayon::prelude::*;

use super::other_files::Existing;
use super::write::{begin, forget, in_the_way, make_maildir, publish};
use super::{Restored, Selection};
use crate::foundations::files::Owner;
use crate::services::backup::create::{read_folder, read_record};
use crate::services::backup::error::{at, damaged};
use crate::services::backup::repository::{
    FileContent, FileRecord, FolderRecord, Repository, Snapshot, UserEntry, UserRecord,
};
use crate::services::backup::{Error, Progress, tree};
use crate::storage::mailbox::UidFile;

/// What all threads of a restore share.
pub struct Restoring<'a> {
    pub repository: &'a Repository,
    pub selection: &'a Selection,
    pub mail_root: &'a Path,
    pub owner: Owner,
    pub progress: &'a Progress,
    /// The backup's name, which is also part of the name of a file restored beside another.
    pub mark: String,
}

/// A folder's files that the server maintains: in an existing folder they stay as they are.
const KEPT_BY_SERVER: [&str; 4] = [UidFile::NAME, "dovecot-uidlist", "dovecot-keywords", "maildirfolder"];

impl Restoring<'_> {
    /// Restores what is selected of one user.
    pub fn user(&self, entry: &UserEntry) -> Result<Restored, Error> {
        self.progress.goes_on()?;
        let record = match read_record(self.repository, &entry.record) {
            Ok(record) => record,
            Err(error) => return Restored::lost(entry.messages, error),
        };
        let domain = self.mail_root.join(&entry.domain);
        let home = domain.join(&entry.local);
        if let Some(obstacle) = in_the_way(&domain).or_else(|| in_the_way(&home)) {
            return Ok(Restored::refused(&obstacle));
        }
        // The store and other programs skip names that begin with a dot.
        let hidden = domain.join(format!(".restoring-{}", entry.local));
        if self.selection.whole_users() && !home.exists() {
            let mut restored = Restored::default();
            // A user without mail has only other files, and the server creates the mailbox.
            begin(self.owner, &hidden, &self.mark)?;
            if !record.folders.is_empty() {
                make_maildir(self.owner, &hidden)?;
            }
            for folder in &record.folders {
                restored = restored.and(self.whole_folder(&hidden.join(&folder.directory), folder)?);
            }
            restored = restored.and(self.files(&hidden, Existing::Begun, &record, &|_| true)?);
            publish(&hidden, &home)?;
            return Ok(restored);
        }
        let folders = record.folders.iter().filter(|folder| self.selection.takes_folder(&folder.directory));
        let mut restored = Restored::default();
        for folder in folders {
            restored = restored.and(self.folder(&home, folder, &record)?);
        }
        if self.selection.whole_users() {
            let others = |path: &str| !KEPT_BY_SERVER.iter().any(|kept| path.rsplit('/').next() == Some(kept));
            restored = restored.and(self.files(&home, Existing::Living, &record, &others)?);
            // A user whom an interrupted restore had begun has since come back in another way, and has everything now.
            if restored.is_complete() {
                forget(&hidden)?;
            }
        }
        Ok(restored)
    }

    /// One folder of a user who may exist.
    fn folder(&self, home: &Path, folder: &FolderRecord, record: &UserRecord) -> Result<Restored, Error> {
        let path = home.join(&folder.directory);
        let messages = match read_folder(self.repository, folder) {
            Ok(messages) => messages,
            Err(error) => return Restored::lost(folder.messages, error),
        };
        let (messages, unread) = match &self.selection.message_id {
            Some(id) => self.with_message_id(&messages, id)?,
            None => (messages, Restored::default()),
        };
        if self.selection.message_id.is_some() && messages.is_empty() {
            return Ok(unread);
        }
        let parts = || {
            let mut parts =
                [home, &path].into_iter().flat_map(|maildir| ["tmp", "new", "cur"].map(|part| maildir.join(part)));
            parts.find_map(|part| in_the_way(&part))
        };
        if let Some(obstacle) = in_the_way(&path).or_else(parts) {
            return Ok(Restored::refused(&obstacle));
        }
        if !home.join("cur").is_dir() {
            make_maildir(self.owner, home)?;
        }
        // Two dots: no folder's directory begins like this.
        let hidden = home.join(format!("..restoring{}", folder.directory));
        // A directory without `cur` is not a folder yet, but nothing else can get its name.
        if path.is_dir() || self.selection.message_id.is_some() {
            make_maildir(self.owner, &path)?;
            let (keywords, lost) = match keywords(self.repository, folder, record) {
                Ok(keywords) => (keywords, Restored::default()),
                Err(error) => (Vec::new(), Restored::lost(1, error)?),
            };
            let restored = self.missing_messages(&path, &messages, &keywords)?.and(unread).and(lost);
            if self.selection.message_id.is_none() && restored.is_complete() {
                forget(&hidden)?;
            }
            return Ok(restored);
        }
        begin(self.owner, &hidden, &self.mark)?;
        let restored = self.whole_folder(&hidden, folder)?;
        let within = format!("{}/", folder.directory);
        let only = UserRecord {
            folders: vec![],
            files: record
                .files
                .iter()
                .filter_map(|file| {
                    let path = file.path.strip_prefix(&within)?.to_owned();
                    Some(FileRecord { path, ..file.clone() })
                })
                .collect(),
        };
        let restored = restored.and(self.files(&hidden, Existing::Begun, &only, &|_| true)?);
        self.tell_apart(&hidden, home)?;
        publish(&hidden, &path)?;
        Ok(restored)
    }

    /// Lets the server assign a new MAILBOXID to a folder if the original folder still exists under another name
    /// (RFC 8474 §4: no two mailboxes have the same).
    fn tell_apart(&self, hidden: &Path, home: &Path) -> Result<(), Error> {
        let identity = |folder: &Path| fs::read(folder.join(UidFile::NAME)).ok().and_then(|text| UidFile::parse(&text));
        let Some(file) = identity(hidden).filter(|file| file.id.is_some()) else { return Ok(()) };
        let entries = fs::read_dir(home).map_err(at("read", home))?;
        let mut others = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|other| other != hidden);
        if others.any(|other| identity(&other).is_some_and(|other| other.id == file.id)) {
            let path = hidden.join(UidFile::NAME);
            fs::remove_file(&path).map_err(at("remove", &path))?;
            let text = UidFile { id: None, ..file }.to_text();
            self.owner.write_new(&path, text.as_bytes(), 0o600, 0)?;
        }
        Ok(())
    }

    /// A folder that does not exist, with the names and thus the UIDs of its messages.
    fn whole_folder(&self, path: &Path, folder: &FolderRecord) -> Result<Restored, Error> {
        make_maildir(self.owner, path)?;
        match read_folder(self.repository, folder) {
            Ok(messages) => self.all_messages(path, &messages),
            Err(error) => Restored::lost(folder.messages, error),
        }
    }

    /// Whether a selected folder is in the backup, even an empty one.
    pub fn has_folder(&self, snapshot: &Snapshot) -> Result<bool, Error> {
        if self.selection.message_id.is_some() {
            return Ok(false);
        }
        for user in snapshot.users.iter().filter(|user| self.selection.takes(user)) {
            let record = read_record(self.repository, &user.record)?;
            if record.folders.iter().any(|folder| self.selection.takes_folder(&folder.directory)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The messages among these with a Message-ID, and those that cannot be read, any of which may have it.
    fn with_message_id(
        &self,
        messages: &[tree::MessageEntry],
        id: &str,
    ) -> Result<(Vec<tree::MessageEntry>, Restored), Error> {
        let (found, missing) = self.by_block(messages)?;
        let matching = found.par_iter().map(|group| {
            let (mut matching, mut unread) = (Vec::new(), Restored::default());
            let block = match self.repository.block(group[0].0) {
                Ok(block) => block,
                Err(error) => return Ok((matching, Restored::lost(group.len() as u64, error)?)),
            };
            for (location, message) in group {
                let start = match self.repository.slice(&block, *location, &message.objects[0]) {
                    Ok(start) => start,
                    Err(error) => {
                        unread = unread.and(Restored::lost(1, error)?);
                        continue;
                    }
                };
                let header = crate::foundations::mail::HeaderSection::of(start);
                let value = header.first("Message-ID").map(|field| field.text());
                if value.is_some_and(|value| value.trim().trim_matches(['<', '>']) == id) {
                    matching.push((*message).clone());
                }
            }
            Ok((matching, unread))
        });
        let found = matching.collect::<Result<Vec<_>, Error>>()?;
        let (matching, unread): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        Ok((matching.into_iter().flatten().collect(), unread.into_iter().fold(missing, Restored::and)))
    }
}

/// The keywords that letters stood for in a folder of the backup.
pub fn keywords(
    repository: &Repository,
    folder: &FolderRecord,
    record: &UserRecord,
) -> Result<Vec<(u8, String)>, Error> {
    let path = match folder.directory.as_str() {
        "" => "dovecot-keywords".to_owned(),
        directory => format!("{directory}/dovecot-keywords"),
    };
    match record.files.iter().find(|file| file.path == path).map(|file| &file.content) {
        Some(FileContent::Objects(objects)) => Ok(super::folder::read_keywords(&repository.read_all(objects)?)),
        _ => Ok(Vec::new()),
    }
}

/// A path in a backup that does not lead outside.
pub fn safe<'a>(path: &'a str, repository: &Path) -> Result<&'a Path, Error> {
    let below = path.strip_prefix('/').unwrap_or(path);
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if below.is_empty() || !Path::new(below).components().all(is_plain) {
        return Err(damaged(repository, format!("it names a file `{path}` outside its directory")));
    }
    Ok(Path::new(below))
}

#[cfg(test)]
#[path = "user_tests.rs"]
mod tests;
