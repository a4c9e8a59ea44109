//! How many messages wait to be learned from.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::foundations::address::Address;

/// One account has at most one place in this many.
const SHARE: usize = 4;

/// The places in the queue. Cloning gives another handle.
#[derive(Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    all: usize,
    accounts: HashMap<Address, usize>,
}

/// Places that are given back when it is dropped.
pub(super) struct Places {
    waiting: Waiting,
    account: Address,
    /// How many.
    pub(super) count: usize,
}

impl Waiting {
    /// Places for as many of an account's messages as there is room for, where `most` may wait.
    pub(super) fn take(&self, account: &Address, wanted: usize, most: usize) -> Places {
        let mut counts = self.0.lock();
        let own = counts.accounts.get(account).copied().unwrap_or(0);
        let room = most.saturating_sub(counts.all).min(most.div_ceil(SHARE).saturating_sub(own));
        let count = wanted.min(room);
        if count > 0 {
            counts.all += count;
            counts.accounts.insert(account.clone(), own + count);
        }
        Places { waiting: self.clone(), account: account.clone(), count }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        let mut counts = self.waiting.0.lock();
        counts.all = counts.all.saturating_sub(self.count);
        if let Some(own) = counts.accounts.get_mut(&self.account) {
            *own = own.saturating_sub(self.count);
            if *own == 0 {
                counts.accounts.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_leaves_room_for_others() {
        let waiting = Waiting::default();
        let [ann, bob] = ["ann@example.test", "bob@example.test"].map(|text| text.parse::<Address>().unwrap());
        let first = waiting.take(&ann, 15, 100);
        assert_eq!((first.count, waiting.take(&ann, 15, 100).count), (15, 10));
        let second = waiting.take(&ann, 15, 100);
        assert_eq!((second.count, waiting.take(&ann, 1, 100).count), (10, 0));
        let other = waiting.take(&bob, 90, 100);
        assert_eq!((other.count, waiting.take(&bob, 1, 30).count), (25, 0));
        drop((first, second, other));
        let counts = waiting.0.lock();
        assert_eq!((counts.all, counts.accounts.len()), (0, 0));
    }
}
