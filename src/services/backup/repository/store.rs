use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::index::Index;
use super::lane::{Kind, Lanes};
use super::pack::{self, ObjectEntry, Pack, PackWriter};
use super::{Location, ObjectId, Snapshot, SnapshotId};
use crate::foundations::clock::Timestamp;
use crate::foundations::files;
use crate::services::backup::error::{at, damaged};
use crate::services::backup::{BackupSettings, Error};

/// The format this program writes and reads.
pub const FORMAT: u32 = 1;
const MARK: &str = "postrider-backup.json";
const ENDING: &str = "snapshot";
/// Blocks kept decompressed.
const BLOCKS_KEPT: usize = 8;

/// What somebody wants of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To read; any number at the same time.
    Read,
    /// To add; one at a time, beside those who read. Made if there is none.
    Add,
    /// To remove; alone.
    Remove,
}

/// Pack and block, and what is in it.
type RecentBlock = (u32, u32, Arc<Vec<u8>>);

/// A directory of backups, opened. A damaged pack does not keep it from being opened.
pub struct Repository {
    root: PathBuf,
    access: Access,
    level: i32,
    pack_size: u64,
    threads: rayon::ThreadPool,
    pub(super) index: RwLock<Index>,
    lanes: Lanes,
    stored: AtomicU64,
    packs_begun: AtomicU64,
    recent: Mutex<Vec<RecentBlock>>,
    damage: Vec<Error>,
    _locks: Vec<File>,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("root", &self.root).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Mark {
    format: u32,
}

impl Repository {
    /// Opens the repository in a directory. Blocks.
    ///
    /// # Errors
    /// There is none, somebody else works on it, it is damaged, or the disk fails.
    pub fn open(root: &Path, access: Access, settings: &BackupSettings) -> Result<Self, Error> {
        prepare(root, access)?;
        let locks = lock(root, access)?;
        let packs = root.join("packs");
        if access != Access::Read {
            remove_unfinished(&packs)?;
        }
        let threads = rayon::ThreadPoolBuilder::new().num_threads(usize::from(settings.threads)).build();
        let threads = threads.map_err(|error| Error::Interrupted(error.to_string()))?;
        let opened = threads.install(|| {
            let paths = pack_paths(&packs)?;
            Ok::<_, Error>(paths.par_iter().map(|path| Pack::open(path)).collect::<Vec<_>>())
        })?;
        let (mut index, mut damage) = (Index::default(), Vec::new());
        for pack in opened {
            match pack {
                Ok(pack) => index.insert(pack),
                // What the other packs hold can be restored, and what this one held is stored again by the next backup.
                Err(error) => damage.push(error),
            }
        }
        Ok(Self {
            root: root.to_owned(),
            access,
            level: i32::from(settings.compression.clamp(1, 19)),
            pack_size: settings.pack_size.get().max(1 << 20),
            threads,
            index: RwLock::new(index),
            lanes: Lanes::default(),
            stored: AtomicU64::new(0),
            packs_begun: AtomicU64::new(0),
            recent: Mutex::default(),
            damage,
            _locks: locks,
        })
    }

    /// Packs that could not be opened; what they held counts as missing.
    pub fn damage(&self) -> &[Error] {
        &self.damage
    }

    /// Every object in packs that could be opened, by where it lies.
    pub(in crate::services::backup) fn by_place(&self) -> Vec<(Location, ObjectId)> {
        let mut objects: Vec<_> = self.index.read().objects().map(|(id, location)| (location, id)).collect();
        objects.sort_unstable();
        objects
    }

    /// Whether a pack is, octet for octet, what was written.
    pub(in crate::services::backup) fn check_pack(&self, number: u32) -> Result<(), Error> {
        let (id, path) = {
            let index = self.index.read();
            let pack = &index.packs[number as usize];
            (pack.id, pack.path.clone())
        };
        pack::check(&path, id)
    }

    /// How many packs there are.
    pub(in crate::services::backup) fn packs(&self) -> u32 {
        u32::try_from(self.index.read().packs.len()).unwrap_or(u32::MAX)
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Runs work that divides itself among this repository's threads.
    pub fn with_threads<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.threads.install(work)
    }

    /// What it was opened for.
    pub const fn access(&self) -> Access {
        self.access
    }

    pub(super) const fn level(&self) -> i32 {
        self.level
    }

