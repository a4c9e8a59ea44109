//! Calendar objects.

use calcard::common::timezone::Tz;
use calcard::icalendar::{ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarProperty, ICalendarValue};
use calcard::{Entry, Parser};

use super::components::without_method;
use super::occurrences::{is_bounded, occurrences};
use super::zones::locate;
use super::{Unfit, etag, scheduled_etag, text};
use crate::foundations::said::said;
use crate::storage::dav::Draft;

/// Longest UID that is kept, in characters.
const LONGEST_UID: usize = 255;
/// Components with a rule: a rule that matches no day costs hundredths of a second before that is known.
const MOST_RULES: usize = 16;
/// Seconds by which times without a zone may be off, in either direction.
const DAY: i64 = 86_400;

/// An event, a task or a journal entry, with all its exceptions.
#[derive(Debug, Clone)]
pub struct CalendarObject {
    pub(super) calendar: ICalendar,
    uid: String,
    component: String,
}

impl CalendarObject {
    /// Reads an object and checks the requirements of RFC 4791 §4.1.
    ///
    /// # Errors
    /// It is not valid.
    pub fn read(content: &[u8]) -> Result<Self, Unfit> {
        let text = text(content)?;
        let calendar = parse(text)?;
        check_lines(text)?;
        if !calendar.components.iter().all(has_real_times) {
            return Err(Unfit::Malformed(said!("event-time", "a time is invalid (RFC 5545 §3.3.5)")));
        }
        check_rules(&calendar)?;
        let root = calendar.components.first();
        let root = root.filter(|root| root.component_type == ICalendarComponentType::VCalendar);
        let root = root.ok_or_else(|| Unfit::Malformed(said!("event-no-calendar", "there is no VCALENDAR")))?;
        if root.has_property(&ICalendarProperty::Method) {
            return Err(Unfit::Rule(said!("event-method", "a stored object must not have a METHOD")));
        }
        let mut kind: Option<(&ICalendarComponentType, &str)> = None;
        let mut masters = 0;
        for component in children(&calendar, root) {
            match component.component_type {
                ICalendarComponentType::VTimezone => continue,
                ICalendarComponentType::VEvent
                | ICalendarComponentType::VTodo
                | ICalendarComponentType::VJournal
                | ICalendarComponentType::VFreebusy
                | ICalendarComponentType::VAvailability => {}
                _ => {
                    return Err(Unfit::Rule(said!(
                        "event-kind",
                        "it has a component of a kind that calendars here do not store"
                    )));
                }
            }
            let uid = component
                .uid()
                .filter(|uid| !uid.is_empty())
                .ok_or_else(|| Unfit::Rule(said!("event-no-uid", "a component has no UID")))?;
            let this = (&component.component_type, uid);
            // RFC 5545 §3.8.4.4: what changes a single recurrence names it. Each rule costs time, so there is only one.
            let is_exception = component.has_property(&ICalendarProperty::RecurrenceId);
            masters += u32::from(!is_exception);
            if masters > 1 || is_exception && component.has_property(&ICalendarProperty::Rrule) {
                return Err(Unfit::Rule(said!(
                    "event-exceptions",
                    "all components except one must name the recurrence that they change, and must not recur"
                )));
            }
            if *kind.get_or_insert(this) != this {
                return Err(Unfit::Rule(said!(
                    "event-several",
                    "all components of an object must be of one kind and have one UID"
                )));
            }
        }
        let (kind, uid) =
            kind.ok_or_else(|| Unfit::Rule(said!("event-nothing", "it has no event, task or journal entry")))?;
        if uid.chars().count() > LONGEST_UID {
            return Err(Unfit::Rule(said!("dav-long-uid", "its UID has more than 255 characters")));
        }
        let (uid, component) = (uid.to_owned(), kind.as_str().to_owned());
        Ok(Self { calendar, uid, component })
    }

    /// The same for what may be a message with a METHOD, as inboxes hold it (RFC 6638 §2.2).
    ///
    /// # Errors
    /// It is not valid.
    pub fn read_message(content: &[u8]) -> Result<Self, Unfit> {
        match Self::read(content) {
            Err(Unfit::Rule(_)) => Self::read(without_method(text(content)?).as_bytes()),
            read => read,
        }
    }

