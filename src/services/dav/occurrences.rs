//! When events happen.

use std::collections::HashSet;

use calcard::common::timezone::Tz;
use calcard::icalendar::dates::TimeOrDelta;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarFrequency, ICalendarProperty, ICalendarRecurrenceRule, ICalendarValue,
};

use super::onward::{carry_on, is_onward};
use super::tasks::{self, includes_end, is_undated};
use super::told::{Told, has_time, nominal};

/// A range without its end, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// The first moment.
    pub start: i64,
    /// The first moment after it.
    pub end: i64,
}

impl TimeRange {
    /// Whether something overlaps with it (RFC 4791 §9.9); a single moment does if it is within.
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
    /// The local time minus the offset from UTC, for texts without a zone.
    pub(super) local: i64,
    /// The same for the end.
    pub(super) local_end: i64,
    /// The time of the series, and its local time, that a change of all later ones has moved.
    pub(super) of: Option<(i64, i64)>,
}

/// All occurrences, as far as they were computed.
#[derive(Debug, Default)]
pub(super) struct Occurrences {
    pub(super) times: Vec<Occurrence>,
    /// Whether a rule may have more after these.
    pub(super) cut: bool,
    /// When the last one of a rule begins.
    last: Option<i64>,
}

/// Times that the rules of a calendar may have in one of their periods, all of which are generated before the first is used.
/// Every quarter of an hour of a year are 35,000.
const MOST_IN_A_PERIOD: usize = 100_000;

/// By how many seconds later times of a series are moved at most towards its beginning, as far as queries look for them.
const MOVED: i64 = 92 * 86_400;

/// Whether the recurrences of a calendar can be generated without exhausting memory.
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

/// An upper bound of the recurrences of a rule in one of its periods (RFC 5545 §3.3.10: each part of it multiplies or
/// limits them).
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
        return Occurrences { cut: true, ..Occurrences::default() };
    }
    let told = Told::of(calendar, zone);
    let found = told.calendar.expand_dates(Tz::Floating, most);
    // Once for each component, not for each of its times: there may be tens of thousands of both.
    let moments: Vec<bool> = calendar.components.iter().map(is_moment).collect();
    let days: Vec<i64> = calendar.components.iter().map(nominal).collect();
    let (mut times, mut known) = (Vec::with_capacity(found.events.len()), HashSet::new());
    let (mut followed, mut last) = (0_usize, None::<i64>);
    for event in found.events {
        let component = event.comp_id;
        let (start, local) = told.when(component, &event.start);
        // Excluded times have been processed like the others.
        if told.follows(component) && event.start.timezone().is_floating() {
            followed += 1;
            last = last.max(Some(start));
        }
        // RFC 5545 §3.8.5.2: a time in both RDATE and a rule is one recurrence. Those of RDATE, which may have their own ends,
        // come first.
        if told.leaves_out(component, start) || told.recurs(component) && !known.insert((component, start)) {
            continue;
        }
        let moment = usize::try_from(component).is_ok_and(|id| moments.get(id) == Some(&true));
        let moment = moment && !told.ends(component, start);
        let (end, local_end) = match event.end {
            _ if moment => (start, local),
            TimeOrDelta::Time(end) => told.when(component, &end),
            TimeOrDelta::Delta(length) => {
                let length = length.num_seconds();
                let days = usize::try_from(component).ok().and_then(|id| days.get(id)).copied();
                let days = days.filter(|_| !told.ends(component, start)).map_or(0, |days| days.min(length).max(0));
                let day = (days > 0).then(|| told.moment(component, local.saturating_add(days))).flatten();
                let end = day.unwrap_or_else(|| start.saturating_add(days)).saturating_add(length - days);
                (end, local.saturating_add(length))
            }
        };
        times.push(Occurrence { component, start, end, local, local_end, of: None });
    }
    carry_on(calendar, &told, &mut times);
    Occurrences { times, cut: followed > 0 && followed >= most, last }
}

