//! Queries for events and tasks (RFC 4791 §9.7).

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use calcard::common::timezone::Tz;
use calcard::icalendar::timezone::TzResolver;
use calcard::icalendar::{ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarProperty};

use super::alarms::goes_off;
use super::calendar::{CalendarObject, children};
use super::occurrences::{Occurrence, Occurrences, TimeRange, within};
use super::told::lasting;
use crate::foundations::mail::text::casemap;

/// How texts are compared (RFC 4790).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collation {
    /// `i;ascii-casemap`.
    AsciiCasemap,
    /// `i;octet`.
    Octet,
    /// `i;unicode-casemap`.
    UnicodeCasemap,
}

/// Where a text must occur (RFC 6352 §10.5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchKind {
    /// It is the whole value.
    Equals,
    /// Anywhere.
    Contains,
    /// At the beginning.
    StartsWith,
    /// At the end.
    EndsWith,
}

/// A text to search for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextMatch {
    /// The text.
    pub text: String,
    /// How it is compared.
    pub collation: Collation,
    /// Where it must be.
    pub kind: MatchKind,
    /// Whether it must be absent.
    pub negate: bool,
}

impl TextMatch {
    pub(super) fn holds(&self, value: &str) -> bool {
        let folded = |text| -> Cow<'_, str> {
            match self.collation {
                Collation::Octet => Cow::Borrowed(text),
                Collation::AsciiCasemap => Cow::Owned(str::to_ascii_lowercase(text)),
                Collation::UnicodeCasemap => casemap(text),
            }
        };
        let (value, text) = (folded(value), folded(&self.text));
        let found = match self.kind {
            MatchKind::Equals => value == text,
            MatchKind::Contains => value.contains(&*text),
            MatchKind::StartsWith => value.starts_with(&*text),
            MatchKind::EndsWith => value.ends_with(&*text),
        };
        found != self.negate
    }
}

/// The conditions on a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterFilter {
    /// Its name.
    pub name: String,
    /// Whether it must be absent.
    pub absent: bool,
    /// The conditions on its value.
    pub text: Option<TextMatch>,
}

impl ParameterFilter {
    /// Whether it holds for a property's parameters, as names and values.
    pub(super) fn holds<'a>(&self, parameters: impl Iterator<Item = (&'a str, &'a str)>) -> bool {
        let mut values = parameters.filter(|(name, _)| name.eq_ignore_ascii_case(&self.name)).map(|(_, value)| value);
        match (&self.text, self.absent) {
            (_, true) => values.next().is_none(),
            (None, false) => values.next().is_some(),
            (Some(text), false) => values.any(|value| text.holds(value)),
        }
    }
}

/// The conditions on a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyFilter {
    /// Its name.
    pub name: String,
    /// Whether it must be absent.
    pub absent: bool,
    /// The range its value must be in.
    pub range: Option<TimeRange>,
    /// The conditions on its value.
    pub text: Option<TextMatch>,
    /// The conditions on its parameters.
    pub parameters: Vec<ParameterFilter>,
}

/// The conditions on a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentFilter {
    /// Its name.
    pub name: String,
    /// Whether it must be absent.
    pub absent: bool,
    /// The range in which it must happen.
    pub range: Option<TimeRange>,
    /// The conditions on its properties.
    pub properties: Vec<PropertyFilter>,
    /// The conditions on the components in it.
    pub components: Vec<Self>,
}

/// What evaluation needs besides the filter.
pub(super) struct Question<'a> {
    calendar: &'a ICalendar,
    zone: Tz,
    most: usize,
    /// The zones that the object names.
    zones: OnceCell<TzResolver<String>>,
    /// What happens within ranges. An object may have thousands of components with the same condition.
    happening: RefCell<HashMap<TimeRange, Rc<Happening>>>,
}

/// What happens within a range.
pub(super) struct Happening {
    pub(super) times: Vec<Occurrence>,
    components: HashSet<u32>,
    /// Whether further recurrences may happen there, too.
    pub(super) cut: bool,
}

impl<'a> Question<'a> {
    pub(super) fn new(calendar: &'a ICalendar, zone: Tz, most: usize) -> Self {
        Self { calendar, zone, most, zones: OnceCell::new(), happening: RefCell::default() }
    }

    /// Most ranges evaluated for one object: alarms with different offsets each need their own.
    const MOST_RANGES: usize = 64;

