//! What the server has acknowledged, and what it may have done without an acknowledgement.

use std::collections::{BTreeMap, BTreeSet};

/// A user's folder.
pub(super) type Place = (&'static str, &'static str);

/// The folders that mail is stored in and moved between.
pub(super) const FOLDERS: [&str; 3] = ["INBOX", "Work", "Archive"];

/// Whether a letter is in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// The server has confirmed it.
    Here,
    /// The server has said that it is not, or no longer.
    Gone,
    /// The answer was never received.
    Doubtful,
}

/// A letter in one folder.
#[derive(Debug, Clone)]
pub(super) struct Copy {
    pub(super) presence: Presence,
    /// Its UID, when known.
    pub(super) uid: Option<u32>,
    /// Its possible flags: a single set when all changes were acknowledged.
    pub(super) flags: Vec<BTreeSet<String>>,
    pub(super) place: Place,
}

impl Copy {
    /// A letter about to be put there with these flags.
    pub(super) fn arriving(place: Place, flags: BTreeSet<String>) -> Self {
        Self { presence: Presence::Doubtful, uid: None, flags: vec![flags], place }
    }
}

/// All copies of one letter.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry {
    pub(super) copies: Vec<Copy>,
    /// Whether at least one copy must exist, though each is doubtful: it was being moved.
    pub(super) somewhere: bool,
}

impl Entry {
    /// The latest copy in a folder. A letter can return to a folder that it has left; the earlier copy is gone then.
    pub(super) fn at(&mut self, place: Place) -> Option<&mut Copy> {
        self.copies.iter_mut().rev().find(|copy| copy.place == place)
    }
}

/// The knowledge of one worker: nobody else touches its letters.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) letters: BTreeMap<String, Entry>,
    /// Letters for other hosts that the server has accepted.
    pub(super) sent: BTreeSet<String>,
    /// Operations acknowledged, by name.
    pub(super) done: BTreeMap<&'static str, u64>,
    /// Operations whose answer never came.
    pub(super) cut: u64,
    /// Doubtful copies that were there afterwards, and that were not.
    pub(super) settled: [u64; 2],
}

impl Ledger {
    /// Counts an acknowledged operation.
    pub(super) fn acknowledge(&mut self, operation: &'static str) {
        *self.done.entry(operation).or_default() += 1;
    }
}