    /// Its component, such as `VEVENT`.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// Which event, task or journal entry it is.
    pub(super) fn uid(&self) -> &str {
        &self.uid
    }

    /// Whether it is an event with an organiser and guests (RFC 6638 §3.1).
    fn is_meeting(&self) -> bool {
        let has = |component: &ICalendarComponent, property| component.has_property(&property);
        self.component == "VEVENT"
            && self.calendar.components.iter().any(|one| has(one, ICalendarProperty::Organizer))
            && self.calendar.components.iter().any(|one| has(one, ICalendarProperty::Attendee))
    }

    /// The form to be stored. More than `most` recurrences count as endless.
    pub fn draft(&self, name: &str, content: &[u8], most: usize) -> Draft {
        let (begins_at, ends_at) = self.span(most);
        Draft {
            name: name.to_owned(),
            uid: self.uid.clone(),
            component: self.component.clone(),
            content: content.to_owned(),
            etag: if self.is_meeting() { scheduled_etag(content) } else { etag(content) },
            begins_at,
            ends_at,
            people: Vec::new(),
        }
    }

    /// The first and the last moment that concern it; a side is `None` if it is unbounded.
    fn span(&self, most: usize) -> (Option<i64>, Option<i64>) {
        // Objects with an alarm or without any time are always checked.
        let times = |component: &ICalendarComponent| {
            component.component_type.has_time_ranges() && component.property(&ICalendarProperty::Dtstart).is_none()
        };
        let found = occurrences(&self.calendar, Tz::UTC, most);
        if found.times.is_empty() || self.calendar.components.iter().any(times) {
            return (None, None);
        }
        let first = found.times.iter().map(|time| time.start).min();
        // Some objects end before they begin.
        let last = found.times.iter().map(|time| time.end.max(time.start)).max().filter(|_| !found.cut);
        (first.map(|at| at.saturating_sub(DAY)), last.map(|at| at.saturating_add(DAY)))
    }
}

/// The components directly within one.
pub(super) fn children<'a>(
    calendar: &'a ICalendar,
    parent: &'a ICalendarComponent,
) -> impl Iterator<Item = &'a ICalendarComponent> {
    parent.component_ids.iter().filter_map(|id| calendar.component_by_id(*id))
}

pub(super) fn parse(text: &str) -> Result<ICalendar, Unfit> {
    let mut parser = Parser::new(text);
    let Entry::ICalendar(mut calendar) = parser.entry() else {
        return Err(Unfit::Malformed(said!("event-frame", "it does not begin with BEGIN:VCALENDAR, or does not end")));
    };
    match parser.entry() {
        Entry::Eof => {
            locate(&mut calendar);
            Ok(calendar)
        }
        _ => Err(Unfit::Malformed(said!("event-more", "something follows the end of the VCALENDAR"))),
    }
}

/// Checks that recurrences can be expanded.
pub(super) fn check_rules(calendar: &ICalendar) -> Result<(), Unfit> {
    let recurs = |component: &&ICalendarComponent| {
        component.component_type.has_time_ranges() && component.has_property(&ICalendarProperty::Rrule)
    };
    if calendar.components.iter().filter(recurs).count() > MOST_RULES {
        return Err(Unfit::Rule(said!("event-many-rules", "more than 16 of its components recur")));
    }
    match is_bounded(calendar) {
        true => Ok(()),
        false => Err(Unfit::Rule(said!(
            "event-many-times",
            "a recurrence rule has more than 100,000 times in one of its periods"
        ))),
    }
}

/// Checks what the parser ignores silently: other clients would read it differently or not at all.
pub(super) fn check_lines(text: &str) -> Result<(), Unfit> {
    let lines = unfolded(text);
    let mut open: Vec<String> = Vec::new();
    for (name, value) in lines.iter().filter_map(|line| line.split_once(':')) {
        let name = name.split(';').next().unwrap_or_default().to_ascii_uppercase();
        match name.as_str() {
            "BEGIN" => open.push(value.trim().to_ascii_uppercase()),
            "END" if open.pop().is_none_or(|opened| opened != value.trim().to_ascii_uppercase()) => {
                return Err(Unfit::Malformed(said!("event-end", "an END does not match the last BEGIN")));
            }
            // It is not a property of the VCALENDAR itself (RFC 5545 §3.6), and would be ignored when recurrences are expanded.
            "RRULE" | "EXRULE" if open.len() < 2 => {
                return Err(Unfit::Malformed(said!(
                    "event-rule-outside",
                    "a recurrence rule is outside any component"
                )));
            }
            "RRULE" | "EXRULE" if !is_rule(value) => {
                return Err(Unfit::Malformed(said!("event-rule", "a recurrence rule is invalid (RFC 5545 §3.3.10)")));
            }
            _ => {}
        }
    }
    if open.is_empty() { Ok(()) } else { Err(Unfit::Malformed(said!("event-open", "a component has no END"))) }
}

