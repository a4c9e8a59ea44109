//! A pack: blocks one after the other, then a list of what is in them, then where that list begins.
//!
//! All numbers are little-endian. The list has, for each block: offset (64 bits), length, length before compression, number
//! of objects (32 bits each), and for each object: its name (32 octets), offset and length in the block (32 bits each).
//! The file ends with the offset of the list (64 bits), the SHA-256 of the list and eight octets that say what it is.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};

use super::ObjectId;
use crate::foundations::files;
use crate::services::backup::Error;
use crate::services::backup::error::{at, damaged};

/// The last octets of a pack.
const MAGIC: &[u8; 8] = b"PRPACK01";
const FOOTER: u64 = 8 + 32 + 8;
/// Largest list that is read; a pack with more was not written by this program.
const LARGEST_LIST: u64 = 1 << 30;

/// A block as it lies in a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockEntry {
    pub offset: u64,
    pub length: u32,
    /// Before compression.
    pub raw_length: u32,
    pub objects: Vec<ObjectEntry>,
}

/// An object within a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectEntry {
    pub id: ObjectId,
    pub offset: u32,
    pub length: u32,
}

/// A pack that is complete and on disk.
#[derive(Debug)]
pub struct Pack {
    pub id: ObjectId,
    pub path: PathBuf,
    pub size: u64,
    pub blocks: Vec<BlockEntry>,
}

/// A pack that is being written. Dropped unfinished it leaves nothing behind.
pub struct PackWriter {
    file: File,
    temporary: Option<PathBuf>,
    directory: PathBuf,
    digest: Context,
    length: u64,
    blocks: Vec<BlockEntry>,
}

