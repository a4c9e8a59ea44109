//! Recurrences expanded to separate events, and busy times.

use std::fmt::Write as _;

use calcard::common::PartialDateTime;
use calcard::common::timezone::Tz;
use calcard::icalendar::timezone::TzResolver;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarParameterName,
    ICalendarParameterValue, ICalendarParticipationStatus, ICalendarProperty, ICalendarValue,
};
use chrono::{DateTime, Datelike as _, Timelike as _};

use super::calendar::CalendarObject;
use super::filter::{has_value, text_of, timed};
use super::occurrences::{Occurrence, Occurrences, TimeRange, within};
use super::scheduling::calendar_user;
use super::told::in_utc;

/// Most octets of one object's recurrences that are expanded.
const MOST_WRITTEN: usize = 4 << 20;

/// The object with every recurrence in the range as a separate component, in UTC (RFC 4791 §9.6.5). `size` is that of the
/// object in octets; `None` when the result would be too large, or when there may be more recurrences than are looked at.
pub fn expanded(object: &CalendarObject, size: usize, range: &TimeRange, zone: Tz, most: usize) -> Option<String> {
    let calendar = &object.calendar;
    let Occurrences { times: mut found, cut, .. } = within(calendar, zone, range, most);
    if cut || found.len().saturating_mul(size) > MOST_WRITTEN {
        return None;
    }
    found.sort_by_key(|time| time.start);
    let mut components = Vec::with_capacity(found.len() + 1);
    if let Some(root) = calendar.components.first() {
        components.push(ICalendarComponent { component_ids: Vec::new(), ..root.clone() });
    }
    // The components of a VTIMEZONE recur by themselves.
    let recurs = timed(calendar).any(ICalendarComponent::is_recurrent_or_override);
    let zones = calendar.build_owned_tz_resolver().with_default(zone);
    for time in &found {
        let Some(component) = calendar.component_by_id(time.component) else { continue };
        let mut copy = ICalendarComponent { component_ids: Vec::new(), ..instance(component, time, recurs, &zones) };
        let own = u32::try_from(components.len()).unwrap_or(u32::MAX);
        if let Some(root) = components.first_mut() {
            root.component_ids.push(own);
        }
        // Alarms stay with their event.
        let alarms: Vec<_> = component.component_ids.iter().filter_map(|id| calendar.component_by_id(*id)).collect();
        copy.component_ids = (1..=alarms.len()).filter_map(|n| own.checked_add(u32::try_from(n).ok()?)).collect();
        components.push(copy);
        components
            .extend(alarms.into_iter().map(|alarm| ICalendarComponent { component_ids: Vec::new(), ..alarm.clone() }));
    }
    Some(ICalendar { components }.to_string())
}

