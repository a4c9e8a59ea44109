//! Reading mailboxes and files into a repository.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rayon::prelude::*;

use super::base_name::{self, ByBaseName};
use super::create::{Run, read_folder, read_record};
use super::error::at;
use super::repository::{
    Block, FileContent, FileRecord, FolderRecord, Kind, ObjectId, Repository, UserEntry, UserRecord,
};
use super::scan::Identity;
use super::tree::{self, MessageEntry};
use super::{Error, scan};
use crate::foundations::files::is_there;
use crate::foundations::mail::UidValidity;
use crate::storage::mailbox::{FileName, Place, UidFile};

/// The messages that are known in a folder.
pub(super) type Known = base_name::Set<MessageEntry>;

/// A message whose file must be read.
struct Unread {
    place: Place,
    name: Vec<u8>,
    /// Octets, according to its name.
    size: u64,
}

/// A folder as it was found.
pub(super) struct Scanned {
    pub(super) directory: String,
    pub(super) identity: Identity,
    pub(super) content: Content,
    /// What is in it besides messages, by paths below the folder; for the inbox, only its UID list.
    pub(super) files: Vec<FileRecord>,
    /// Messages that had been renamed each time they were to be read, by their last paths below the folder.
    pub(super) missed: Vec<PathBuf>,
}

/// The messages of a folder.
struct Messages {
    found: Vec<MessageEntry>,
    /// The times of the directories, if nothing changed while they were listed.
    times: Option<scan::Times>,
    /// As in [`Scanned`].
    missed: Vec<PathBuf>,
}

/// The messages in a folder.
pub(super) enum Content {
    /// Those that the newest backup has: no name in its directories has changed.
    Same(FolderRecord),
    /// These messages, and the times of the directories if nothing changed while they were listed.
    Listed(Vec<MessageEntry>, Option<scan::Times>),
}

/// What is known about a user's folders: what the newest backup has, by their names, and what earlier passes of this run have
/// seen, by their directories, which identify a folder whatever its name.
pub(super) struct Before {
    pub(super) previous: HashMap<String, FolderRecord>,
    pub(super) seen: HashMap<Identity, Seen>,
}

/// A folder as earlier passes have seen it.
#[derive(Default)]
pub(super) struct Seen {
    /// Its last name.
    pub(super) directory: String,
    /// All messages that were ever in it.
    pub(super) messages: Known,
    /// Everything else that was in it last.
    pub(super) files: Vec<FileRecord>,
}

impl Run {
    /// Everybody who has a mailbox.
    pub(super) fn users(&self) -> Result<Vec<UserEntry>, Error> {
        let (users, unnamed) = scan::users(&self.mail_root)?;
        self.leave_out(unnamed);
        let entries = users.into_par_iter().map(|(domain, local)| self.user(domain, local));
        entries.filter_map(Result::transpose).collect()
    }

    /// One user; `None` when the directory has disappeared meanwhile.
    fn user(&self, domain: String, local: String) -> Result<Option<UserEntry>, Error> {
        let path = self.mail_root.join(&domain).join(&local);
        let key = (domain, local);
        let record = self.previous.get(&key).and_then(|record| read_record(&self.repository, record).ok());
        // If a user's record is damaged, nothing is known: everything is read.
        let folders = record.into_iter().flat_map(|record| record.folders);
        let previous = folders.map(|folder| (folder.directory.clone(), folder)).collect();
        let Some(scanned) = self.folders(&path, previous)? else { return Ok(None) };
        let mut files: Vec<FileRecord> = Vec::new();
        let mut folders = Vec::new();
        for Scanned { directory, content, files: of_folder, missed, .. } in scanned {
            let place = Path::new(&directory);
            self.miss(missed.iter().map(|message| path.join(place).join(message)));
            let named =
                |file: FileRecord| FileRecord { path: place.join(&file.path).to_string_lossy().into_owned(), ..file };
            files.extend(of_folder.into_iter().map(named));
            folders.push(match content {
                Content::Same(record) => FolderRecord { directory, ..record },
                Content::Listed(messages, times) => {
                    let (count, octets) = (messages.len() as u64, messages.iter().map(|message| message.size).sum());
                    let pages = self.store_lists(&tree::pages(messages))?;
                    FolderRecord { directory, messages: count, octets, times, pages }
                }
            });
        }
        let mut block = Block::new(&self.repository, Kind::Content)?;
        for other in scan::other_files(&path)? {
            if other != Path::new(UidFile::NAME) {
                files.extend(self.file(&path, &other, &mut block)?);
            }
        }
        block.flush()?;
        self.added.fetch_add(block.added, Ordering::Relaxed);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let (messages, octets) =
            folders.iter().fold((0, 0), |sum, folder| (sum.0 + folder.messages, sum.1 + folder.octets));
        let record = UserRecord { folders, files };
        let json = serde_json::to_vec(&record).map_err(|error| Error::Fault(error.to_string()))?;
        let record = self.store_lists(&[json])?.remove(0);
        let (domain, local) = key;
        Ok(Some(UserEntry { domain, local, messages, octets, record }))
    }

