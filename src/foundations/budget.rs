//! Memory that many share, and of which none may take more than their part.
//!
//! Promises: all shares together hold no more than there is, and those of one party no more than a party may; who wants more
//! waits, but never for somebody who waits in turn.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::foundations::settings::ByteSize;

/// Memory for messages, by parties such as networks or accounts. Cloning gives another handle to it.
#[derive(Debug)]
pub struct Budget<P> {
    all: Arc<Whole>,
    parties: Arc<Mutex<Parties<P>>>,
    per_party: ByteSize,
}

impl<P> Clone for Budget<P> {
    fn clone(&self) -> Self {
        Self { all: Arc::clone(&self.all), parties: Arc::clone(&self.parties), per_party: self.per_party }
    }
}

/// What parties hold; who holds nothing is forgotten.
#[derive(Debug)]
struct Parties<P> {
    wholes: HashMap<P, Weak<Whole>>,
    /// So many are kept before it is looked who holds nothing.
    sweep_at: usize,
}

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

/// What one session holds; given back when dropped.
#[derive(Debug)]
pub struct Share<P> {
    party: Option<P>,
    of_party: Part,
    of_all: Part,
}

#[derive(Debug, Default)]
struct Part(Option<Held>);

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

/// The least number of parties at which it is looked who holds nothing.
const SWEEP: usize = 64;

impl<P: Clone + Eq + Hash> Budget<P> {
    /// So many octets, and so many for each party.
    pub fn new(size: ByteSize, per_party: ByteSize) -> Self {
        let parties = Parties { wholes: HashMap::new(), sweep_at: SWEEP };
        Self { all: Arc::new(Whole::new(size)), parties: Arc::new(Mutex::new(parties)), per_party }
    }

    /// An empty share for a session of this party; without one, only the whole bounds it.
    pub fn share(&self, party: Option<P>) -> Share<P> {
        Share { party, of_party: Part::default(), of_all: Part::default() }
    }

    /// Brings a share to so many octets at least, waiting at most `patience`; whether it has them. It does not wait where
    /// all would wait for each other: the last one goes without, and what it gives back is for the others.
    pub async fn enlarge(&self, share: &mut Share<P>, octets: usize, patience: Duration) -> Enough {
        let until = Instant::now() + patience;
        if let Some(party) = &share.party {
            let whole = match &share.of_party.0 {
                Some(held) => Arc::clone(&held.whole),
                None => self.whole_of(party),
            };
            if whole.enlarge(&mut share.of_party, octets, until).await == Enough::No {
                return Enough::No;
            }
        }
        self.all.enlarge(&mut share.of_all, octets, until).await
    }

    fn whole_of(&self, party: &P) -> Arc<Whole> {
        let mut parties = self.parties.lock();
        if let Some(whole) = parties.wholes.get(party).and_then(Weak::upgrade) {
            return whole;
        }
        if parties.wholes.len() >= parties.sweep_at {
            parties.wholes.retain(|_, whole| whole.strong_count() > 0);
            parties.sweep_at = (parties.wholes.len() * 2).max(SWEEP);
        }
        let whole = Arc::new(Whole::new(self.per_party));
        parties.wholes.insert(party.clone(), Arc::downgrade(&whole));
        whole
    }
}

impl Whole {
    fn new(size: ByteSize) -> Self {
        let units = size.len().div_ceil(UNIT).clamp(1, Semaphore::MAX_PERMITS);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        Self { free: Arc::new(Semaphore::new(units as usize)), units, crowd: Mutex::default() }
    }

    async fn enlarge(self: &Arc<Self>, part: &mut Part, octets: usize, until: Instant) -> Enough {
        // A message larger than everything there is gets all of it, alone.
        let wanted = u32::try_from(octets.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units);
        let missing = wanted.saturating_sub(u32::try_from(part.units()).unwrap_or(u32::MAX));
        if missing == 0 {
            return Enough::Yes;
        }
        if let Ok(more) = Arc::clone(&self.free).try_acquire_many_owned(missing) {
            part.add(more, self);
            return Enough::Yes;
        }
        let waiting = match part.0 {
            Some(_) => match Waiting::begin(self) {
                Some(waiting) => Some(waiting),
                None => return Enough::No,
            },
            None => None,
        };
        let acquired = tokio::time::timeout_at(until, Arc::clone(&self.free).acquire_many_owned(missing)).await;
        drop(waiting);
        let Ok(Ok(more)) = acquired else { return Enough::No };
        part.add(more, self);
        Enough::Yes
    }
}

