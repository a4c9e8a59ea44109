//! Blocks of objects, which several threads fill and append to the open packs.

use std::fs::File;
use std::io::{self, Read as _};

use parking_lot::Mutex;
use zstd::bulk::Compressor;

use super::pack::{ObjectEntry, PackWriter};
use super::{ObjectId, Repository};
use crate::services::backup::Error;

/// Kinds of objects with separate packs, so that reading one kind does not read the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Contents of files.
    Content,
    /// Lists of them.
    List,
}

/// The packs that are being written, one of each kind.
#[derive(Default)]
pub struct OpenPacks {
    content: Mutex<Option<PackWriter>>,
    list: Mutex<Option<PackWriter>>,
}

impl OpenPacks {
    pub const fn of(&self, kind: Kind) -> &Mutex<Option<PackWriter>> {
        match kind {
            Kind::Content => &self.content,
            Kind::List => &self.list,
        }
    }
}

/// Raw octets at which a block is compressed and written.
pub const BLOCK: usize = 1 << 20;
/// Largest object; longer contents are cut into pieces.
pub const LARGEST_OBJECT: usize = 16 << 20;

/// A block that one thread fills.
pub struct Block<'a> {
    repository: &'a Repository,
    kind: Kind,
    raw: Vec<u8>,
    objects: Vec<ObjectEntry>,
    compressor: Compressor<'static>,
    /// Octets that were new.
    pub added: u64,
}

impl<'a> Block<'a> {
    pub fn new(repository: &'a Repository, kind: Kind) -> Result<Self, Error> {
        let compressor = Compressor::new(repository.level()).map_err(|error| Error::Interrupted(error.to_string()))?;
        Ok(Self { repository, kind, raw: Vec::new(), objects: Vec::new(), compressor, added: 0 })
    }

    /// Stores an object, unless it exists already.
    pub fn add(&mut self, content: &[u8]) -> Result<ObjectId, Error> {
        let id = ObjectId::of(content);
        if self.repository.claim(id) {
            let offset = self.raw.len();
            self.raw.extend_from_slice(content);
            self.note(id, offset)?;
        }
        Ok(id)
    }

    /// Stores an object again that is in another pack.
    pub fn copy(&mut self, id: ObjectId, content: &[u8]) -> Result<(), Error> {
        let offset = self.raw.len();
        self.raw.extend_from_slice(content);
        self.note(id, offset)
    }

    /// Stores the content of a file, in pieces if it is large, and returns its length.
    pub fn add_file(&mut self, file: &mut File, expected: u64) -> Result<io::Result<(Vec<ObjectId>, u64)>, Error> {
        let (mut objects, mut total) = (Vec::new(), 0);
        loop {
            let offset = self.raw.len();
            self.raw.reserve(usize::try_from(expected).unwrap_or(LARGEST_OBJECT).min(LARGEST_OBJECT) + 1);
            let length = match file.by_ref().take(LARGEST_OBJECT as u64).read_to_end(&mut self.raw) {
                Ok(length) => length,
                Err(error) => {
                    self.raw.truncate(offset);
                    return Ok(Err(error));
                }
            };
            if length == 0 && !objects.is_empty() {
                return Ok(Ok((objects, total)));
            }
            total += length as u64;
            let id = ObjectId::of(&self.raw[offset..]);
            objects.push(id);
            if self.repository.claim(id) {
                self.note(id, offset)?;
            } else {
                self.raw.truncate(offset);
            }
            if length < LARGEST_OBJECT {
                return Ok(Ok((objects, total)));
            }
        }
    }

    fn note(&mut self, id: ObjectId, offset: usize) -> Result<(), Error> {
        let length = self.raw.len() - offset;
        self.added += length as u64;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.objects.push(ObjectEntry { id, offset: number(offset), length: number(length) });
        if self.raw.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    /// Writes what has accumulated.
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.objects.is_empty() {
            return Ok(());
        }
        let interrupted = |error: io::Error| Error::Interrupted(error.to_string());
        let compressed = self.compressor.compress(&self.raw).map_err(interrupted)?;
        let raw_length = u32::try_from(self.raw.len()).unwrap_or(u32::MAX);
        self.raw.clear();
        self.repository.append(self.kind, &compressed, raw_length, std::mem::take(&mut self.objects))
    }
}
