//! A short-lived cache of answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::foundations::clock::Timestamp;

/// A bounded cache whose entries expire on our clock and are all forgotten at once by [`Cache::clear`].
#[derive(Debug)]
pub(super) struct Cache<V: Clone + Send + Sync + 'static> {
    entries: moka::sync::Cache<String, Stamped<V>>,
    /// Increases with every clear; entries of earlier generations are invalid.
    age: AtomicU64,
}

#[derive(Debug, Clone)]
struct Stamped<V> {
    age: Age,
    at: Timestamp,
    value: V,
}

/// When a look-up began: an answer read before a clear must not be cached after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Age(u64);

impl<V: Clone + Send + Sync + 'static> Cache<V> {
    pub(super) fn new(entries: u32) -> Self {
        Self { entries: moka::sync::Cache::new(entries.into()), age: AtomicU64::new(0) }
    }

    /// Must be taken before the query.
    pub(super) fn age(&self) -> Age {
        Age(self.age.load(Ordering::Acquire))
    }

    pub(super) fn get(&self, key: &str, now: Timestamp, keep: Duration) -> Option<V> {
        let entry = self.entries.get(key)?;
        // A clock that was set back must not make an answer live for ever.
        let fresh = now >= entry.at && now.since(entry.at) < keep;
        (fresh && entry.age == self.age()).then_some(entry.value)
    }

    pub(super) fn put(&self, key: String, value: V, now: Timestamp, age: Age) {
        self.entries.insert(key, Stamped { age, at: now, value });
    }

    pub(super) fn clear(&self) {
        self.age.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_in_time_and_on_demand() {
        let at = Timestamp::from_unix_seconds;
        let keep = Duration::from_secs(10);
        let cache = Cache::new(100);
        cache.put("k".to_owned(), 1, at(100), cache.age());
        assert_eq!(cache.get("k", at(109), keep), Some(1));
        assert_eq!(cache.get("k", at(110), keep), None);
        assert_eq!(cache.get("k", at(99), keep), None);
        assert_eq!(cache.get("k", at(100), Duration::ZERO), None);
        let before = cache.age();
        cache.clear();
        assert_eq!(cache.get("k", at(101), keep), None);
        // An answer read before the change does not count as read after it.
        cache.put("k".to_owned(), 1, at(101), before);
        assert_eq!(cache.get("k", at(101), keep), None);
    }
}
