//! Leases of other machines that are measured by a clock which can be set.

use std::collections::HashMap;
use std::time::Duration;

use super::{Steady, Uptime};

/// Leases as one machine sees them. By the clock they are measured by, a lease seems to end too early when that clock is set
/// forward, and too late when it is set back. The first is what [`Steady`] is for. For the second, this machine counts by its own uptime
/// how long a lease would last from when its end was first read: one that has not been renewed by then has ended, whatever
/// the clock says. Its holder counts from before it sent the renewal, which was earlier still.
///
/// Every renewal must change the end. Holders that are gone are forgotten with [`Leases::retain`].
#[derive(Debug, Default)]
pub struct Leases {
    clock: Steady,
    seen: HashMap<String, Seen>,
}

/// A lease as it was first read.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Its end by the shared clock.
    end: i64,
    until: Uptime,
}

/// How many times longer than one's own the leases of others are at most, while the setting is being changed on one machine after
/// the other.
const LONGEST: u32 = 4;

impl Leases {
    /// The time to judge by: see [`Steady::read`].
    pub fn read(&mut self, shown: i64, now: Uptime, tolerance: Duration, length: Duration) -> i64 {
        self.clock.read(shown, now, tolerance, length)
    }

    /// Whether a lease has ended: `end` was read together with the clock's reading `shown`, before `now`. The other parameters
    /// are those of [`Leases::read`].
    pub fn is_over(
        &mut self,
        holder: &str,
        (end, shown): (i64, i64),
        now: Uptime,
        tolerance: Duration,
        length: Duration,
    ) -> bool {
        let clock = self.read(shown, now, tolerance, length);
        let left = Duration::from_micros(end.saturating_sub(clock).max(0).cast_unsigned());
        let fresh = Seen { end, until: now + left.min(length.saturating_mul(LONGEST)) };
        let seen = match self.seen.get(holder).filter(|seen| seen.end == end) {
            Some(seen) => *seen,
            None => {
                self.seen.insert(holder.to_owned(), fresh);
                fresh
            }
        };
        end <= clock || seen.until <= now
    }

    /// Forgets the leases of other holders.
    pub fn retain(&mut self, is_known: impl Fn(&str) -> bool) {
        self.seen.retain(|holder, _| is_known(holder));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LEASE: Duration = Duration::from_secs(15);

    #[test]
    fn a_lease_ends_in_time_however_the_clock_is_set() {
        // What the clock shows, the end of the lease by it, and whether it is over; after so many seconds.
        for (what, readings) in [
            ("a clock that runs", &[(0, 0, 15, false), (14, 14, 15, false), (15, 15, 15, true)][..]),
            ("set back", &[(0, 0, 15, false), (5, -3_595, 15, false), (14, -3_586, 15, false), (15, -3_585, 15, true)]),
            ("set back, and renewed", &[(0, 0, 15, false), (5, -3_595, -3_580, false), (19, -3_581, -3_580, false)]),
            ("set back, and renewed once", &[(5, -3_595, -3_580, false), (20, -3_580, -3_580, true)]),
            (
                "set back before it was first read",
                &[(0, 0, 3_600, false), (59, 59, 3_600, false), (60, 60, 3_600, true)],
            ),
            ("set forward", &[(0, 0, 15, false), (5, 3_605, 15, false), (14, 3_614, 15, false), (15, 3_615, 15, true)]),
            ("set forward, and renewed", &[(0, 0, 15, false), (5, 3_605, 15, false), (9, 3_609, 3_620, false)]),
            ("given back", &[(0, 0, 15, false), (1, 1, -1_000_000, true)]),
        ] {
            let (mut leases, start) = (Leases::default(), Uptime::now());
            let readings: &[(u32, i64, i64, bool)] = readings;
            for (after, shown, end, is_over) in readings {
                let micros = |seconds: &i64| 1_000_000_000_000 + seconds * 1_000_000;
                let now = start + SECOND * *after;
                let over = leases.is_over("a", (micros(end), micros(shown)), now, SECOND, LEASE);
                assert_eq!(over, *is_over, "{what} after {after} s");
            }
        }
    }

    #[test]
    fn every_holder_has_a_lease_of_its_own() {
        let (mut leases, start) = (Leases::default(), Uptime::now());
        let mut is_over = |holder: &str, end: i64, after: u32| {
            leases.is_over(holder, (end, 0), start + SECOND * after, SECOND, LEASE)
        };
        assert!(!is_over("a", 5_000_000, 0) && !is_over("b", 9_000_000, 0));
        assert!(is_over("a", 5_000_000, 5) && !is_over("b", 9_000_000, 5));
        leases.retain(|holder| holder == "b");
        assert_eq!(leases.seen.len(), 1);
    }
}
