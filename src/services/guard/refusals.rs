//! Which of many refusals are reported, so that a client turned away again and again fills neither journal nor log.

use std::time::Duration;

use super::bounded::Expiring;
use crate::foundations::clock::Timestamp;

/// After one that was reported, how long the others are only counted.
const QUIET: Duration = Duration::from_secs(60);

/// The refusals of one network at one service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusals {
    quiet_until: Timestamp,
    untold: u64,
}

impl Expiring for Refusals {
    fn expires_at(&self) -> Timestamp {
        self.quiet_until
    }
}

impl Refusals {
    pub(super) const fn none(now: Timestamp) -> Self {
        Self { quiet_until: now, untold: 0 }
    }

    /// Counts one; if it is to be told, for how many it stands: itself and those since the last that was told.
    pub(super) fn add(&mut self, now: Timestamp) -> Option<u64> {
        self.untold += 1;
        // A clock that was put back keeps nothing quiet for longer.
        if now < self.quiet_until && self.quiet_until <= now + QUIET {
            return None;
        }
        self.quiet_until = now + QUIET;
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_minute_is_told_and_says_how_many_it_stands_for() {
        let start = Timestamp::from_unix_seconds(1_000);
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut refusals = Refusals::none(start);
        assert_eq!(refusals.add(start), Some(1));
        assert_eq!([at(0), at(1), at(59)].map(|now| refusals.add(now)), [None; 3]);
        assert_eq!(refusals.add(at(60)), Some(4));
        assert_eq!(refusals.add(at(61)), None);
        // The clock is put back.
        assert_eq!(refusals.add(start - Duration::from_secs(3_600)), Some(2));
    }
}
