use std::fs;
use std::path::{Component, Path, PathBuf};

use rayon::prelude::*;

use super::write::{begin, make_maildir, publish};
use super::{Restored, Selection};
use crate::foundations::files::Owner;
use crate::services::backup::create::{read_folder, read_record};
use crate::services::backup::error::{at, damaged};
use crate::services::backup::repository::{
    FileContent, FileRecord, FolderRecord, Repository, Snapshot, UserEntry, UserRecord,
};
use crate::services::backup::{Error, Progress, tree};
use crate::storage::mailbox::UidFile;

/// What all threads of a restore have in common.
pub struct Restoring<'a> {
    pub repository: &'a Repository,
    pub selection: &'a Selection,
    pub mail_root: &'a Path,
    pub owner: Owner,
    pub progress: &'a Progress,
    /// The backup's name, which stands also in the name of a file that lies beside another.
    pub mark: String,
}

/// Files of a folder that the server keeps: in one that is there they stay as they are.
const KEPT_BY_SERVER: [&str; 4] = [UidFile::NAME, "dovecot-uidlist", "dovecot-keywords", "maildirfolder"];
/// Whose files are where others are restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    /// Those of a restore that was interrupted, perhaps by a power failure, so that they need not be whole.
    Begun,
    /// A user's.
    Living,
}

/// By how much the next UID of a folder that is restored lies above those that the backup knows. Messages that came after
/// it have had UIDs that no other message may get.
const UIDS_PASSED_OVER: u32 = 100_000;

