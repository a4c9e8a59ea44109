//! A pack: blocks one after the other, then a list of what is in them, then where that list begins.
//!
//! All numbers are little-endian. The list has, for each block: offset (64 bits), length, length before compression, number
//! of objects (32 bits each), and for each object: its name (32 octets), offset and length in the block (32 bits each).
//! The file ends with the offset of the list (64 bits), the SHA-256 of the list and eight octets that identify the format.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};

use super::ObjectId;
use super::backend::{Backend, Listed};
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

/// A pack that is complete and durable.
#[derive(Debug)]
pub struct Pack {
    pub id: ObjectId,
    pub file: Listed,
    pub blocks: Vec<BlockEntry>,
}

/// A pack that is being written. If dropped unfinished, it leaves nothing behind.
pub struct PackWriter {
    file: File,
    temporary: PathBuf,
    digest: Context,
    length: u64,
    blocks: Vec<BlockEntry>,
}

impl PackWriter {
    /// Starts a pack in the directory for unfinished ones.
    pub fn create(unfinished: &Path, number: u64) -> Result<Self, Error> {
        let temporary = unfinished.join(format!("{TEMPORARY}{}.{number}", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = file.map_err(at("create", &temporary))?;
        Ok(Self { file, temporary, digest: Context::new(&SHA256), length: 0, blocks: Vec::new() })
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
        self.file.write_all(octets).map_err(at("write", &self.temporary))?;
        self.digest.update(octets);
        self.length += octets.len() as u64;
        Ok(())
    }

    /// Writes the list, and moves the pack to its place. When it returns, the pack is durable.
    pub fn finish(mut self, backend: &dyn Backend) -> Result<Pack, Error> {
        let list = list_of(&self.blocks);
        let begin = self.length;
        let footer = [&begin.to_le_bytes()[..], &ObjectId::of(&list).0, MAGIC].concat();
        let end = [list, footer].concat();
        self.write(&end)?;
        let id = ObjectId::from_digest(self.digest.clone().finish().as_ref());
        let name = name_of(id);
        backend.take(&self.temporary, &name, id)?;
        backend.keep_end(&name, &end);
        let blocks = std::mem::take(&mut self.blocks);
        Ok(Pack { id, file: Listed { name, size: self.length }, blocks })
    }
}

impl Drop for PackWriter {
    fn drop(&mut self) {
        // Once finished, it is no longer here.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Names of unfinished packs begin with it.
pub const TEMPORARY: &str = ".unfinished.";
/// After that, in the name of a copy for a reader.
pub const FETCHED: &str = ".fetched.";

/// `packs/3f/3f0c….pack`.
fn name_of(id: ObjectId) -> String {
    let id = id.to_string();
    format!("packs/{}/{id}.pack", &id[..2])
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

/// How much of the end of a pack is read at once: for most packs, all of the list.
const END: u64 = 256 << 10;

impl Pack {
    /// Reads the list of a pack.
    pub fn open(backend: &dyn Backend, file: Listed) -> Result<Self, Error> {
        let path = backend.shown(&file.name);
        let stem = Path::new(&file.name).file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let id = stem.parse().map_err(|error| damaged(&path, error))?;
        let kept = backend.kept_end(&file.name).and_then(|end| list_in(&path, file.size, end).ok());
        let list = match kept {
            Some(list) => list,
            None => {
                let end = read_end(backend, &path, &file)?;
                backend.keep_end(&file.name, &end);
                list_in(&path, file.size, end)?
            }
        };
        let blocks = parse(&list).ok_or_else(|| damaged(&path, "its list is truncated"))?;
        Ok(Self { id, file, blocks })
    }
}

fn short(path: &Path) -> Error {
    damaged(path, "it is truncated")
}

/// Where the list begins, as the last octets of a pack of this size say.
fn beginning(path: &Path, size: u64, end: &[u8]) -> Result<u64, Error> {
    let footer = end.last_chunk::<{ FOOTER as usize }>().ok_or_else(|| short(path))?;
    if &footer[40..] != MAGIC {
        return Err(short(path));
    }
    let mut begin = [0; 8];
    begin.copy_from_slice(&footer[..8]);
    let begin = u64::from_le_bytes(begin);
    let is_possible = size.checked_sub(FOOTER + begin).is_some_and(|length| length <= LARGEST_LIST);
    if is_possible { Ok(begin) } else { Err(short(path)) }
}

/// The end of a pack, from the list on.
fn read_end(backend: &dyn Backend, path: &Path, file: &Listed) -> Result<Vec<u8>, Error> {
    let length = |octets: u64| usize::try_from(octets).map_err(|_| short(path));
    let read = file.size.min(END);
    let mut end = backend.read_at(&file.name, file.size - read, length(read)?)?;
    let begin = beginning(path, file.size, &end)?;
    let wanted = file.size - begin;
    if wanted > read {
        end = backend.read_at(&file.name, begin, length(wanted)?)?;
    }
    Ok(end.split_off(end.len() - length(wanted)?))
}

/// The list in the end of a pack of this size, checked.
fn list_in(path: &Path, size: u64, mut end: Vec<u8>) -> Result<Vec<u8>, Error> {
    if beginning(path, size, &end)?.checked_add(end.len() as u64) != Some(size) {
        return Err(short(path));
    }
    let footer = end.split_off(end.len() - FOOTER as usize);
    if ObjectId::of(&end).0 != footer[8..40] {
        return Err(damaged(path, "the checksum of its list does not match"));
    }
    Ok(end)
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
    use crate::services::backup::repository::backend::DirectoryBackend;

    #[test]
    fn what_is_written_is_read_and_damage_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let backend = DirectoryBackend::new(directory.path());
        backend.initialize().unwrap();
        let mut writer = PackWriter::create(backend.unfinished(), 1).unwrap();
        let objects = vec![ObjectEntry { id: ObjectId::of(b"ab"), offset: 0, length: 2 }];
        writer.append(b"compressed", 2, objects.clone()).unwrap();
        writer.append(b"more", 9, vec![]).unwrap();
        let written = writer.finish(&backend).unwrap();
        let open = || Pack::open(&backend, backend.list("packs").unwrap().remove(0));
        let read = open().unwrap();
        assert_eq!((read.id, &read.file, &read.blocks), (written.id, &written.file, &written.blocks));
        assert_eq!(read.blocks[0].objects, objects);
        let path = directory.path().join(&written.file.name);
        assert_eq!(hash_file(&path).unwrap(), read.id);
        let content = fs::read(&path).unwrap();
        for at in 0..content.len() {
            let mut damaged = content.clone();
            damaged[at] ^= 4;
            fs::write(&path, &damaged).unwrap();
            let seen = open().is_err() || hash_file(&path).unwrap() != read.id;
            assert!(seen, "a change at {at} went unseen");
            fs::write(&path, &content[..at]).unwrap();
            assert!(open().is_err(), "a file of {at} octets passed");
        }
        drop(PackWriter::create(backend.unfinished(), 2).unwrap());
        assert_eq!(fs::read_dir(backend.unfinished()).unwrap().count(), 0, "neither finished nor given up");
    }
}
