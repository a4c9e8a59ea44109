//! Changes of a series from one of its times on (`RANGE=THISANDFUTURE`, RFC 5545 §3.2.13). calcard would compare exclusions and further
//! changes with the moved times, and give all of them the former length.

use calcard::icalendar::{ICalendar, ICalendarComponent, ICalendarParameterName, ICalendarProperty};

use super::occurrences::Occurrence;
use super::told::Told;

/// One change. Times are in seconds.
struct Change {
    component: u32,
    /// The first time that it is about, as the series had it.
    from: i64,
    /// When that begins now.
    start: i64,
    /// How long each of them takes by the clocks.
    length: i64,
}

/// Whether a component also changes all later times of its series.
pub(super) fn is_onward(component: &ICalendarComponent) -> bool {
    let id = component.property(&ICalendarProperty::RecurrenceId);
    id.is_some_and(|id| id.has_parameter(&ICalendarParameterName::Range))
}

/// Moves the times of a series that such changes are about. Those with a change of their own are components of their own.
pub(super) fn carry_on(calendar: &ICalendar, told: &Told, times: &mut [Occurrence]) {
    let onward = (0..).zip(&calendar.components).filter(|(_, component)| is_onward(component));
    let change = |component: u32| {
        let first = times.iter().find(|time| time.component == component)?;
        let (from, length) = (told.changed(component)?, first.local_end.saturating_sub(first.local));
        Some(Change { component, from, start: first.start, length })
    };
    let mut changes: Vec<Change> = onward.filter_map(|(component, _)| change(component)).collect();
    if changes.is_empty() {
        return;
    }
    changes.sort_by_key(|change| change.from);
    for time in times.iter_mut().filter(|time| told.follows(time.component)) {
        let before = changes.partition_point(|change| change.from <= time.start);
        let Some(change) = before.checked_sub(1).and_then(|last| changes.get(last)) else { continue };
        if let Some(moved) = moved(told, time, change) {
            *time = moved;
        }
    }
}

/// Each time is as much later by the clocks of its series as the first one is.
fn moved(told: &Told, time: &Occurrence, change: &Change) -> Option<Occurrence> {
    let shift = told.local(time.component, change.start)? - told.local(time.component, change.from)?;
    let local = time.local.saturating_add(shift);
    let start = told.moment(time.component, local)?;
    let end = told.moment(time.component, local.saturating_add(change.length))?;
    let (local, local_end) = (told.local(change.component, start)?, told.local(change.component, end)?);
    Some(Occurrence { component: change.component, start, end, local, local_end, of: Some((time.start, time.local)) })
}
