//! Reading mailboxes and files into a repository.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::Ordering;

use rayon::prelude::*;

use super::create::{Run, read_folder, read_record};
use super::error::at;
use super::repository::{
    Block, FileContent, FileRecord, FolderRecord, Kind, ObjectId, Repository, UserEntry, UserRecord,
};
use super::tree::{self, MessageEntry};
use super::{Error, scan};
use crate::storage::mailbox::{FileName, Place, UidFile};

/// The messages that an earlier backup knows in a folder, by base name.
type Known = HashMap<Vec<u8>, MessageEntry>;

/// A message whose file must be read.
struct Unread {
    place: Place,
    name: Vec<u8>,
    /// Octets, as its name says.
    size: u64,
}

/// A folder as it was found.
struct Scanned {
    directory: String,
    messages: Vec<MessageEntry>,
    uid_file: Option<FileRecord>,
}

impl Run {
    /// Everybody who has a mailbox.
    pub(super) fn users(&self) -> Result<Vec<UserEntry>, Error> {
        let users = scan::users(&self.mail_root)?;
        let entries = users.into_par_iter().map(|(domain, local)| self.user(domain, local));
        entries.filter_map(Result::transpose).collect()
    }

    /// One user; `None` when the directory has gone meanwhile.
    fn user(&self, domain: String, local: String) -> Result<Option<UserEntry>, Error> {
        let path = self.mail_root.join(&domain).join(&local);
        let key = (domain, local);
        let mut known = self.known_folders(&key);
        let mut pass = 0;
        let (directories, scanned) = loop {
            let directories = match scan::folders(&path) {
                Ok(directories) => directories,
                Err(_) if !path.exists() => return Ok(None),
                Err(error) => return Err(error),
            };
            let before: Vec<_> = directories.iter().map(|directory| scan::times(&path.join(directory)).ok()).collect();
            let nothing = Known::new();
            let scanned = directories
                .par_iter()
                .map(|directory| self.folder(&path, directory, known.get(directory).unwrap_or(&nothing)));
            let scanned: Vec<Scanned> = scanned.filter_map(Result::transpose).collect::<Result<_, _>>()?;
            pass += 1;
            let after = directories.iter().map(|directory| scan::times(&path.join(directory)).ok());
            if pass == PASSES || before.into_iter().eq(after) {
                break (directories, scanned);
            }
            // A message that was moved from a folder not yet listed into one that was, is in neither list. What has been
            // read is known now, so that another look costs little.
            for folder in scanned {
                let messages = folder.messages.into_iter().map(|message| (message.base().to_vec(), message));
                known.entry(folder.directory).or_default().extend(messages);
            }
        };
        let mut files: Vec<Option<FileRecord>> = Vec::new();
        let mut folders = Vec::new();
        for folder in scanned {
            let (messages, octets) =
                (folder.messages.len() as u64, folder.messages.iter().map(|message| message.size).sum());
            let pages = self.store_lists(&tree::pages(folder.messages))?;
            folders.push(FolderRecord { directory: folder.directory, messages, octets, pages });
            files.push(folder.uid_file);
        }
        let mut block = Block::new(&self.repository, Kind::Content)?;
        for other in scan::other_files(&path, &directories)? {
            if other.file_name().is_none_or(|name| name != UidFile::NAME) {
                files.push(self.file(&path, &other, &mut block)?);
            }
        }
        block.flush()?;
        self.added.fetch_add(block.added, Ordering::Relaxed);
        let files = files.into_iter().flatten().collect();
        let (messages, octets) =
            folders.iter().fold((0, 0), |sum, folder| (sum.0 + folder.messages, sum.1 + folder.octets));
        let record = UserRecord { folders, files };
        let json = serde_json::to_vec(&record).map_err(|error| Error::Interrupted(error.to_string()))?;
        let record = self.store_lists(&[json])?.remove(0);
        let (domain, local) = key;
        Ok(Some(UserEntry { domain, local, messages, octets, record }))
    }

    /// What the newest backup knows of a user's folders. Of one that is damaged nothing is known: everything is read.
    fn known_folders(&self, user: &(String, String)) -> HashMap<String, Known> {
        let record = self.previous.get(user).and_then(|record| read_record(&self.repository, record).ok());
        let folders = record.map(|record| record.folders).unwrap_or_default();
        let known = folders.into_par_iter().map(|folder| {
            let messages = known_messages(&self.repository, &folder).unwrap_or_default();
            (folder.directory, messages)
        });
        known.collect()
    }

    fn store_lists(&self, lists: &[Vec<u8>]) -> Result<Vec<ObjectId>, Error> {
        let mut block = Block::new(&self.repository, Kind::List)?;
        let ids = lists.iter().map(|list| block.add(list)).collect::<Result<Vec<_>, _>>()?;
        block.flush()?;
        Ok(ids)
    }

    /// A folder with its file of UIDs; `None` when it has gone meanwhile.
    fn folder(&self, user: &Path, directory: &str, known: &Known) -> Result<Option<Scanned>, Error> {
        let path = user.join(directory);
        loop {
            let before = validity(&path);
            let messages = match self.messages(&path, known) {
                Ok(messages) => messages,
                Err(_) if !path.join("cur").exists() => return Ok(None),
                Err(error) => return Err(error),
            };
            // The file of UIDs comes last: what it says is above every UID that was seen, also of messages that went.
            let mut block = Block::new(&self.repository, Kind::Content)?;
            let uid_file = self.file(user, &Path::new(directory).join(UidFile::NAME), &mut block)?;
            block.flush()?;
            // Deleted and made again meanwhile: another folder of the same name.
            if validity(&path) == before {
                return Ok(Some(Scanned { directory: directory.to_owned(), messages, uid_file }));
            }
        }
    }

