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
use crate::foundations::files::is_there;
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
    content: Content,
    uid_file: Option<FileRecord>,
}

/// What is in a folder.
enum Content {
    /// What the newest backup knows: not a name in its directories has changed.
    Same(FolderRecord),
    /// These messages, and the times of the directories if they were listed in peace.
    Listed(Vec<MessageEntry>, Option<scan::Times>),
}

impl Run {
    /// Everybody who has a mailbox.
    pub(super) fn users(&self) -> Result<Vec<UserEntry>, Error> {
        let (users, unnamed) = scan::users(&self.mail_root)?;
        self.leave_out(unnamed);
        let entries = users.into_par_iter().map(|(domain, local)| self.user(domain, local));
        entries.filter_map(Result::transpose).collect()
    }

    /// One user; `None` when the directory has gone meanwhile.
    fn user(&self, domain: String, local: String) -> Result<Option<UserEntry>, Error> {
        let path = self.mail_root.join(&domain).join(&local);
        let key = (domain, local);
        let record = self.previous.get(&key).and_then(|record| read_record(&self.repository, record).ok());
        // Of a user whose record is damaged nothing is known: everything is read.
        let folders = record.into_iter().flat_map(|record| record.folders);
        let previous: HashMap<_, _> = folders.map(|folder| (folder.directory.clone(), folder)).collect();
        let mut seen: HashMap<String, Known> = HashMap::new();
        let mut pass = 0;
        let (directories, scanned) = loop {
            let directories = match scan::folders(&path) {
                Ok((directories, unnamed)) => {
                    self.leave_out(unnamed);
                    directories
                }
                Err(_) if !is_there(&path)? => return Ok(None),
                Err(error) => return Err(error),
            };
            let before: Vec<_> = directories.iter().map(|directory| scan::times(&path.join(directory)).ok()).collect();
            let scanned = directories
                .par_iter()
                .map(|directory| self.folder(&path, directory, previous.get(directory), seen.get(directory)));
            let scanned: Vec<Scanned> = scanned.filter_map(Result::transpose).collect::<Result<_, _>>()?;
            pass += 1;
            let after = directories.iter().map(|directory| scan::times(&path.join(directory)).ok());
            let are_all = || scan::folders(&path).is_ok_and(|(now, _)| now == directories);
            if pass == PASSES || before.into_iter().eq(after) && are_all() {
                break (directories, scanned);
            }
            // A message that was moved from a folder not yet listed into one that was, is in neither list, nor are those of
            // a folder that was renamed. What has been read is known now, so that another look costs little.
            for folder in scanned {
                let Content::Listed(messages, _) = folder.content else { continue };
                let messages = messages.into_iter().map(|message| (message.base().to_vec(), message));
                seen.entry(folder.directory).or_default().extend(messages);
            }
        };
        let mut files: Vec<Option<FileRecord>> = Vec::new();
        let mut folders = Vec::new();
        for folder in scanned {
            files.push(folder.uid_file);
            folders.push(match folder.content {
                Content::Same(record) => record,
                Content::Listed(messages, times) => {
                    let (count, octets) = (messages.len() as u64, messages.iter().map(|message| message.size).sum());
                    let pages = self.store_lists(&tree::pages(messages))?;
                    FolderRecord { directory: folder.directory, messages: count, octets, times, pages }
                }
            });
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
        let json = serde_json::to_vec(&record).map_err(|error| Error::Fault(error.to_string()))?;
        let record = self.store_lists(&[json])?.remove(0);
        let (domain, local) = key;
        Ok(Some(UserEntry { domain, local, messages, octets, record }))
    }

    fn store_lists(&self, lists: &[Vec<u8>]) -> Result<Vec<ObjectId>, Error> {
        let mut block = Block::new(&self.repository, Kind::List)?;
        let ids = lists.iter().map(|list| block.add(list)).collect::<Result<Vec<_>, _>>()?;
        block.flush()?;
        Ok(ids)
    }

    /// A folder with its file of UIDs; `None` when it has gone meanwhile. Known of it is what the newest backup has, and
    /// what this run has seen.
    fn folder(
        &self,
        user: &Path,
        directory: &str,
        previous: Option<&FolderRecord>,
        seen: Option<&Known>,
    ) -> Result<Option<Scanned>, Error> {
        let path = user.join(directory);
        let (mut known, mut missed) = (None, 0);
        loop {
            let before = validity(&path);
            let content = match self.untouched(&path, previous) {
                Some(record) => Content::Same(record),
                None => {
                    let known = known.get_or_insert_with(|| self.known(previous, seen));
                    match self.messages(&path, known) {
                        Ok((messages, times)) => Content::Listed(messages, times),
                        Err(_) if !is_there(&path.join("cur"))? => return Ok(None),
                        // It was elsewhere for a moment, as a folder is that is renamed and renamed back.
                        Err(error) if error.is_absence() && missed < RETRIES => {
                            missed += 1;
                            continue;
                        }
                        Err(error) => return Err(error),
                    }
                }
            };
            // The file of UIDs comes last: what it says is above every UID that was seen, also of messages that went.
            let mut block = Block::new(&self.repository, Kind::Content)?;
            let uid_file = self.file(user, &Path::new(directory).join(UidFile::NAME), &mut block)?;
            block.flush()?;
            // Deleted and made again meanwhile: another folder of the same name.
            if validity(&path) == before {
                return Ok(Some(Scanned { directory: directory.to_owned(), content, uid_file }));
            }
        }
    }

    /// What the newest backup has of a folder, if no name in it has come or gone since and nothing of it can be lost.
    fn untouched(&self, path: &Path, previous: Option<&FolderRecord>) -> Option<FolderRecord> {
        let record = previous.filter(|record| self.all_is_there && record.times.is_some())?;
        if scan::times(path).ok() != record.times {
            return None;
        }
        self.progress.add(record.messages, 0);
        Some(record.clone())
    }

    /// What is known of a folder's messages. Of lists that are damaged nothing is known.
    fn known(&self, previous: Option<&FolderRecord>, seen: Option<&Known>) -> Known {
        let mut known = previous.and_then(|folder| known_messages(&self.repository, folder).ok()).unwrap_or_default();
        known.extend(seen.into_iter().flatten().map(|(base, message)| (base.clone(), message.clone())));
        known
    }

    fn messages(&self, folder: &Path, known: &Known) -> Result<(Vec<MessageEntry>, Option<scan::Times>), Error> {
        let now = || self.clock.now().unix_micros().saturating_mul(1_000);
        let list = || scan::messages(folder, now).map_err(at("read", folder));
        let (listing, times) = list()?;
        let mut messages = Vec::with_capacity(listing.len());
        let mut unread = Vec::new();
        for (base, listed) in listing {
            match known.get(&base).filter(|known| is_same(folder, known, &listed)) {
                Some(known) => {
                    let scan::Listed { place, name, .. } = listed;
                    messages.push(MessageEntry { place, name, objects: known.objects.clone(), ..*known });
                }
                None => unread.push(Unread::from(listed)),
            }
        }
        self.progress.add(messages.len() as u64, 0);
        // In the order in which they came, which is the order in which they will be restored.
        unread.sort_by(|a, b| a.name.cmp(&b.name));
        let mut in_peace = true;
        for _ in 0..RETRIES {
            let renamed = self.read(folder, unread, &mut messages)?;
            if renamed.is_empty() {
                break;
            }
            // Flags have changed meanwhile, or it was expunged.
            let (names, _) = list()?;
            let again = renamed.iter().filter_map(|old| {
                let base = FileName::parse(&old.name, old.place)?.base;
                names.get(base).cloned().map(Unread::from)
            });
            unread = again.collect();
            in_peace = false;
        }
        Ok((messages, times.filter(|_| in_peace)))
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
            self.leave_out([whole.clone()]);
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

/// UIDVALIDITY as the folder's file says it.
fn validity(folder: &Path) -> Option<u32> {
    let content = fs::read(folder.join(UidFile::NAME)).ok()?;
    UidFile::parse(&content).map(|file| file.validity)
}