/// The content lines, each whole (RFC 5545 §3.1).
fn unfolded(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(more), Some(last)) => last.push_str(more),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// Whether a rule has a frequency, and positive numbers where required.
fn is_rule(value: &str) -> bool {
    let mut frequency = false;
    for part in value.trim().split(';').filter(|part| !part.is_empty()) {
        let Some((name, value)) = part.split_once('=') else { return false };
        match name.to_ascii_uppercase().as_str() {
            "FREQ" => frequency = true,
            "INTERVAL" | "COUNT" if value.parse::<u32>().ok().is_none_or(|number| number == 0) => return false,
            _ => {}
        }
    }
    frequency
}

/// Whether the times of a component are days and hours that exist.
fn has_real_times(component: &ICalendarComponent) -> bool {
    use ICalendarProperty::{Dtend, Dtstart, Due, RecurrenceId};
    [Dtstart, Dtend, Due, RecurrenceId].iter().filter_map(|name| component.property(name)).all(|entry| {
        let is_real = |value: &ICalendarValue| match value {
            ICalendarValue::PartialDateTime(at) => at.to_date_time().is_some(),
            _ => false,
        };
        !entry.values.is_empty() && entry.values.iter().all(is_real)
    })
}

/// Whether a text is a `VCALENDAR` with one `VTIMEZONE` and nothing else (RFC 4791 §5.2.2).
pub fn is_zone(text: &str) -> bool {
    let Ok(calendar) = parse(text.trim()) else { return false };
    let Some(root) = calendar.components.first() else { return false };
    let mut parts = children(&calendar, root);
    let one = parts.next().is_some_and(|part| {
        part.component_type == ICalendarComponentType::VTimezone && part.has_property(&ICalendarProperty::Tzid)
    });
    check_lines(text.trim()).is_ok() && one && parts.next().is_none()
}

/// The text of a stored `calendar-timezone` property. It was stored as XML, in which a text of iCalendar hardly differs.
pub fn zone_text(property: &str) -> String {
    property.replace("&#13;", "\r").replace("&amp;", "&")
}

/// Whether a text is the name of a zone (RFC 7809 §5.2).
pub fn is_zone_name(text: &str) -> bool {
    text.trim().parse::<Tz>().is_ok()
}

