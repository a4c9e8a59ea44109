use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use rayon::prelude::*;

use super::backend::{self, Backend, Listed};
use super::block::{Kind, OpenPacks};
use super::index::{BlockPlace, Index};
use super::marker::{self, prepare};
use super::pack::{self, ObjectEntry, Pack, PackWriter};
use super::snapshot::{ENDING, LARGEST};
use super::{Location, ObjectId, Snapshot, SnapshotId};
use crate::foundations::clock::Timestamp;
use crate::services::backup::error::{at, damaged};
use crate::services::backup::{BackupSettings, Destination, Error};

/// Size up to which a pack is filled: S3 accepts 5 GiB in one request, and a last block is added.
const LARGEST_PACK: u64 = 4 << 30;
/// Decompressed blocks kept in memory.
const BLOCKS_KEPT: usize = 8;

/// What a repository is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To read; any number at the same time.
    Read,
    /// To add; one process at a time, besides readers. Created if there is none.
    Add,
    /// To remove; exclusively.
    Remove,
}

/// Pack and block, and what is in it.
type RecentBlock = (u32, u32, Arc<Vec<u8>>);

/// An opened repository. A damaged pack does not prevent opening.
pub struct Repository {
    root: PathBuf,
    backend: Box<dyn Backend>,
    access: Access,
    level: i32,
    pack_size: u64,
    threads: rayon::ThreadPool,
    pub(super) index: RwLock<Index>,
    open_packs: OpenPacks,
    stored: AtomicU64,
    packs_begun: AtomicU64,
    recent: Mutex<Vec<RecentBlock>>,
    damage: Vec<(Listed, Error)>,
    _locks: Vec<File>,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Repository {
    /// Opens the repository in a directory or a bucket. Blocks.
    ///
    /// # Errors
    /// There is none, another process is working on it, it is damaged, or disk or storage fail.
    pub fn open(destination: &Destination, access: Access, settings: &BackupSettings) -> Result<Self, Error> {
        let backend = backend::open(destination, settings)?;
        prepare(&*backend, access)?;
        let locks = backend::lock(&*backend, access)?;
        if access != Access::Read {
            backend.initialize()?;
            remove_unfinished(backend.unfinished(), access)?;
        }
        let threads = rayon::ThreadPoolBuilder::new().num_threads(usize::from(settings.threads)).build();
        let threads = threads.map_err(|error| Error::Interrupted(error.to_string()))?;
        let files: Vec<_> = backend.list("packs")?.into_iter().filter(|file| file.name.ends_with(".pack")).collect();
        backend.forget_ends(&files);
        let opened: Vec<_> = threads.install(|| {
            let open = |file: Listed| Pack::open(&*backend, file.clone()).map_err(|error| (file, error));
            files.into_par_iter().map(open).collect()
        });
        let (mut index, mut damage) = (Index::default(), Vec::new());
        for pack in opened {
            match pack {
                Ok(pack) => index.insert(pack),
                Err((_, error)) if error.is_out_of_reach() => return Err(error),
                // The other packs can be restored from, and the next backup stores the content of this one again.
                Err(damaged) => damage.push(damaged),
            }
        }
        Ok(Self {
            root: backend.shown(""),
            backend,
            access,
            level: i32::from(settings.compression.clamp(1, 19)),
            pack_size: settings.pack_size.get().clamp(1 << 20, LARGEST_PACK),
            threads,
            index: RwLock::new(index),
            open_packs: OpenPacks::default(),
            stored: AtomicU64::new(0),
            packs_begun: AtomicU64::new(0),
            recent: Mutex::default(),
            damage,
            _locks: locks,
        })
    }

    /// Whether there is one. Blocks.
    ///
    /// # Errors
    /// Disk or storage fail.
    pub fn is_there(destination: &Destination, settings: &BackupSettings) -> Result<bool, Error> {
        marker::is_there(&*backend::open(destination, settings)?)
    }

    /// Packs that could not be opened; their content counts as missing.
    pub fn damage(&self) -> impl Iterator<Item = &Error> {
        self.damage.iter().map(|(_, error)| error)
    }

    /// The files of packs that could not be opened because they are damaged.
    pub(in crate::services::backup) fn damaged_packs(&self) -> impl Iterator<Item = &Listed> {
        self.damage.iter().filter(|(_, error)| error.is_damage()).map(|(file, _)| file)
    }

    /// The file of a snapshot.
    pub(in crate::services::backup) fn snapshot_file(&self, id: &SnapshotId) -> Result<Listed, Error> {
        let name = snapshot_name(id);
        let found = self.backend.list("snapshots")?.into_iter().find(|file| file.name == name);
        found.ok_or_else(|| Error::NoSnapshot(format!("named {id}")))
    }

    /// Moves a damaged file out of the repository, so that it can be examined, and returns its new path.
    pub(in crate::services::backup) fn set_aside(&self, file: &Listed) -> Result<PathBuf, Error> {
        let name = backend::aside(&file.name);
        self.backend.set_aside(file, &name)?;
        Ok(self.backend.shown(&name))
    }

    /// Every object in packs that could be opened, ordered by position.
    pub(in crate::services::backup) fn by_place(&self) -> Vec<(Location, ObjectId)> {
        let mut objects: Vec<_> = self.index.read().objects().map(|(id, location)| (location, id)).collect();
        objects.sort_unstable();
        objects
    }

    /// Checks that a pack's file is, octet for octet, what was written, and then calls back with the file.
    pub(in crate::services::backup) fn with_pack<T>(
        &self,
        number: u32,
        work: impl FnOnce(&Path, Option<Error>) -> T,
    ) -> Result<T, Error> {
        let (id, file) = {
            let index = self.index.read();
            let pack = &index.packs[number as usize];
            (pack.id, pack.file.clone())
        };
        let fetched = self.backend.fetch(&file)?;
        let is_whole = pack::hash_file(&fetched.path)? == id;
        let damage = || damaged(&self.backend.shown(&file.name), "its SHA-256 does not match its name");
        Ok(work(&fetched.path, (!is_whole).then(damage)))
    }

    /// How many packs there are.
    pub(in crate::services::backup) fn packs(&self) -> u32 {
        u32::try_from(self.index.read().packs.len()).unwrap_or(u32::MAX)
    }

    /// Its name for people.
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

    /// The snapshots, oldest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn snapshots(&self) -> Result<Vec<SnapshotId>, Error> {
        let names = self.backend.list("snapshots")?.into_iter();
        let id = |name: String| {
            let path = Path::new(&name);
            let is_one = path.extension().is_some_and(|ending| ending == ENDING);
            path.file_stem().filter(|_| is_one)?.to_str()?.parse().ok()
        };
        let mut found: Vec<SnapshotId> = names.filter_map(|file| id(file.name)).collect();
        found.sort();
        Ok(found)
    }