    /// What happens within a range; `None` when too many ranges have been asked for.
    pub(super) fn happening(&self, range: &TimeRange) -> Option<Rc<Happening>> {
        let mut known = self.happening.borrow_mut();
        if let Some(known) = known.get(range) {
            return Some(Rc::clone(known));
        }
        if known.len() >= Self::MOST_RANGES {
            return None;
        }
        let Occurrences { times, cut, .. } = within(self.calendar, self.zone, range, self.most);
        let components = times.iter().map(|time| time.component).collect();
        let found = Rc::new(Happening { times, components, cut });
        known.insert(*range, Rc::clone(&found));
        Some(found)
    }

    /// Whether a property of a component has a time within a range (RFC 4791 §9.9).
    fn lies(&self, component: &ICalendarComponent, entry: &ICalendarEntry, range: &TimeRange) -> bool {
        let zones = self.zones.get_or_init(|| self.calendar.build_owned_tz_resolver().with_default(self.zone));
        lasting(component, entry, zones).any(|(start, end)| range.touches(start, end))
    }

    /// Whether a component happens within a range, or may.
    fn touches(&self, component: u32, range: &TimeRange) -> bool {
        self.happening(range).is_none_or(|found| found.cut || found.components.contains(&component))
    }
}

impl ComponentFilter {
    /// Whether an object matches; `self` is the filter for its `VCALENDAR`. Times without a zone are in `zone`.
    pub fn matches(&self, object: &CalendarObject, zone: Tz, most: usize) -> bool {
        let question = Question::new(&object.calendar, zone, most);
        let Some(root) = object.calendar.components.first() else { return false };
        self.name.eq_ignore_ascii_case("VCALENDAR") && self.holds(&question, (0, 0), root)
    }

    /// The kind of component and the times that an object must have to match at all. Zones occur in objects of any kind.
    pub fn narrowed(&self) -> (Option<&str>, Option<TimeRange>) {
        match self.components.as_slice() {
            [one] if !one.absent && !one.name.eq_ignore_ascii_case("VTIMEZONE") => (Some(&one.name), one.range),
            _ => (None, None),
        }
    }

    /// Whether it holds for a component. Its number follows that of its parent.
    fn holds(&self, question: &Question<'_>, (parent, number): (u32, u32), component: &ICalendarComponent) -> bool {
        let happens = |range: &TimeRange| match component.component_type {
            ICalendarComponentType::VAlarm => goes_off(question, parent, component, range),
            _ => question.touches(number, range),
        };
        self.range.as_ref().is_none_or(happens)
            && self.properties.iter().all(|filter| filter.holds(question, component))
            && self.components.iter().all(|filter| filter.holds_within(question, number, component))
    }

    fn holds_within(&self, question: &Question<'_>, number: u32, parent: &ICalendarComponent) -> bool {
        let mut named =
            parent.component_ids.iter().filter_map(|id| Some((*id, question.calendar.component_by_id(*id)?)));
        let is_it = |component: &ICalendarComponent| component.component_type.as_str().eq_ignore_ascii_case(&self.name);
        if self.absent {
            return !named.any(|(_, component)| is_it(component));
        }
        named.any(|(id, component)| is_it(component) && self.holds(question, (number, id), component))
    }
}

impl PropertyFilter {
    fn holds(&self, question: &Question<'_>, component: &ICalendarComponent) -> bool {
        let mut named = component.entries.iter().filter(|entry| entry.name.as_str().eq_ignore_ascii_case(&self.name));
        if self.absent {
            return named.next().is_none();
        }
        named.any(|entry| {
            self.range.as_ref().is_none_or(|range| question.lies(component, entry, range))
                && self.text.as_ref().is_none_or(|text| text.holds(&text_of(entry)))
                && self.parameters.iter().all(|filter| filter.holds(parameters(entry)))
        })
    }
}

fn parameters(entry: &ICalendarEntry) -> impl Iterator<Item = (&str, &str)> {
    entry.params.iter().filter_map(|parameter| Some((parameter.name.as_str(), parameter.value.as_text()?)))
}

pub(super) fn text_of(entry: &ICalendarEntry) -> String {
    let texts: Vec<Cow<'_, str>> = entry
        .values
        .iter()
        .filter_map(|value| value.as_text().map(Cow::Borrowed).or_else(|| value.clone().into_text()))
        .collect();
    texts.join(",")
}

