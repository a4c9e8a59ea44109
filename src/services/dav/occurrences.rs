//! When events happen.

use std::borrow::Cow;

use calcard::common::PartialDateTime;
use calcard::common::timezone::Tz;
use calcard::icalendar::dates::TimeOrDelta;
use calcard::icalendar::timezone::TzResolver;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarFrequency, ICalendarParameter, ICalendarParameterName,
    ICalendarParameterValue, ICalendarProperty, ICalendarRecurrenceRule, ICalendarValue,
};
use chrono::{Offset as _, TimeDelta, TimeZone as _};

use super::expand::moment;

/// From the first moment up to and without the last, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// The first moment.
    pub start: i64,
    /// The first moment after it.
    pub end: i64,
}

impl TimeRange {
    /// Whether something has to do with it (RFC 4791 §9.9): a moment without length when it lies within.
    pub const fn touches(&self, start: i64, end: i64) -> bool {
        if start >= end { start >= self.start && start < self.end } else { start < self.end && end > self.start }
    }
}

/// One time at which a component happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Occurrence {
    /// The component's number.
    pub(super) component: u32,
    pub(super) start: i64,
    pub(super) end: i64,
    /// The local time less the offset from UTC, for texts without a zone.
    pub(super) local: i64,
}

/// All of them, as far as they were looked for.
#[derive(Debug, Default)]
pub(super) struct Occurrences {
    pub(super) times: Vec<Occurrence>,
    /// Whether there may be others after the last.
    pub(super) cut: bool,
}

/// Times that the rules of a calendar may have in one of their periods, all of which are made before the first is looked at.
/// Every quarter of an hour of a year are 35,000.
const MOST_IN_A_PERIOD: usize = 100_000;

/// Whether the recurrences of a calendar can be made without taking all the memory there is.
pub(super) fn is_bounded(calendar: &ICalendar) -> bool {
    let rules = |component: &ICalendarComponent| {
        let entries = component.entries.iter().flat_map(|entry| &entry.values);
        let counts = entries.filter_map(|value| match value {
            ICalendarValue::RecurrenceRule(rule) => Some(in_a_period(rule)),
            _ => None,
        });
        counts.fold(0, usize::saturating_add)
    };
    calendar.components.iter().map(rules).fold(0, usize::saturating_add) <= MOST_IN_A_PERIOD
}

/// An upper bound of the recurrences of a rule in one of its periods (RFC 5545 §3.3.10: each part of it multiplies them, or
/// picks some).
fn in_a_period(rule: &ICalendarRecurrenceRule) -> usize {
    use ICalendarFrequency::{Daily, Monthly, Weekly, Yearly};
    let picks_days =
        !(rule.byday.is_empty() && rule.bymonthday.is_empty() && rule.byyearday.is_empty() && rule.byweekno.is_empty());
    let days = match rule.freq {
        Yearly if picks_days => 366,
        Yearly => times(&rule.bymonth),
        Monthly if picks_days => 31,
        Weekly => 7,
        _ => 1,
    };
    let of_a_day = match rule.freq {
        Yearly | Monthly | Weekly | Daily => times(&rule.byhour) * times(&rule.byminute) * times(&rule.bysecond),
        ICalendarFrequency::Hourly => times(&rule.byminute) * times(&rule.bysecond),
        _ => times(&rule.bysecond),
    };
    days.saturating_mul(of_a_day)
}

fn times<T>(list: &[T]) -> usize {
    list.len().max(1)
}

/// The times of a calendar's components; at most `most` of what recurs.
pub(super) fn occurrences(calendar: &ICalendar, zone: Tz, most: usize) -> Occurrences {
    if !is_bounded(calendar) {
        return Occurrences { times: Vec::new(), cut: true };
    }
    let found = in_local_time(told(without_sequences(calendar), zone), zone).expand_dates(zone, most);
    let recurs = calendar.components.iter().any(|component| component.is_recurrent());
    // Times that are left out have been looked at like the others.
    let entries = calendar.components.iter().flat_map(|component| &component.entries);
    let exceptions = entries.filter(|entry| entry.name == ICalendarProperty::Exdate);
    let left_out: usize = exceptions.map(|entry| entry.values.len()).sum();
    let cut = recurs && found.events.len().saturating_add(left_out) >= most;
    // Once for each component and not for each of its times: both may be ten thousands.
    let moments: Vec<bool> = calendar.components.iter().map(is_moment).collect();
    let times = found
        .events
        .into_iter()
        .map(|event| {
            let start = event.start.timestamp();
            let local = event.start.naive_local().and_utc().timestamp();
            let moment = usize::try_from(event.comp_id).is_ok_and(|id| moments.get(id) == Some(&true));
            let end = match event.end {
                _ if moment => start,
                TimeOrDelta::Time(end) => end.timestamp(),
                TimeOrDelta::Delta(length) => start.saturating_add(length.num_seconds()),
            };
            Occurrence { component: event.comp_id, start, end, local }
        })
        .collect();
    Occurrences { times, cut }
}

