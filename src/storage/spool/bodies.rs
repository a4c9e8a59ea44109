//! Bodies of queued messages as files.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};

use super::Error;
use crate::foundations::clock::Timestamp;
use crate::foundations::files;
use crate::foundations::ids::QueueId;
use crate::foundations::mail::Message;

/// The directory of bodies: `<root>/<xx>/<queue id>`. All calls block: they belong on the blocking pool.
#[derive(Debug)]
pub(super) struct Bodies {
    root: PathBuf,
    syncs: Vec<SharedSync>,
    /// For the root, which holds the names of the sub-directories.
    root_sync: SharedSync,
    /// Whether the name of each sub-directory is known to be on disk. For those from before the start, that is only
    /// known once the root has been synced: an earlier process may have ended between the two.
    named: Vec<AtomicBool>,
}

/// A sync that concurrent callers share: callers that arrive during a run wait for the next one, which serves them all.
#[derive(Debug, Default)]
struct SharedSync {
    state: Mutex<SyncState>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct SyncState {
    started: u64,
    finished: u64,
    /// How many have failed.
    failures: u64,
    /// Why the last of these did.
    failed: Option<io::Error>,
}

impl SharedSync {
    /// How many syncs have failed so far. Must be read before the change that is to be synced.
    fn failures(&self) -> u64 {
        self.state.lock().failures
    }