    /// A user's folders, read until none has appeared or disappeared meanwhile, or often enough; `None` when the user is gone.
    fn folders(&self, path: &Path, previous: HashMap<String, FolderRecord>) -> Result<Option<Vec<Scanned>>, Error> {
        let mut before = Before { previous, seen: HashMap::new() };
        let mut pass = 0;
        loop {
            pass += 1;
            let folders = match scan::folders(path) {
                Ok(folders) => folders,
                Err(_) if !is_there(path)? => return Ok(None),
                Err(error) => return Err(error),
            };
            self.leave_out(folders.unnamed.iter().cloned());
            let directories = &folders.directories;
            let times = || directories.iter().map(|directory| scan::times(&path.join(directory)).ok());
            let at_first: Vec<_> = times().collect();
            let scanned = directories.par_iter().map(|name| self.folder(&path.join(name), name, &before));
            let scanned: Vec<Scanned> = scanned.filter_map(Result::transpose).collect::<Result<_, _>>()?;
            // A folder that was renamed and renamed back has the same times, but may have been away when it was to be read.
            let are_all = || scanned.len() == directories.len() && scan::folders(path).is_ok_and(|now| now == folders);
            if folders.is_stable && at_first.into_iter().eq(times()) && are_all() {
                return Ok(Some(scanned));
            }
            if pass == PASSES {
                return self.final_pass(path, scanned, before).map(Some);
            }
            // A message that was moved from a folder not yet listed into one already listed is in neither list, nor are those of
            // a folder that was renamed. What has been read is known now, so another pass costs little.
            for Scanned { directory, identity, content, files, .. } in scanned {
                let Content::Listed(messages, _) = content else { continue };
                let seen = before.seen.entry(identity).or_default();
                base_name::replace_all(&mut seen.messages, messages);
                (seen.directory, seen.files) = (directory, files);
            }
        }
    }

    fn store_lists(&self, lists: &[Vec<u8>]) -> Result<Vec<ObjectId>, Error> {
        let mut block = Block::new(&self.repository, Kind::List)?;
        let ids = lists.iter().map(|list| block.add(list)).collect::<Result<Vec<_>, _>>()?;
        block.flush()?;
        Ok(ids)
    }