impl Restoring<'_> {
    /// Restores what is meant of one user.
    pub fn user(&self, entry: &UserEntry) -> Result<Restored, Error> {
        self.progress.goes_on()?;
        let record = match read_record(self.repository, &entry.record) {
            Ok(record) => record,
            Err(error) => return Restored::lost(entry.messages, error),
        };
        let domain = self.mail_root.join(&entry.domain);
        let home = domain.join(&entry.local);
        if self.selection.whole_users() && !home.exists() {
            // The store and other programs pass over names that begin with a dot.
            let hidden = domain.join(format!(".restoring-{}", entry.local));
            let mut restored = Restored::default();
            // Of somebody without mail there are other files only, and the server makes the mailbox.
            begin(self.owner, &hidden, &self.mark)?;
            if !record.folders.is_empty() {
                make_maildir(self.owner, &hidden)?;
            }
            for folder in &record.folders {
                restored = restored.and(self.whole_folder(&hidden.join(&folder.directory), folder)?);
            }
            restored = restored.and(self.files(&hidden, There::Begun, &record, &|_| true)?);
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
            restored = restored.and(self.files(&home, There::Living, &record, &others)?);
        }
        Ok(restored)
    }

    /// One folder of a user who may be there.
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
        if !home.join("cur").is_dir() {
            make_maildir(self.owner, home)?;
        }
        if path.join("cur").is_dir() || self.selection.message_id.is_some() {
            make_maildir(self.owner, &path)?;
            let (keywords, lost) = match keywords(self.repository, folder, record) {
                Ok(keywords) => (keywords, Restored::default()),
                Err(error) => (Vec::new(), Restored::lost(1, error)?),
            };
            return Ok(self.missing_messages(&path, &messages, &keywords)?.and(unread).and(lost));
        }
        // Two dots: no folder's directory begins so.
        let hidden = home.join(format!("..restoring{}", folder.directory));
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
        let restored = restored.and(self.files(&hidden, There::Begun, &only, &|_| true)?);
        self.tell_apart(&hidden, home)?;
        publish(&hidden, &path)?;
        Ok(restored)
    }

    /// Leaves the server to give a folder another MAILBOXID where the folder it was saved from lives on under another name
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

    /// A folder that is not there, with the names and so the UIDs of its messages.
    fn whole_folder(&self, path: &Path, folder: &FolderRecord) -> Result<Restored, Error> {
        make_maildir(self.owner, path)?;
        match read_folder(self.repository, folder) {
            Ok(messages) => self.all_messages(path, &messages),
            Err(error) => Restored::lost(folder.messages, error),
        }
    }

    /// Files other than messages, those that `wanted` lets pass.
    fn files(
        &self,
        home: &Path,
        there: There,
        record: &UserRecord,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Restored, Error> {
        let mut restored = Restored::default();
        for file in record.files.iter().filter(|file| wanted(&file.path)) {
            let path = match self.place(home, file) {
                Ok(path) => path,
                Err(error) => {
                    restored = restored.and(Restored::lost(1, error)?);
                    continue;
                }
            };
            self.owner.make_directory(path.parent().unwrap_or(home))?;
            let content = match &file.content {
                FileContent::Link(target) => {
                    if fs::symlink_metadata(&path).is_err() {
                        std::os::unix::fs::symlink(target, &path).map_err(at("create", &path))?;
                        restored.files += 1;
                    }
                    continue;
                }
                FileContent::Objects(objects) => match self.repository.read_all(objects) {
                    Ok(content) => content,
                    Err(error) => {
                        restored = restored.and(Restored::lost(1, error)?);
                        continue;
                    }
                },
            };
            let content = raised(&path, content);
            match fs::read(&path) {
                Ok(found) if found == content => {}
                Ok(_) if there == There::Begun => {
                    fs::remove_file(&path).map_err(at("remove", &path))?;
                    self.owner.write_new(&path, &content, file.mode, file.changed)?;
                    restored.files += 1;
                }
                Ok(_) => {
                    let mut name = path.clone().into_os_string();
                    name.push(format!(".restored-{}", self.mark));
                    let beside = PathBuf::from(name);
                    if !beside.exists() {
                        self.owner.write_new(&beside, &content, file.mode, file.changed)?;
                    }
                    restored.kept_beside.push(beside.display().to_string());
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    self.owner.write_new(&path, &content, file.mode, file.changed)?;
                    restored.files += 1;
                }
                Err(error) => return Err(at("read", &path)(error)),
            }
        }
        Ok(restored)
    }

    /// Where a file of a user belongs. No link leads out of the user's directory, and nothing is written through one.
    fn place(&self, home: &Path, file: &FileRecord) -> Result<PathBuf, Error> {
        let below = safe(&file.path, self.repository.root())?;
        let wrong = |why: &str| Err(damaged(self.repository.root(), format!("`{}` {why}", file.path)));
        if let FileContent::Link(target) = &file.content
            && !stays_within(below, Path::new(target))
        {
            return wrong("is a link that leads outside");
        }
        let mut above = below.ancestors().skip(1).map(|above| home.join(above)).take_while(|above| above != home);
        if above.any(|above| fs::symlink_metadata(above).is_ok_and(|found| found.is_symlink())) {
            return wrong("lies behind a link");
        }
        Ok(home.join(below))
    }

    /// Whether a folder that is meant is in the backup, be it an empty one.
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

/// The file of UIDs, with room for those that were given out after the backup; other files as they are.
fn raised(path: &Path, content: Vec<u8>) -> Vec<u8> {
    if path.file_name().is_none_or(|name| name != UidFile::NAME) {
        return content;
    }
    match UidFile::parse(&content) {
        Some(file) => UidFile { bound: file.bound.saturating_add(UIDS_PASSED_OVER), ..file }.to_text().into_bytes(),
        None => content,
    }
}

/// The keywords that letters stood for in a folder of the backup.
fn keywords(repository: &Repository, folder: &FolderRecord, record: &UserRecord) -> Result<Vec<(u8, String)>, Error> {
    let path = match folder.directory.as_str() {
        "" => "dovecot-keywords".to_owned(),
        directory => format!("{directory}/dovecot-keywords"),
    };
    match record.files.iter().find(|file| file.path == path).map(|file| &file.content) {
        Some(FileContent::Objects(objects)) => Ok(super::folder::read_keywords(&repository.read_all(objects)?)),
        _ => Ok(Vec::new()),
    }
}

/// Whether a link at a path leads to something below the directory that the path is below.
fn stays_within(link: &Path, target: &Path) -> bool {
    let mut depth = link.components().count().saturating_sub(1);
    target.components().all(|part| match part {
        Component::Normal(_) => {
            depth += 1;
            true
        }
        Component::ParentDir if depth > 0 => {
            depth -= 1;
            true
        }
        Component::CurDir => true,
        Component::ParentDir | Component::RootDir | Component::Prefix(_) => false,
    })
}

/// A path of a backup that leads nowhere else.
pub fn safe<'a>(path: &'a str, repository: &Path) -> Result<&'a Path, Error> {
    let below = path.strip_prefix('/').unwrap_or(path);
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if below.is_empty() || !Path::new(below).components().all(is_plain) {
        return Err(damaged(repository, format!("it names a file `{path}`, which lies outside")));
    }
    Ok(Path::new(below))
}

#[cfg(test)]
#[path = "user_tests.rs"]
mod tests;
