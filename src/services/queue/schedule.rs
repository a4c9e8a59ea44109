//! When a recipient is tried again.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use super::QueueSettings;
use crate::foundations::clock::Timestamp;
use crate::foundations::settings::Span;
use crate::storage::spool::RecipientKey;

/// The time of the next attempt after `attempts` of them. Each wait is twice as long as the one before, up to the longest, and a
/// tenth longer or shorter, so that what failed together does not come back together. The last attempt is made at the expiry.
pub(super) fn next_attempt(
    settings: &QueueSettings,
    now: Timestamp,
    expires_at: Timestamp,
    attempts: u32,
    key: RecipientKey,
) -> Timestamp {
    let doubled = doubled(settings.first_retry.duration(), settings.longest_retry.duration(), attempts.max(1));
    let next = now + spread(doubled, (key, attempts));
    if now < expires_at { next.min(expires_at) } else { next }
}

/// The length of the rest after `failures` failures in a row.
pub(super) fn rest(settings: &QueueSettings, failures: u32) -> Duration {
    let count = failures.saturating_sub(settings.failures_before_rest) + 1;
    doubled(settings.first_rest.duration(), settings.longest_rest.duration(), count)
}

/// A time longer than any wait of a recipient.
pub(super) fn longest_wait(settings: &QueueSettings) -> Duration {
    let waits = [settings.first_retry, settings.longest_retry, settings.first_rest, settings.longest_rest];
    let longest = waits.into_iter().map(Span::duration).max().unwrap_or_default();
    longest.saturating_mul(2) + Duration::from_secs(3_600)
}

fn doubled(first: Duration, longest: Duration, count: u32) -> Duration {
    // Beyond 30 doublings of anything the longest wait is reached.
    first.saturating_mul(1 << (count - 1).min(30)).min(longest.max(first))
}

/// A span made up to a tenth longer or shorter: by chance, but always the same for the same `what`.
pub(super) fn spread(span: Duration, what: impl Hash) -> Duration {
    let mut hasher = std::hash::DefaultHasher::new();
    what.hash(&mut hasher);
    let per_mille = 900 + u32::try_from(hasher.finish() % 201).unwrap_or(100);
    span.saturating_mul(per_mille) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_limit() {
        let settings = QueueSettings::default();
        let now = Timestamp::from_unix_seconds(1_000_000);
        let expires = now + Duration::from_secs(86_400 * 5);
        let minutes = |attempts| {
            let at = next_attempt(&settings, now, expires, attempts, RecipientKey(7));
            at.since(now).as_secs() / 60
        };
        for (attempts, wanted) in [(0, 5), (1, 5), (2, 10), (3, 20), (6, 160), (7, 240), (60, 240)] {
            let (low, high) = (wanted * 9 / 10, wanted * 11 / 10);
            assert!((low..=high).contains(&minutes(attempts)), "{attempts}: {}", minutes(attempts));
        }
        let soon = now + Duration::from_secs(60);
        assert_eq!(next_attempt(&settings, now, soon, 9, RecipientKey(7)), soon);
        assert!(
            next_attempt(&settings, soon, now, 1, RecipientKey(7)) > soon,
            "it has been tried too seldom to be given up"
        );
        let keys = (0..50).map(|key| next_attempt(&settings, now, expires, 3, RecipientKey(key)));
        assert!(keys.collect::<std::collections::HashSet<_>>().len() > 20);
    }
}
