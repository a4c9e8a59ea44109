//! How much of a rate is left.

use std::time::Duration;

use super::bounded::Expiring;
use crate::foundations::clock::Timestamp;

/// When a rate's allowance will be whole again (the generic cell rate algorithm's theoretical arrival time): a sliding
/// window in one number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance(Timestamp);

impl Expiring for Allowance {
    fn expires_at(&self) -> Timestamp {
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
}