/// Whether a component of the object has this property with this value.
pub(super) fn has_value(component: &ICalendarComponent, property: &ICalendarProperty, value: &str) -> bool {
    component.properties(property).any(|entry| text_of(entry).eq_ignore_ascii_case(value))
}

/// The top-level components of an object that have times.
pub(super) fn timed(calendar: &ICalendar) -> impl Iterator<Item = &ICalendarComponent> {
    calendar.components.first().into_iter().flat_map(|root| children(calendar, root))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(lines: &str) -> CalendarObject {
        let text = format!("BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:a\n{lines}\nEND:VEVENT\nEND:VCALENDAR\n");
        CalendarObject::read(text.replace('\n', "\r\n").as_bytes()).unwrap()
    }

    fn asked(range: Option<TimeRange>, properties: Vec<PropertyFilter>) -> ComponentFilter {
        let event = ComponentFilter { name: "VEVENT".into(), absent: false, range, properties, components: vec![] };
        ComponentFilter {
            name: "VCALENDAR".into(),
            absent: false,
            range: None,
            properties: vec![],
            components: vec![event],
        }
    }

    fn text(text: &str, negate: bool) -> TextMatch {
        TextMatch { text: text.into(), collation: Collation::AsciiCasemap, kind: MatchKind::Contains, negate }
    }

    fn at(text: &str) -> i64 {
        chrono::NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S").unwrap().and_utc().timestamp()
    }

    #[test]
    fn zones_are_looked_for_in_objects_of_any_component() {
        const ZONE: &str = "BEGIN:VTIMEZONE\nTZID:Europe/Berlin\nBEGIN:STANDARD\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\n\
            DTSTART:19701025T030000\nEND:STANDARD\nEND:VTIMEZONE";
        let berlin = PropertyFilter {
            name: "TZID".into(),
            absent: false,
            range: None,
            text: Some(text("Berlin", false)),
            parameters: vec![],
        };
        let mut filter = asked(None, vec![berlin]);
        assert_eq!(filter.narrowed(), (Some("VEVENT"), None));
        filter.components[0].name = "vtimezone".into();
        assert_eq!(filter.narrowed(), (None, None));
        let with_zone = object(&format!(
            "DTSTART:20260105T090000Z\nEND:VEVENT\n{ZONE}\nBEGIN:VEVENT\nUID:a\nRECURRENCE-ID:20260105T090000Z"
        ));
        assert!(filter.matches(&with_zone, Tz::UTC, 10));
        assert!(!filter.matches(&object("DTSTART:20260105T090000Z"), Tz::UTC, 10));
    }

    #[test]
    fn recurrences_are_found() {
        let weekly =
            "DTSTART:20260105T090000Z\nDTEND:20260105T100000Z\nRRULE:FREQ=WEEKLY;COUNT=5\nEXDATE:20260119T090000Z";
        for (from, to, wanted) in [
            ("20260105T000000", "20260106T000000", true),
            ("20260112T093000", "20260112T094000", true),
            ("20260113T000000", "20260114T000000", false),
            ("20260119T000000", "20260120T000000", false),
            ("20260202T000000", "20260203T000000", true),
            ("20260209T000000", "20260210T000000", false),
            ("20260112T100000", "20260112T110000", false),
        ] {
            let filter = asked(Some(TimeRange { start: at(from), end: at(to) }), vec![]);
            assert_eq!(filter.matches(&object(weekly), Tz::UTC, 1000), wanted, "{from}");
        }
    }

    #[test]
    fn what_was_not_looked_at_is_not_hidden() {
        let daily = object("DTSTART:20000101T090000Z\nRRULE:FREQ=DAILY");
        let filter = asked(Some(TimeRange { start: at("20260105T000000"), end: at("20260106T000000") }), vec![]);
        assert!(filter.matches(&daily, Tz::UTC, 100));
        let before = asked(Some(TimeRange { start: at("19990105T000000"), end: at("19990106T000000") }), vec![]);
        assert!(!before.matches(&daily, Tz::UTC, 100));
        let but_one = object("DTSTART:20000101T090000Z\nRRULE:FREQ=DAILY\nEXDATE:20000102T090000Z");
        assert!(filter.matches(&but_one, Tz::UTC, 100));
        assert_eq!(but_one.draft("a.ics", b"", 100).ends_at, None);
        let one_later = object(
            "DTSTART:20000101T090000Z\nRRULE:FREQ=DAILY\nEND:VEVENT\nBEGIN:VEVENT\nUID:a\nRECURRENCE-ID:20000102T090000Z\n\
             DTSTART:20300102T090000Z",
        );
        assert!(filter.matches(&one_later, Tz::UTC, 100));
    }

    #[test]
    fn thousands_of_exceptions_are_one_question() {
        let exception = |year: i32| {
            format!("BEGIN:VEVENT\nUID:a\nRECURRENCE-ID:{year}0105T090000Z\nDTSTART:20200105T090000Z\nEND:VEVENT\n")
        };
        let exceptions: String = (2000..5000).map(exception).collect();
        let last = "BEGIN:VEVENT\nUID:a\nRECURRENCE-ID:20200102T090000Z\nDTSTART:20200103T090000Z";
        let object = object(&format!("DTSTART:20200101T090000Z\nRRULE:FREQ=DAILY\nEND:VEVENT\n{exceptions}{last}"));
        let filter = asked(Some(TimeRange { start: at("20300105T000000"), end: at("20300105T080000") }), vec![]);
        let begun = std::time::Instant::now();
        assert!(!filter.matches(&object, Tz::UTC, 10_000));
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    }

    #[test]
    fn times_of_properties_are_in_their_zones() {
        let auckland: Tz = "Pacific/Auckland".parse().unwrap();
        for (lines, name, from, to, wanted) in [
            ("DTSTART;TZID=Europe/Berlin:20260105T090000", "DTSTART", "20260105T080000", "20260105T080001", true),
            ("DTSTART;TZID=Europe/Berlin:20260105T090000", "DTSTART", "20260105T090000", "20260105T090001", false),
            ("DTSTART:20260105T090000Z", "DTSTART", "20260105T090000", "20260105T090001", true),
            // Times without a zone are in that of the calendar, where it is thirteen hours later.
            ("DTSTART:20260105T090000", "DTSTART", "20260104T200000", "20260104T200001", true),
            ("DTSTART:20260105T090000", "DTSTART", "20260105T090000", "20260105T090001", false),
            ("DTSTART;VALUE=DATE:20260105", "DTSTART", "20260104T110000", "20260104T110001", true),
            ("DTSTART;VALUE=DATE:20260105", "DTSTART", "20260105T105959", "20260105T110000", true),
            ("DTSTART;VALUE=DATE:20260105", "DTSTART", "20260105T110000", "20260106T000000", false),
            ("DTSTART;VALUE=DATE:20260105", "DTSTART", "20260104T000000", "20260104T110000", false),
            (
                "DTSTART;VALUE=DATE:20260105\nDTEND;VALUE=DATE:20260106",
                "DTEND",
                "20260105T105959",
                "20260105T110001",
                true,
            ),
            (
                "DTSTART;VALUE=DATE:20260105\nDTEND;VALUE=DATE:20260106",
                "DTEND",
                "20260105T110001",
                "20260106T110000",
                false,
            ),
        ] {
            let range = Some(TimeRange { start: at(from), end: at(to) });
            let property =
                PropertyFilter { name: name.into(), absent: false, range, text: None, parameters: Vec::new() };
            let filter = asked(None, vec![property]);
            assert_eq!(filter.matches(&object(lines), auckland, 10), wanted, "{lines} {name} {from}");
        }
    }

    #[test]
    fn texts_and_parameters() {
        let event =
            object("DTSTART:20260105T090000Z\nSUMMARY:Breakfast\nATTENDEE;PARTSTAT=ACCEPTED:mailto:ann@example.test");
        let property = |name: &str, absent, text: Option<TextMatch>, parameters| PropertyFilter {
            name: name.into(),
            absent,
            range: None,
            text,
            parameters,
        };
        let parameter = ParameterFilter { name: "PARTSTAT".into(), absent: false, text: Some(text("accepted", false)) };
        for (filter, wanted) in [
            (property("SUMMARY", false, Some(text("BREAK", false)), vec![]), true),
            (property("SUMMARY", false, Some(text("BREAK", true)), vec![]), false),
            (property("SUMMARY", false, Some(text("lunch", false)), vec![]), false),
            (property("LOCATION", true, None, vec![]), true),
            (property("LOCATION", false, None, vec![]), false),
            (property("ATTENDEE", false, Some(text("ann@", false)), vec![parameter.clone()]), true),
            (property("SUMMARY", false, None, vec![parameter]), false),
        ] {
            assert_eq!(asked(None, vec![filter.clone()]).matches(&event, Tz::UTC, 10), wanted, "{filter:?}");
        }
    }
}
