//! Zones that a calendar describes by rules, under names of its own (RFC 5545 §3.6.5).
//!
//! calcard knows zones only by their names. A zone whose name says nothing gets the name of a place with the same rules.

use std::borrow::Cow;

use calcard::common::timezone::Tz;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarDay, ICalendarEntry, ICalendarProperty,
    ICalendarRecurrenceRule, ICalendarValue, ICalendarWeekday,
};
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _, Weekday};

use super::calendar::children;

/// Most zones of one calendar that are compared with those of places.
const MOST_UNKNOWN: usize = 16;
/// Most observances of a zone that are looked at.
const MOST_OBSERVANCES: usize = 64;
/// Years in which the rules must be the same: those of today are meant.
const YEARS: [i32; 2] = [2024, 2027];

/// Puts the place into each zone whose name is unknown, where calcard looks for it.
pub(super) fn locate(calendar: &mut ICalendar) {
    let described: &ICalendar = calendar;
    let unknown = described.components.iter().enumerate().filter(|(_, component)| {
        component.component_type == ICalendarComponentType::VTimezone && component.timezone().is_none()
    });
    let unknown = unknown.take(MOST_UNKNOWN);
    let places: Vec<(usize, String)> = unknown.filter_map(|(at, zone)| Some((at, place(described, zone)?))).collect();
    for (at, place) in places {
        if let Some(zone) = calendar.components.get_mut(at) {
            let name = ICalendarProperty::Other("X-LIC-LOCATION".to_owned());
            zone.entries.push(ICalendarEntry { name, params: Vec::new(), values: vec![ICalendarValue::Text(place)] });
        }
    }
}

/// The first place with the offsets of a zone.
fn place(calendar: &ICalendar, zone: &ICalendarComponent) -> Option<String> {
    let offsets = offsets(calendar, zone)?;
    let has = |zone: &Tz, at: i64, offset: i32| {
        DateTime::from_timestamp(at, 0)
            .is_some_and(|at| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc() == offset)
    };
    let fits = |zone: &Tz| offsets.iter().all(|(at, offset)| has(zone, *at, *offset));
    (0..u16::MAX).map_while(Tz::from_id).find(fits)?.name().map(Cow::into_owned)
}

/// Moments, each with the offset from UTC that a zone has then, in seconds.
fn offsets(calendar: &ICalendar, zone: &ICalendarComponent) -> Option<Vec<(i64, i32)>> {
    let parts = children(calendar, zone).take(MOST_OBSERVANCES);
    let observances: Vec<Observance<'_>> = parts.filter_map(Observance::of).collect();
    let mut offsets = Vec::new();
    for observance in observances.iter().filter(|observance| observance.is_in_force()) {
        for year in YEARS {
            let onset = observance.onset(year)?;
            offsets.extend([(onset - 1, observance.from), (onset, observance.to)]);
        }
    }
    if !offsets.is_empty() {
        return Some(offsets);
    }
    let offset = observances.first()?.to;
    if observances.iter().any(|observance| observance.to != offset) {
        return None;
    }
    // It is the same all the year round.
    let quarters =
        YEARS.into_iter().flat_map(|year| [1, 4, 7, 10].map(|month| NaiveDate::from_ymd_opt(year, month, 1)));
    let moments = quarters.flatten().map(|day| day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp());
    Some(moments.map(|at| (at, offset)).collect())
}

/// When a zone's offset changes, and to what; offsets are in seconds.
struct Observance<'a> {
    start: NaiveDateTime,
    from: i32,
    to: i32,
    rule: Option<&'a ICalendarRecurrenceRule>,
}

impl<'a> Observance<'a> {
    fn of(component: &'a ICalendarComponent) -> Option<Self> {
        let value = |name| component.property(&name).and_then(|entry| entry.values.first());
        let offset = |name| match value(name)? {
            ICalendarValue::PartialDateTime(offset) => {
                let seconds = i32::from(offset.tz_hour?) * 3_600 + i32::from(offset.tz_minute.unwrap_or_default()) * 60;
                Some(if offset.tz_minus { -seconds } else { seconds })
            }
            _ => None,
        };
        let start = match value(ICalendarProperty::Dtstart)? {
            ICalendarValue::PartialDateTime(start) => start.to_date_time()?.date_time,
            _ => return None,
        };
        let rule = match value(ICalendarProperty::Rrule) {
            Some(ICalendarValue::RecurrenceRule(rule)) => Some(&**rule),
            _ => None,
        };
        let (from, to) = (offset(ICalendarProperty::Tzoffsetfrom)?, offset(ICalendarProperty::Tzoffsetto)?);
        Some(Self { start, from, to, rule })
    }

