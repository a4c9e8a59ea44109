//! Rates of anything, by name.

use std::time::Duration;

use parking_lot::Mutex;

use super::rates::{Allowance, Bounded};
use crate::foundations::clock::Timestamp;

/// Counts how much of something each of many names uses, in bounded memory.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Bounded<String, Allowance>>);

/// Names remembered; beyond it those whose allowance is nearly whole are forgotten.
const REMEMBERED: usize = 100_000;

impl Meter {
    /// A meter that has counted nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes `units` of the `count` that a name has per `period`, or says how long until there are so many. Nothing is
    /// taken then. `count` 0 is no limit.
    ///
    /// # Errors
    /// The time to wait; more than `period` means never.
    pub fn take(&self, name: &str, units: u32, count: u32, period: Duration, now: Timestamp) -> Result<(), Duration> {
        if count == 0 {
            return Ok(());
        }
        let mut names = self.0.lock();
        names.entry(name.to_owned(), now, REMEMBERED, || Allowance::whole(now)).take(now, units, count, period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_name() {
        let (meter, now) = (Meter::new(), Timestamp::from_unix_seconds(1_000));
        let hour = Duration::from_secs(3_600);
        assert_eq!(meter.take("ann", 8, 10, hour, now), Ok(()));
        assert_eq!(meter.take("ann", 4, 10, hour, now), Err(hour / 5));
        assert_eq!(meter.take("ann", 2, 10, hour, now), Ok(()));
        assert_eq!(meter.take("bob", 10, 10, hour, now), Ok(()));
        assert!(meter.take("eve", 11, 10, hour, now).is_err());
        assert_eq!(meter.take("eve", 11, 0, hour, now), Ok(()));
    }
}
