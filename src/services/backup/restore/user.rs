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
            let restored = self.missing_messages(&path, &messages, &keywords(self.repository, folder, record)?);
            return Ok(restored?.and(unread));
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
mod tests {
    use super::super::write;
    use super::*;
    use crate::services::backup::repository::{Access, Block, Kind, ObjectId};
    use crate::services::backup::{BackupSettings, Destination};

    fn open(place: &Path, access: Access) -> Repository {
        let destination = Destination::Directory(place.join("repository"));
        Repository::open(&destination, access, &BackupSettings::default()).unwrap()
    }

    fn file(path: &str, content: FileContent) -> FileRecord {
        FileRecord { path: path.to_owned(), mode: 0o600, changed: 0, sealed: None, content }
    }

    fn folder(directory: &str) -> FolderRecord {
        FolderRecord { directory: directory.to_owned(), messages: 0, octets: 0, times: None, pages: vec![] }
    }

    /// Restores users of these records, from a backup that has these objects too, and returns how much of it was refused.
    fn restored(place: &Path, objects: &[&[u8]], records: Vec<UserRecord>) -> u64 {
        let stored = stored(place, objects, records);
        restored_of(place, stored, &Selection::default()).lost
    }

    /// Stores these objects, each in a block of its own, and the records behind them.
    fn stored(place: &Path, objects: &[&[u8]], records: Vec<UserRecord>) -> Vec<ObjectId> {
        let store =
            |block: &mut Block<'_>, record: &UserRecord| block.add(&serde_json::to_vec(record).unwrap()).unwrap();
        let repository = open(place, Access::Add);
        let mut block = Block::new(&repository, Kind::Content).unwrap();
        for object in objects {
            assert_eq!(block.add(object).unwrap(), ObjectId::of(object));
            block.flush().unwrap();
        }
        let stored: Vec<ObjectId> = records.iter().map(|record| store(&mut block, record)).collect();
        block.flush().unwrap();
        repository.finish_packs().unwrap();
        stored
    }

    /// Restores users of the records that are stored so.
    fn restored_of(place: &Path, stored: Vec<ObjectId>, selection: &Selection) -> Restored {
        let (repository, mail_root) = (open(place, Access::Read), place.join("mail"));
        std::fs::create_dir_all(&mail_root).unwrap();
        let restoring = Restoring {
            repository: &repository,
            selection,
            mail_root: &mail_root,
            owner: Owner::of(&mail_root).unwrap(),
            progress: &Progress::default(),
            mark: "x".to_owned(),
        };
        let user = |(n, record): (usize, ObjectId)| UserEntry {
            domain: "example.test".to_owned(),
            local: format!("user{n}"),
            messages: 0,
            octets: 0,
            record,
        };
        let all = stored.into_iter().enumerate().map(user).map(|entry| restoring.user(&entry).unwrap());
        all.fold(Restored::default(), Restored::and)
    }

    fn message(name: &str, content: &[u8]) -> tree::MessageEntry {
        tree::MessageEntry {
            place: crate::storage::mailbox::Place::Cur,
            name: name.as_bytes().to_vec(),
            size: content.len() as u64,
            date: 0,
            objects: vec![ObjectId::of(content)],
        }
    }

    #[test]
    fn nothing_is_written_outside_of_the_mailbox() {
        let place = tempfile::tempdir().unwrap();
        let outside = place.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        let evil = || FileContent::Objects(vec![ObjectId::of(b"evil")]);
        let link = |to: &str| FileContent::Link(to.to_owned());
        let behind_a_link = UserRecord {
            folders: vec![folder("")],
            files: vec![
                file("sieve/main.sieve", evil()),
                file(".dovecot.sieve", link("sieve/main.sieve")),
                file("sieve/up", link("../subscriptions")),
                file("away", link(outside.to_str().unwrap())),
                file("away/one", evil()),
                file("near", link("sieve")),
                file("near/two", evil()),
                file("up", link("sieve/../../..")),
                file("up/three", evil()),
            ],
        };
        // The parent of a folder's directory, whose name it is, is the mailbox.
        let beside = UserRecord { folders: vec![folder(""), folder("../../../outside/four")], files: vec![] };
        let lost = restored(place.path(), &[b"evil"], vec![behind_a_link, beside]);
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        let home = place.path().join("mail/example.test/user0");
        assert_eq!(std::fs::read(home.join(".dovecot.sieve")).unwrap(), b"evil");
        assert_eq!(std::fs::read_link(home.join("sieve/up")).unwrap(), Path::new("../subscriptions"));
        assert!(!home.join("sieve/two").exists(), "no link is gone through at all");
        // `away`, `near/two`, `up`, and all of the second user, of whom no message is counted.
        assert_eq!(lost, 3);
        // Where the links were not made, there are directories now.
        assert!(home.join("away/one").is_file() && home.join("up/three").is_file());
    }

