//! How many messages wait to be learned from, and in which order.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::foundations::address::Address;

/// One account has at most one place in this many.
const SHARE: usize = 4;

/// The places in the queue. Cloning gives another handle.
#[derive(Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    all: usize,
    accounts: HashMap<Address, Own>,
}

/// What one account has.
#[derive(Default)]
struct Own {
    count: usize,
    /// Ends with the places that were taken last.
    last: Option<oneshot::Receiver<()>>,
}

/// Places that are given back when it is dropped.
pub(super) struct Places {
    waiting: Waiting,
    account: Address,
    /// How many.
    pub(super) count: usize,
    /// Ends with the places that the account took before.
    before: Option<oneshot::Receiver<()>>,
    /// Dropped with these.
    _end: Option<oneshot::Sender<()>>,
}

impl Waiting {
    /// Places for as many of an account's messages as there is room for, where `most` may wait.
    pub(super) fn take(&self, account: &Address, wanted: usize, most: usize) -> Places {
        let mut counts = self.0.lock();
        let own = counts.accounts.get(account).map_or(0, |own| own.count);
        let room = most.saturating_sub(counts.all).min(most.div_ceil(SHARE).saturating_sub(own));
        let count = wanted.min(room);
        let (mut before, mut end) = (None, None);
        if count > 0 {
            let (sender, ended) = oneshot::channel();
            counts.all += count;
            let own = counts.accounts.entry(account.clone()).or_default();
            own.count += count;
            (before, end) = (own.last.replace(ended), Some(sender));
        }
        Places { waiting: self.clone(), account: account.clone(), count, before, _end: end }
    }
}

impl Places {
    /// Waits until the places that the account took before these are given back.
    pub(super) async fn turn(&mut self) {
        if let Some(before) = &mut self.before {
            // Nothing is ever sent.
            let _ = before.await;
            self.before = None;
        }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        let mut counts = self.waiting.0.lock();
        counts.all = counts.all.saturating_sub(self.count);
        if let Some(own) = counts.accounts.get_mut(&self.account) {
            own.count = own.count.saturating_sub(self.count);
            if own.count == 0 {
                counts.accounts.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

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

    /// What was moved and moved back at once was learned as either.
    #[tokio::test]
    async fn one_account_is_taught_in_order() {
        let waiting = Waiting::default();
        let [ann, bob] = ["ann@example.test", "bob@example.test"].map(|text| text.parse::<Address>().unwrap());
        let [mut first, mut second, mut third] = [1, 2, 3].map(|count| waiting.take(&ann, count, 100));
        let mut other = waiting.take(&bob, 1, 100);
        first.turn().await;
        other.turn().await;
        assert!(second.turn().now_or_never().is_none() && third.turn().now_or_never().is_none());
        drop(first);
        second.turn().await;
        assert!(third.turn().now_or_never().is_none());
        drop(second);
        third.turn().await;
    }
}
