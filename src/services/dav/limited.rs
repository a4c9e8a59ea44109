//! Exceptions of a series as far as they concern a range (RFC 4791 §9.6.6).

use calcard::common::timezone::Tz;

use super::calendar::CalendarObject;
use super::components::Whole;
use super::occurrences::{TimeRange, occurrences, within};
use super::onward::is_onward;
use super::told::Told;

/// The object without the exceptions that neither take place within a range nor take the place of a time within it.
pub fn limited(object: &CalendarObject, content: &str, range: &TimeRange, zone: Tz, most: usize) -> String {
    let calendar = &object.calendar;
    let whole = Whole::of(content);
    let ids = calendar.components.first().map(|root| root.component_ids.clone()).unwrap_or_default();
    if ids.len() != whole.components.len() || !whole.components.iter().any(|one| one.is_exception()) {
        return content.to_owned();
    }
    let (told, found) = (Told::of(calendar, zone), within(calendar, zone, range, most));
    let first = occurrences(calendar, zone, 1).times.into_iter().find(|time| told.follows(time.component));
    let length = first.map_or(0, |time| time.end.saturating_sub(time.start));
    let concerns = |id: u32| {
        let changes = told.changed(id).is_some_and(|from| {
            let is_onward = calendar.component_by_id(id).is_some_and(is_onward);
            range.touches(from, from.saturating_add(length)) || is_onward && from < range.end
        });
        changes || found.times.iter().any(|time| time.component == id)
    };
    let mut out = whole.head();
    for (component, id) in whole.components.iter().zip(ids) {
        if !component.is_exception() || concerns(id) {
            component.write(&mut out);
        }
    }
    out + "END:VCALENDAR\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_elsewhere_are_left_out() {
        let exception = |id: &str, start: &str| {
            format!("BEGIN:VEVENT\r\nUID:a\r\nRECURRENCE-ID{id}\r\nDTSTART:{start}\r\nDURATION:PT1H\r\nEND:VEVENT\r\n")
        };
        let text = |exceptions: &[String]| {
            format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260105T090000Z\r\nDURATION:PT1H\r\n\
                 RRULE:FREQ=DAILY;COUNT=20\r\nEND:VEVENT\r\n{}END:VCALENDAR\r\n",
                exceptions.concat()
            )
        };
        // The eighth of January.
        let range = TimeRange { start: 1_767_830_400, end: 1_767_916_800 };
        for (id, start, wanted) in [
            (":20260108T090000Z", "20260108T110000Z", true),
            (":20260108T090000Z", "20260118T110000Z", true),
            (":20260112T090000Z", "20260108T110000Z", true),
            (":20260112T090000Z", "20260112T110000Z", false),
            (";RANGE=THISANDFUTURE:20260106T090000Z", "20260106T110000Z", true),
            (";RANGE=THISANDFUTURE:20260110T090000Z", "20260110T110000Z", false),
        ] {
            let content = text(&[exception(id, start)]);
            let object = CalendarObject::read(content.as_bytes()).unwrap();
            let out = limited(&object, &content, &range, Tz::UTC, 100);
            assert_eq!(out.contains("RECURRENCE-ID"), wanted, "{id} {start}: {out}");
            assert!(out.contains("RRULE"), "{out}");
        }
    }
}