    /// Octets written since it was opened.
    pub fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// The snapshots there are, oldest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn snapshots(&self) -> Result<Vec<SnapshotId>, Error> {
        let directory = self.root.join("snapshots");
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).map_err(at("read", &directory))? {
            let path = entry.map_err(at("read", &directory))?.path();
            if path.extension().is_some_and(|ending| ending == ENDING)
                && let Some(id) = path.file_stem().and_then(|name| name.to_str()?.parse().ok())
            {
                found.push(id);
            }
        }
        found.sort();
        Ok(found)
    }

    /// The newest snapshot, or the newest that is not younger than `at`.
    ///
    /// # Errors
    /// There is none.
    pub fn newest(&self, at: Option<Timestamp>) -> Result<SnapshotId, Error> {
        let ids = self.snapshots()?;
        let found = ids.into_iter().rev().find(|id| at.is_none_or(|at| id.moment() <= at));
        found.ok_or_else(|| Error::NoSnapshot(at.map_or_else(|| "yet".to_owned(), |at| format!("from {at} or before"))))
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// It is not there, or damaged.
    pub fn snapshot(&self, id: &SnapshotId) -> Result<Snapshot, Error> {
        let path = self.snapshot_path(id);
        if !path.exists() {
            return Err(Error::NoSnapshot(format!("is named {id}")));
        }
        Snapshot::read(&path)
    }

    pub(super) fn snapshot_path(&self, id: &SnapshotId) -> PathBuf {
        self.root.join("snapshots").join(format!("{id}.{ENDING}"))
    }

    /// Puts everything that was added on disk and then the snapshot. When it returns, the backup exists.
    ///
    /// # Errors
    /// The disk fails or is full; then there is no such backup.
    pub fn commit(&self, snapshot: &mut Snapshot) -> Result<(), Error> {
        self.finish_packs()?;
        snapshot.totals.stored = self.stored();
        let length = snapshot.write(&self.snapshot_path(&snapshot.id))?;
        self.stored.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }

    /// Puts everything that was added on disk.
    pub(in crate::services::backup) fn finish_packs(&self) -> Result<(), Error> {
        for kind in [Kind::Content, Kind::List] {
            let open = self.lanes.of(kind).lock().take();
            if let Some(writer) = open {
                self.close(writer)?;
            }
        }
        Ok(())
    }

    /// Removes a snapshot. What only it needed stays until packs are thinned out.
    pub(in crate::services::backup) fn remove_snapshot(&self, id: &SnapshotId) -> Result<(), Error> {
        let path = self.snapshot_path(id);
        fs::remove_file(&path).map_err(at("remove", &path))?;
        Ok(files::sync_directory(&self.root.join("snapshots"))?)
    }

    /// Removes a pack that nothing needs any more; its octets.
    pub(in crate::services::backup) fn remove_pack(&self, number: u32) -> Result<u64, Error> {
        let path = self.index.read().packs[number as usize].path.clone();
        let length = fs::metadata(&path).map_err(at("read", &path))?.len();
        fs::remove_file(&path).map_err(at("remove", &path))?;
        Ok(length)
    }

    /// Whether an object is there.
    pub fn has(&self, id: &ObjectId) -> bool {
        self.index.read().has(id)
    }

    pub(super) fn claim(&self, id: ObjectId) -> bool {
        if self.index.read().has(&id) {
            return false;
        }
        self.index.write().claim(id)
    }

    pub(super) fn append(
        &self,
        kind: Kind,
        compressed: &[u8],
        raw_length: u32,
        objects: Vec<ObjectEntry>,
    ) -> Result<(), Error> {
        let mut open = self.lanes.of(kind).lock();
        let mut writer = match open.take() {
            Some(writer) => writer,
            None => {
                let number = self.packs_begun.fetch_add(1, Ordering::Relaxed);
                PackWriter::create(&self.root.join("packs"), number)?
            }
        };
        writer.append(compressed, raw_length, objects)?;
        if writer.length() < self.pack_size {
            *open = Some(writer);
            return Ok(());
        }
        // Others go on with another pack while this one is brought to the disk.
        drop(open);
        self.close(writer)
    }

    fn close(&self, writer: PackWriter) -> Result<(), Error> {
        let pack = writer.finish()?;
        self.stored.fetch_add(pack.size, Ordering::Relaxed);
        self.index.write().insert(pack);
        Ok(())
    }

    /// Where an object lies.
    pub(in crate::services::backup) fn locate(&self, id: &ObjectId) -> Result<Location, Error> {
        self.index.read().find(id).ok_or(Error::Missing(*id))
    }

    /// An object, checked.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn read(&self, id: &ObjectId) -> Result<Vec<u8>, Error> {
        let location = self.locate(id)?;
        let block = self.recent_block(location)?;
        self.slice(&block, location, id).map(<[u8]>::to_vec)
    }

    /// Several objects, one after the other.
    ///
    /// # Errors
    /// One is missing or damaged.
    pub fn read_all(&self, ids: &[ObjectId]) -> Result<Vec<u8>, Error> {
        let mut content = Vec::new();
        for id in ids {
            content.extend_from_slice(&self.read(id)?);
        }
        Ok(content)
    }

    fn recent_block(&self, location: Location) -> Result<Arc<Vec<u8>>, Error> {
        let is_it = |kept: &&RecentBlock| (kept.0, kept.1) == (location.pack, location.block);
        if let Some(kept) = self.recent.lock().iter().find(is_it) {
            return Ok(Arc::clone(&kept.2));
        }
        let block = Arc::new(self.block(location)?);
        let mut recent = self.recent.lock();
        if recent.len() >= BLOCKS_KEPT {
            recent.remove(0);
        }
        recent.push((location.pack, location.block, Arc::clone(&block)));
        Ok(block)
    }

    /// The whole block that an object lies in, decompressed.
    pub(in crate::services::backup) fn block(&self, location: Location) -> Result<Vec<u8>, Error> {
        let (path, place) = {
            let index = self.index.read();
            let pack = &index.packs[location.pack as usize];
            (pack.path.clone(), pack.blocks[location.block as usize])
        };
        let file = File::open(&path).map_err(at("read", &path))?;
        let mut compressed = vec![0; place.length as usize];
        file.read_exact_at(&mut compressed, place.offset).map_err(at("read", &path))?;
        let raw = zstd::bulk::decompress(&compressed, place.raw_length as usize);
        raw.map_err(|error| damaged(&path, format!("the block at {}: {error}", place.offset)))
    }

    /// An object within its block, checked.
    pub(in crate::services::backup) fn slice<'a>(
        &self,
        block: &'a [u8],
        location: Location,
        id: &ObjectId,
    ) -> Result<&'a [u8], Error> {
        let begin = location.offset as usize;
        let content = block.get(begin..begin + location.length as usize);
        content.filter(|content| ObjectId::of(content) == *id).ok_or_else(|| {
            let path = self.index.read().packs[location.pack as usize].path.clone();
            damaged(&path, format!("the object {id} is not what was stored"))
        })
    }
}

