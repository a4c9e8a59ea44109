//! Memory for messages that are being received.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::foundations::settings::ByteSize;

/// The memory that all sessions together may fill with messages. Cloning gives another handle to it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Whole>);

#[derive(Debug)]
struct Whole {
    free: Arc<Semaphore>,
    units: u32,
    crowd: Mutex<Crowd>,
}

/// Who has memory.
#[derive(Debug, Default)]
struct Crowd {
    holding: usize,
    /// Those of them that wait for more.
    waiting: usize,
}

/// What one session holds of it; given back when dropped.
#[derive(Debug, Default)]
pub(super) struct Share(Option<Held>);

#[derive(Debug)]
struct Held {
    permit: OwnedSemaphorePermit,
    whole: Arc<Whole>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.whole.crowd.lock().holding -= 1;
    }
}

/// A session that holds memory and waits for more.
struct Waiting<'a>(&'a Whole);

impl<'a> Waiting<'a> {
    /// `None` when all others that hold memory wait already: nobody would give any back.
    fn begin(whole: &'a Whole) -> Option<Self> {
        let mut crowd = whole.crowd.lock();
        if crowd.waiting + 1 >= crowd.holding {
            return None;
        }
        crowd.waiting += 1;
        Some(Self(whole))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.crowd.lock().waiting -= 1;
    }
}

/// The unit in which memory is counted.
const UNIT: usize = 4096;

impl Budget {
    /// So many octets, at least one megabyte.
    pub fn new(size: ByteSize) -> Self {
        let units = (size.len().max(1 << 20) / UNIT).min(Semaphore::MAX_PERMITS);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let free = Arc::new(Semaphore::new(units as usize));
        Self(Arc::new(Whole { free, units, crowd: Mutex::default() }))
    }

    /// Brings a share to so many octets at least, waiting at most `patience`; whether it has them. It does not wait where
    /// all would wait for each other: the last one goes without, and what it gives back is for the others.
    pub(super) async fn enlarge(&self, share: &mut Share, octets: usize, patience: Duration) -> Enough {
        let whole = &self.0;
        // A message larger than everything there is gets all of it, alone.
        let wanted = u32::try_from(octets.div_ceil(UNIT)).unwrap_or(u32::MAX).min(whole.units);
        let missing = wanted.saturating_sub(u32::try_from(share.units()).unwrap_or(u32::MAX));
        if missing == 0 {
            return Enough::Yes;
        }
        if let Ok(more) = Arc::clone(&whole.free).try_acquire_many_owned(missing) {
            share.add(more, whole);
            return Enough::Yes;
        }
        let waiting = match share.0 {
            Some(_) => match Waiting::begin(whole) {
                Some(waiting) => Some(waiting),
                None => return Enough::No,
            },
            None => None,
        };
        let acquired = tokio::time::timeout(patience, Arc::clone(&whole.free).acquire_many_owned(missing)).await;
        drop(waiting);
        let Ok(Ok(more)) = acquired else { return Enough::No };
        share.add(more, whole);
        Enough::Yes
    }
}

/// Whether a share has what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enough {
    Yes,
    No,
}

impl Share {
    fn add(&mut self, more: OwnedSemaphorePermit, whole: &Arc<Whole>) {
        match &mut self.0 {
            Some(held) => held.permit.merge(more),
            None => {
                whole.crowd.lock().holding += 1;
                self.0 = Some(Held { permit: more, whole: Arc::clone(whole) });
            }
        }
    }

    /// Gives everything back.
    pub(super) fn release(&mut self) {
        self.0 = None;
    }

    fn units(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.permit.num_permits())
    }

    /// Octets in the share.
    pub(super) fn octets(&self) -> usize {
        self.units() * UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shares_are_bounded_and_given_back() {
        let budget = Budget::new(ByteSize::mib(1));
        let (mut first, mut second) = (Share::default(), Share::default());
        let soon = Duration::from_millis(10);
        assert_eq!(budget.enlarge(&mut first, 1 << 19, soon).await, Enough::Yes);
        assert_eq!(budget.enlarge(&mut first, 1 << 19, soon).await, Enough::Yes);
        assert_eq!(first.octets(), 1 << 19);
        assert_eq!(budget.enlarge(&mut second, 1 << 20, soon).await, Enough::No);
        assert_eq!(budget.enlarge(&mut second, 1 << 19, soon).await, Enough::Yes);
        first.release();
        assert_eq!(budget.enlarge(&mut second, 1 << 30, soon).await, Enough::Yes);
    }
    #[tokio::test]
    async fn sessions_do_not_all_wait_for_each_other() {
        let budget = Budget::new(ByteSize::mib(1));
        let (mut first, mut second, mut third) = (Share::default(), Share::default(), Share::default());
        let long = Duration::from_secs(600);
        assert_eq!(budget.enlarge(&mut first, 500 << 10, long).await, Enough::Yes);
        assert_eq!(budget.enlarge(&mut second, 500 << 10, long).await, Enough::Yes);
        let more = budget.enlarge(&mut first, 900 << 10, long);
        let newcomer = budget.enlarge(&mut third, 100 << 10, long);
        let last = async {
            while budget.0.crowd.lock().waiting == 0 {
                tokio::task::yield_now().await;
            }
            // It would wait for the first, which waits for it.
            let more = budget.enlarge(&mut second, 900 << 10, long).await;
            second.release();
            more
        };
        let (more, newcomer, last) = tokio::join!(more, newcomer, last);
        assert_eq!((more, newcomer, last), (Enough::Yes, Enough::Yes, Enough::No));
        let crowd = budget.0.crowd.lock();
        assert_eq!((crowd.holding, crowd.waiting), (2, 0));
    }
}