impl PackWriter {
    /// Begins a pack in the directory of packs.
    pub fn create(directory: &Path, number: u64) -> Result<Self, Error> {
        let temporary = directory.join(format!("{TEMPORARY}{}.{number}", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = file.map_err(at("create", &temporary))?;
        Ok(Self {
            file,
            temporary: Some(temporary),
            directory: directory.to_owned(),
            digest: Context::new(&SHA256),
            length: 0,
            blocks: Vec::new(),
        })
    }

    /// Octets written.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Appends a compressed block.
    pub fn append(&mut self, compressed: &[u8], raw_length: u32, objects: Vec<ObjectEntry>) -> Result<(), Error> {
        let offset = self.length;
        self.write(compressed)?;
        let length = u32::try_from(compressed.len()).unwrap_or(u32::MAX);
        self.blocks.push(BlockEntry { offset, length, raw_length, objects });
        Ok(())
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), Error> {
        let path = self.temporary.as_deref().unwrap_or(&self.directory);
        self.file.write_all(octets).map_err(at("write", path))?;
        self.digest.update(octets);
        self.length += octets.len() as u64;
        Ok(())
    }

    /// Writes the list, puts everything on disk and gives the pack its name.
    pub fn finish(mut self) -> Result<Pack, Error> {
        let list = list_of(&self.blocks);
        let begin = self.length;
        let footer = [&begin.to_le_bytes()[..], &ObjectId::of(&list).0, MAGIC].concat();
        self.write(&list)?;
        self.write(&footer)?;
        let id = ObjectId::from_digest(self.digest.clone().finish().as_ref());
        let path = path_of(&self.directory, id);
        let above = path.parent().unwrap_or(&self.directory);
        files::create_directory(above, 0o700)?;
        let temporary = self.temporary.take().unwrap_or_default();
        let done = self.file.sync_all().map_err(at("sync", &temporary)).and_then(|()| {
            fs::rename(&temporary, &path).map_err(at("rename", &temporary))?;
            Ok(files::sync_directory(above)?)
        });
        if let Err(error) = done {
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        let blocks = std::mem::take(&mut self.blocks);
        Ok(Pack { id, path, size: self.length, blocks })
    }
}

impl Drop for PackWriter {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Names of unfinished packs begin with it.
pub const TEMPORARY: &str = ".unfinished.";

/// `packs/3f/3f0c….pack`.
pub fn path_of(directory: &Path, id: ObjectId) -> PathBuf {
    let name = id.to_string();
    directory.join(&name[..2]).join(format!("{name}.pack"))
}

fn list_of(blocks: &[BlockEntry]) -> Vec<u8> {
    let mut list = Vec::new();
    for block in blocks {
        list.extend_from_slice(&block.offset.to_le_bytes());
        list.extend_from_slice(&block.length.to_le_bytes());
        list.extend_from_slice(&block.raw_length.to_le_bytes());
        list.extend_from_slice(&u32::try_from(block.objects.len()).unwrap_or(u32::MAX).to_le_bytes());
        for object in &block.objects {
            list.extend_from_slice(&object.id.0);
            list.extend_from_slice(&object.offset.to_le_bytes());
            list.extend_from_slice(&object.length.to_le_bytes());
        }
    }
    list
}

impl Pack {
    /// Reads the list of a pack.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let id = name.parse().map_err(|error| damaged(path, error))?;
        let file = File::open(path).map_err(at("read", path))?;
        let size = file.metadata().map_err(at("read", path))?.len();
        let short = || damaged(path, "it is cut off");
        let mut footer = [0; FOOTER as usize];
        let end = size.checked_sub(FOOTER).ok_or_else(short)?;
        file.read_exact_at(&mut footer, end).map_err(at("read", path))?;
        if &footer[40..] != MAGIC {
            return Err(short());
        }
        let mut begin = [0; 8];
        begin.copy_from_slice(&footer[..8]);
        let begin = u64::from_le_bytes(begin);
        let length = end.checked_sub(begin).filter(|length| *length <= LARGEST_LIST).ok_or_else(short)?;
        let mut list = vec![0; usize::try_from(length).map_err(|_| short())?];
        file.read_exact_at(&mut list, begin).map_err(at("read", path))?;
        if ObjectId::of(&list).0 != footer[8..40] {
            return Err(damaged(path, "its list does not have the checksum it was written with"));
        }
        let blocks = parse(&list).ok_or_else(|| damaged(path, "its list ends in the middle"))?;
        Ok(Self { id, path: path.to_owned(), size, blocks })
    }
}

/// Whether a pack's file is, octet for octet, what was written.
pub fn check(path: &Path, id: ObjectId) -> Result<(), Error> {
    if hash_file(path)? == id {
        return Ok(());
    }
    Err(damaged(path, "its SHA-256 is no longer the one in its name"))
}

/// The SHA-256 of a file.
pub fn hash_file(path: &Path) -> Result<ObjectId, Error> {
    let mut file = File::open(path).map_err(at("read", path))?;
    let mut digest = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length = std::io::Read::read(&mut file, &mut buffer).map_err(at("read", path))?;
        if length == 0 {
            break;
        }
        digest.update(&buffer[..length]);
    }
    Ok(ObjectId::from_digest(digest.finish().as_ref()))
}

fn parse(list: &[u8]) -> Option<Vec<BlockEntry>> {
    let mut rest = list;
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        let offset = u64::from_le_bytes(*rest.split_off(..8)?.as_array()?);
        let mut number = || Some(u32::from_le_bytes(*rest.split_off(..4)?.as_array()?));
        let (length, raw_length, count) = (number()?, number()?, number()?);
        let mut entries = rest.split_off(..usize::try_from(count).ok()?.checked_mul(40)?)?;
        let mut objects = Vec::with_capacity(entries.len() / 40);
        while let Some(id) = entries.split_off(..32) {
            let mut number = || Some(u32::from_le_bytes(*entries.split_off(..4)?.as_array()?));
            objects.push(ObjectEntry { id: ObjectId::from_digest(id), offset: number()?, length: number()? });
        }
        blocks.push(BlockEntry { offset, length, raw_length, objects });
    }
    Some(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_damage_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = PackWriter::create(directory.path(), 1).unwrap();
        let objects = vec![ObjectEntry { id: ObjectId::of(b"ab"), offset: 0, length: 2 }];
        writer.append(b"compressed", 2, objects.clone()).unwrap();
        writer.append(b"more", 9, vec![]).unwrap();
        let written = writer.finish().unwrap();
        let read = Pack::open(&written.path).unwrap();
        assert_eq!((read.id, read.size, &read.blocks), (written.id, written.size, &written.blocks));
        assert_eq!(read.blocks[0].objects, objects);
        check(&read.path, read.id).unwrap();
        let content = fs::read(&written.path).unwrap();
        for at in 0..content.len() {
            let mut damaged = content.clone();
            damaged[at] ^= 4;
            fs::write(&written.path, &damaged).unwrap();
            let seen = Pack::open(&written.path).and_then(|pack| check(&pack.path, pack.id));
            assert!(matches!(seen, Err(Error::Damaged { .. })), "a change at {at} went unseen");
            fs::write(&written.path, &content[..at]).unwrap();
            assert!(Pack::open(&written.path).is_err(), "a file of {at} octets passed");
        }
        drop(PackWriter::create(directory.path(), 2).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "only the directory of the finished pack");
    }
}
