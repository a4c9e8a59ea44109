//! Taking a backup.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::io::Errno;

use super::error::{at, damaged};
use super::progress::Progress;
use super::repository::{
    Block, DatabaseRecord, FORMAT, FileContent, FileRecord, FolderRecord, Kind, ObjectId, Repository, Snapshot,
    SnapshotId, Totals, UserRecord,
};
use super::seal::Seal;
use super::tree::{self, MessageEntry};
use super::{Error, Source, rows, scan};
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::ids::QueueId;
use crate::storage::spool;

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Messages that the newest backup does not know.
    New,
    /// Every message.
    Full,
}

/// A backup that was taken.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Created {
    /// Its name.
    pub id: SnapshotId,
    /// Whether every message was read.
    pub full: bool,
    /// How much there is.
    #[serde(flatten)]
    pub totals: Totals,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// Files and directories of secrets that were left out on purpose.
    pub secrets_left_out: Vec<String>,
    /// Files and directories of mail that are not in it because their names are not UTF-8; only the first ones if there
    /// are many.
    #[serde(skip)]
    pub unnamed: Vec<PathBuf>,
    /// Messages that are not in it because they were renamed or moved each time they were to be read; only the first ones if
    /// there are many.
    #[serde(skip)]
    pub missed: Vec<PathBuf>,
    /// Messages that are not in it because their files cannot be read, with the reasons.
    #[serde(skip)]
    pub unreadable: Vec<(PathBuf, String)>,
}

/// Takes a backup. When it returns, the backup is on disk.
///
/// # Errors
/// Database or disk fail or are full, or all mail that the newest backup has is gone. Then there is no new backup, the earlier
/// ones are unchanged, and the finished packs shorten the next run.
pub async fn create(
    repository: &Arc<Repository>,
    source: &Source,
    extent: Extent,
    clock: &SharedClock,
    progress: &Arc<Progress>,
) -> Result<Created, Error> {
    let begun = clock.now();
    let previous = match extent {
        Extent::New => newest(repository, begun)?,
        Extent::Full => None,
    };
    let stored = store_database(repository, source).await?;
    let mut totals = Totals { new_octets: stored.added, ..Totals::default() };

    let run = Run {
        repository: Arc::clone(repository),
        previous: previous.as_ref().map(known_users).unwrap_or_default(),
        all_is_there: previous.as_ref().is_some_and(|known| known.packs == Some(repository.packs_digest())),
        mail_root: source.mail_root.clone(),
        clock: Arc::clone(clock),
        progress: Arc::clone(progress),
        read: AtomicU64::new(0),
        added: AtomicU64::new(0),
        unnamed: Mutex::default(),
        missed: Mutex::default(),
        unreadable: Mutex::default(),
    };
    let seal = Seal::new(&source.recipients, previous.as_ref());
    let paths = source.files.clone();
    let (users, files, run) = on_thread(move || {
        let users = run.repository.with_threads(|| run.users())?;
        let files = run.files(&seal, &paths)?;
        Ok((users, files, run))
    })
    .await?;
    totals.messages = users.iter().map(|user| user.messages).sum();
    if totals.messages == 0 && !source.may_be_empty {
        still_there(repository, &source.mail_root, begun)?;
    }
    totals.octets = users.iter().map(|user| user.octets).sum();
    totals.read = run.read.load(Ordering::Relaxed);
    totals.new_octets += run.added.load(Ordering::Relaxed);
    let unnamed = run.unnamed.lock().iter().cloned().collect();
    let missed = run.missed.lock().iter().cloned().collect();
    let unreadable = std::mem::take(&mut *run.unreadable.lock()).into_iter().collect();

    let mut snapshot = Snapshot {
        format: FORMAT,
        id: free_id(repository, begun)?,
        at: begun,
        finished: clock.now(),
        full: previous.is_none(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        hostname: source.hostname.clone(),
        totals,
        packs: None,
        users,
        database: stored.database,
        spool: stored.bodies,
        files,
        secrets_left_out: source.secrets_left_out.clone(),
    };
    let repository = Arc::clone(repository);
    let snapshot = on_thread(move || {
        repository.commit(&mut snapshot)?;
        Ok(snapshot)
    })
    .await?;
    let milliseconds = u64::try_from(clock.now().since(begun).as_millis()).unwrap_or(u64::MAX);
    let Snapshot { id, full, totals, secrets_left_out, .. } = snapshot;
    Ok(Created { id, full, totals, milliseconds, secrets_left_out, unnamed, missed, unreadable })
}

/// The database at one moment, and the bodies of the messages that were queued then.
struct Stored {
    database: DatabaseRecord,
    bodies: Vec<FileRecord>,
    /// Octets that the repository did not have.
    added: u64,
}

async fn store_database(repository: &Arc<Repository>, source: &Source) -> Result<Stored, Error> {
    let mut transaction = source.database.begin_reading().await?;
    let queued = rows::queue_ids(&mut transaction).await?;
    let (bodies, of_bodies) = {
        let (repository, root) = (Arc::clone(repository), source.spool.clone());
        on_thread(move || save_bodies(&repository, &root, &queued)).await?
    };
    let (database, of_rows) = rows::save(repository, &source.database, &mut transaction).await?;
    transaction.rollback().await?;
    Ok(Stored { database, bodies, added: of_bodies + of_rows })
}

/// The newest backup. A damaged one counts as none: everything is read.
fn newest(repository: &Repository, now: Timestamp) -> Result<Option<Snapshot>, Error> {
    let id = match repository.newest(None, now) {
        Err(Error::NoRepository(_)) => return Ok(None),
        id => id?,
    };
    match repository.snapshot(&id) {
        Ok(snapshot) => Ok(Some(snapshot)),
        Err(error) if error.is_out_of_reach() => Err(error),
        Err(error) => {
            log::warn!("{error}");
            Ok(None)
        }
    }
}

/// Refuses when the newest readable backup has mail: most likely the disk with the mailboxes is not mounted, and
/// `prune` would in time leave only backups without mail.
fn still_there(repository: &Repository, mail_root: &Path, now: Timestamp) -> Result<(), Error> {
    let newest = repository.newest_first(now)?.into_iter().find_map(|id| repository.snapshot(&id).ok());
    match newest.filter(|newest| newest.totals.messages > 0) {
        Some(Snapshot { id, totals: Totals { messages, .. }, .. }) => {
            Err(Error::NoMail { mail_root: mail_root.to_owned(), snapshot: id.to_string(), messages })
        }
        None => Ok(()),
    }
}

/// Runs work that blocks.
pub(super) async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    // It ends without a result only if it panics or the whole program ends.
    tokio::task::spawn_blocking(work).await.map_err(|error| match error.is_panic() {
        true => Error::Fault(error.to_string()),
        false => Error::Interrupted(error.to_string()),
    })?
}