    /// The snapshots, newest first, followed by those whose time is in the future.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn newest_first(&self, now: Timestamp) -> Result<Vec<SnapshotId>, Error> {
        let mut ids = self.snapshots()?;
        ids.reverse();
        let (ahead, mut found): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| id.is_ahead(now));
        found.extend(ahead);
        Ok(found)
    }

    /// The newest snapshot, or the newest that is not younger than `at`. One whose time is in the future is the newest only
    /// if there is no other.
    ///
    /// # Errors
    /// There is none.
    pub fn newest(&self, at: Option<Timestamp>, now: Timestamp) -> Result<SnapshotId, Error> {
        let found = self.newest_first(now)?.into_iter().find(|id| at.is_none_or(|at| id.moment() <= at));
        found.ok_or_else(|| match at {
            Some(at) => Error::NoSnapshot(format!("from {at} or before")),
            None => Error::NoRepository(self.root().to_owned()),
        })
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// It does not exist or is damaged.
    pub fn snapshot(&self, id: &SnapshotId) -> Result<Snapshot, Error> {
        let name = snapshot_name(id);
        let content = self.backend.read(&name, LARGEST)?;
        let content = content.ok_or_else(|| Error::NoSnapshot(format!("named {id}")))?;
        Snapshot::from_octets(&self.backend.shown(&name), &content)
    }

    /// Writes everything that was added to disk, and then the snapshot. When it returns, the backup exists.
    ///
    /// # Errors
    /// The disk fails or is full; then there is no such backup.
    pub fn commit(&self, snapshot: &mut Snapshot) -> Result<(), Error> {
        self.finish_packs()?;
        snapshot.packs = Some(self.packs_digest());
        snapshot.totals.stored = self.stored();
        let content = snapshot.to_octets()?;
        self.backend.put(&snapshot_name(&snapshot.id), &content)?;
        self.stored.fetch_add(content.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Writes everything that was added to disk.
    pub(in crate::services::backup) fn finish_packs(&self) -> Result<(), Error> {
        let finish = |kind| {
            let open = self.open_packs.of(kind).lock().take();
            open.map_or(Ok(()), |writer| self.close(writer))
        };
        // Syncing two takes the disk as long as one.
        let (content, list) = self.threads.join(|| finish(Kind::Content), || finish(Kind::List));
        content.and(list)
    }

    /// The SHA-256 of the names of all packs that could be opened. As long as it is the same, nothing was lost.
    pub(in crate::services::backup) fn packs_digest(&self) -> ObjectId {
        let mut ids: Vec<_> = self.index.read().packs.iter().map(|pack| pack.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let names: Vec<u8> = ids.iter().flat_map(|id| id.0).collect();
        ObjectId::of(&names)
    }

    /// Removes a snapshot. What only it needed stays until unused packs are removed.
    pub(in crate::services::backup) fn remove_snapshot(&self, id: &SnapshotId) -> Result<(), Error> {
        self.backend.remove(&snapshot_name(id))
    }

    /// Removes a pack that nothing needs any more, and returns its octets.
    pub(in crate::services::backup) fn remove_pack(&self, number: u32) -> Result<u64, Error> {
        let file = self.index.read().packs[number as usize].file.clone();
        self.backend.remove(&file.name)?;
        Ok(file.size)
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
        let mut open = self.open_packs.of(kind).lock();
        let mut writer = match open.take() {
            Some(writer) => writer,
            None => {
                let number = self.packs_begun.fetch_add(1, Ordering::Relaxed);
                PackWriter::create(self.backend.unfinished(), number)?
            }
        };
        writer.append(compressed, raw_length, objects)?;
        if writer.length() < self.pack_size {
            *open = Some(writer);
            return Ok(());
        }
        // Others continue with another pack while this one is written to disk.
        drop(open);
        self.close(writer)
    }

    fn close(&self, writer: PackWriter) -> Result<(), Error> {
        let pack = writer.finish(&*self.backend)?;
        self.stored.fetch_add(pack.file.size, Ordering::Relaxed);
        self.index.write().insert(pack);
        Ok(())
    }

    /// Where an object is.
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

    /// The whole block that contains an object, decompressed.
    pub(in crate::services::backup) fn block(&self, location: Location) -> Result<Vec<u8>, Error> {
        let (name, place) = {
            let index = self.index.read();
            let pack = &index.packs[location.pack as usize];
            (pack.file.name.clone(), pack.blocks[location.block as usize])
        };
        let compressed = self.backend.read_at(&name, place.offset, place.length as usize)?;
        self.decompress(&name, place, &compressed)
    }

    /// The same block, from its pack's file on this machine.
    pub(in crate::services::backup) fn block_in(&self, file: &File, location: Location) -> Result<Vec<u8>, Error> {
        let (name, place) = {
            let index = self.index.read();
            let pack = &index.packs[location.pack as usize];
            (pack.file.name.clone(), pack.blocks[location.block as usize])
        };
        let mut compressed = vec![0; place.length as usize];
        let read = file.read_exact_at(&mut compressed, place.offset);
        read.map_err(at("read", &self.backend.shown(&name)))?;
        self.decompress(&name, place, &compressed)
    }

    fn decompress(&self, name: &str, place: BlockPlace, compressed: &[u8]) -> Result<Vec<u8>, Error> {
        let raw = zstd::bulk::decompress(compressed, place.raw_length as usize);
        raw.map_err(|error| damaged(&self.backend.shown(name), format!("the block at {}: {error}", place.offset)))
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
            let name = self.index.read().packs[location.pack as usize].file.name.clone();
            damaged(&self.backend.shown(&name), format!("the object {id} does not match its SHA-256"))
        })
    }
}

fn snapshot_name(id: &SnapshotId) -> String {
    format!("snapshots/{id}.{ENDING}")
}

/// Removes unfinished packs of an interrupted process, and readers' copies once nobody reads.
fn remove_unfinished(unfinished: &Path, access: Access) -> Result<(), Error> {
    for entry in fs::read_dir(unfinished).map_err(at("read", unfinished))? {
        let entry = entry.map_err(at("read", unfinished))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_read = name.contains(pack::FETCHED) && access != Access::Remove;
        if name.starts_with(pack::TEMPORARY) && !is_read {
            fs::remove_file(entry.path()).map_err(at("remove", &entry.path()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_adds_leaves_the_copies_of_those_who_read() {
        let unfinished = tempfile::tempdir().unwrap();
        let names = ["ends", ".unfinished.1.0", ".unfinished.1.fetched.0"];
        for (access, left) in [(Access::Add, &["ends", ".unfinished.1.fetched.0"][..]), (Access::Remove, &["ends"])] {
            names.iter().for_each(|name| fs::write(unfinished.path().join(name), "").unwrap());
            remove_unfinished(unfinished.path(), access).unwrap();
            let is_there = |name: &&str| unfinished.path().join(name).exists();
            assert_eq!(names.into_iter().filter(is_there).collect::<Vec<_>>(), left, "{access:?}");
        }
    }
}
