//! Makes all wrong passwords cost the same, whatever hash they are checked against.
//!
//! Hashes that came from elsewhere are often cheap: one try would tell an account whose password takes 5 ms to check
//! from an unknown name, which takes 250 ms. So a check that lets nobody in goes on hashing until it has done the work
//! of bcrypt at the cost of decoys.

use std::time::Duration;

use super::password::{self, Scheme, Unusable};
use crate::foundations::clock::processor_time;
use crate::foundations::secret::Secret;

/// The least and the highest cost of a decoy.
const COSTS: std::ops::RangeInclusive<u32> = 4..=16;
/// Other schemes are measured by a hash of bcrypt with a sixteenth of the work.
const SMALLER: u32 = 4;

/// Whether a right password opens anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opens {
    /// An account that may be used.
    Account,
    /// Nobody is let in.
    Nothing,
}

/// What was found, and at what expense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checked {
    /// Whether it is the password of the hash.
    pub(super) is_right: bool,
    /// What it took, in rounds of bcrypt: a hash of cost `c` takes 2^c.
    pub(super) rounds: u64,
}

/// Whether this is the password of a hash. If nobody is let in, it has taken as much work as bcrypt of that cost, or more where
/// the hash itself asks for more. Never call it on an async thread.
pub(super) fn check(stored: &str, given: &Secret<String>, opens: Opens, cost: u32) -> Result<Checked, Unusable> {
    let scheme = password::recognise(stored)?;
    if password::is_hopeless(given) {
        return Ok(Checked { is_right: false, rounds: 0 });
    }
    let (found, took) = timed(|| password::check(stored, given));
    let done = match (&found, scheme.rounds()) {
        (Ok(true), own) if opens == Opens::Account => {
            return Ok(Checked { is_right: true, rounds: own.unwrap_or(0) });
        }
        (Ok(_), Some(own)) => own,
        (Ok(_), None) => measured(took, given, cost)?,
        // A hash that was found to be none costs nothing by itself.
        (Err(_), _) => 0,
    };
    let rounds = go_on(done, given, rounds(cost))?;
    found.map(|is_right| Checked { is_right, rounds })
}

/// Hashes until `wanted` rounds are done; how many are done then. Largest first: what is missing from one power of two to another
/// is a sum of powers of two.
fn go_on(mut done: u64, given: &Secret<String>, wanted: u64) -> Result<u64, Unusable> {
    for cost in COSTS.rev() {
        while done.saturating_add(rounds(cost)) <= wanted {
            password::check(&decoy(cost), given)?;
            done += rounds(cost);
        }
    }
    Ok(done)
}

/// The work of a hash of another scheme, including the bcrypt hash that measures it here and now: processors differ too
/// much for a table.
fn measured(took: Duration, given: &Secret<String>, cost: u32) -> Result<u64, Unusable> {
    let smaller = cost.saturating_sub(SMALLER);
    let (checked, unit) = timed(|| password::check(&decoy(smaller), given));
    checked?;
    let unit_rounds = rounds(smaller);
    let own = took.as_nanos().saturating_mul(unit_rounds.into()) / unit.as_nanos().max(1);
    Ok(u64::try_from(own).unwrap_or(u64::MAX).saturating_add(unit_rounds))
}

/// The time that the processor gave to this thread, which others that are busy do not stretch.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let before = processor_time();
    let result = work();
    (result, processor_time().saturating_sub(before))
}

/// The cost of bcrypt that takes about as much work. What was measured may be a third too high.
pub(super) fn cost_of(rounds: u64) -> u32 {
    (rounds - rounds / 4).checked_next_power_of_two().map_or(u64::BITS, u64::ilog2)
}

fn rounds(cost: u32) -> u64 {
    1 << cost.clamp(*COSTS.start(), *COSTS.end())
}

impl Scheme {
    /// The work of a hash in rounds of bcrypt, where it can be told without measuring.
    fn rounds(self) -> Option<u64> {
        match self {
            Self::Bcrypt { cost } => Some(1 << cost),
            Self::Sha512Crypt | Self::Sha256Crypt | Self::Argon2id | Self::Argon2i => None,
        }
    }
}

/// A well-formed hash of the given cost that no password has.
pub(super) fn decoy(cost: u32) -> String {
    let cost = cost.clamp(*COSTS.start(), *COSTS.end());
    format!("$2y${cost:02}$abcdefghijklmnopqrstuu{}", "a".repeat(30) + "O")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PENCIL_4: &str = "$2a$04$abcdefghijklmnopqrstuu/FyAyuZSl3DbPdvio4KrIBdz2k2yhV2";
    const PENCIL_SHA: &str = "$6$rounds=1000$saltstring$Dst5SzMCiLiSWQN0EnEgf8DNbHOJRybf7gWFoq4HhaAWnZcpnsBwYgTSajPGyhfsjkr51qmiDafX//8bUiGTO1";

    fn rounds_of(stored: &str, given: &str, opens: Opens, cost: u32) -> (bool, u64) {
        let checked = check(stored, &Secret::new(given.to_owned()), opens, cost).unwrap();
        (checked.is_right, checked.rounds)
    }

    #[test]
    fn a_wrong_password_costs_the_same_for_every_hash() {
        for cost in [4, 5, 8] {
            for stored in [PENCIL_4, &decoy(4), &decoy(cost)] {
                assert_eq!(rounds_of(stored, "crayon", Opens::Account, cost), (false, 1 << cost), "{stored} {cost}");
            }
        }
        // What asks for more takes more.
        assert_eq!(rounds_of(&decoy(6), "crayon", Opens::Account, 5), (false, 1 << 6));
        // What the processor took for another scheme is not known beforehand; what is missing is less than the smallest hash.
        let (_, rounds) = rounds_of(PENCIL_SHA, "crayon", Opens::Account, 9);
        assert!(rounds > (1 << 9) - (1 << 4), "{rounds}");
    }

    #[test]
    fn work_has_a_cost() {
        for cost in 0..=16 {
            assert_eq!(cost_of(1 << cost), cost);
        }
        for (rounds, cost) in [(0, 0), (5000, 12), (6000, 13), (u64::MAX, 64)] {
            assert_eq!(cost_of(rounds), cost, "{rounds}");
        }
    }

    #[test]
    fn who_is_let_in_does_not_wait() {
        assert_eq!(rounds_of(PENCIL_4, "pencil", Opens::Account, 8), (true, 1 << 4));
        // Else a password of a disabled account could be found by the clock.
        assert_eq!(rounds_of(PENCIL_4, "pencil", Opens::Nothing, 8), (true, 1 << 8));
        assert!(rounds_of(PENCIL_SHA, "pencil", Opens::Nothing, 8).1 > (1 << 8) - (1 << 4));
    }

    #[test]
    fn what_can_be_no_password_costs_nothing_for_any_hash() {
        for stored in [PENCIL_4, PENCIL_SHA, &decoy(8)] {
            for given in ["pencil\0", &"p".repeat(600)] {
                assert_eq!(rounds_of(stored, given, Opens::Account, 8), (false, 0), "{stored}");
            }
        }
    }

    #[test]
    fn a_decoy_is_well_formed() {
        for cost in [0, 4, 12, 99] {
            assert_eq!(password::recognise(&decoy(cost)), Ok(Scheme::Bcrypt { cost: cost.clamp(4, 16) }));
        }
        assert_eq!(password::check(&decoy(4), &Secret::new("x".to_owned())), Ok(false));
    }
}