    /// Whether it comes again each year.
    fn is_in_force(&self) -> bool {
        self.rule.is_some_and(|rule| rule.until.is_none() && rule.count.is_none())
    }

    /// When it begins in a year; `None` for a rule of an unusual form.
    fn onset(&self, year: i32) -> Option<i64> {
        let rule = self.rule?;
        let ([month], [day]) = (rule.bymonth.as_slice(), rule.byday.as_slice()) else { return None };
        let day = day_of(year, u32::from(month.month()), day)?;
        Some(day.and_time(self.start.time()).and_utc().timestamp() - i64::from(self.from))
    }
}

/// A day such as the last Sunday of a month.
fn day_of(year: i32, month: u32, day: &ICalendarDay) -> Option<NaiveDate> {
    let weekday = match day.weekday {
        ICalendarWeekday::Monday => Weekday::Mon,
        ICalendarWeekday::Tuesday => Weekday::Tue,
        ICalendarWeekday::Wednesday => Weekday::Wed,
        ICalendarWeekday::Thursday => Weekday::Thu,
        ICalendarWeekday::Friday => Weekday::Fri,
        ICalendarWeekday::Saturday => Weekday::Sat,
        ICalendarWeekday::Sunday => Weekday::Sun,
    };
    match day.ordwk? {
        -1 => {
            let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            let last = NaiveDate::from_ymd_opt(year, month, 1)?.pred_opt()?;
            let later = last.weekday().days_since(weekday);
            last.checked_sub_signed(TimeDelta::days(i64::from(later)))
        }
        number => NaiveDate::from_weekday_of_month_opt(year, month, weekday, u8::try_from(number).ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::super::calendar::parse;
    use super::*;

    const CENTRAL_EUROPE: &str = "BEGIN:STANDARD\r\nDTSTART:16010101T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\n\
        RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10\r\nEND:STANDARD\r\nBEGIN:DAYLIGHT\r\nDTSTART:16010101T020000\r\n\
        TZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nRRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3\r\nEND:DAYLIGHT\r\n";

    /// The offset from UTC in minutes that a zone of this name and description has in January and in July of 2026.
    fn minutes(name: &str, description: &str) -> Option<(i32, i32)> {
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VTIMEZONE\r\nTZID:{name}\r\n{description}END:VTIMEZONE\r\nEND:VCALENDAR\r\n"
        );
        let calendar = parse(&text).unwrap();
        let (_, zone) = calendar.timezones().next().unwrap().timezone()?;
        let at = |month| {
            let day = NaiveDate::from_ymd_opt(2026, month, 1).unwrap();
            zone.offset_from_utc_date(&day) / 60
        };
        Some((at(1), at(7)))
    }

    #[test]
    fn zones_with_names_of_their_own_are_what_they_describe() {
        let fixed = |offset: &str| {
            format!(
                "BEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:{offset}\r\nTZOFFSETTO:{offset}\r\nEND:STANDARD\r\n"
            )
        };
        let new_york = CENTRAL_EUROPE
            .replace(
                "DTSTART:16010101T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100",
                "DTSTART:16010101T020000\r\nTZOFFSETFROM:-0400\r\nTZOFFSETTO:-0500",
            )
            .replace("TZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200", "TZOFFSETFROM:-0500\r\nTZOFFSETTO:-0400")
            .replace("BYDAY=-1SU;BYMONTH=10", "BYDAY=1SU;BYMONTH=11")
            .replace("BYDAY=-1SU;BYMONTH=3", "BYDAY=2SU;BYMONTH=3");
        for (name, description, wanted) in [
            ("My Zone", CENTRAL_EUROPE.to_owned(), Some((60, 120))),
            ("Customized Zone", new_york.clone(), Some((-300, -240))),
            ("My India", fixed("+0530"), Some((330, 330))),
            // A name that is known says more than the rules.
            ("Europe/Berlin", new_york, Some((60, 120))),
            ("Nowhere", fixed("+0123"), None),
            ("Nowhere", CENTRAL_EUROPE.replace("-1SU", "2WE"), None),
            ("Nowhere", CENTRAL_EUROPE.replace("BYDAY=-1SU;", ""), None),
            ("Nowhere", String::new(), None),
        ] {
            assert_eq!(minutes(name, &description), wanted, "{name} {description}");
        }
    }
}
