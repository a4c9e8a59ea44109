//! Verdicts remembered under a keyed hash.

use aws_lc_rs::hmac;

use crate::foundations::clock::Timestamp;
use crate::foundations::random;
use crate::foundations::secret::Secret;

/// What a password was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
}

/// Stands for one combination of account, stored hash and password. Tells nothing without the process's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CacheKey([u8; 32]);

/// Verdicts of the last minutes. Because the stored hash is part of the key, a changed password finds nothing.
pub(super) struct Cache {
    key: hmac::Key,
    verdicts: moka::sync::Cache<CacheKey, (Timestamp, Verdict)>,
}

impl Cache {
    /// An empty cache with a key of its own; `None` when the system gives no random numbers for one.
    pub(super) fn new(entries: u32) -> Option<Self> {
        let key = random::octets::<32>().ok()?;
        Some(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), verdicts: moka::sync::Cache::new(entries.into()) })
    }

    pub(super) fn key_for(&self, account: &str, stored: &str, password: &Secret<String>) -> CacheKey {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [account, stored, password.expose()] {
            // Lengths in front, so that no two triples give the same octets.
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part.as_bytes());
        }
        let mut key = [0u8; 32];
        key.copy_from_slice(context.sign().as_ref());
        CacheKey(key)
    }

    pub(super) fn get(&self, key: CacheKey, now: Timestamp, keep: std::time::Duration) -> Option<Verdict> {
        let (at, verdict) = self.verdicts.get(&key)?;
        (now >= at && now.since(at) < keep).then_some(verdict)
    }

    pub(super) fn put(&self, key: CacheKey, verdict: Verdict, now: Timestamp) {
        self.verdicts.insert(key, (now, verdict));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_exactly_what_it_was_told() {
        let cache = Cache::new(10).unwrap();
        let secret = |text: &str| Secret::new(text.to_owned());
        let key = cache.key_for("ann", "hash", &secret("pw"));
        assert_eq!(key, cache.key_for("ann", "hash", &secret("pw")));
        for other in [
            cache.key_for("ann", "hash", &secret("pW")),
            cache.key_for("ann", "hash2", &secret("pw")),
            cache.key_for("bob", "hash", &secret("pw")),
            cache.key_for("annh", "ash", &secret("pw")),
            Cache::new(10).unwrap().key_for("ann", "hash", &secret("pw")),
        ] {
            assert_ne!(key, other);
        }
        let at = Timestamp::from_unix_seconds;
        let keep = std::time::Duration::from_secs(300);
        cache.put(key, Verdict::Right, at(1000));
        assert_eq!(cache.get(key, at(1299), keep), Some(Verdict::Right));
        assert_eq!(cache.get(key, at(1300), keep), None);
    }
}