/// A component for one recurrence. Times that name a zone are converted to UTC, others stay days and local times.
fn instance(
    component: &ICalendarComponent,
    time: &Occurrence,
    recurs: bool,
    zones: &TzResolver<String>,
) -> ICalendarComponent {
    use ICalendarProperty::{Dtend, Dtstart, Due, Duration, Exdate, Rdate, RecurrenceId, Rrule};
    let begins = component.property(&Dtstart);
    let (is_date, is_local) = match begins.map(|entry| (entry.tz_id(), entry.values.first())) {
        Some((zone, Some(ICalendarValue::PartialDateTime(at)))) => (!at.has_time(), zone.is_none() && !at.has_zone()),
        _ => (false, false),
    };
    let value = |at| match is_local && !is_date {
        true => PartialDateTime { tz_hour: None, tz_minute: None, ..moment(at, false) },
        false => moment(at, is_date),
    };
    let entry = |name, at| ICalendarEntry {
        name,
        params: Vec::new(),
        values: vec![ICalendarValue::PartialDateTime(Box::new(value(at)))],
    };
    // A day has no zone: it is the local day.
    let has_zone = !is_date && !is_local;
    let (start, end) = if has_zone { (time.start, time.end) } else { (time.local, time.local_end) };
    let mut copy = component.clone();
    copy.entries.retain(|entry| !matches!(entry.name, Rrule | Rdate | Exdate));
    let mut identified = false;
    for old in &mut copy.entries {
        match old.name {
            Dtstart => *old = entry(Dtstart, start),
            Dtend => *old = entry(Dtend, end),
            Due if begins.is_some() => *old = entry(Due, end),
            Due => in_utc(old, zones),
            RecurrenceId => {
                match time.of {
                    Some((at, local)) => *old = entry(RecurrenceId, if has_zone { at } else { local }),
                    None => in_utc(old, zones),
                }
                old.params.retain(|parameter| parameter.name != ICalendarParameterName::Range);
                identified = true;
            }
            _ => {}
        }
    }
    if has_periods(component) {
        // Times of RDATE may have ends of their own.
        copy.entries.retain(|entry| !matches!(entry.name, Dtend | Duration));
        copy.entries.push(entry(Dtend, end));
    }
    if recurs && !identified {
        copy.entries.push(entry(RecurrenceId, start));
    }
    if is_date {
        use calcard::icalendar::{
            ICalendarParameter, ICalendarParameterName, ICalendarParameterValue, ICalendarValueType,
        };
        let days = [Dtstart, Dtend, Due, RecurrenceId];
        for day in copy.entries.iter_mut().filter(|entry| days.contains(&entry.name) && entry.params.is_empty()) {
            day.params.push(ICalendarParameter {
                name: ICalendarParameterName::Value,
                value: ICalendarParameterValue::Value(ICalendarValueType::Date),
            });
        }
    }
    copy
}

/// Whether times are added to an event with their own ends (RFC 5545 §3.8.5.2).
fn has_periods(component: &ICalendarComponent) -> bool {
    let is_period = |value: &ICalendarValue| matches!(value, ICalendarValue::Period(_));
    component.component_type == ICalendarComponentType::VEvent
        && component.properties(&ICalendarProperty::Rdate).any(|entry| entry.values.iter().any(is_period))
}

/// A moment as a value: in UTC, or only its day.
pub(super) fn moment(at: i64, is_date: bool) -> PartialDateTime {
    let at = DateTime::from_timestamp(at, 0).unwrap_or_default();
    let small = |number: u32| u8::try_from(number).unwrap_or_default();
    let day = PartialDateTime {
        year: u16::try_from(at.year()).ok(),
        month: Some(small(at.month())),
        day: Some(small(at.day())),
        ..PartialDateTime::default()
    };
    if is_date {
        return day;
    }
    PartialDateTime {
        hour: Some(small(at.hour())),
        minute: Some(small(at.minute())),
        second: Some(small(at.second())),
        tz_hour: Some(0),
        tz_minute: Some(0),
        ..day
    }
}

/// When the events of an object make somebody busy within a range, and whether only tentatively (RFC 4791 §7.10).
pub fn busy_times(object: &CalendarObject, range: &TimeRange, zone: Tz, most: usize) -> Vec<(TimeRange, bool)> {
    busy_times_of(object, range, zone, most, &|_| false)
}

/// The same for somebody with these addresses, whom an invitation makes busy as far as it is accepted (RFC 6638 §5).
pub fn busy_times_of(
    object: &CalendarObject,
    range: &TimeRange,
    zone: Tz,
    most: usize,
    is_own: &dyn Fn(&str) -> bool,
) -> Vec<(TimeRange, bool)> {
    let calendar = &object.calendar;
    if !timed(calendar).any(|component| component.component_type == ICalendarComponentType::VEvent) {
        return Vec::new();
    }
    // Once for each component, not for each of its times. `None` for components that make nobody busy.
    let tentative = |component: &ICalendarComponent| {
        let free = has_value(component, &ICalendarProperty::Transp, "TRANSPARENT")
            || has_value(component, &ICalendarProperty::Status, "CANCELLED");
        let answer = participation(component, is_own);
        let free = free || answer == Some(&ICalendarParticipationStatus::Declined);
        let open =
            matches!(answer, Some(ICalendarParticipationStatus::NeedsAction | ICalendarParticipationStatus::Tentative));
        (!free).then(|| open || has_value(component, &ICalendarProperty::Status, "TENTATIVE"))
    };
    let tentative: Vec<Option<bool>> = calendar.components.iter().map(tentative).collect();
    let mut found = Vec::new();
    for time in within(calendar, zone, range, most).times {
        let component = usize::try_from(time.component).ok().and_then(|id| tentative.get(id).copied());
        if let Some(Some(tentative)) = component
            && time.start < time.end
        {
            found.push((TimeRange { start: time.start.max(range.start), end: time.end.min(range.end) }, tentative));
        }
    }
    found
}

