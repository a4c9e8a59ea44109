//! Keeps two sessions from moving the same message.

use std::collections::HashSet;

use parking_lot::{Condvar, Mutex};

use crate::foundations::mail::Uid;

/// The messages of a folder that are on their way to another one.
///
/// While a message is moved, it is in both folders for a moment. If two sessions moved it at once, both copies could be
/// seen, and a third session could move one of them on before it is given up. So the second session waits, and then
/// finds the message gone.
#[derive(Debug, Default)]
pub(super) struct Moving {
    uids: Mutex<HashSet<Uid>>,
    done: Condvar,
}

/// The right to move messages, until it is dropped.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    moving: &'a Moving,
    uids: &'a [Uid],
}

impl Moving {
    /// Waits until nobody else moves any of these. All are claimed at once and no lock is held meanwhile, so there is
    /// no deadlock. Blocks.
    pub fn claim<'a>(&'a self, uids: &'a [Uid]) -> Claim<'a> {
        let mut moved = self.uids.lock();
        while uids.iter().any(|uid| moved.contains(uid)) {
            self.done.wait(&mut moved);
        }
        moved.extend(uids);
        Claim { moving: self, uids }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut moved = self.moving.uids.lock();
        for uid in self.uids {
            moved.remove(uid);
        }
        drop(moved);
        self.moving.done.notify_all();
    }
}
