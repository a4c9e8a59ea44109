//! What to do with a domain's keys. Pure.

use super::state::{DomainState, Phase};
use crate::foundations::clock::Timestamp;
use crate::services::filter::DkimRotationSettings;

/// Whether to follow the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Follow the schedule.
    Scheduled,
    /// An administrator wants the next step now.
    Now,
}

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Make a new pair.
    Make,
    /// Put the announced pair in force, and retire the present one.
    Switch,
    /// The announced pair should sign by now, but its records are not in the DNS.
    Missing,
    /// Delete the retired pair at this index.
    Delete(usize),
}

/// The next step, if there is one. `visible` says whether the records of the announced pair are in the DNS.
pub(super) fn next(
    state: &DomainState,
    visible: bool,
    settings: &DkimRotationSettings,
    urgency: Urgency,
    now: Timestamp,
) -> Option<Step> {
    let find = |phase| state.pairs.iter().find(|pair| pair.phase == phase);
    let over = state
        .pairs
        .iter()
        .position(|pair| pair.phase == Phase::Retired && now.since(pair.since) >= settings.overlap.duration());
    if let Some(place) = over {
        return Some(Step::Delete(place));
    }
    let age = find(Phase::Active).map(|pair| now.since(pair.since));
    let is_due = |ahead: std::time::Duration| match age {
        _ if urgency == Urgency::Now => true,
        Some(age) => age + ahead >= settings.every.duration(),
        None => true,
    };
    match find(Phase::Announced) {
        None => is_due(settings.ahead.duration()).then_some(Step::Make),
        Some(_) if !is_due(std::time::Duration::ZERO) => None,
        Some(_) if visible => Some(Step::Switch),
        // The first pair of a domain has no due date.
        Some(_) => age.is_some().then_some(Step::Missing),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::services::filter::rotation::state::KeyPairState;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn keys_live_and_retire() {
        use Phase::{Active, Announced, Retired};
        use Urgency::{Now, Scheduled};
        let settings = DkimRotationSettings::default();
        let start = Timestamp::from_unix_seconds(1_000_000_000);
        for (pairs, days, visible, urgency, wanted) in [
            (&[][..], 0, false, Scheduled, Some(Step::Make)),
            (&[Announced], 0, false, Scheduled, None),
            (&[Announced], 0, true, Scheduled, Some(Step::Switch)),
            (&[Active], 10, false, Scheduled, None),
            (&[Active], 10, false, Now, Some(Step::Make)),
            (&[Active], 84, false, Scheduled, Some(Step::Make)),
            (&[Active, Announced], 84, true, Scheduled, None),
            (&[Active, Announced], 84, true, Now, Some(Step::Switch)),
            (&[Active, Announced], 90, true, Scheduled, Some(Step::Switch)),
            (&[Active, Announced], 90, false, Scheduled, Some(Step::Missing)),
            (&[Active, Announced], 10, false, Now, Some(Step::Missing)),
            (&[Retired, Active], 6, false, Scheduled, None),
            (&[Retired, Active], 7, false, Scheduled, Some(Step::Delete(0))),
        ] {
            let pair = |phase: &Phase| KeyPairState { phase: *phase, since: start, keys: Vec::new() };
            let state = DomainState { pairs: pairs.iter().map(pair).collect() };
            let found = next(&state, visible, &settings, urgency, start + DAY * days);
            assert_eq!(found, wanted, "{pairs:?} after {days} days, visible: {visible}, {urgency:?}");
        }
    }
}