/// The name for a backup of this moment: the next second that has no backup yet.
fn free_id(repository: &Repository, at: Timestamp) -> Result<SnapshotId, Error> {
    let there = repository.snapshots()?;
    let mut moment = at;
    loop {
        let id = SnapshotId::at(moment);
        if !there.contains(&id) {
            return Ok(id);
        }
        moment = moment + std::time::Duration::from_secs(1);
    }
}

fn known_users(snapshot: &Snapshot) -> HashMap<(String, String), ObjectId> {
    snapshot.users.iter().map(|user| ((user.domain.clone(), user.local.clone()), user.record)).collect()
}

/// Stores the bodies of queued messages. One that no longer exists has been delivered since.
fn save_bodies(repository: &Repository, root: &Path, queued: &[String]) -> Result<(Vec<FileRecord>, u64), Error> {
    let mut block = Block::new(repository, Kind::Content)?;
    let mut bodies = Vec::new();
    for name in queued {
        let Ok(id) = name.parse::<QueueId>() else { continue };
        let path = spool::body_path(root, id);
        let mut file = match scan::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(at("read", &path)(error)),
        };
        let (objects, _) = block.add_file(&mut file, 0)?.map_err(at("read", &path))?;
        let content = FileContent::Objects(objects);
        bodies.push(FileRecord { path: id.to_string(), mode: 0o600, changed: 0, sealed: None, content });
    }
    block.flush()?;
    Ok((bodies, block.added))
}

