//! Shared memory of which no party may take more than its part.
//!
//! Promises: all shares together never exceed the total; one party's shares never exceed the limit per party, nor twice
//! what they leave to others; a session that needs more waits, but never for one that is itself waiting.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::foundations::settings::ByteSize;

/// Memory for messages, by parties such as networks or accounts. Cloning gives another handle to it.
#[derive(Debug)]
pub struct Budget<P: Eq + Hash>(Arc<Whole<P>>);

impl<P: Eq + Hash> Clone for Budget<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Whole<P> {
    size: usize,
    per_party: usize,
    held: Mutex<Holders<P>>,
    given_back: Notify,
}

/// The parties that hold memory.
#[derive(Debug)]
struct Holders<P> {
    all: Crowd,
    /// Sessions by party.
    parties: HashMap<P, Crowd>,
}

/// Sessions that hold memory.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Crowd {
    units: usize,
    sessions: usize,
    /// Those of them that wait for more.
    waiting: usize,
}

impl Crowd {
    /// Whether one more waiting session would leave nobody to give memory back.
    fn would_be_stuck(&self) -> bool {
        self.waiting + 1 >= self.sessions
    }
}

/// The share of one session; released when dropped.
#[derive(Debug)]
pub struct Share<P: Eq + Hash> {
    whole: Arc<Whole<P>>,
    party: Option<P>,
    units: usize,
}

/// Why a session cannot have more now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lack {
    /// Its own party must release some first.
    OfParty,
    /// Any party must.
    OfAll,
}

/// A session that holds memory and waits for more.
struct Waiting<'a, P: Eq + Hash>(&'a Share<P>);

impl<P: Eq + Hash> Drop for Waiting<'_, P> {
    fn drop(&mut self) {
        let mut held = self.0.whole.held.lock();
        held.each(self.0.party.as_ref(), |crowd| crowd.waiting -= 1);
    }
}

/// The unit in which memory is counted.
const UNIT: usize = 4096;

/// A party may hold at most this multiple of what it leaves to others. So two parties that want everything leave enough
/// for a third, and each newcomer finds a third of what was left to the one before.
const OF_WHAT_IS_LEFT: usize = 2;

impl<P: Clone + Eq + Hash> Budget<P> {
    /// A total, and a limit for each party, in octets.
    pub fn new(size: ByteSize, per_party: ByteSize) -> Self {
        let units = |size: ByteSize| size.len().div_ceil(UNIT).max(1);
        let held = Mutex::new(Holders { all: Crowd::default(), parties: HashMap::new() });
        let given_back = Notify::new();
        Self(Arc::new(Whole { size: units(size), per_party: units(per_party), held, given_back }))
    }

    /// An empty share for a session of this party; without a party, only the total bounds it.
    pub fn share(&self, party: Option<P>) -> Share<P> {
        Share { whole: Arc::clone(&self.0), party, units: 0 }
    }

    /// Grows a share to at least this many octets, waiting at most `patience`; says whether it succeeded. It does not
    /// wait where all would wait for each other: the last session goes without, and what it releases is for the others.
    pub async fn enlarge(&self, share: &mut Share<P>, octets: usize, patience: Duration) -> Enough {
        // A message larger than the total gets all of it, alone.
        let wanted = octets.div_ceil(UNIT).min(self.0.size);
        if wanted <= share.units {
            return Enough::Yes;
        }
        let granted = tokio::time::timeout_at(Instant::now() + patience, self.0.grant(share, wanted)).await;
        match granted {
            Ok(Enough::Yes) => {
                share.units = wanted;
                Enough::Yes
            }
            Ok(Enough::No) | Err(_) => Enough::No,
        }
    }
}

impl<P: Clone + Eq + Hash> Whole<P> {
    /// Waits until the session may have this much, and counts it as held. There is no await between that and the
    /// return: a cancelled caller has taken nothing.
    async fn grant(&self, share: &Share<P>, wanted: usize) -> Enough {
        let mut waiting = None;
        loop {
            let mut given_back = pin!(self.given_back.notified());
            // From here on no notification is missed.
            given_back.as_mut().enable();
            {
                let mut held = self.held.lock();
                let Err(lack) = self.may_have(&held, share, wanted) else {
                    held.take(share, wanted);
                    return Enough::Yes;
                };
                // A session that holds nothing keeps nobody waiting.
                if share.units > 0 {
                    let already = usize::from(waiting.is_some());
                    let others = held.of(share.party.as_ref(), lack);
                    if (Crowd { waiting: others.waiting - already, ..others }).would_be_stuck() {
                        return Enough::No;
                    }
                    if waiting.is_none() {
                        held.each(share.party.as_ref(), |crowd| crowd.waiting += 1);
                        waiting = Some(Waiting(share));
                    }
                }
            }
            given_back.await;
        }
    }

    fn may_have(&self, held: &Holders<P>, share: &Share<P>, wanted: usize) -> Result<(), Lack> {
        let others = held.all.units - share.units;
        if others == 0 {
            return Ok(());
        }
        let left = self.size.checked_sub(others + wanted).ok_or(Lack::OfAll)?;
        let Some(party) = &share.party else { return Ok(()) };
        let siblings = held.parties.get(party).map_or(0, |crowd| crowd.units) - share.units;
        if siblings > 0 && siblings + wanted > self.per_party {
            return Err(Lack::OfParty);
        }
        if siblings + wanted > left.saturating_mul(OF_WHAT_IS_LEFT) {
            return Err(Lack::OfAll);
        }
        Ok(())
    }
}