    fn messages(&self, folder: &Path, known: &Known) -> Result<Vec<MessageEntry>, Error> {
        let now = || self.clock.now().unix_micros().saturating_mul(1_000);
        let list = || scan::messages(folder, now).map_err(at("read", folder));
        let mut messages = Vec::new();
        let mut unread = Vec::new();
        for (base, (place, name)) in list()? {
            match known.get(&base).filter(|known| is_same(folder, known, place, &name)) {
                Some(known) => messages.push(MessageEntry { place, name, objects: known.objects.clone(), ..*known }),
                None => unread.push(Unread { size: size_of(&name, place), place, name }),
            }
        }
        self.progress.add(messages.len() as u64, 0);
        // In the order in which they came, which is the order in which they will be restored.
        unread.sort_by(|a, b| a.name.cmp(&b.name));
        for _ in 0..RETRIES {
            let renamed = self.read(folder, unread, &mut messages)?;
            if renamed.is_empty() {
                break;
            }
            // Flags have changed meanwhile, or it was expunged.
            let names = list()?;
            let again = renamed.iter().filter_map(|old| {
                let base = FileName::parse(&old.name, old.place)?.base;
                let (place, name) = names.get(base)?.clone();
                Some(Unread { size: old.size, place, name })
            });
            unread = again.collect();
        }
        Ok(messages)
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
                Err(error) => return Err(at("read", &path)(error)),
            };
            let metadata = file.metadata().map_err(at("read", &path))?;
            let (objects, size) = block.add_file(&mut file, metadata.len())?.map_err(at("read", &path))?;
            self.progress.add(1, size);
            let Unread { place, name, .. } = message;
            read.push(MessageEntry { place, name, size, date: metadata.mtime(), objects });
        }
        block.flush()?;
        self.read.fetch_add(read.len() as u64, Ordering::Relaxed);
        self.added.fetch_add(block.added, Ordering::Relaxed);
        Ok((read, renamed))
    }

    /// A file other than a message, by its path below `root`; `None` when it is not there or no plain file.
    pub(super) fn file(&self, root: &Path, path: &Path, block: &mut Block<'_>) -> Result<Option<FileRecord>, Error> {
        let whole = root.join(path);
        let failed = at("read", &whole);
        let metadata = match fs::symlink_metadata(&whole) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let Some(name) = path.to_str() else {
            log::warn!(file:% = whole.display(); "A file whose name is not UTF-8 is not in the backup");
            return Ok(None);
        };
        // Configuration is often a link to where it really is, and is wanted itself; a link in a mailbox says which
        // script is active.
        let is_mail = root != Path::new("/");
        let content = if metadata.is_symlink() && is_mail {
            let target = fs::read_link(&whole).map_err(&failed)?;
            FileContent::Link(target.to_string_lossy().into_owned())
        } else {
            let mut file = match fs::File::open(&whole) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(failed(error)),
            };
            if !file.metadata().map_err(&failed)?.is_file() {
                log::warn!(file:% = whole.display(); "This is no plain file and is not in the backup");
                return Ok(None);
            }
            FileContent::Objects(block.add_file(&mut file, metadata.len())?.map_err(&failed)?.0)
        };
        let changed = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        let mode = metadata.mode() & 0o7777;
        Ok(Some(FileRecord { path: name.to_owned(), mode, changed, sealed: None, content }))
    }
}

/// Octets of messages that one thread reads at a time.
const BATCH: u64 = 1 << 20;
/// How often messages are looked for that were renamed while they were to be read.
const RETRIES: usize = 50;
/// How often all folders of a user are looked at while messages come and go.
const PASSES: usize = 3;

fn known_messages(repository: &Repository, folder: &FolderRecord) -> Result<Known, Error> {
    let messages = read_folder(repository, folder)?;
    // Should a pack have been lost, what it held is read again.
    let there = messages.into_iter().filter(|message| message.objects.iter().all(|id| repository.has(id)));
    Ok(there.map(|message| (message.base().to_vec(), message)).collect())
}

/// Whether a file is the message that a backup knows. Maildir files never change; a name with the size in it says enough,
/// for others size and date are looked at.
fn is_same(folder: &Path, known: &MessageEntry, place: Place, name: &[u8]) -> bool {
    match FileName::parse(name, place).and_then(|name| name.size) {
        Some(size) => size == known.size,
        None => fs::symlink_metadata(scan::path_of(folder, place, name))
            .is_ok_and(|metadata| metadata.len() == known.size && metadata.mtime() == known.date),
    }
}

fn size_of(name: &[u8], place: Place) -> u64 {
    // For dividing the work only.
    FileName::parse(name, place).and_then(|name| name.size).unwrap_or(16 << 10)
}

/// UIDVALIDITY as the folder's file says it.
fn validity(folder: &Path) -> Option<u32> {
    let content = fs::read(folder.join(UidFile::NAME)).ok()?;
    UidFile::parse(&content).map(|file| file.validity)
}