/// Those that overlap with a range. No more recurrences are computed than there can be up to its end; if even `most`
/// are too few, later ones count as within, so that no client misses an event.
pub(super) fn within(calendar: &ICalendar, zone: Tz, range: &TimeRange, most: usize) -> Occurrences {
    // Later ones may have been moved to an earlier time.
    let later = if calendar.components.iter().any(is_onward) { MOVED } else { 0 };
    let wanted = needed(calendar, range.end.saturating_add(later)).min(most);
    let mut found = occurrences(calendar, zone, wanted);
    found.cut = found.cut && wanted >= most && found.last.is_none_or(|last| last < range.end);
    // Once for each component, not for each of its times.
    let components = || calendar.components.iter();
    let (undated, closed): (Vec<bool>, Vec<bool>) =
        (components().map(is_undated).collect(), components().map(includes_end).collect());
    let is = |which: &[bool], time: &Occurrence| {
        usize::try_from(time.component).is_ok_and(|id| which.get(id) == Some(&true))
    };
    found.times.retain(|time| {
        let touches = || range.touches(time.start, time.end) || time.end == range.start && is(&closed, time);
        !is(&undated, time) && touches()
    });
    found.times.extend(tasks::undated(calendar, zone, range));
    found
}

/// An event with a time of day for its beginning and neither end nor duration takes no time (RFC 5545 §3.6.1).
fn is_moment(component: &ICalendarComponent) -> bool {
    let has = |property| component.has_property(&property);
    has_time(component)
        && !has(ICalendarProperty::Dtend)
        && !has(ICalendarProperty::Duration)
        && !has(ICalendarProperty::Due)
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

    /// When an event begins, with times without a zone in this one.
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
    fn a_zone_with_a_name_of_its_own_is_the_one_it_describes() {
        let zone = "BEGIN:VTIMEZONE\r\nTZID:Mine\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0900\r\n\
            TZOFFSETTO:+0900\r\nEND:STANDARD\r\nEND:VTIMEZONE";
        let lines = format!(
            "DTSTART;TZID=Mine:20260105T090000\r\nRRULE:FREQ=DAILY;COUNT=2\r\nEND:VEVENT\r\n{zone}\r\nBEGIN:VEVENT"
        );
        let moved = "UID:a\r\nRECURRENCE-ID;TZID=Mine:20260106T090000\r\nDTSTART;TZID=Mine:20260106T100000";
        check_starts(&format!("{lines}\r\n{moved}"), Tz::UTC, "0105T0000 0106T0100");
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
    fn recurrences_while_the_clocks_change_are_at_their_moments() {
        let (spring, autumn) =
            ("DTSTART;TZID=Europe/Berlin:20260328T023000", "DTSTART;TZID=Europe/Berlin:20261024T023000");
        let daily = "RRULE:FREQ=DAILY;COUNT=3";
        check_starts(&format!("{spring}\r\n{daily}"), Tz::UTC, "0328T0130 0329T0130 0330T0030");
        check_starts(&format!("{autumn}\r\n{daily}"), Tz::UTC, "1024T0030 1025T0030 1026T0130");
        for exception in ["EXDATE;TZID=Europe/Berlin:20261025T023000", "EXDATE:20261025T003000Z"] {
            check_starts(&format!("{autumn}\r\n{daily}\r\n{exception}"), Tz::UTC, "1024T0030 1026T0130");
        }
        check_starts(&format!("{spring}\r\n{daily}\r\nEXDATE:20260329T013000Z"), Tz::UTC, "0328T0130 0330T0030");
        for id in ["RECURRENCE-ID;TZID=Europe/Berlin:20261025T023000", "RECURRENCE-ID:20261025T003000Z"] {
            let moved = format!("END:VEVENT\r\nBEGIN:VEVENT\r\nUID:a\r\n{id}\r\nDTSTART:20261025T120000Z");
            check_starts(&format!("{autumn}\r\n{daily}\r\n{moved}"), Tz::UTC, "1024T0030 1025T1200 1026T0130");
        }
        let chile: Tz = "America/Santiago".parse().unwrap();
        check_starts("DTSTART;VALUE=DATE:20260905\r\nRRULE:FREQ=DAILY;COUNT=2", chile, "0905T0400 0906T0400");
    }

    #[test]
    fn times_that_are_added_to_a_series_can_be_left_out_and_changed() {
        let added = "DTSTART:20260105T090000Z\r\nRDATE:20260106T090000Z,20260107T090000Z";
        let moved = "END:VEVENT\r\nBEGIN:VEVENT\r\nUID:a\r\nRECURRENCE-ID:20260107T090000Z\r\nDTSTART:20260107T120000Z";
        for rule in ["", "\r\nRRULE:FREQ=YEARLY;COUNT=1"] {
            let lines = format!("{added}{rule}");
            check_starts(&lines, Tz::UTC, "0105T0900 0106T0900 0107T0900");
            check_starts(&format!("{lines}\r\nEXDATE:20260107T090000Z"), Tz::UTC, "0105T0900 0106T0900");
            check_starts(&format!("{lines}\r\nEXDATE:20260105T090000Z"), Tz::UTC, "0106T0900 0107T0900");
            check_starts(&format!("{lines}\r\n{moved}"), Tz::UTC, "0105T0900 0106T0900 0107T1200");
        }
        check_starts(&format!("{added}\r\nRRULE:FREQ=DAILY;COUNT=2"), Tz::UTC, "0105T0900 0106T0900 0107T0900");
    }

    #[test]
    fn added_times_may_have_ends_of_their_own() {
        for length in ["", "\r\nDTEND:20260105T093000Z", "\r\nDURATION:PT30M"] {
            let text = format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260105T090000Z{length}\r\n\
                 RDATE;VALUE=PERIOD:20260106T090000Z/PT2H,20260107T090000Z/20260107T120000Z\r\n\
                 RDATE:20260108T090000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
            );
            let calendar = super::super::calendar::parse(&text).unwrap();
            let mut times = occurrences(&calendar, Tz::UTC, 10).times;
            times.sort_unstable_by_key(|time| time.start);
            let lengths: Vec<i64> = times.iter().map(|time| time.end - time.start).collect();
            let usual = if length.is_empty() { 0 } else { 1_800 };
            assert_eq!(lengths, [usual, 7_200, 10_800, usual], "{length}");
        }
    }

    #[test]
    fn a_day_of_a_series_may_be_named_by_its_midnight() {
        let (berlin, tokyo): (Tz, Tz) = ("Europe/Berlin".parse().unwrap(), "Asia/Tokyo".parse().unwrap());
        let daily = "DTSTART;VALUE=DATE:20260105\r\nRRULE:FREQ=DAILY;COUNT=3";
        for exception in [
            "EXDATE;VALUE=DATE:20260106",
            "EXDATE:20260106T000000",
            "EXDATE:20260106T000000Z",
            "EXDATE;TZID=Europe/Berlin:20260106T000000",
            "EXDATE;TZID=America/New_York:20260106T000000",
        ] {
            check_starts(&format!("{daily}\r\n{exception}"), Tz::UTC, "0105T0000 0107T0000");
            check_starts(&format!("{daily}\r\n{exception}"), berlin, "0104T2300 0106T2300");
            check_starts(&format!("{daily}\r\n{exception}"), tokyo, "0104T1500 0106T1500");
            let moved = exception.replace("EXDATE", "END:VEVENT\r\nBEGIN:VEVENT\r\nUID:a\r\nRECURRENCE-ID");
            let moved = format!("{daily}\r\n{moved}\r\nDTSTART:20260106T120000Z");
            check_starts(&moved, Tz::UTC, "0105T0000 0106T1200 0107T0000");
        }
        // Any other time stands for the beginning of the day.
        check_starts(&format!("{daily}\r\nEXDATE:20260105T230000Z"), berlin, "0104T2300 0106T2300");
    }

    #[test]
    fn what_takes_the_place_of_a_series_from_some_time_on_goes_on() {
        let series = "DTSTART;TZID=Europe/Berlin:20260105T090000\r\nRRULE:FREQ=DAILY;COUNT=3\r\nEND:VEVENT";
        for id in ["TZID=Europe/Berlin:20260106T090000", "X=y:20260106T080000Z"] {
            let onward = format!(
                "BEGIN:VEVENT\r\nUID:a\r\nRECURRENCE-ID;RANGE=THISANDFUTURE;{id}\r\n\
                 DTSTART;TZID=Europe/Berlin:20260106T100000"
            );
            check_starts(&format!("{series}\r\n{onward}"), Tz::UTC, "0105T0800 0106T0900 0107T0900");
        }
    }

    #[test]
    fn what_goes_on_is_left_out_and_changed_by_its_former_times() {
        let series = "DTSTART;TZID=Europe/Berlin:20260105T090000\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY;COUNT=6\r\n\
            EXDATE;TZID=Europe/Berlin:20260107T090000\r\nEND:VEVENT";
        let change =
            |id: &str, lines: &str| format!("BEGIN:VEVENT\r\nUID:a\r\nRECURRENCE-ID{id};TZID=Europe/Berlin:{lines}");
        let onward = change(
            ";RANGE=THISANDFUTURE",
            "20260106T090000\r\nDTSTART:20260106T090000Z\r\nDURATION:PT3H\r\nEND:VEVENT",
        );
        let once = change("", "20260108T090000\r\nDTSTART:20260108T150000Z\r\nDURATION:PT1H\r\nEND:VEVENT");
        let again = change(";RANGE=THISANDFUTURE", "20260110T090000\r\nDTSTART:20260110T060000Z\r\nDURATION:PT2H");
        let lines = [series, &onward, &once, &again].join("\r\n");
        check_starts(&lines, Tz::UTC, "0105T0800 0106T0900 0108T1500 0109T0900 0110T0600");
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\n{lines}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        );
        let calendar = super::super::calendar::parse(&text).unwrap();
        let mut times = occurrences(&calendar, Tz::UTC, 100).times;
        times.sort_unstable_by_key(|time| time.start);
        let hours: Vec<i64> = times.iter().map(|time| (time.end - time.start) / 3_600).collect();
        assert_eq!(hours, [1, 3, 1, 3, 2]);
    }

    #[test]
    fn recurrences_end_where_their_zone_has_it() {
        let text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART;TZID=Europe/Berlin:20260105T100000\r\n\
                    DTEND;TZID=America/New_York:20260105T130000\r\nRRULE:FREQ=WEEKLY;COUNT=2\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let calendar = super::super::calendar::parse(text).unwrap();
        let lengths: Vec<i64> =
            occurrences(&calendar, Tz::UTC, 10).times.iter().map(|time| time.end - time.start).collect();
        assert_eq!(lengths, [9 * 3_600; 2]);
    }

    #[test]
    fn days_are_as_long_as_the_clocks_have_them() {
        let berlin: Tz = "Europe/Berlin".parse().unwrap();
        let at_noon = "DTSTART;TZID=Europe/Berlin:20261024T120000\r\nDURATION:";
        for (lines, wanted) in [
            ("DTSTART;VALUE=DATE:20260328\r\nRRULE:FREQ=DAILY;COUNT=3", vec![24, 23, 24]),
            ("DTSTART;VALUE=DATE:20261025", vec![25]),
            ("DTSTART;VALUE=DATE:20261024\r\nDURATION:P2D", vec![49]),
            (&format!("{at_noon}P1D"), vec![25]),
            (&format!("{at_noon}P1DT2H"), vec![27]),
            (&format!("{at_noon}PT24H"), vec![24]),
        ] {
            let text = format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\n{lines}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
            );
            let calendar = super::super::calendar::parse(&text).unwrap();
            let mut times = occurrences(&calendar, berlin, 10).times;
            times.sort_unstable_by_key(|time| time.start);
            let hours: Vec<i64> = times.iter().map(|time| (time.end - time.start) / 3_600).collect();
            assert_eq!(hours, wanted, "{lines}");
        }
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
