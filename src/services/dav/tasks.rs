//! Tasks, where a range concerns them in another way than events (RFC 4791 §9.9): above all those without a beginning.

use calcard::common::timezone::Tz;
use calcard::icalendar::timezone::TzResolver;
use calcard::icalendar::{ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarProperty};

use super::occurrences::{Occurrence, TimeRange};
use super::told::lasting;

/// Whether a component is a task without a beginning. A series begins when it is first due, and what changes a time of it at that
/// time.
pub(super) fn is_undated(component: &ICalendarComponent) -> bool {
    component.component_type == ICalendarComponentType::VTodo
        && !component.has_property(&ICalendarProperty::Dtstart)
        && !component.is_recurrent_or_override()
}

/// Whether the last moment of a component belongs to it: to a task with a DURATION it does.
pub(super) fn includes_end(component: &ICalendarComponent) -> bool {
    component.component_type == ICalendarComponentType::VTodo && component.has_property(&ICalendarProperty::Duration)
}

/// Those of a calendar that concern a range, each at the time at which it is due, or else at which it was made or completed.
pub(super) fn undated(calendar: &ICalendar, zone: Tz, range: &TimeRange) -> Vec<Occurrence> {
    let tasks: Vec<_> = (0..).zip(&calendar.components).filter(|(_, component)| is_undated(component)).collect();
    if tasks.is_empty() {
        return Vec::new();
    }
    let zones = calendar.build_owned_tz_resolver().with_default(zone);
    let at = |(component, task): (u32, &ICalendarComponent)| {
        let at = Times::of(task, &zones).within(range)?;
        Some(Occurrence { component, start: at, end: at, local: at, local_end: at, of: None })
    };
    tasks.into_iter().filter_map(at).collect()
}

/// The times of a task, in seconds since 1970.
struct Times {
    due: Option<i64>,
    completed: Option<i64>,
    created: Option<i64>,
}

impl Times {
    fn of(task: &ICalendarComponent, zones: &TzResolver<String>) -> Self {
        let time = |name| {
            let entry = task.property(&name)?;
            lasting(task, entry, zones).next().map(|(at, _)| at)
        };
        Self {
            due: time(ICalendarProperty::Due),
            completed: time(ICalendarProperty::Completed),
            created: time(ICalendarProperty::Created),
        }
    }

    /// The time of a task that concerns a range. One that has none always does.
    fn within(&self, range: &TimeRange) -> Option<i64> {
        let TimeRange { start, end } = *range;
        let (at, is_within) = match (self.due, self.completed, self.created) {
            (Some(due), ..) => (due, start < due && end >= due),
            (None, Some(completed), Some(created)) => {
                let (first, last) = (created.min(completed), created.max(completed));
                (created, start <= last && end >= first)
            }
            (None, Some(completed), None) => (completed, start <= completed && end >= completed),
            (None, None, Some(created)) => (created, end > created),
            // Nobody looks at when it is.
            (None, None, None) => (0, true),
        };
        is_within.then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::calendar::parse;
    use super::super::occurrences::within;
    use super::*;

    #[test]
    fn tasks_concern_the_ranges_that_the_standard_says() {
        let at = |text: &str| chrono::NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M").unwrap().and_utc().timestamp();
        let (due, completed, created) =
            ("DUE:20260705T120000Z", "COMPLETED:20260705T120000Z", "CREATED:20260701T120000Z");
        let both = format!("{created}\r\n{completed}");
        for (lines, from, to, wanted) in [
            (due, "0705T1100", "0705T1200", true),
            (due, "0705T1200", "0705T1300", false),
            (due, "0705T1100", "0705T1159", false),
            ("DUE;VALUE=DATE:20260705", "0704T1200", "0705T0000", true),
            ("DUE;VALUE=DATE:20260705", "0705T0000", "0706T0000", false),
            (completed, "0705T1200", "0705T1300", true),
            (completed, "0705T1201", "0705T1300", false),
            (created, "0701T1100", "0701T1200", false),
            (created, "0801T0000", "0901T0000", true),
            (&both, "0703T0000", "0704T0000", true),
            (&both, "0705T1201", "0706T0000", false),
            (&both, "0630T0000", "0701T1159", false),
            ("SUMMARY:x", "0703T0000", "0704T0000", true),
            ("DUE:20260705T120000Z\r\nRRULE:FREQ=DAILY", "0709T1200", "0709T1300", true),
            ("DTSTART:20260705T120000Z\r\nDURATION:PT1H", "0705T1300", "0705T1400", true),
            ("DTSTART:20260705T120000Z\r\nDURATION:PT1H", "0705T1301", "0705T1400", false),
            ("DTSTART:20260705T120000Z\r\nDUE:20260705T130000Z", "0705T1300", "0705T1400", false),
        ] {
            let text = format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VTODO\r\nUID:a\r\n{lines}\r\nEND:VTODO\r\nEND:VCALENDAR\r\n"
            );
            let range = TimeRange { start: at(&format!("2026{from}")), end: at(&format!("2026{to}")) };
            let found = within(&parse(&text).unwrap(), Tz::UTC, &range, 100);
            assert_eq!(!found.times.is_empty(), wanted, "{lines} {from} {to}");
        }
    }
}
