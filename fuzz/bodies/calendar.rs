//! Objects of calendars and address books. The input is an object; its first octets also choose the range of a query.

use calcard::common::timezone::Tz;
use postrider::foundations::address::Address;
use postrider::services::dav::{CalendarObject, Card, TimeRange, busy_times, expanded};

/// The number of recurrences to examine.
const MOST: usize = 200;

pub fn run(data: &[u8]) {
    if let Ok(object) = CalendarObject::read(data) {
        events(&object, data);
    }
    if let Ok(card) = Card::read(data) {
        let draft = card.draft("x.vcf", data);
        assert!(!draft.uid.is_empty() && draft.content == data);
        for person in &draft.people {
            assert!(!person.name.chars().any(char::is_control), "{:?}", person.name);
            // The webmail may ask to forget any address that a contact offers.
            if let Ok(address) = person.address.to_string().parse::<Address>() {
                let _ = card.is_collected(data, &address);
            }
        }
    }
}

fn events(object: &CalendarObject, data: &[u8]) {
    let draft = object.draft("x.ics", data, MOST);
    assert!(!draft.uid.is_empty() && !draft.component.is_empty() && draft.content == data);
    if let (Some(begins_at), Some(ends_at)) = (draft.begins_at, draft.ends_at) {
        assert!(begins_at <= ends_at, "{begins_at} {ends_at}");
    }
    let day = data.iter().fold(0_i64, |sum, octet| sum * 31 % 40_000 + i64::from(*octet));
    for length in [3_600, 86_400 * 400] {
        let range = TimeRange { start: day * 86_400, end: day * 86_400 + length };
        let busy = busy_times(object, &range, Tz::UTC, MOST);
        for (time, _) in &busy {
            assert!(range.start <= time.start && time.start < time.end && time.end <= range.end, "{time:?} {range:?}");
        }
        let answer = range.free_busy(busy, 0);
        assert!(
            CalendarObject::read(answer.as_bytes()).is_err_and(|unfit| unfit.to_string().contains("UID")),
            "{answer}"
        );
        if let Some(text) = expanded(object, data.len(), &range, Tz::UTC, MOST) {
            assert!(text.starts_with("BEGIN:VCALENDAR") && text.trim_end().ends_with("END:VCALENDAR"), "{text}");
            assert!(!text.contains("RRULE"), "what is written out does not recur: {text}");
        }
    }
}