/// What the threads of a run share.
pub(super) struct Run {
    pub(super) repository: Arc<Repository>,
    /// The record that the newest backup has of a user.
    pub(super) previous: HashMap<(String, String), ObjectId>,
    /// Whether every object that the newest backup had is sure to be there.
    pub(super) all_is_there: bool,
    pub(super) mail_root: PathBuf,
    pub(super) clock: SharedClock,
    pub(super) progress: Arc<Progress>,
    pub(super) read: AtomicU64,
    pub(super) added: AtomicU64,
    /// What is not in the backup because its name is not UTF-8.
    pub(super) unnamed: Mutex<BTreeSet<PathBuf>>,
    /// Messages that are not in the backup because they had been renamed each time they were to be read.
    pub(super) missed: Mutex<BTreeSet<PathBuf>>,
    /// Messages that are not in the backup because their files cannot be read, and why.
    pub(super) unreadable: Mutex<BTreeMap<PathBuf, String>>,
}

impl Run {
    /// Files that the configuration names, sealed where they are secrets.
    fn files(&self, seal: &Seal, paths: &[PathBuf]) -> Result<Vec<FileRecord>, Error> {
        let mut block = Block::new(&self.repository, Kind::Content)?;
        let files = paths.iter().filter_map(|path| seal.file(self, path, &mut block).transpose());
        let files = files.collect::<Result<Vec<_>, _>>()?;
        block.flush()?;
        self.added.fetch_add(block.added, Ordering::Relaxed);
        Ok(files)
    }

    /// Notes files and directories that are not in the backup because their names are not UTF-8.
    pub(super) fn leave_out(&self, paths: impl IntoIterator<Item = PathBuf>) {
        note(&self.unnamed, paths);
    }

    /// Notes messages that are not in the backup because they had been renamed each time they were to be read.
    pub(super) fn miss(&self, paths: impl IntoIterator<Item = PathBuf>) {
        note(&self.missed, paths);
    }

    /// Notes a message that is not in the backup because its file cannot be read.
    ///
    /// # Errors
    /// It is not the fault of this file, or of so many that the disk itself must be failing: then this is no backup.
    pub(super) fn pass_over(&self, path: &Path, error: io::Error) -> Result<(), Error> {
        let mut unreadable = self.unreadable.lock();
        if !is_of_the_file(&error) || unreadable.len() >= MOST_TOLD && !unreadable.contains_key(path) {
            return Err(at("read", path)(error));
        }
        unreadable.insert(path.to_owned(), error.to_string());
        Ok(())
    }
}

/// Whether an error comes from one file that is damaged on the disk, or may not be read.
fn is_of_the_file(error: &io::Error) -> bool {
    let of_files = [Errno::IO, Errno::ACCESS, Errno::PERM, Errno::UCLEAN, Errno::BADMSG];
    of_files.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn note(noted: &Mutex<BTreeSet<PathBuf>>, paths: impl IntoIterator<Item = PathBuf>) {
    let mut noted = noted.lock();
    for path in paths {
        if noted.len() < MOST_TOLD {
            noted.insert(path);
        }
    }
}

/// Most files and directories that are reported as missing for one reason.
const MOST_TOLD: usize = 100;

/// A user's record.
pub(super) fn read_record(repository: &Repository, id: &ObjectId) -> Result<UserRecord, Error> {
    let wrong = |because: String| damaged(repository.root(), format!("the record {id}: {because}"));
    let record: UserRecord = serde_json::from_slice(&repository.read(id)?).map_err(|error| wrong(error.to_string()))?;
    let is_place = |directory: &str| directory.is_empty() || tree::is_file_name(directory.as_bytes());
    match record.folders.iter().find(|folder| !is_place(&folder.directory)) {
        Some(folder) => Err(wrong(format!("its folder `{}` lies outside", folder.directory))),
        None => Ok(record),
    }
}

/// The messages of a folder.
pub(super) fn read_folder(repository: &Repository, folder: &FolderRecord) -> Result<Vec<MessageEntry>, Error> {
    let mut messages = Vec::new();
    for id in &folder.pages {
        let page = tree::read_page(&repository.read(id)?);
        messages.extend(page.ok_or_else(|| damaged(repository.root(), format!("the list {id} is none")))?);
    }
    Ok(messages)
}