    /// A folder with its files, read at this path; `None` when it has disappeared meanwhile.
    pub(super) fn folder(&self, path: &Path, directory: &str, before: &Before) -> Result<Option<Scanned>, Error> {
        let previous = before.previous.get(directory);
        let mut absences = 0;
        loop {
            let Some(identity) = scan::identity(path)? else { return Ok(None) };
            let validity_before = validity(path);
            let (content, missed) = match self.untouched(path, previous) {
                Some(record) => (Content::Same(record), Vec::new()),
                None => match self
                    .messages(path, self.known(previous, before.seen.get(&identity).map(|seen| &seen.messages)))
                {
                    Ok(Messages { found, times, missed }) => (Content::Listed(found, times), missed),
                    Err(_) if !is_there(&path.join("cur"))? => return Ok(None),
                    // It was elsewhere for a moment, like a folder that is renamed and renamed back.
                    Err(error) if error.is_absence() && absences < RETRIES => {
                        absences += 1;
                        continue;
                    }
                    Err(error) => return Err(error),
                },
            };
            // The UID list comes last: its next UID is above every UID that was seen, also of messages that are gone.
            let mut block = Block::new(&self.repository, Kind::Content)?;
            let mut files = Vec::new();
            let others = if directory.is_empty() { Vec::new() } else { scan::other_files(path)? };
            for other in others.iter().filter(|other| *other != Path::new(UidFile::NAME)) {
                files.extend(self.file(path, other, &mut block)?);
            }
            files.extend(self.file(path, Path::new(UidFile::NAME), &mut block)?);
            block.flush()?;
            self.added.fetch_add(block.added, Ordering::Relaxed);
            // Deleted and created again meanwhile, or another one was renamed: a different folder of the same name.
            if scan::identity(path)? == Some(identity) && validity(path) == validity_before {
                return Ok(Some(Scanned { directory: directory.to_owned(), identity, content, files, missed }));
            }
        }
    }

    /// What the newest backup has of a folder, if no name in it has appeared or disappeared since and nothing of it can be lost.
    fn untouched(&self, path: &Path, previous: Option<&FolderRecord>) -> Option<FolderRecord> {
        let record = previous.filter(|record| self.all_is_there && record.times.is_some())?;
        if scan::times(path).ok() != record.times {
            return None;
        }
        self.progress.add(record.messages, 0);
        Some(record.clone())
    }

    /// What is known about a folder's messages; nothing if the lists are damaged.
    fn known(&self, previous: Option<&FolderRecord>, seen: Option<&Known>) -> Known {
        let mut known = previous.and_then(|folder| known_messages(&self.repository, folder).ok()).unwrap_or_default();
        base_name::replace_all(&mut known, seen.into_iter().flatten().map(|ByBaseName(message)| message.clone()));
        known
    }

    fn messages(&self, folder: &Path, mut known: Known) -> Result<Messages, Error> {
        let now = || self.clock.now().unix_micros().saturating_mul(1_000);
        let list = || scan::messages(folder, now).map_err(at("read", folder));
        let (listing, times) = list()?;
        let count = listing.len();
        let mut messages = Vec::with_capacity(listing.len());
        let mut unread = Vec::new();
        for ByBaseName(listed) in listing {
            let known = known.take(FileName::base_of(&listed.name)).map(|ByBaseName(known)| known);
            match known.filter(|known| is_same(folder, known, &listed)) {
                Some(known) => messages.push(MessageEntry { place: listed.place, name: listed.name, ..known }),
                None => unread.push(Unread::from(listed)),
            }
        }
        self.progress.add(messages.len() as u64, 0);
        // In the order of arrival, in which they will also be restored.
        unread.sort_by(|a, b| a.name.cmp(&b.name));
        let (is_stable, missed) = self.read_all(folder, unread, &mut messages, &|| Ok(list()?.0))?;
        // What could not be read has to be tried again.
        let is_whole = is_stable && messages.len() == count;
        Ok(Messages { found: messages, times: times.filter(|_| is_whole), missed })
    }

    /// Reads messages, and looks again for those that are renamed meanwhile. Returns whether there were none, and the last paths of
    /// those that had been renamed each time.
    fn read_all(
        &self,
        folder: &Path,
        mut unread: Vec<Unread>,
        messages: &mut Vec<MessageEntry>,
        list: &dyn Fn() -> Result<scan::Listing, Error>,
    ) -> Result<(bool, Vec<PathBuf>), Error> {
        let mut is_stable = true;
        for _ in 0..RETRIES {
            let renamed = self.read(folder, unread, messages)?;
            if renamed.is_empty() {
                return Ok((is_stable, Vec::new()));
            }
            // Its flags have changed meanwhile, or it was expunged.
            let names = list()?;
            let listed =
                |old: &Unread| names.get(FileName::base_of(&old.name)).map(|ByBaseName(listed)| listed.clone());
            let again = renamed.iter().filter_map(listed).map(Unread::from);
            unread = again.collect();
            is_stable = false;
        }
        let missed = unread.iter().map(|message| scan::path_of(Path::new(""), message.place, &message.name));
        Ok((false, missed.collect()))
    }

