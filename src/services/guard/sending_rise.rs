//! Accounts that suddenly send much more than they used to: what a stolen password looks like.

use std::time::Duration;

use parking_lot::Mutex;

use super::bounded::{Bounded, Expiring};
use crate::foundations::clock::Timestamp;

/// Watches how much each of many accounts sends, in bounded memory.
#[derive(Debug, Default)]
pub struct SendingWatch(Mutex<Bounded<String, Hours>>);

/// An account sends much more than it used to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rise {
    /// Copies in this hour.
    pub now: u32,
    /// Copies in an hour in which it sends, so far.
    pub usual: u32,
}

/// This hour, and a fading average of earlier hours in which something was sent.
#[derive(Debug, Clone, Copy)]
struct Hours {
    hour: i64,
    count: u32,
    average: f64,
    told: bool,
    last: Timestamp,
}

impl Expiring for Hours {
    fn expires_at(&self) -> Timestamp {
        self.last + REMEMBERED
    }
}

/// How long an account that sends nothing is remembered.
const REMEMBERED: Duration = Duration::from_secs(60 * 86_400);
/// Accounts remembered; beyond it those that have not sent for longest are forgotten.
const MOST: usize = 100_000;
/// How much the newest hour counts in the average.
const WEIGHT: f64 = 0.1;

impl SendingWatch {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts copies that an account sends. The first time in an hour that they are more than `from`, and more than
    /// `factor` times what is usual, says so. `from` 0 never does.
    pub fn count(&self, account: &str, copies: u32, (from, factor): (u32, u32), now: Timestamp) -> Option<Rise> {
        let hour = now.unix_seconds().div_euclid(3_600);
        let mut accounts = self.0.lock();
        let fresh = || Hours { hour, count: 0, average: 0.0, told: false, last: now };
        let hours = accounts.entry(account.to_owned(), now, MOST, fresh);
        if hours.hour != hour {
            // An hour of abuse must not become what is usual at once.
            hours.average += WEIGHT * (f64::from(hours.count) - hours.average);
            (hours.hour, hours.count, hours.told) = (hour, 0, false);
        }
        hours.count = hours.count.saturating_add(copies);
        hours.last = now;
        let is_much = from > 0 && hours.count >= from && f64::from(hours.count) > hours.average * f64::from(factor);
        if hours.told || !is_much {
            return None;
        }
        hours.told = true;
        // An average of counts fits where the counts do.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and u32::MAX")]
        let usual = hours.average.round() as u32;
        Some(Rise { now: hours.count, usual })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_is_told_once_an_hour() {
        let watch = SendingWatch::new();
        let limits = (50, 5);
        let mut now = Timestamp::from_unix_seconds(3_600_000);
        // Ann sends about twenty copies an hour.
        for _ in 0..100 {
            assert_eq!(watch.count("ann", 20, limits, now), None);
            now = now + Duration::from_secs(3_600);
        }
        assert_eq!(watch.count("ann", 60, limits, now), None);
        assert_eq!(watch.count("ann", 50, limits, now), Some(Rise { now: 110, usual: 20 }));
        assert_eq!(watch.count("ann", 1_000, limits, now), None);
        // A new account has no usual amount yet.
        assert_eq!(watch.count("bob", 49, limits, now), None);
        assert_eq!(watch.count("bob", 1, limits, now), Some(Rise { now: 50, usual: 0 }));
        assert_eq!(watch.count("eve", 1_000, (0, 5), now), None);
        // After an hour of abuse the next one is still conspicuous.
        now = now + Duration::from_secs(3_600);
        assert!(watch.count("ann", 1_000, limits, now).is_some());
    }
}
