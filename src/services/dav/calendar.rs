//! Objects of a calendar.

use calcard::common::timezone::Tz;
use calcard::icalendar::{ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarProperty};
use calcard::{Entry, Parser};

use super::occurrences::occurrences;
use super::{Unfit, etag, text};
use crate::storage::dav::Draft;

/// Longest UID that is kept, in characters.
const LONGEST_UID: usize = 255;
/// Seconds that times without a zone may be off, in either direction.
const DAY: i64 = 86_400;

/// An event, a task or a journal entry, with all its exceptions.
#[derive(Debug, Clone)]
pub struct CalendarObject {
    pub(super) calendar: ICalendar,
    uid: String,
    component: String,
}

impl CalendarObject {
    /// Reads an object and checks what RFC 4791 §4.1 wants of it.
    ///
    /// # Errors
    /// It is none.
    pub fn read(content: &[u8]) -> Result<Self, Unfit> {
        let text = text(content)?;
        let calendar = parse(text)?;
        let root = calendar.components.first().ok_or(Unfit::Malformed("there is no VCALENDAR"))?;
        if root.component_type != ICalendarComponentType::VCalendar {
            return Err(Unfit::Malformed("there is no VCALENDAR"));
        }
        if root.has_property(&ICalendarProperty::Method) {
            return Err(Unfit::Rule("what is stored has no METHOD"));
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
                _ => return Err(Unfit::Rule("it has a component that no calendar here keeps")),
            }
            let uid = component.uid().filter(|uid| !uid.is_empty()).ok_or(Unfit::Rule("a component has no UID"))?;
            let this = (&component.component_type, uid);
            // RFC 5545 §3.8.4.4: what changes a single recurrence names it. Each rule costs time, so one it is.
            let is_exception = component.has_property(&ICalendarProperty::RecurrenceId);
            masters += u32::from(!is_exception);
            if masters > 1 || is_exception && component.has_property(&ICalendarProperty::Rrule) {
                return Err(Unfit::Rule(
                    "but for one component, all name the recurrence that they change, and do not recur",
                ));
            }
            if *kind.get_or_insert(this) != this {
                return Err(Unfit::Rule("all components of an object are of one kind and have one UID"));
            }
        }
        let (kind, uid) = kind.ok_or(Unfit::Rule("it has no event, task or journal entry"))?;
        if uid.chars().count() > LONGEST_UID {
            return Err(Unfit::Rule("its UID has more than 255 characters"));
        }
        let (uid, component) = (uid.to_owned(), kind.as_str().to_owned());
        Ok(Self { calendar, uid, component })
    }

    /// Its component, such as `VEVENT`.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// As it is stored. Recurrences beyond `most` count as going on for ever.
    pub fn draft(&self, name: &str, content: &[u8], most: usize) -> Draft {
        let (begins_at, ends_at) = self.span(most);
        Draft {
            name: name.to_owned(),
            uid: self.uid.clone(),
            component: self.component.clone(),
            content: content.to_owned(),
            etag: etag(content),
            begins_at,
            ends_at,
            people: Vec::new(),
        }
    }

    /// The first and the last moment it has to do with; a side is `None` where there is no bound.
    fn span(&self, most: usize) -> (Option<i64>, Option<i64>) {
        // What has an alarm or no time at all is asked about each time.
        let times = |component: &ICalendarComponent| {
            component.component_type.has_time_ranges() && component.property(&ICalendarProperty::Dtstart).is_none()
        };
        let found = occurrences(&self.calendar, Tz::UTC, most);
        if found.times.is_empty() || self.calendar.components.iter().any(times) {
            return (None, None);
        }
        let first = found.times.iter().map(|time| time.start).min();
        let last = found.times.iter().map(|time| time.end).max().filter(|_| !found.cut);
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

fn parse(text: &str) -> Result<ICalendar, Unfit> {
    let mut parser = Parser::new(text);
    let Entry::ICalendar(calendar) = parser.entry() else {
        return Err(Unfit::Malformed("it does not begin with BEGIN:VCALENDAR, or does not end"));
    };
    match parser.entry() {
        Entry::Eof => Ok(calendar),
        _ => Err(Unfit::Malformed("something follows the end of the VCALENDAR")),
    }
}

/// The zone that a `VTIMEZONE` in a `VCALENDAR` describes, for times that name none; UTC where it cannot be told.
pub fn zone_of(text: Option<&str>) -> Tz {
    let known = || {
        let calendar = parse(text?).ok()?;
        calendar.timezones().next()?.timezone().map(|(_, zone)| zone)
    };
    known().unwrap_or(Tz::UTC)
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
            "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:x\r\nEND:VCARD\r\n".to_owned(),
        ] {
            assert!(CalendarObject::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(CalendarObject::read(b"BEGIN:VCALENDAR\r\n\xff").is_err());
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