/// The zone that a `VTIMEZONE` in a `VCALENDAR` describes, or a name, for times that name none; UTC if it is unclear.
pub fn zone_of(text: Option<&str>) -> Tz {
    let described = || {
        let calendar = parse(text?).ok()?;
        calendar.timezones().next()?.timezone().map(|(_, zone)| zone)
    };
    let named = || text?.trim().parse::<Tz>().ok();
    described().or_else(named).unwrap_or(Tz::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = "BEGIN:VEVENT\r\nUID:a\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260301T100000Z\r\nDTEND:20260301T110000Z\r\nSUMMARY:x\r\nEND:VEVENT\r\n";

    fn whole(inner: &str) -> String {
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\n{inner}END:VCALENDAR\r\n")
    }

    #[test]
    fn objects_are_told_from_others() {
        let read = CalendarObject::read(whole(EVENT).as_bytes()).unwrap();
        assert_eq!((read.component(), read.uid.as_str()), ("VEVENT", "a"));
        let draft = read.draft("n", b"x", 100);
        assert_eq!(draft.begins_at, Some(1_772_359_200 - DAY));
        assert_eq!(draft.ends_at, Some(1_772_362_800 + DAY));
        for wrong in [
            String::new(),
            "hello".to_owned(),
            whole(""),
            whole("METHOD:REQUEST\r\n") + EVENT,
            whole(&EVENT.replace("UID:a\r\n", "")),
            whole(&format!("{EVENT}{}", EVENT.replace("UID:a", "UID:b"))),
            whole(&format!("{EVENT}{EVENT}")),
            whole(&EVENT.replace("SUMMARY:x", "RECURRENCE-ID:20260301T100000Z\r\nRRULE:FREQ=DAILY")),
            whole(&EVENT.replace("SUMMARY:x", "SUMMARY:\u{1}")),
            whole(&format!("{EVENT}{}", EVENT.replace("VEVENT", "VTODO"))),
            whole(EVENT) + &whole(EVENT),
            EVENT.to_owned(),
            whole(&EVENT.replace("SUMMARY:x", "BEGIN:VALARM\r\nACTION:AUDIO\r\nTRIGGER:-PT5M")),
            whole(&EVENT.replace("END:VEVENT", "END:VTODO")),
            whole(&EVENT.replace("20260301T100000Z", "20261345T990000Z")),
            whole(&EVENT.replace("20260301T100000Z", "20260230T100000Z")),
            whole(&EVENT.replace("20260301T110000Z", "tomorrow")),
            whole(&EVENT.replace("SUMMARY:x", "RRULE:FREQ=DAILY;INTERVAL=0")),
            whole(&EVENT.replace("SUMMARY:x", "RRULE:FREQ=DAILY;COUNT=-1")),
            whole(&EVENT.replace("SUMMARY:x", "RRULE:COUNT=2")),
            whole(&format!("RRULE:FREQ=DAILY\r\n{EVENT}")),
            "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:x\r\nEND:VCARD\r\n".to_owned(),
        ] {
            assert!(CalendarObject::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(CalendarObject::read(b"BEGIN:VCALENDAR\r\n\xff").is_err());
    }

    #[test]
    fn what_clients_write_is_read() {
        for right in [
            EVENT.replace("DTSTART:20260301T100000Z", "DTSTART;VALUE=DATE:20260301"),
            EVENT.replace("DTSTART:20260301T100000Z", "DTSTART;TZID=Europe/Berlin:20260301T100000"),
            EVENT.replace("SUMMARY:x", "RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,\r\n TU;COUNT=3;"),
            EVENT.replace("SUMMARY:x", "BEGIN:VALARM\r\nACTION:AUDIO\r\nTRIGGER:-PT5M\r\nEND:VALARM"),
            EVENT.replace("SUMMARY:x", "DESCRIPTION:BEGIN:VEVENT\r\n END:VEVENT"),
            EVENT.replace("VEVENT", "vevent").replace("\r\n", "\n"),
        ] {
            let read = CalendarObject::read(whole(&right).as_bytes());
            assert!(read.is_ok(), "{right}: {read:?}");
        }
    }

    #[test]
    fn zones_are_told_from_others() {
        let zone = "BEGIN:VTIMEZONE\r\nTZID:Mine\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0100\r\n\
            TZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n";
        for (text, wanted) in [
            (whole(zone), true),
            (format!("\n  {}", whole(zone)), true),
            (whole(&zone.replace("TZID:Mine\r\n", "")), false),
            (whole(&format!("{zone}{zone}")), false),
            (whole(EVENT), false),
            (whole(""), false),
            ("Europe/Berlin".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(is_zone(&text), wanted, "{text}");
        }
    }

    #[test]
    fn a_zone_is_described_or_named() {
        let berlin: Tz = "Europe/Berlin".parse().unwrap();
        for (text, wanted) in [(Some("Europe/Berlin"), berlin), (Some("Nowhere"), Tz::UTC), (None, Tz::UTC)] {
            assert_eq!(zone_of(text), wanted, "{text:?}");
        }
        assert!(is_zone_name("Europe/Berlin") && !is_zone_name("Nowhere/At All") && !is_zone_name(""));
    }

    #[test]
    fn what_never_ends_has_no_end() {
        let daily = EVENT.replace("SUMMARY:x", "RRULE:FREQ=DAILY");
        let read = CalendarObject::read(whole(&daily).as_bytes()).unwrap();
        assert_eq!(read.draft("n", b"", 100).ends_at, None);
        let ten = EVENT.replace("SUMMARY:x", "RRULE:FREQ=DAILY;COUNT=10");
        let read = CalendarObject::read(whole(&ten).as_bytes()).unwrap();
        assert_eq!(read.draft("n", b"", 100).ends_at, Some(1_772_362_800 + 9 * DAY + DAY));
    }
}