    /// Reads messages, several threads at a time, and returns those that are no longer where they were.
    fn read(&self, folder: &Path, unread: Vec<Unread>, messages: &mut Vec<MessageEntry>) -> Result<Vec<Unread>, Error> {
        let mut batches: Vec<Vec<Unread>> = Vec::new();
        let mut size = BATCH;
        for message in unread {
            if size >= BATCH {
                batches.push(Vec::new());
                size = 0;
            }
            size += message.size;
            batches.last_mut().expect("one was pushed for the first message").push(message);
        }
        let results: Vec<_> =
            batches.into_par_iter().map(|batch| self.read_batch(folder, batch)).collect::<Result<_, _>>()?;
        let mut renamed = Vec::new();
        for (read, gone) in results {
            messages.extend(read);
            renamed.extend(gone);
        }
        Ok(renamed)
    }

    fn read_batch(&self, folder: &Path, batch: Vec<Unread>) -> Result<(Vec<MessageEntry>, Vec<Unread>), Error> {
        let mut block = Block::new(&self.repository, Kind::Content)?;
        let (mut read, mut renamed) = (Vec::with_capacity(batch.len()), Vec::new());
        for message in batch {
            let path = scan::path_of(folder, message.place, &message.name);
            let mut file = match scan::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    renamed.push(message);
                    continue;
                }
                Err(error) => {
                    self.pass_over(&path, error)?;
                    continue;
                }
            };
            let metadata = file.metadata().map_err(at("read", &path))?;
            let (objects, size) = match block.add_file(&mut file, metadata.len())? {
                Ok(stored) => stored,
                Err(error) => {
                    self.pass_over(&path, error)?;
                    continue;
                }
            };
            self.progress.add(1, size);
            let Unread { place, name, .. } = message;
            read.push(MessageEntry { place, name, size, date: metadata.mtime(), objects });
        }
        block.flush()?;
        self.read.fetch_add(read.len() as u64, Ordering::Relaxed);
        self.added.fetch_add(block.added, Ordering::Relaxed);
        Ok((read, renamed))
    }

    /// A file other than a message, by its path below `root`; `None` when it does not exist or is not a regular file.
    pub(super) fn file(&self, root: &Path, path: &Path, block: &mut Block<'_>) -> Result<Option<FileRecord>, Error> {
        let whole = root.join(path);
        let failed = at("read", &whole);
        let metadata = match fs::symlink_metadata(&whole) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let Some(name) = path.to_str() else {
            self.leave_out([whole.clone()]);
            return Ok(None);
        };
        // Configuration is often a link to the real file, whose content is needed; a link in a mailbox says which
        // script is active.
        let is_mail = root != Path::new("/");
        let (content, metadata) = if metadata.is_symlink() && is_mail {
            let target = fs::read_link(&whole).map_err(&failed)?;
            (FileContent::Link(target.to_string_lossy().into_owned()), metadata)
        } else {
            let mut file = match fs::File::open(&whole) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(failed(error)),
            };
            // A link to it is always world-readable, so the file itself is asked.
            let metadata = file.metadata().map_err(&failed)?;
            if !metadata.is_file() {
                log::warn!(file:% = whole.display(); "This is not a regular file and is not in the backup");
                return Ok(None);
            }
            (FileContent::Objects(block.add_file(&mut file, metadata.len())?.map_err(&failed)?.0), metadata)
        };
        let changed = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        let mode = metadata.mode() & 0o7777;
        Ok(Some(FileRecord { path: name.to_owned(), mode, changed, sealed: None, content }))
    }
}

/// Octets of messages that one thread reads at a time.
const BATCH: u64 = 1 << 20;
/// How often to look again for messages that were renamed while they were to be read.
const RETRIES: usize = 50;
/// How often to read all folders of a user while messages come and go.
const PASSES: usize = 3;

fn known_messages(repository: &Repository, folder: &FolderRecord) -> Result<Known, Error> {
    let messages = read_folder(repository, folder)?;
    // If a pack has been lost, what it held is read again.
    let there = messages.into_iter().filter(|message| message.objects.iter().all(|id| repository.has(id)));
    Ok(there.map(ByBaseName).collect())
}