    /// Runs `sync` once for all callers that ask for it before it starts.
    ///
    /// It also fails if another sync has failed since `before`, because that may have been about this change: the
    /// system reports an error only once (fsync(2)), and the next sync succeeds although the change is not on disk.
    fn run(&self, before: u64, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.lock();
        // A sync already in progress may have missed this caller's change.
        let ticket = state.started + 1;
        while state.finished < ticket {
            if state.started > state.finished {
                self.done.wait(&mut state);
                continue;
            }
            state.started += 1;
            let turn = state.started;
            drop(state);
            let result = sync();
            state = self.state.lock();
            state.finished = turn;
            if let Err(error) = result {
                state.failures += 1;
                state.failed = Some(error);
            }
            self.done.notify_all();
            break;
        }
        match &state.failed {
            Some(error) if state.failures != before => Err(io::Error::new(error.kind(), error.to_string())),
            _ => Ok(()),
        }
    }
}

/// The directory of notes, below the bodies'.
pub(super) const NOTES: &str = "unsettled";
/// Number of sub-directories.
const DIRECTORIES: usize = 1024;
const DIGITS: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The sub-directory of an id: its sixth and seventh characters. They change twice a second and recur every nine
/// minutes: entries of one moment share a directory, and so its sync; over time all directories fill evenly.
fn directory(id: &str) -> &str {
    id.get(5..7).unwrap_or("00")
}

/// The file of an entry's body below the spool's directory.
pub fn body_path(root: &Path, id: QueueId) -> PathBuf {
    let id = id.to_string();
    root.join(directory(&id)).join(&id)
}

fn directory_number(name: &str) -> usize {
    name.chars().fold(0, |number, c| number * 32 + DIGITS.find(c).unwrap_or(0)) % DIRECTORIES
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Body { path, source }
}

impl Bodies {
    /// Opens the directory. If it must be created, its name is synced, too: without it, nothing inside would be safe.
    pub(super) fn open(root: PathBuf) -> Result<Self, Error> {
        let failed = |files::Error { path, source, .. }| Error::Body { path, source };
        files::create_directory(&root, 0o700).map_err(failed)?;
        // Made early, because a full disk may have room for a note's name, but not for another directory. If this
        // fails, it is made later.
        let _ = files::create_directory(&root.join(NOTES), 0o700);
        let syncs = std::iter::repeat_with(SharedSync::default).take(DIRECTORIES).collect();
        let named = std::iter::repeat_with(AtomicBool::default).take(DIRECTORIES).collect();
        let bodies = Self { root, syncs, root_sync: SharedSync::default(), named };
        match bodies.sync_names() {
            // Roles that only query the database about the queue may have no access here, and write nothing.
            Err(Error::Body { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => Ok(bodies),
            synced => synced.map(|()| bodies),
        }
    }

    /// Syncs the names of all sub-directories that exist.
    fn sync_names(&self) -> Result<(), Error> {
        let there = self.directories()?;
        File::open(&self.root).and_then(|root| root.sync_all()).map_err(at(&self.root))?;
        there.iter().for_each(|name| self.named[directory_number(name)].store(true, Ordering::Release));
        Ok(())
    }

    /// The spool's directory.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, id: QueueId) -> PathBuf {
        body_path(&self.root, id)
    }

    /// Writes a body. When it returns, the content and the directory entry are on disk.
    pub(super) fn write(&self, id: QueueId, message: &Message) -> Result<(), Error> {
        let path = self.path(id);
        let text = id.to_string();
        let name = directory(&text);
        let number = directory_number(name);
        let sync = &self.syncs[number];
        let (failures, root_failures) = (sync.failures(), self.root_sync.failures());
        let mut file = self.create(&path, number).map_err(at(&path))?;
        let named = self.sync_name(number, root_failures);
        let written = named.and_then(|()| message.pieces().iter().try_for_each(|piece| file.write_all(piece)));
        if let Err(error) = written.and_then(|()| file.sync_data()) {
            // Nobody knows of it yet; the sweep removes it if this fails.
            let _ = fs::remove_file(&path);
            return Err(at(&path)(error));
        }
        let folder = self.root.join(name);
        sync.run(failures, || File::open(&folder)?.sync_all()).map_err(at(&folder))
    }

    /// Syncs the name of a sub-directory unless that has been done, whoever has made it. Without it, nothing inside
    /// would be safe.
    fn sync_name(&self, number: usize, failures: u64) -> io::Result<()> {
        if !self.named[number].load(Ordering::Acquire) {
            self.root_sync.run(failures, || File::open(&self.root)?.sync_all())?;
            self.named[number].store(true, Ordering::Release);
        }
        Ok(())
    }

    fn create(&self, path: &Path, number: usize) -> io::Result<File> {
        let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        match create() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(&self.root);
                match DirBuilder::new().mode(0o700).create(folder) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    // Another may have removed it since the start.
                    _ => self.named[number].store(false, Ordering::Release),
                }
                create()
            }
            result => result,
        }
    }

    /// Reads a body.
    pub(super) fn read(&self, id: QueueId) -> Result<Message, Error> {
        let path = self.path(id);
        match fs::read(&path) {
            Ok(bytes) => Ok(Message::new(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::BodyMissing(id)),
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// Reads a body of this size: one that was cut off must not go out as if it were whole.
    pub(super) fn read_whole(&self, id: QueueId, size: u64) -> Result<Message, Error> {
        let message = self.read(id)?;
        let found = message.len() as u64;
        if found == size {
            return Ok(message);
        }
        let why = format!("the file has {found} octets and not {size}");
        Err(at(&self.path(id))(io::Error::new(io::ErrorKind::InvalidData, why)))
    }

    /// Deletes a body. It is no failure when it is already gone.
    pub(super) fn remove(&self, id: QueueId) -> Result<(), Error> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&path)(error)),
            _ => Ok(()),
        }
    }

    /// The names of the sub-directories that exist.
    pub(super) fn directories(&self) -> Result<Vec<String>, Error> {
        let names = fs::read_dir(&self.root).map_err(at(&self.root))?.map_while(Result::ok);
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter(|name| name.len() == 2 && name.chars().all(|c| DIGITS.contains(c))).collect())
    }

    /// The ids of bodies in a sub-directory that were written before `before`.
    pub(super) fn old_bodies(&self, directory: &str, before: Timestamp) -> Result<Vec<QueueId>, Error> {
        let folder = self.root.join(directory);
        let files = fs::read_dir(&folder).map_err(at(&folder))?.map_while(Result::ok);
        let ids = files.filter_map(|file| {
            let id: QueueId = file.file_name().to_str()?.parse().ok()?;
            let modified = file.metadata().ok()?.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            (Timestamp::EPOCH + modified < before).then_some(id)
        });
        Ok(ids.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn bodies_come_and_go() {
        let root = tempfile::tempdir().unwrap();
        let bodies = Bodies::open(root.path().join("spool")).unwrap();
        let id = QueueId::generate(Timestamp::from_unix_millis(1_700_000_000_000));
        let message = Message::new("Subject: a\r\n\r\nb\r\n").with_prefix(b"Received: c\r\n");
        bodies.write(id, &message).unwrap();
        assert_eq!(bodies.read(id).unwrap().bytes(), message.bytes());
        assert!(matches!(bodies.write(id, &message), Err(Error::Body { .. })), "an id is used once");
        let names = bodies.directories().unwrap();
        assert_eq!(bodies.old_bodies(&names[0], Timestamp::from_unix_micros(i64::MAX)).unwrap(), [id]);
        assert_eq!(bodies.old_bodies(&names[0], Timestamp::EPOCH).unwrap(), []);
        bodies.remove(id).unwrap();
        bodies.remove(id).unwrap();
        assert!(matches!(bodies.read(id), Err(Error::BodyMissing(_))));
    }

    #[test]
    fn a_directory_that_another_has_just_made_is_synced_by_whoever_writes_into_it() {
        let root = tempfile::tempdir().unwrap();
        let ids = || QueueId::generate(Timestamp::from_unix_millis(1_700_000_000_000));
        let (old, new) = (ids(), ids());
        let bodies = Bodies::open(root.path().to_owned()).unwrap();
        let synced = |bodies: &Bodies| bodies.root_sync.state.lock().finished;
        // The other one has not got round to syncing it yet.
        fs::create_dir(bodies.path(old).parent().unwrap()).unwrap();
        bodies.write(old, &Message::new("x\r\n")).unwrap();
        assert_eq!(synced(&bodies), 1);
        bodies.write(new, &Message::new("x\r\n")).unwrap();
        assert_eq!(synced(&bodies), 1, "it is known to be on disk");
        let again = Bodies::open(root.path().to_owned()).unwrap();
        again.remove(new).unwrap();
        again.write(new, &Message::new("x\r\n")).unwrap();
        assert_eq!(synced(&again), 0, "it was synced at the start");
    }

    #[test]
    fn a_sync_serves_those_who_came_before_it() {
        let sync = Arc::new(SharedSync::default());
        let runs = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..16)
            .map(|_| {
                let (sync, runs) = (Arc::clone(&sync), Arc::clone(&runs));
                std::thread::spawn(move || {
                    let work = || {
                        runs.fetch_add(1, Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(20));
                        Ok(())
                    };
                    sync.run(sync.failures(), work).unwrap();
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(runs.load(Ordering::SeqCst) < 16);
        let begun = sync.failures();
        let failure = sync.run(begun, || Err(io::Error::from(io::ErrorKind::StorageFull)));
        assert_eq!(failure.unwrap_err().kind(), io::ErrorKind::StorageFull);
        // A sync that had begun by then may be the one that missed the change.
        assert_eq!(sync.run(begun, || Ok(())).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(sync.run(sync.failures(), || Ok(())).is_ok());
    }
}