/// How somebody with these addresses has answered; `None` for who is not invited, or organises it.
fn participation<'a>(
    component: &'a ICalendarComponent,
    is_own: &dyn Fn(&str) -> bool,
) -> Option<&'a ICalendarParticipationStatus> {
    let is_own = |entry: &&ICalendarEntry| is_own(&calendar_user(&text_of(entry)));
    if component.properties(&ICalendarProperty::Organizer).any(|entry| is_own(&entry)) {
        return None;
    }
    let mine = component.properties(&ICalendarProperty::Attendee).find(is_own)?;
    match mine.parameter(&ICalendarParameterName::Partstat) {
        Some(ICalendarParameterValue::Partstat(answer)) => Some(answer),
        _ => Some(&ICalendarParticipationStatus::NeedsAction),
    }
}

impl TimeRange {
    /// The answer to a free-busy query, with the times sorted and merged.
    pub fn free_busy(&self, mut busy: Vec<(Self, bool)>, now: i64) -> String {
        busy.sort_by_key(|(time, tentative)| (*tentative, time.start));
        let mut merged: Vec<(Self, bool)> = Vec::new();
        for (time, tentative) in busy {
            match merged.last_mut() {
                Some((last, same)) if *same == tentative && time.start <= last.end => last.end = last.end.max(time.end),
                _ => merged.push((time, tentative)),
            }
        }
        let mut text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Postrider//free-busy//EN\r\nBEGIN:VFREEBUSY\r\nDTSTAMP:{}\r\nDTSTART:{}\r\nDTEND:{}\r\n",
            utc(now),
            utc(self.start),
            utc(self.end)
        );
        for (time, tentative) in merged {
            let kind = if tentative { "BUSY-TENTATIVE" } else { "BUSY" };
            // Writing to a string cannot fail.
            let _ = write!(text, "FREEBUSY;FBTYPE={kind}:{}/{}\r\n", utc(time.start), utc(time.end));
        }
        text + "END:VFREEBUSY\r\nEND:VCALENDAR\r\n"
    }
}