/// Whether a share has what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enough {
    /// It has.
    Yes,
    /// There was none within the time.
    No,
}

impl Part {
    fn add(&mut self, more: OwnedSemaphorePermit, whole: &Arc<Whole>) {
        match &mut self.0 {
            Some(held) => held.permit.merge(more),
            None => {
                whole.crowd.lock().holding += 1;
                self.0 = Some(Held { permit: more, whole: Arc::clone(whole) });
            }
        }
    }

    fn units(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.permit.num_permits())
    }
}

impl<P> Share<P> {
    /// Gives everything back.
    pub fn release(&mut self) {
        (self.of_all.0, self.of_party.0) = (None, None);
    }

    /// Octets in the share.
    pub fn octets(&self) -> usize {
        self.of_all.units() * UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shares_are_bounded_and_given_back() {
        let budget = Budget::<u8>::new(ByteSize::mib(1), ByteSize::mib(1));
        let (mut first, mut second) = (budget.share(None), budget.share(None));
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
    async fn a_party_leaves_room_for_others() {
        let budget = Budget::new(ByteSize::mib(4), ByteSize::mib(1));
        let soon = Duration::from_millis(10);
        let (mut one, mut other, mut stranger) = (budget.share(Some(1)), budget.share(Some(1)), budget.share(Some(2)));
        assert_eq!(budget.enlarge(&mut one, 700 << 10, soon).await, Enough::Yes);
        assert_eq!(budget.enlarge(&mut other, 700 << 10, soon).await, Enough::No);
        assert_eq!(budget.enlarge(&mut stranger, 700 << 10, soon).await, Enough::Yes);
        // More than a party may have is for one session alone.
        assert_eq!(budget.enlarge(&mut one, 2 << 20, soon).await, Enough::Yes);
        assert_eq!(one.octets(), 2 << 20);
        one.release();
        assert_eq!(budget.enlarge(&mut other, 700 << 10, soon).await, Enough::Yes);
    }

    #[tokio::test]
    async fn parties_that_hold_nothing_are_forgotten() {
        let budget = Budget::new(ByteSize::mib(4), ByteSize::mib(1));
        let mut held = budget.share(Some(0));
        assert_eq!(budget.enlarge(&mut held, 1, Duration::ZERO).await, Enough::Yes);
        for party in 1..=200 {
            assert_eq!(budget.enlarge(&mut budget.share(Some(party)), 1, Duration::ZERO).await, Enough::Yes);
        }
        let parties = budget.parties.lock();
        assert!(parties.wholes.len() <= SWEEP && parties.wholes[&0].strong_count() > 0, "{}", parties.wholes.len());
    }

    #[tokio::test]
    async fn sessions_do_not_all_wait_for_each_other() {
        let budget = Budget::<u8>::new(ByteSize::mib(1), ByteSize::mib(1));
        let (mut first, mut second, mut third) = (budget.share(None), budget.share(None), budget.share(None));
        let long = Duration::from_secs(600);
        assert_eq!(budget.enlarge(&mut first, 500 << 10, long).await, Enough::Yes);
        assert_eq!(budget.enlarge(&mut second, 500 << 10, long).await, Enough::Yes);
        let more = budget.enlarge(&mut first, 900 << 10, long);
        let newcomer = budget.enlarge(&mut third, 100 << 10, long);
        let last = async {
            while budget.all.crowd.lock().waiting == 0 {
                tokio::task::yield_now().await;
            }
            // It would wait for the first, which waits for it.
            let more = budget.enlarge(&mut second, 900 << 10, long).await;
            second.release();
            more
        };
        let (more, newcomer, last) = tokio::join!(more, newcomer, last);
        assert_eq!((more, newcomer, last), (Enough::Yes, Enough::Yes, Enough::No));
        let crowd = budget.all.crowd.lock();
        assert_eq!((crowd.holding, crowd.waiting), (2, 0));
    }
}
