//! Messages that a folder no longer has.

use std::collections::VecDeque;

use crate::foundations::mail::{ModSeq, Uid};

/// Expunged messages, for clients that resynchronise.
#[derive(Debug)]
pub struct History {
    /// By mod-sequence, ascending.
    pub(super) entries: VecDeque<(ModSeq, Uid)>,
    /// Expunges up to this mod-sequence are forgotten.
    pub(super) floor: ModSeq,
}

impl History {
    /// UIDs expunged after a mod-sequence; `None` when that is too long ago.
    pub fn since(&self, mod_seq: ModSeq) -> Option<Vec<Uid>> {
        let after = self.entries.partition_point(|(at, _)| *at <= mod_seq);
        (self.floor <= mod_seq).then(|| self.entries.range(after..).map(|(_, uid)| *uid).collect())
    }

    /// Drops the oldest beyond this number.
    pub fn trim(&mut self, most: u32) {
        while self.entries.len() > most as usize {
            if let Some((mod_seq, _)) = self.entries.pop_front() {
                self.floor = self.floor.max(mod_seq);
            }
        }
    }
}