    #[test]
    fn what_a_power_failure_has_left_is_made_right() {
        let place = tempfile::tempdir().unwrap();
        let (name, whole) = ("1.M1.h,U=7,S=5:2,S", ObjectId::of(b"whole"));
        let page = tree::pages(vec![message(name, b"whole")]).remove(0);
        let inbox = FolderRecord { messages: 1, octets: 5, pages: vec![ObjectId::of(&page)], ..folder("") };
        let files = vec![file("subscriptions", FileContent::Objects(vec![whole]))];
        let begun = place.path().join("mail/example.test/.restoring-user0");
        std::fs::create_dir_all(begun.join("cur")).unwrap();
        std::fs::write(begun.join(write::NOTE), "x").unwrap();
        let paths = [format!("cur/{name}"), "subscriptions".to_owned()];
        // As long as they should be.
        paths.iter().for_each(|path| std::fs::write(begun.join(path), [0; 5]).unwrap());
        let record = UserRecord { folders: vec![inbox], files };
        assert_eq!(restored(place.path(), &[b"whole", &page], vec![record]), 0);
        let home = place.path().join("mail/example.test/user0");
        for path in paths {
            assert_eq!(std::fs::read(home.join(&path)).unwrap(), b"whole", "{path}");
        }
    }

    #[test]
    fn what_a_restore_of_another_backup_has_left_is_not_mixed_in() {
        let place = tempfile::tempdir().unwrap();
        let domain = place.path().join("mail/example.test");
        // Somebody who has gone, and a folder of somebody who is there.
        let begun = [domain.join(".restoring-user0"), domain.join("user1/..restoring.Old")];
        std::fs::create_dir_all(domain.join("user1/cur")).unwrap();
        for begun in &begun {
            std::fs::create_dir_all(begun.join("cur")).unwrap();
            std::fs::write(begun.join("cur/1.M1.h,U=7,S=5:2,"), "whole").unwrap();
            std::fs::write(begun.join(write::NOTE), "another").unwrap();
        }
        let page = tree::pages(vec![message("1.M1.h,U=7,S=5:2,S", b"whole")]).remove(0);
        let full = |directory| FolderRecord { messages: 1, pages: vec![ObjectId::of(&page)], ..folder(directory) };
        let records = [full(""), full(".Old")].map(|folder| UserRecord { folders: vec![folder], files: vec![] });
        assert_eq!(restored(place.path(), &[b"whole", &page], records.into()), 0);
        for folder in ["user0", "user1/.Old"] {
            let folder = domain.join(folder);
            let found = std::fs::read_dir(folder.join("cur")).unwrap().map(|entry| entry.unwrap().file_name());
            assert_eq!(found.collect::<Vec<_>>(), ["1.M1.h,U=7,S=5:2,S"], "{}", folder.display());
            assert!(!folder.join(write::NOTE).exists());
        }
        assert!(begun.iter().all(|begun| !begun.exists()));
    }

    #[test]
    fn a_message_is_found_beside_damaged_ones() {
        let place = tempfile::tempdir().unwrap();
        let contents = ["a", "b"].map(|id| format!("Message-ID: <{id}@x>\r\n\r\n{id}"));
        let messages = ["1.M1.h,U=1", "2.M2.h,U=2"].iter().zip(&contents);
        let messages = messages.map(|(name, content)| message(&format!("{name}:2,"), content.as_bytes())).collect();
        let page = tree::pages(messages).remove(0);
        let inbox = FolderRecord { messages: 2, octets: 9, pages: vec![ObjectId::of(&page)], ..folder("") };
        let objects = [contents[0].as_bytes(), contents[1].as_bytes(), &page];
        let stored = stored(place.path(), &objects, vec![UserRecord { folders: vec![inbox], files: vec![] }]);
        let directories = std::fs::read_dir(place.path().join("repository/packs")).unwrap();
        let packs = directories.flat_map(|directory| std::fs::read_dir(directory.unwrap().path()).unwrap());
        let packs: Vec<PathBuf> = packs.map(|pack| pack.unwrap().path()).collect();
        assert_eq!(packs.len(), 1, "{packs:?}");
        let mut pack = std::fs::read(&packs[0]).unwrap();
        // In the block of the first message.
        pack[12] ^= 4;
        std::fs::write(&packs[0], pack).unwrap();
        for (id, messages) in [("b@x", 1), ("a@x", 0)] {
            let selection = Selection { message_id: Some(id.to_owned()), ..Selection::default() };
            let restored = restored_of(place.path(), stored.clone(), &selection);
            assert_eq!((restored.messages, restored.lost), (messages, 1), "{id}: {restored:?}");
        }
    }
}