/// Makes the directories where that is wanted, and looks at what is there.
fn prepare(root: &Path, access: Access) -> Result<(), Error> {
    let mark = root.join(MARK);
    if !mark.exists() {
        let mut entries = fs::read_dir(root).into_iter().flatten();
        if entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != "lost+found")) && !begun(root) {
            return Err(Error::NotRepository(root.to_owned()));
        }
        if access != Access::Add {
            return Err(Error::NoRepository(root.to_owned()));
        }
        for directory in ["packs", "snapshots"] {
            files::create_directory(&root.join(directory), 0o700)?;
        }
        let text = serde_json::json!({ "format": FORMAT, "what": "backups made by postrider" }).to_string();
        files::write_durable(&mark, text.as_bytes(), 0o600)?;
    }
    let content = files::read_bounded(&mark, 1 << 16)?;
    let found: Mark = serde_json::from_slice(&content).map_err(|error| damaged(&mark, error))?;
    if found.format == FORMAT { Ok(()) } else { Err(Error::Format { path: mark, format: found.format }) }
}

/// Whether somebody was interrupted while making a repository.
fn begun(root: &Path) -> bool {
    let ours = |name: &std::ffi::OsStr| name == "packs" || name == "snapshots" || name == "lost+found";
    fs::read_dir(root).is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(|entry| ours(&entry.file_name()))))
}

fn lock(root: &Path, access: Access) -> Result<Vec<File>, Error> {
    let take = |name: &str, alone: bool| {
        let path = root.join(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = match file {
            // Somebody who may only read does without: nothing is removed where nobody may write.
            Err(error) if access == Access::Read && read_only(&error) => return Ok(None),
            file => file.map_err(at("lock", &path))?,
        };
        let locked = if alone { file.try_lock() } else { file.try_lock_shared() };
        match locked {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Err(Error::Busy(root.to_owned())),
            Err(fs::TryLockError::Error(error)) => Err(at("lock", &path)(error)),
        }
    };
    let wanted: &[(&str, bool)] = match access {
        Access::Read => &[("reading.lock", false)],
        Access::Add => &[("writing.lock", true)],
        Access::Remove => &[("writing.lock", true), ("reading.lock", true)],
    };
    let locks = wanted.iter().map(|(name, alone)| take(name, *alone)).collect::<Result<Vec<_>, _>>()?;
    Ok(locks.into_iter().flatten().collect())
}

fn read_only(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem)
}

/// Takes away packs that somebody who was interrupted had begun.
fn remove_unfinished(packs: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(packs).map_err(at("read", packs))? {
        let entry = entry.map_err(at("read", packs))?;
        if entry.file_name().to_string_lossy().starts_with(pack::TEMPORARY) {
            fs::remove_file(entry.path()).map_err(at("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// The files of all packs, sorted.
pub(super) fn pack_paths(packs: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for directory in fs::read_dir(packs).map_err(at("read", packs))? {
        let directory = directory.map_err(at("read", packs))?.path();
        if !directory.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&directory).map_err(at("read", &directory))? {
            let path = entry.map_err(at("read", &directory))?.path();
            if path.extension().is_some_and(|ending| ending == "pack") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