impl<P: Eq + Hash> Holders<P> {
    /// Alters what is known of all, and of a party that holds something.
    fn each(&mut self, party: Option<&P>, mut alter: impl FnMut(&mut Crowd)) {
        alter(&mut self.all);
        if let Some(crowd) = party.and_then(|party| self.parties.get_mut(party)) {
            alter(crowd);
        }
    }

    /// Where memory must be released.
    fn of(&self, party: Option<&P>, lack: Lack) -> Crowd {
        match lack {
            Lack::OfParty => party.and_then(|party| self.parties.get(party)).copied().unwrap_or_default(),
            Lack::OfAll => self.all,
        }
    }

    fn give_back(&mut self, share: &Share<P>) {
        self.each(share.party.as_ref(), |crowd| {
            crowd.units -= share.units;
            crowd.sessions -= 1;
        });
        if let Some(party) = &share.party
            && self.parties.get(party).is_some_and(|crowd| crowd.sessions == 0)
        {
            self.parties.remove(party);
        }
    }
}

impl<P: Clone + Eq + Hash> Holders<P> {
    fn take(&mut self, share: &Share<P>, wanted: usize) {
        if let Some(party) = &share.party {
            self.parties.entry(party.clone()).or_default();
        }
        self.each(share.party.as_ref(), |crowd| {
            crowd.units += wanted - share.units;
            crowd.sessions += usize::from(share.units == 0);
        });
    }
}

/// The result of asking for memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enough {
    /// It has.
    Yes,
    /// There was none within the time.
    No,
}

impl<P: Eq + Hash> Share<P> {
    /// Gives everything back.
    pub fn release(&mut self) {
        if self.units == 0 {
            return;
        }
        self.whole.held.lock().give_back(self);
        self.units = 0;
        self.whole.given_back.notify_waiters();
    }

    /// Octets in the share.
    pub fn octets(&self) -> usize {
        self.units * UNIT
    }
}

impl<P: Eq + Hash> Drop for Share<P> {
    fn drop(&mut self) {
        self.release();
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
        // Only a single session may exceed the limit of a party.
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
        assert_eq!(budget.0.held.lock().parties.keys().collect::<Vec<_>>(), [&0]);
        drop(held);
        assert!(budget.0.held.lock().parties.is_empty());
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
            while budget.0.held.lock().all.waiting == 0 {
                tokio::task::yield_now().await;
            }
            // It would wait for the first, which is waiting for it.
            let more = budget.enlarge(&mut second, 900 << 10, long).await;
            second.release();
            more
        };
        let (more, newcomer, last) = tokio::join!(more, newcomer, last);
        assert_eq!((more, newcomer, last), (Enough::Yes, Enough::Yes, Enough::No));
        let held = budget.0.held.lock();
        assert_eq!((held.all.sessions, held.all.waiting), (2, 0));
    }

    /// Takes as much as possible in sessions of 64 KiB; returns the total.
    async fn greedy(budget: &Budget<u8>, party: u8, held: &mut Vec<Share<u8>>) -> usize {
        let mut octets = 0;
        loop {
            let mut share = budget.share(Some(party));
            if budget.enlarge(&mut share, 64 << 10, Duration::ZERO).await == Enough::No {
                return octets;
            }
            octets += share.octets();
            held.push(share);
        }
    }

    #[tokio::test]
    async fn whoever_takes_all_they_can_leaves_something() {
        let budget = Budget::new(ByteSize::mib(32), ByteSize::mib(12));
        let mut held = Vec::new();
        let mut left = 32 << 20;
        for party in 0..4 {
            let taken = greedy(&budget, party, &mut held).await;
            left -= taken;
            assert!(taken >= 512 << 10 && taken <= (12 << 20).min(2 * left), "{party}: {taken} of {left}");
        }
        assert!(left >= 256 << 10, "{left}");
        // What they release is for those left with less.
        let mut stranger = budget.share(Some(9));
        let soon = Duration::from_millis(10);
        assert_eq!(budget.enlarge(&mut stranger, 4 << 20, soon).await, Enough::No);
        held.drain(..(6 << 20) / (64 << 10));
        assert_eq!(budget.enlarge(&mut stranger, 4 << 20, soon).await, Enough::Yes);
    }

    #[tokio::test]
    async fn who_has_given_up_waits_no_longer() {
        let budget = Budget::new(ByteSize::mib(1), ByteSize::mib(1));
        let (mut first, mut second) = (budget.share(Some(1)), budget.share(Some(2)));
        let soon = Duration::from_millis(10);
        assert_eq!(budget.enlarge(&mut first, 500 << 10, soon).await, Enough::Yes);
        assert_eq!(budget.enlarge(&mut second, 300 << 10, soon).await, Enough::Yes);
        assert_eq!(budget.enlarge(&mut second, 800 << 10, soon).await, Enough::No);
        let held = budget.0.held.lock();
        assert_eq!((held.all.waiting, held.parties[&2].waiting), (0, 0));
        assert_eq!(held.all.units * UNIT, first.octets() + second.octets());
    }
}