fn utc(at: i64) -> String {
    DateTime::from_timestamp(at, 0).unwrap_or_default().format("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recurrences_become_events() {
        let text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART;TZID=Europe/Berlin:20260105T090000\r\n\
                    DTEND;TZID=Europe/Berlin:20260105T100000\r\nRRULE:FREQ=DAILY;COUNT=9\r\nSUMMARY:x\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let object = CalendarObject::read(text.as_bytes()).unwrap();
        let range = TimeRange { start: 1_767_657_600, end: 1_767_830_400 };
        let out = expanded(&object, 400, &range, Tz::UTC, 100).unwrap();
        assert_eq!(expanded(&object, MOST_WRITTEN, &range, Tz::UTC, 100), None);
        assert_eq!(out.matches("BEGIN:VEVENT").count(), 2, "{out}");
        for wanted in ["DTSTART:20260106T080000Z", "DTEND:20260107T090000Z", "RECURRENCE-ID:20260107T080000Z"] {
            assert!(out.contains(wanted), "{wanted} in {out}");
        }
        assert!(!out.contains("RRULE"));
        let busy = busy_times(&object, &range, Tz::UTC, 100);
        assert_eq!(busy.len(), 2);
        let answer = range.free_busy(busy, 0);
        assert!(answer.contains("FREEBUSY;FBTYPE=BUSY:20260106T080000Z/20260106T090000Z"), "{answer}");
    }

    #[test]
    fn an_added_time_that_is_cancelled_keeps_nobody_busy() {
        let text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260105T090000Z\r\nDURATION:PT1H\r\n\
                    RDATE:20260106T090000Z\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:a\r\nRECURRENCE-ID:20260106T090000Z\r\n\
                    DTSTART:20260106T090000Z\r\nDURATION:PT1H\r\nSTATUS:CANCELLED\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let object = CalendarObject::read(text.as_bytes()).unwrap();
        let range = TimeRange { start: 1_767_571_200, end: 1_767_744_000 };
        let busy: Vec<i64> = busy_times(&object, &range, Tz::UTC, 100).iter().map(|(time, _)| time.start).collect();
        assert_eq!(busy, [1_767_571_200 + 9 * 3_600]);
    }

    /// The components of an object, expanded for the beginning of 2026.
    fn written(inner: &str) -> String {
        written_in(inner, Tz::UTC)
    }

    /// The same with times without a zone in this one.
    fn written_in(inner: &str, zone: Tz) -> String {
        const ZONE: &str = "BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:STANDARD\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\n\
            DTSTART:19701025T030000\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n";
        let text = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{ZONE}{inner}END:VCALENDAR\r\n");
        let object = CalendarObject::read(text.as_bytes()).unwrap();
        let range = TimeRange { start: 1_767_225_600, end: 1_777_593_600 };
        expanded(&object, 400, &range, zone, 100).unwrap()
    }

    #[test]
    fn what_is_written_out_names_no_zone() {
        let out = written(
            "BEGIN:VEVENT\r\nUID:a\r\nDTSTART;TZID=Europe/Berlin:20260105T090000\r\nRRULE:FREQ=DAILY;COUNT=2\r\nEND:VEVENT\r\n\
             BEGIN:VEVENT\r\nUID:a\r\nRECURRENCE-ID;TZID=Europe/Berlin:20260106T090000\r\n\
             DTSTART;TZID=Europe/Berlin:20260106T100000\r\nEND:VEVENT\r\n",
        );
        assert!(out.contains("RECURRENCE-ID:20260106T080000Z") && !out.contains("TZID"), "{out}");
    }

    #[test]
    fn each_time_of_what_goes_on_names_its_own_former_time() {
        let out = written(
            "BEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260105T090000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY;COUNT=3\r\nEND:VEVENT\r\n\
             BEGIN:VEVENT\r\nUID:a\r\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260106T090000Z\r\nDTSTART:20260106T100000Z\r\n\
             DURATION:PT2H\r\nSUMMARY:later\r\nEND:VEVENT\r\n",
        );
        for wanted in ["RECURRENCE-ID:20260106T090000Z", "RECURRENCE-ID:20260107T090000Z", "DTSTART:20260107T100000Z"] {
            assert!(out.contains(wanted), "{wanted} in {out}");
        }
        assert!(!out.contains("RANGE") && out.matches("SUMMARY:later").count() == 2, "{out}");
    }

    #[test]
    fn what_happens_once_is_no_recurrence() {
        let out = written("BEGIN:VEVENT\r\nUID:a\r\nDTSTART;TZID=Europe/Berlin:20260105T090000\r\nEND:VEVENT\r\n");
        assert!(out.contains("DTSTART:20260105T080000Z") && !out.contains("RECURRENCE-ID"), "{out}");
    }

    #[test]
    fn local_times_stay_local() {
        let out = written(
            "BEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260105T090000\r\nDTEND:20260105T100000\r\nRRULE:FREQ=DAILY;COUNT=2\r\n\
             END:VEVENT\r\n",
        );
        for wanted in ["DTSTART:20260106T090000\r\n", "DTEND:20260106T100000\r\n", "RECURRENCE-ID:20260106T090000\r\n"]
        {
            assert!(out.contains(wanted), "{wanted} in {out}");
        }
    }

    #[test]
    fn days_and_local_times_end_where_they_do_while_the_clocks_change() {
        let berlin: Tz = "Europe/Berlin".parse().unwrap();
        for (start, end) in [
            ("DTSTART;VALUE=DATE:20260329", "DTEND;VALUE=DATE:20260330"),
            ("DTSTART:20260329T010000", "DTEND:20260329T040000"),
        ] {
            let out = written_in(&format!("BEGIN:VEVENT\r\nUID:a\r\n{start}\r\n{end}\r\nEND:VEVENT\r\n"), berlin);
            assert!(out.contains(&format!("{start}\r\n")) && out.contains(&format!("{end}\r\n")), "{out}");
        }
    }

    #[test]
    fn each_time_of_a_task_is_due_at_its_own() {
        let out = written(
            "BEGIN:VTODO\r\nUID:a\r\nDTSTART;TZID=Europe/Berlin:20260105T090000\r\nDUE;TZID=Europe/Berlin:20260105T100000\r\n\
             RRULE:FREQ=DAILY;COUNT=2\r\nEND:VTODO\r\n",
        );
        assert!(out.contains("DUE:20260105T090000Z") && out.contains("DUE:20260106T090000Z"), "{out}");
        let days = "DTSTART;VALUE=DATE:20260105\r\nDUE;VALUE=DATE:20260106\r\nRRULE:FREQ=DAILY;COUNT=2\r\n";
        let out = written(&format!("BEGIN:VTODO\r\nUID:a\r\n{days}END:VTODO\r\n"));
        assert!(out.contains("DUE;VALUE=DATE:20260106") && out.contains("DUE;VALUE=DATE:20260107"), "{out}");
    }

    #[test]
    fn added_times_are_written_with_their_own_ends() {
        let out = written(
            "BEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260105T090000Z\r\nDURATION:PT1H\r\n\
             RDATE;VALUE=PERIOD:20260106T090000Z/PT5H\r\nEND:VEVENT\r\n",
        );
        assert!(out.contains("DTEND:20260105T100000Z") && out.contains("DTEND:20260106T140000Z"), "{out}");
        assert!(!out.contains("DURATION"), "{out}");
    }

    #[test]
    fn tasks_without_a_beginning_are_written_too() {
        let out = written("BEGIN:VTODO\r\nUID:a\r\nSUMMARY:x\r\nEND:VTODO\r\n");
        assert!(out.contains("BEGIN:VTODO") && !out.contains("DTSTART"), "{out}");
        let out = written("BEGIN:VTODO\r\nUID:a\r\nDUE;TZID=Europe/Berlin:20260105T090000\r\nEND:VTODO\r\n");
        assert!(out.contains("DUE:20260105T080000Z"), "{out}");
    }

    #[test]
    fn what_has_too_many_recurrences_is_shown_with_its_rule() {
        let text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:19900105T090000Z\r\nRRULE:FREQ=DAILY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let object = CalendarObject::read(text.as_bytes()).unwrap();
        let range = TimeRange { start: 1_768_176_000, end: 1_768_262_400 };
        assert_eq!(expanded(&object, 400, &range, Tz::UTC, 10_000), None);
        assert!(
            expanded(&object, 400, &range, Tz::UTC, 20_000).is_some_and(|out| out.contains("DTSTART:20260112T090000Z"))
        );
    }

    #[test]
    fn days_stay_days() {
        let text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART;VALUE=DATE:20260105\r\nRRULE:FREQ=WEEKLY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let object = CalendarObject::read(text.as_bytes()).unwrap();
        let range = TimeRange { start: 1_768_176_000, end: 1_768_262_400 };
        let out = expanded(&object, 400, &range, Tz::UTC, 100).unwrap();
        assert!(out.contains("DTSTART;VALUE=DATE:20260112"), "{out}");
    }
}
