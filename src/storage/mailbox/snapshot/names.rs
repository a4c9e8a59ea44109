//! File names, many in one block of memory.

/// Names of a chunk's files, one after the other.
#[derive(Debug, Default)]
pub(super) struct Names {
    heap: Vec<u8>,
    ends: Vec<u32>,
}

/// With some spare room: a chunk is copied mostly because a message is added to it.
impl Clone for Names {
    fn clone(&self) -> Self {
        Self { heap: with_room(&self.heap, 64 * ROOM), ends: with_room(&self.ends, ROOM) }
    }
}

/// Messages there is room for in a copied chunk.
pub(super) const ROOM: usize = 8;

pub(super) fn with_room<T: Copy>(items: &[T], room: usize) -> Vec<T> {
    let mut copy = Vec::with_capacity(items.len() + room);
    copy.extend_from_slice(items);
    copy
}

impl Names {
    /// Octets it occupies.
    pub(super) fn memory(&self) -> usize {
        self.heap.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    pub(super) fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.heap[start..self.ends[index] as usize]
    }

    pub(super) fn push(&mut self, name: &[u8]) {
        self.heap.extend_from_slice(name);
        // A chunk holds at most `Chunk::MOST` names of at most 255 octets.
        self.ends.push(self.heap.len() as u32);
    }
}
