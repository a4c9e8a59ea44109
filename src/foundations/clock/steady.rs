//! A clock shared by several machines, for judging whether a lease measured by it has ended.

use std::time::Duration;

use super::Uptime;

/// Another machine's clock without its jumps forward. When that clock is set forward, all leases seem to end at once
/// although their holders carry on. So a jump counts only after the holders have had time to renew; until then the
/// clock is taken to continue as before.
#[derive(Debug, Default)]
pub struct Steady(Option<Lead>);

/// In microseconds.
#[derive(Debug, Clone, Copy)]
struct Lead {
    /// Difference between that clock and our uptime.
    by: i64,
    /// Since when it has been further ahead.
    jumped: Option<Uptime>,
}

impl Steady {
    /// The time to judge by, in microseconds like `shown`, which is the clock's reading at `now`. An advance of more
    /// than `tolerance` since the last reading counts only after `wait`.
    pub fn read(&mut self, shown: i64, now: Uptime, tolerance: Duration, wait: Duration) -> i64 {
        let by = shown.saturating_sub(now.micros());
        let lead = self.0.get_or_insert(Lead { by, jumped: None });
        let tolerance = i64::try_from(tolerance.as_micros()).unwrap_or(i64::MAX);
        if by > lead.by.saturating_add(tolerance) && now < *lead.jumped.get_or_insert(now) + wait {
            return lead.by.saturating_add(now.micros());
        }
        *lead = Lead { by, jumped: None };
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LEASE: Duration = Duration::from_secs(15);

    #[test]
    fn a_jump_forward_counts_when_leases_could_be_renewed() {
        let mut steady = Steady::default();
        let start = Uptime::now();
        let mut read = |shown: u64, after: u64| {
            let shown = 1_000_000_000 + i64::try_from(shown * 1_000_000).unwrap();
            let judged = steady.read(shown, start + SECOND * u32::try_from(after).unwrap(), SECOND, LEASE);
            (judged - 1_000_000_000) / 1_000_000
        };
        assert_eq!(read(0, 0), 0);
        // Slightly fast.
        assert_eq!(read(11, 10), 11);
        // Ten minutes ahead.
        assert_eq!([read(612, 11), read(616, 15), read(626, 25)], [12, 16, 26]);
        assert_eq!(read(627, 26), 627);
        // Set back, then forward again.
        assert_eq!([read(28, 27), read(629, 28), read(30, 29)], [28, 29, 30]);
        // The wait starts over.
        assert_eq!([read(631, 30), read(645, 44), read(646, 45)], [31, 45, 646]);
    }
}
