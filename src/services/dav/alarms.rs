//! When alarms fire.

use calcard::icalendar::{
    ICalendarComponent, ICalendarParameterName, ICalendarParameterValue, ICalendarProperty, ICalendarRelated,
    ICalendarValue,
};

use super::filter::Question;
use super::occurrences::{Occurrence, TimeRange};

/// What the first time of an alarm is relative to (RFC 5545 §3.8.6.3), in seconds.
#[derive(Debug, Clone, Copy)]
enum Trigger {
    /// Since 1970.
    At(i64),
    /// From the beginning of the component.
    FromStart(i64),
    /// From its end.
    FromEnd(i64),
}

impl Trigger {
    fn of(alarm: &ICalendarComponent) -> Option<Self> {
        let entry = alarm.property(&ICalendarProperty::Trigger)?;
        let from_end = matches!(
            entry.parameter(&ICalendarParameterName::Related),
            Some(ICalendarParameterValue::Related(ICalendarRelated::End))
        );
        match entry.values.first()? {
            ICalendarValue::Duration(offset) if from_end => Some(Self::FromEnd(offset.as_seconds())),
            ICalendarValue::Duration(offset) => Some(Self::FromStart(offset.as_seconds())),
            ICalendarValue::PartialDateTime(at) => at.to_timestamp().map(Self::At),
            _ => None,
        }
    }
}

/// An alarm that is repeated after its first time (RFC 5545 §3.8.6.2), every `every` seconds.
#[derive(Debug, Clone, Copy)]
struct Repeated {
    every: i64,
    last: i64,
}

impl Repeated {
    fn of(alarm: &ICalendarComponent) -> Self {
        let value = |name| alarm.property(&name).and_then(|entry| entry.values.first());
        match (value(ICalendarProperty::Repeat), value(ICalendarProperty::Duration)) {
            (Some(ICalendarValue::Integer(times)), Some(ICalendarValue::Duration(every))) if *times > 0 => {
                let every = every.as_seconds().max(1);
                Self { every, last: every.saturating_mul(*times) }
            }
            _ => Self { every: 1, last: 0 },
        }
    }

    /// Whether one of its times is within a range, counted from the first one.
    const fn touches(self, first: i64, range: &TimeRange) -> bool {
        let missing = range.start.saturating_sub(first);
        // The first of them that is not before the range.
        let steps = if missing <= 0 { 0 } else { (missing - 1) / self.every + 1 };
        let offset = steps.saturating_mul(self.every);
        offset <= self.last && first.saturating_add(offset) < range.end
    }
}

/// Whether an alarm of the component with this number fires within a range (RFC 4791 §9.9), or may fire: if there is more to
/// check than the limit allows, the answer is yes, so that no client misses it.
pub(super) fn goes_off(question: &Question<'_>, parent: u32, alarm: &ICalendarComponent, range: &TimeRange) -> bool {
    let Some(trigger) = Trigger::of(alarm) else { return false };
    let repeated = Repeated::of(alarm);
    let (offset, moment): (i64, fn(&Occurrence) -> i64) = match trigger {
        Trigger::At(at) => return repeated.touches(at, range),
        Trigger::FromStart(offset) => (offset, |time| time.start),
        Trigger::FromEnd(offset) => (offset, |time| time.end),
    };
    // Components that begin or end where their alarm would fire within the range.
    let start = range.start.saturating_sub(offset).saturating_sub(repeated.last).saturating_sub(1);
    let end = range.end.saturating_sub(offset).saturating_add(1);
    let Some(found) = question.happening(&TimeRange { start, end }) else { return true };
    let own = found.times.iter().filter(|time| time.component == parent);
    found.cut || own.map(moment).any(|at| repeated.touches(at.saturating_add(offset), range))
}

#[cfg(test)]
mod tests {
    use calcard::common::timezone::Tz;

    use super::*;

    #[test]
    fn alarms_go_off_as_the_standard_has_it() {
        let at = |text: &str| chrono::NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M").unwrap().and_utc().timestamp();
        for (alarm, from, to, wanted) in [
            ("TRIGGER:-PT15M", "20260112T0845", "20260112T0846", true),
            ("TRIGGER:-PT15M", "20260112T0844", "20260112T0845", false),
            ("TRIGGER:-PT15M", "20260112T0846", "20260112T1100", false),
            ("TRIGGER:-P1D", "20260111T0900", "20260111T0901", true),
            ("TRIGGER:-P1D", "20260112T0900", "20260112T0901", false),
            ("TRIGGER;RELATED=END:PT0S", "20260112T1000", "20260112T1001", true),
            ("TRIGGER;RELATED=END:PT0S", "20260112T0900", "20260112T1000", false),
            ("TRIGGER;RELATED=END:-PT10M", "20260112T0950", "20260112T0951", true),
            ("TRIGGER;VALUE=DATE-TIME:20251224T120000Z", "20251224T1200", "20251224T1201", true),
            ("TRIGGER;VALUE=DATE-TIME:20251224T120000Z", "20260112T0900", "20260112T1001", false),
            ("TRIGGER:-PT15M\r\nREPEAT:2\r\nDURATION:PT5M", "20260112T0855", "20260112T0856", true),
            ("TRIGGER:-PT15M\r\nREPEAT:2\r\nDURATION:PT5M", "20260112T0851", "20260112T0855", false),
            ("TRIGGER:-PT15M\r\nREPEAT:2\r\nDURATION:PT5M", "20260112T0900", "20260112T0901", false),
            // After the last of its five events.
            ("TRIGGER:-PT15M", "20260209T0845", "20260209T0846", false),
            ("ACTION:AUDIO", "20260112T0800", "20260112T1200", false),
        ] {
            let text = format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260105T090000Z\r\nDTEND:20260105T100000Z\r\n\
                 RRULE:FREQ=WEEKLY;COUNT=5\r\nBEGIN:VALARM\r\n{alarm}\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
            );
            let calendar = super::super::calendar::parse(&text).unwrap();
            let (parent, event) = (1, calendar.component_by_id(1).unwrap());
            let alarm_of = calendar.component_by_id(event.component_ids[0]).unwrap();
            let range = TimeRange { start: at(from), end: at(to) };
            assert_eq!(
                goes_off(&Question::new(&calendar, Tz::UTC, 100), parent, alarm_of, &range),
                wanted,
                "{alarm} {from} {to}"
            );
        }
    }

    #[test]
    fn thousands_of_alarms_are_not_looked_at_one_by_one() {
        let alarm = |minutes: u32| format!("BEGIN:VALARM\r\nACTION:AUDIO\r\nTRIGGER:-PT{minutes}M\r\nEND:VALARM\r\n");
        let text = |alarms: u32| {
            let alarms: String = (0..alarms).map(alarm).collect();
            format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20200105T090000Z\r\nRRULE:FREQ=DAILY;COUNT=2\r\n\
                 {alarms}END:VEVENT\r\nEND:VCALENDAR\r\n"
            )
        };
        for (alarms, wanted) in [(64, false), (65, true), (5_000, true)] {
            let calendar = super::super::calendar::parse(&text(alarms)).unwrap();
            let question = Question::new(&calendar, Tz::UTC, 100);
            let event = calendar.component_by_id(1).unwrap();
            let range = TimeRange { start: 0, end: 60 };
            let goes_off = |id: &u32| goes_off(&question, 1, calendar.component_by_id(*id).unwrap(), &range);
            assert_eq!(event.component_ids.iter().any(goes_off), wanted, "{alarms}");
        }
    }
}
