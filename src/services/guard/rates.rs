//! Memory with a bound, and rates kept in it.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::foundations::clock::Timestamp;

/// A map that forgets: what has become meaningless first, and what is oldest when that is not enough.
#[derive(Debug)]
pub(super) struct Bounded<K, V>(HashMap<K, V>);

/// A value that loses its meaning with time.
pub(super) trait Fading {
    /// From when on the value is as good as none.
    fn gone(&self) -> Timestamp;
}

impl<K, V> Default for Bounded<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone, V: Fading> Bounded<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter()
    }

    /// The value of a key, made first when it is not there. At `most` values a sweep takes out an eighth at least,
    /// so that its cost is spread over as many insertions.
    pub(super) fn entry(&mut self, key: K, now: Timestamp, most: usize, make: impl FnOnce() -> V) -> &mut V {
        if self.0.len() >= most.max(8) && !self.0.contains_key(&key) {
            self.sweep(now, most.max(8));
        }
        self.0.entry(key).or_insert_with(make)
    }

    fn sweep(&mut self, now: Timestamp, most: usize) {
        self.0.retain(|_, value| value.gone() > now);
        let keep = most - most / 8;
        if self.0.len() <= keep {
            return;
        }
        let mut ages: Vec<Timestamp> = self.0.values().map(Fading::gone).collect();
        let surplus = ages.len() - keep;
        let (_, cut, _) = ages.select_nth_unstable(surplus - 1);
        let cut = *cut;
        let mut left = surplus;
        self.0.retain(|_, value| {
            let out = left > 0 && value.gone() <= cut;
            left -= usize::from(out);
            !out
        });
    }
}

/// When a rate's allowance will be whole again (the generic cell rate algorithm's theoretical arrival time): a sliding
/// window in one number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance(Timestamp);

impl Fading for Allowance {
    fn gone(&self) -> Timestamp {
        self.0
    }
}

impl Allowance {
    pub(super) const fn whole(now: Timestamp) -> Self {
        Self(now)
    }

    /// Takes `units` of `count` per `period`; when they are not left, says how long until they are.
    pub(super) fn take(&mut self, now: Timestamp, units: u32, count: u32, period: Duration) -> Result<(), Duration> {
        // Nothing takes longer to be given back, unless the clock was put back meanwhile.
        self.0 = self.0.min(now + period);
        let next = self.0.max(now) + (period / count.max(1)).saturating_mul(units);
        let ahead = next.since(now);
        if ahead > period {
            return Err(ahead - period);
        }
        self.0 = next;
        Ok(())
    }

    /// What [`Allowance::take`] would say.
    pub(super) fn look(mut self, now: Timestamp, units: u32, count: u32, period: Duration) -> Result<(), Duration> {
        self.take(now, units, count, period)
    }

    /// Others have taken what it takes this long to give back.
    pub(super) fn charge(&mut self, now: Timestamp, length: Duration) {
        self.0 = self.0.max(now) + length;
    }
}

/// A span as people say it, rounded up.
pub(super) fn words(span: Duration) -> String {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    match seconds {
        0 | 1 => "a second".to_owned(),
        2..=90 => format!("{seconds} seconds"),
        91..=5_400 => format!("{} minutes", seconds.div_ceil(60)),
        _ => format!("{} hours", seconds.div_ceil(3_600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn allowance_is_a_burst_and_then_a_rate() {
        let start = Timestamp::from_unix_seconds(1_000);
        let mut allowance = Allowance::whole(start);
        for _ in 0..30 {
            assert_eq!(allowance.take(start, 1, 30, MINUTE), Ok(()));
        }
        assert_eq!(allowance.take(start, 1, 30, MINUTE), Err(Duration::from_secs(2)));
        let later = start + Duration::from_secs(2);
        assert_eq!(allowance.take(later, 1, 30, MINUTE), Ok(()));
        assert!(allowance.take(later, 1, 30, MINUTE).is_err());
        assert_eq!(allowance.take(start + MINUTE * 3, 1, 30, MINUTE), Ok(()));
    }

    #[test]
    fn a_clock_put_back_keeps_nobody_out_for_longer_than_the_period() {
        let ahead = Timestamp::from_unix_seconds(1_000_000_000);
        let mut allowance = Allowance::whole(ahead);
        assert_eq!(allowance.take(ahead, 1, 30, MINUTE), Ok(()));
        let start = ahead - MINUTE * 60;
        assert!(allowance.take(start, 1, 30, MINUTE).is_err());
        assert_eq!(allowance.take(start + Duration::from_secs(2), 1, 30, MINUTE), Ok(()));
        assert_eq!(allowance.take(start + MINUTE * 2, 30, 30, MINUTE), Ok(()));
    }

    #[test]
    fn memory_stays_within_its_bound_and_keeps_the_youngest() {
        let start = Timestamp::from_unix_seconds(1_000);
        let mut map: Bounded<u32, Allowance> = Bounded::default();
        for n in 0..10_000u32 {
            map.entry(n, start, 100, || Allowance(start + Duration::from_secs(u64::from(n) + 1)));
            assert!(map.0.len() <= 100);
        }
        assert!(map.get(&9_999).is_some() && map.get(&9_950).is_some());
        map.entry(10_000, start + MINUTE * 1_000, 100, || Allowance(start));
        assert!(map.0.len() <= 100);
    }
}
