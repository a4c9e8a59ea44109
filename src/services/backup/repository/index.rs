use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::ObjectId;
use super::backend::Listed;
use super::pack::Pack;

/// Where an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Number of the pack in the index.
    pub pack: u32,
    /// Number of the block in the pack.
    pub block: u32,
    /// First octet in the block.
    pub offset: u32,
    /// Length in octets.
    pub length: u32,
}

/// A block of a pack, as the index keeps it.
#[derive(Debug, Clone, Copy)]
pub struct BlockPlace {
    pub offset: u64,
    pub length: u32,
    pub raw_length: u32,
}

/// A pack, as the index keeps it.
#[derive(Debug)]
pub struct IndexedPack {
    pub id: ObjectId,
    pub file: Listed,
    pub blocks: Vec<BlockPlace>,
}

/// Every object of a repository: about 64 octets of memory for each.
#[derive(Debug, Default)]
pub struct Index {
    pub packs: Vec<IndexedPack>,
    objects: HashMap<ObjectId, Location, BuildHasherDefault<FirstOctets>>,
}

/// Objects in unfinished packs.
const UNFINISHED: u32 = u32::MAX;

impl Index {
    /// Adds a finished pack.
    pub fn insert(&mut self, pack: Pack) {
        let number = u32::try_from(self.packs.len()).unwrap_or(UNFINISHED);
        self.objects.reserve(pack.blocks.iter().map(|block| block.objects.len()).sum());
        for (block, entry) in (0..).zip(&pack.blocks) {
            for object in &entry.objects {
                let location = Location { pack: number, block, offset: object.offset, length: object.length };
                self.objects.insert(object.id, location);
            }
        }
        let place = |entry: &super::pack::BlockEntry| BlockPlace {
            offset: entry.offset,
            length: entry.length,
            raw_length: entry.raw_length,
        };
        let blocks = pack.blocks.iter().map(place).collect();
        self.packs.push(IndexedPack { id: pack.id, file: pack.file, blocks });
    }

    /// Where an object is; `None` when it is in no finished pack.
    pub fn find(&self, id: &ObjectId) -> Option<Location> {
        self.objects.get(id).copied().filter(|location| location.pack != UNFINISHED)
    }

    /// Whether the object is stored or being stored.
    pub fn has(&self, id: &ObjectId) -> bool {
        self.objects.contains_key(id)
    }

    /// Claims the storing of an object for the caller; `false` when it exists or somebody else stores it.
    pub fn claim(&mut self, id: ObjectId) -> bool {
        let on_its_way = Location { pack: UNFINISHED, block: 0, offset: 0, length: 0 };
        match self.objects.entry(id) {
            std::collections::hash_map::Entry::Occupied(_) => false,
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(on_its_way);
                true
            }
        }
    }

    /// Every object in finished packs.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectId, Location)> {
        let finished = self.objects.iter().filter(|(_, location)| location.pack != UNFINISHED);
        finished.map(|(id, location)| (*id, *location))
    }
}

/// A SHA-256 is already a good hash: its first octets are enough.
#[derive(Debug, Default)]
pub struct FirstOctets(u64);

impl Hasher for FirstOctets {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        // The length that precedes an array's octets comes by another call.
        if let Some(first) = octets.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _: usize) {}
}