/// Whether a file is the message that a backup knows. Maildir files never change: a name that contains the size is enough,
/// for others size and date are compared.
fn is_same(folder: &Path, known: &MessageEntry, listed: &scan::Listed) -> bool {
    match listed.size {
        Some(size) => size == known.size,
        None => fs::symlink_metadata(scan::path_of(folder, listed.place, &listed.name))
            .is_ok_and(|metadata| metadata.len() == known.size && metadata.mtime() == known.date),
    }
}

impl From<scan::Listed> for Unread {
    fn from(listed: scan::Listed) -> Self {
        // The size is for dividing the work only.
        Self { size: listed.size.unwrap_or(16 << 10), place: listed.place, name: listed.name }
    }
}

/// UIDVALIDITY from the folder's file.
fn validity(folder: &Path) -> Option<UidValidity> {
    let content = fs::read(folder.join(UidFile::NAME)).ok()?;
    UidFile::parse(&content).map(|file| file.validity)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::foundations::clock::SystemClock;
    use crate::services::backup::repository::Access;
    use crate::services::backup::{BackupSettings, Destination};

    fn run(place: &Path) -> Run {
        let destination = Destination::Directory(place.join("repository"));
        let repository = Repository::open(&destination, Access::Add, &BackupSettings::default()).unwrap();
        Run {
            repository: Arc::new(repository),
            previous: HashMap::new(),
            all_is_there: false,
            mail_root: place.join("mail"),
            clock: Arc::new(SystemClock),
            progress: Arc::default(),
            read: AtomicU64::new(0),
            added: AtomicU64::new(0),
            unnamed: parking_lot::Mutex::default(),
            missed: parking_lot::Mutex::default(),
            unreadable: parking_lot::Mutex::default(),
        }
    }

    #[test]
    fn messages_that_are_never_where_they_are_listed_are_told() {
        let place = tempfile::tempdir().unwrap();
        let run = run(place.path());
        let folder = place.path().join("folder");
        fs::create_dir_all(folder.join("cur")).unwrap();
        fs::write(folder.join("cur/1.a:2,"), "there").unwrap();
        let listed = |name: &str| scan::Listed { place: Place::Cur, name: name.as_bytes().to_vec(), size: None };
        let both = || vec![listed("1.a:2,"), listed("2.b:2,S")];
        let unread = both().into_iter().map(Unread::from).collect();
        let mut messages = Vec::new();
        let list = || Ok(both().into_iter().map(ByBaseName).collect());
        let (is_stable, missed) = run.read_all(&folder, unread, &mut messages, &list).unwrap();
        assert_eq!((messages.len(), is_stable), (1, false));
        assert_eq!(missed, [Path::new("cur/2.b:2,S")]);
        // A message that is no longer listed was expunged, and nobody misses it.
        let list = || Ok(scan::Listing::new());
        let unread = vec![Unread::from(listed("2.b:2,S"))];
        let (is_stable, missed) = run.read_all(&folder, unread, &mut messages, &list).unwrap();
        assert_eq!((messages.len(), is_stable, missed.len()), (1, false, 0));
    }

    #[test]
    fn a_key_behind_a_link_is_as_secret_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        let run = run(place.path());
        let (key, link) = (place.path().join("key.pem"), place.path().join("live.pem"));
        fs::write(&key, "secret").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("key.pem", &link).unwrap();
        let mut block = Block::new(&run.repository, Kind::Content).unwrap();
        let record = run.file(Path::new("/"), &link, &mut block).unwrap().unwrap();
        assert_eq!((record.mode, record.path.as_str()), (0o640, link.to_str().unwrap()));
        assert_eq!(record.content, FileContent::Objects(vec![ObjectId::of(b"secret")]));
        // In a mailbox, the link itself is stored.
        let record = run.file(place.path(), Path::new("live.pem"), &mut block).unwrap().unwrap();
        assert_eq!(record.content, FileContent::Link("key.pem".to_owned()));
    }
}
