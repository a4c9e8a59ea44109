//! Memory with a bound.

use std::collections::HashMap;
use std::hash::Hash;

use crate::foundations::clock::Timestamp;

/// A map that forgets: what has become meaningless first, and what is oldest when that is not enough.
#[derive(Debug)]
pub(super) struct Bounded<K, V>(HashMap<K, V>);

/// A value that loses its meaning with time.
pub(super) trait Expiring {
    /// From when on the value is as good as none.
    fn expires_at(&self) -> Timestamp;
}

impl<K, V> Default for Bounded<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone, V: Expiring> Bounded<K, V> {
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
        self.0.retain(|_, value| value.expires_at() > now);
        let keep = most - most / 8;
        if self.0.len() <= keep {
            return;
        }
        let mut ages: Vec<Timestamp> = self.0.values().map(Expiring::expires_at).collect();
        let surplus = ages.len() - keep;
        let (_, cut, _) = ages.select_nth_unstable(surplus - 1);
        let cut = *cut;
        let mut left = surplus;
        self.0.retain(|_, value| {
            let out = left > 0 && value.expires_at() <= cut;
            left -= usize::from(out);
            !out
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    impl Expiring for Timestamp {
        fn expires_at(&self) -> Timestamp {
            *self
        }
    }

    #[test]
    fn memory_stays_within_its_bound_and_keeps_the_youngest() {
        let start = Timestamp::from_unix_seconds(1_000);
        let mut map: Bounded<u32, Timestamp> = Bounded::default();
        for n in 0..10_000u32 {
            map.entry(n, start, 100, || start + Duration::from_secs(u64::from(n) + 1));
            assert!(map.0.len() <= 100);
        }
        assert!(map.get(&9_999).is_some() && map.get(&9_950).is_some());
        map.entry(10_000, start + Duration::from_secs(60_000), 100, || start);
        assert!(map.0.len() <= 100);
    }
}