/// A calendar whose overridden recurrences can be told: by calcard's measure one takes the place of the rule's only where their
/// SEQUENCE agrees, which programs raise for that recurrence alone. They are known by RECURRENCE-ID (RFC 5545 §3.8.4.4).
fn without_sequences(calendar: &ICalendar) -> Cow<'_, ICalendar> {
    let has = |property| calendar.components.iter().any(|component| component.has_property(&property));
    if !has(ICalendarProperty::RecurrenceId) || !has(ICalendarProperty::Sequence) {
        return Cow::Borrowed(calendar);
    }
    let mut calendar = calendar.clone();
    for component in &mut calendar.components {
        component.entries.retain(|entry| entry.name != ICalendarProperty::Sequence);
    }
    Cow::Owned(calendar)
}

/// A calendar in which what begins or ends at a local time that the clocks skip or show twice has a time at all, which it has not
/// for calcard. What recurs is followed in local time and stays.
fn told(mut calendar: Cow<'_, ICalendar>, zone: Tz) -> Cow<'_, ICalendar> {
    use ICalendarProperty::{Dtend, Dtstart, Due};
    let zones = calendar.build_owned_tz_resolver().with_default(zone);
    let mut changed = Vec::new();
    for (n, component) in calendar.components.iter().enumerate().filter(|(_, component)| !component.is_recurrent()) {
        for (m, entry) in component.entries.iter().enumerate() {
            if matches!(entry.name, Dtstart | Dtend | Due)
                && let Some(ICalendarValue::PartialDateTime(at)) = entry.values.first()
                && let Some(at) = in_utc(at, zones.resolve_or_default(entry.tz_id()))
            {
                changed.push((n, m, at));
            }
        }
    }
    for (n, m, at) in changed {
        calendar.to_mut().components[n].entries[m].values = vec![ICalendarValue::PartialDateTime(Box::new(at))];
    }
    calendar
}

/// A local time that there is not just once, told by the offset before the clocks are changed (RFC 5545 §3.3.5).
fn in_utc(at: &PartialDateTime, zone: Tz) -> Option<PartialDateTime> {
    let local = at.to_date_time().filter(|at| at.offset.is_none())?.date_time;
    if zone.offset_from_local_datetime(&local).single().is_some() {
        return None;
    }
    let before = zone.offset_from_local_datetime(&(local - TimeDelta::days(1))).earliest()?;
    Some(moment((local - before.fix()).and_utc().timestamp(), false))
}

/// A calendar whose rules can be followed in local time, as calcard does: in that of `zone` where DTSTART names no other.
fn in_local_time(mut calendar: Cow<'_, ICalendar>, zone: Tz) -> Cow<'_, ICalendar> {
    let recurs = |component: &ICalendarComponent| component.has_property(&ICalendarProperty::Rrule);
    if calendar.components.iter().any(recurs) {
        let zones = calendar.build_owned_tz_resolver().with_default(zone);
        let components = calendar.to_mut().components.iter_mut();
        components.filter(|component| recurs(component)).for_each(|component| follow_locally(component, &zones));
    }
    calendar
}

/// Lets a component in UTC name that as its zone, and UNTIL, which is in UTC beside a local DTSTART (RFC 5545 §3.3.10), be the
/// local time that the component's times are compared with.
fn follow_locally(component: &mut ICalendarComponent, zones: &TzResolver<String>) {
    let Some(start) = component.property_mut(&ICalendarProperty::Dtstart) else { return };
    let Some(ICalendarValue::PartialDateTime(at)) = start.values.first() else { return };
    if at.has_zone() {
        start.params.retain(|parameter| parameter.name != ICalendarParameterName::Tzid);
        let value = ICalendarParameterValue::Text("UTC".to_owned());
        start.params.push(ICalendarParameter { name: ICalendarParameterName::Tzid, value });
        return;
    }
    // A day has no zone.
    if !at.has_time() {
        return;
    }
    let zone = zones.resolve_or_default(start.tz_id());
    for value in component.properties_mut(&ICalendarProperty::Rrule).flat_map(|entry| entry.values.iter_mut()) {
        if let ICalendarValue::RecurrenceRule(rule) = value
            && let Some(until) = rule.until.as_mut().filter(|until| until.has_zone())
            && let Some(last) = until.to_date_time_with_tz(Tz::UTC)
        {
            *until = moment(last.with_timezone(&zone).naive_local().and_utc().timestamp(), false);
        }
    }
}

/// Those that have to do with a range. No more recurrences are looked for than there can be up to its end; where even `most`
/// are too few, what comes after counts as within, so that no client misses an event.
pub(super) fn within(calendar: &ICalendar, zone: Tz, range: &TimeRange, most: usize) -> Occurrences {
    let wanted = needed(calendar, range.end).min(most);
    let mut found = occurrences(calendar, zone, wanted);
    let last = found.times.iter().map(|time| time.start).max().unwrap_or(i64::MIN);
    found.cut = found.cut && wanted >= most && last < range.end;
    found.times.retain(|time| range.touches(time.start, time.end));
    found
}

/// An event with a time of day for its beginning and neither end nor duration takes no time (RFC 5545 §3.6.1).
fn is_moment(component: &ICalendarComponent) -> bool {
    let has = |property| component.has_property(&property);
    let with_time = component.property(&ICalendarProperty::Dtstart).is_some_and(
        |start| matches!(start.values.first(), Some(ICalendarValue::PartialDateTime(at)) if at.has_time()),
    );
    with_time && !has(ICalendarProperty::Dtend) && !has(ICalendarProperty::Duration) && !has(ICalendarProperty::Due)
}

/// An upper bound of the recurrences of all components that begin before a time.
fn needed(calendar: &ICalendar, end: i64) -> usize {
    let mut sum = 0usize;
    for component in &calendar.components {
        let start = component.property(&ICalendarProperty::Dtstart).and_then(|entry| match entry.values.first() {
            Some(ICalendarValue::PartialDateTime(at)) => at.to_date_time().map(|at| at.date_time.and_utc().timestamp()),
            _ => None,
        });
        for entry in component.properties(&ICalendarProperty::Rrule) {
            let Some(ICalendarValue::RecurrenceRule(rule)) = entry.values.first() else { continue };
            let days = end.saturating_sub(start.unwrap_or(0)).max(0) / 86_400 + 3;
            let days = usize::try_from(days).unwrap_or(usize::MAX);
            sum = sum.saturating_add(days.saturating_mul(per_day(rule))).saturating_add(2);
        }
    }
    sum.max(16)
}

/// The most recurrences of a rule in a day.
fn per_day(rule: &ICalendarRecurrenceRule) -> usize {
    let listed = times(&rule.byhour) * times(&rule.byminute) * times(&rule.bysecond);
    match rule.freq {
        ICalendarFrequency::Secondly => 86_400,
        ICalendarFrequency::Minutely => 1_440 * times(&rule.bysecond),
        ICalendarFrequency::Hourly => 24 * times(&rule.byminute) * times(&rule.bysecond),
        _ => listed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_would_take_all_memory_are_known() {
        let list = |most: u32| (0..most).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        let (hours, minutes) = (list(24), list(60));
        let every_second = format!("BYHOUR={hours};BYMINUTE={minutes};BYSECOND={minutes}");
        for (rule, wanted) in [
            ("FREQ=YEARLY".to_owned(), true),
            ("FREQ=SECONDLY".to_owned(), true),
            (format!("FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR={hours};BYMINUTE=0,15,30,45"), true),
            (format!("FREQ=DAILY;{every_second}"), true),
            (format!("FREQ=YEARLY;{every_second};BYDAY=MO"), false),
            (format!("FREQ=YEARLY;{every_second};BYMONTH=1,2"), false),
            (format!("FREQ=MONTHLY;{every_second};BYMONTHDAY=1"), false),
            (format!("FREQ=WEEKLY;{every_second};BYSETPOS=1"), false),
        ] {
            let text = format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:19700101T000000Z\r\nRRULE:{rule}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
            );
            let calendar = super::super::calendar::parse(&text).unwrap();
            assert_eq!(is_bounded(&calendar), wanted, "{rule}");
            assert_eq!(occurrences(&calendar, Tz::UTC, 10).times.is_empty(), !wanted, "{rule}");
        }
    }

    #[test]
    fn an_overridden_recurrence_happens_once() {
        for (of_all, of_one) in [
            ("", ""),
            ("SEQUENCE:1\r\n", "SEQUENCE:1\r\n"),
            ("", "SEQUENCE:1\r\n"),
            ("SEQUENCE:1\r\n", "SEQUENCE:2\r\n"),
        ] {
            let text = format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:19700101T000000Z\r\n{of_all}\
                 RRULE:FREQ=DAILY;COUNT=3\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:a\r\nRECURRENCE-ID:19700102T000000Z\r\n\
                 DTSTART:19700102T010000Z\r\n{of_one}END:VEVENT\r\nEND:VCALENDAR\r\n"
            );
            let calendar = super::super::calendar::parse(&text).unwrap();
            let mut starts: Vec<_> = occurrences(&calendar, Tz::UTC, 10).times.iter().map(|time| time.start).collect();
            starts.sort_unstable();
            assert_eq!(starts, [0, 90_000, 172_800], "{of_all} {of_one}");
        }
    }

    /// When an event begins, where times that name no zone are in this one.
    fn check_starts(lines: &str, zone: Tz, wanted: &str) {
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\n{lines}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        );
        let calendar = super::super::calendar::parse(&text).unwrap();
        let mut starts: Vec<i64> = occurrences(&calendar, zone, 100).times.iter().map(|time| time.start).collect();
        starts.sort_unstable();
        let written = |at: &i64| chrono::DateTime::from_timestamp(*at, 0).unwrap().format("%m%dT%H%M").to_string();
        assert_eq!(starts.iter().map(written).collect::<Vec<_>>().join(" "), wanted, "{lines}");
    }

    #[test]
    fn rules_end_with_the_moment_that_they_name() {
        for (lines, wanted) in [
            // The last one begins at UNTIL, as Outlook and Exchange write it.
            (
                "DTSTART;TZID=Europe/Berlin:20260105T090000\r\nRRULE:FREQ=WEEKLY;UNTIL=20260119T080000Z",
                "0105T0800 0112T0800 0119T0800",
            ),
            ("DTSTART;TZID=Europe/Berlin:20260105T090000\r\nRRULE:FREQ=WEEKLY;UNTIL=20260105T080000Z", "0105T0800"),
            (
                "DTSTART;TZID=Asia/Tokyo:20260105T080000\r\nRRULE:FREQ=DAILY;UNTIL=20260105T230000Z",
                "0104T2300 0105T2300",
            ),
            // UNTIL is the end of January 6 there.
            (
                "DTSTART;TZID=America/Los_Angeles:20260105T070000\r\nRRULE:FREQ=DAILY;UNTIL=20260107T075959Z",
                "0105T1500 0106T1500",
            ),
            (
                "DTSTART;TZID=Europe/Berlin:20260105T090000\r\nRRULE:FREQ=DAILY;UNTIL=20260106T090000",
                "0105T0800 0106T0800",
            ),
            ("DTSTART;VALUE=DATE:20260105\r\nRRULE:FREQ=DAILY;UNTIL=20260106", "0105T0000 0106T0000"),
        ] {
            check_starts(lines, Tz::UTC, wanted);
        }
    }

    #[test]
    fn rules_in_utc_are_of_no_other_zone() {
        let tokyo: Tz = "Asia/Tokyo".parse().unwrap();
        let daily = "DTSTART:20260105T090000Z\r\nRRULE:FREQ=DAILY;UNTIL=20260107T090000Z\r\nEXDATE:20260106T090000Z";
        check_starts(daily, tokyo, "0105T0900 0107T0900");
        check_starts("DTSTART:20260105T090000\r\nRRULE:FREQ=DAILY;COUNT=2", tokyo, "0105T0000 0106T0000");
        let until = "DTSTART:20260105T090000\r\nRRULE:FREQ=DAILY;UNTIL=20260106T000000Z";
        check_starts(until, tokyo, "0105T0000 0106T0000");
    }

    #[test]
    fn what_happens_while_the_clocks_change_has_a_time() {
        check_starts("DTSTART;TZID=Europe/Berlin:20260329T023000", Tz::UTC, "0329T0130");
        check_starts("DTSTART;TZID=Europe/Berlin:20261025T023000\r\nDURATION:PT1H", Tz::UTC, "1025T0030");
        // There, September 6 has no midnight.
        let chile: Tz = "America/Santiago".parse().unwrap();
        check_starts("DTSTART;VALUE=DATE:20260906", chile, "0906T0400");
        check_starts("DTSTART;VALUE=DATE:20260905\r\nDTEND;VALUE=DATE:20260906", chile, "0905T0400");
    }

    #[test]
    fn ranges_touch_as_the_standard_has_it() {
        let range = TimeRange { start: 100, end: 200 };
        for (start, end, wanted) in [
            (100, 100, true),
            (200, 200, false),
            (50, 100, false),
            (50, 101, true),
            (199, 300, true),
            (200, 300, false),
            (0, 1000, true),
        ] {
            assert_eq!(range.touches(start, end), wanted, "{start}-{end}");
        }
    }
}
