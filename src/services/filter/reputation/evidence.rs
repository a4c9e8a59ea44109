//! Counts that fade.

use std::ops::{Add, AddAssign, Neg};

use crate::foundations::clock::Timestamp;

/// How much wanted and unwanted mail has come from somewhere; old mail counts less.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Evidence {
    /// Messages that people have marked as wanted; for a correspondent, messages written to them.
    pub told_wanted: f64,
    /// Messages that people have marked as unwanted.
    pub told_unwanted: f64,
    /// Messages that a verdict has found wanted.
    pub seen_wanted: f64,
    /// Messages that a verdict has found unwanted.
    pub seen_unwanted: f64,
}

/// After this time experience counts half.
const HALF_LIFE: f64 = 30.0 * 86_400.0;
/// The time from which weights grow (2025-01-01): a double overflows only in 2109.
const LANDMARK: i64 = 1_735_689_600;
/// The weight of a verdict, relative to a person's judgement.
const VERDICT: f64 = 0.2;
/// The most that all verdicts together can count, so that no sender gains a reputation by their number alone.
const MOST_OF_VERDICTS: f64 = 1.0;

impl Evidence {
    /// A person has marked a message as wanted, or somebody was written to.
    pub const WANTED: Self = Self { told_wanted: 1.0, told_unwanted: 0.0, seen_wanted: 0.0, seen_unwanted: 0.0 };
    /// A person has marked a message as unwanted.
    pub const UNWANTED: Self = Self { told_wanted: 0.0, told_unwanted: 1.0, seen_wanted: 0.0, seen_unwanted: 0.0 };
    /// A verdict has found a message wanted.
    pub const SEEN_WANTED: Self = Self { told_wanted: 0.0, told_unwanted: 0.0, seen_wanted: 1.0, seen_unwanted: 0.0 };
    /// A verdict has found a message unwanted.
    pub const SEEN_UNWANTED: Self = Self { told_wanted: 0.0, told_unwanted: 0.0, seen_wanted: 0.0, seen_unwanted: 1.0 };

    /// The stored form: instead of letting old counts fade, new ones get a larger weight. So several processes can add to a count
    /// at once without reading it first, and only the reader divides.
    pub(super) fn grown(self, at: Timestamp) -> Self {
        self.map(|n| n * growth(at))
    }

    /// A stored value, as it counts now.
    pub(super) fn faded(self, at: Timestamp) -> Self {
        self.map(|n| (n / growth(at)).max(0.0))
    }

    fn map(self, change: impl Fn(f64) -> f64) -> Self {
        Self {
            told_wanted: change(self.told_wanted),
            told_unwanted: change(self.told_unwanted),
            seen_wanted: change(self.seen_wanted),
            seen_unwanted: change(self.seen_unwanted),
        }
    }

    /// Wanted and unwanted together, in people's judgements.
    pub(super) fn masses(self) -> (f64, f64) {
        let (wanted, unwanted) = (self.seen_wanted * VERDICT, self.seen_unwanted * VERDICT);
        let part = (MOST_OF_VERDICTS / (wanted + unwanted).max(MOST_OF_VERDICTS)).min(1.0);
        (self.told_wanted + wanted * part, self.told_unwanted + unwanted * part)
    }

    /// Whether wanted mail has ever come from there.
    pub(super) fn is_good(self) -> bool {
        self.told_wanted + self.seen_wanted > self.told_unwanted + self.seen_unwanted
    }
}

/// The weight of an event at that time, relative to one at the landmark.
fn growth(at: Timestamp) -> f64 {
    // Seconds of some centuries are exact in a double.
    #[expect(clippy::cast_precision_loss, reason = "seconds since 2025")]
    let seconds = (at.unix_seconds() - LANDMARK) as f64;
    (seconds / HALF_LIFE).clamp(-1000.0, 1000.0).exp2()
}

impl Add for Evidence {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            told_wanted: self.told_wanted + other.told_wanted,
            told_unwanted: self.told_unwanted + other.told_unwanted,
            seen_wanted: self.seen_wanted + other.seen_wanted,
            seen_unwanted: self.seen_unwanted + other.seen_unwanted,
        }
    }
}

impl AddAssign for Evidence {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Neg for Evidence {
    type Output = Self;
    fn neg(self) -> Self {
        self.map(|n| -n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn halves_in_thirty_days() {
        let start = Timestamp::from_unix_seconds(1_800_000_000);
        let kept = Evidence::WANTED.grown(start) + Evidence::UNWANTED.grown(start + Duration::from_secs(30 * 86_400));
        let now = kept.faded(start + Duration::from_secs(60 * 86_400));
        assert!((now.told_wanted - 0.25).abs() < 1e-9 && (now.told_unwanted - 0.5).abs() < 1e-9, "{now:?}");
        // Undoing more than there is leaves zero, not a negative count.
        assert_eq!((-Evidence::WANTED).grown(start).faded(start).told_wanted, 0.0);
    }

    #[test]
    fn verdicts_are_bounded() {
        let stream = Evidence { seen_wanted: 1e6, ..Evidence::default() };
        assert!((stream.masses().0 - 1.0).abs() < 1e-9);
        let mixed = Evidence { seen_wanted: 1e6, seen_unwanted: 1e6, told_unwanted: 3.0, ..Evidence::default() };
        assert_eq!(mixed.masses(), (0.5, 3.5));
        let few = Evidence { seen_unwanted: 2.0, ..Evidence::default() };
        assert_eq!(few.masses(), (0.0, 0.4));
    }
}
