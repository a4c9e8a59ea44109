//! The grammar of requests with a body.

use std::collections::HashSet;

use super::answer::Problem;
use super::xml::{CALDAV, CARDDAV, DAV, Element};
use crate::services::dav::{
    CardFilter, CardPropertyFilter, Collation, ComponentFilter, MatchKind, ParameterFilter, PropertyFilter, TextMatch,
    TimeRange,
};
use crate::storage::dav::{Property, PropertyChange, PropertyName};

/// Which properties are wanted (RFC 4918 §14.20).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All that are not costly.
    All,
    /// The names of all.
    Names,
    /// These, and how recurrences are wanted in `calendar-data`.
    These(Vec<PropertyName>, Recurring),
}

/// How recurrences are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recurring {
    /// As they are stored.
    Stored,
    /// Those in the range as events of their own (RFC 4791 §9.6.5).
    Expanded(TimeRange),
    /// Exceptions only as far as they concern the range (RFC 4791 §9.6.6).
    Limited(TimeRange),
}

impl Wanted {
    /// From PROPFIND's body; nothing means all.
    pub(super) fn of_find(root: Option<&Element>) -> Result<Self, Problem> {
        let Some(root) = root else { return Ok(Self::All) };
        if !root.is(DAV, "propfind") {
            return Err(Problem::bad("This is not a `propfind`."));
        }
        if root.child(DAV, "propname").is_some() {
            return Ok(Self::Names);
        }
        match (root.child(DAV, "prop"), root.child(DAV, "allprop")) {
            (Some(prop), _) => Self::of_prop(prop),
            (None, Some(_)) => Ok(Self::All),
            (None, None) => Err(Problem::bad("A `propfind` must say what it requests.")),
        }
    }

    /// Whether a property of CalDAV is asked for by its name.
    pub(super) fn names(&self, local: &str) -> bool {
        match self {
            Self::These(names, _) => names.iter().any(|name| name.namespace == CALDAV && name.local == local),
            Self::All | Self::Names => false,
        }
    }

    fn of_report(root: &Element) -> Result<Self, Problem> {
        root.child(DAV, "prop").map_or(Ok(Self::These(vec![], Recurring::Stored)), Self::of_prop)
    }

    fn of_prop(prop: &Element) -> Result<Self, Problem> {
        let data = prop.child(CALDAV, "calendar-data");
        check_form(data, &["text/calendar"], (CALDAV, "supported-calendar-data"))?;
        let contact_forms = &["text/vcard", "text/x-vcard", "text/directory"];
        check_form(prop.child(CARDDAV, "address-data"), contact_forms, (CARDDAV, "supported-address-data"))?;
        let given = |name| data.and_then(|data| data.child(CALDAV, name)).map(range).transpose();
        let recurring = match (given("expand")?, given("limit-recurrence-set")?) {
            (Some(range), _) => Recurring::Expanded(range),
            (None, Some(range)) => Recurring::Limited(range),
            (None, None) => Recurring::Stored,
        };
        // Who asks for one a thousand times gets it once.
        let mut seen = HashSet::new();
        let names = prop.elements().map(Element::name).filter(|name| seen.insert(name.clone()));
        Ok(Self::These(names.collect(), recurring))
    }
}

/// What REPORT asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Report {
    /// `calendar-multiget`, `addressbook-multiget`: the objects at these paths.
    Multiget(Wanted, Vec<String>),
    /// `calendar-query`; with the text of a zone for times that name none.
    Calendar(Wanted, ComponentFilter, Option<String>),
    /// `addressbook-query`, with the most objects wanted.
    Cards(Wanted, CardFilter, Option<u32>),
    /// `sync-collection`: changes since a token, at most so many.
    Sync(Wanted, Option<String>, Option<u32>),
    /// `free-busy-query`.
    FreeBusy(TimeRange),
}

impl Report {
    pub(super) fn parse(root: &Element) -> Result<Self, Problem> {
        let wanted = Wanted::of_report(root)?;
        match (root.namespace.as_str(), root.local.as_str()) {
            (CALDAV, "calendar-multiget") | (CARDDAV, "addressbook-multiget") => {
                let paths = root.elements().filter(|element| element.is(DAV, "href"));
                Ok(Self::Multiget(wanted, paths.map(|href| href.text().trim().to_owned()).collect()))
            }
            (CALDAV, "calendar-query") => {
                let filter = root.child(CALDAV, "filter").and_then(|filter| filter.child(CALDAV, "comp-filter"));
                let filter = filter.filter(|filter| is_modest(filter)).ok_or_else(|| invalid_filter(CALDAV))?;
                let zone = root.child(CALDAV, "timezone").map(Element::text);
                Ok(Self::Calendar(wanted, component_filter(filter)?, zone))
            }
            (CARDDAV, "addressbook-query") => {
                let filter = root.child(CARDDAV, "filter").filter(|filter| is_modest(filter));
                let filter = filter.ok_or_else(|| invalid_filter(CARDDAV))?;
                let limit = root.child(CARDDAV, "limit").and_then(|limit| limit.child(CARDDAV, "nresults"));
                Ok(Self::Cards(wanted, card_filter(filter)?, limit.map(number).transpose()?))
            }
            (DAV, "sync-collection") => {
                // RFC 6578 §3.3, §6.3. No collection here has another within it, so that both mean the same; older clients name
                // none.
                let level = root.child(DAV, "sync-level").map(|level| level.text().trim().to_owned());
                if level.is_some_and(|level| !matches!(level.as_str(), "1" | "infinite")) {
                    return Err(Problem::bad("A `sync-level` is 1 or `infinite`."));
                }
                let token = root.child(DAV, "sync-token").map(|token| token.text().trim().to_owned());
                let limit = root.child(DAV, "limit").and_then(|limit| limit.child(DAV, "nresults"));
                let limit = limit.map(number).transpose()?;
                Ok(Self::Sync(wanted, token.filter(|token| !token.is_empty()), limit))
            }
            (CALDAV, "free-busy-query") => {
                let asked = root.child(CALDAV, "time-range").ok_or_else(|| invalid_filter(CALDAV))?;
                Ok(Self::FreeBusy(range(asked)?))
            }
            // RFC 3253 §3.6.
            _ => Err(Problem::new(axum::http::StatusCode::FORBIDDEN, "This report is not supported here.")
                .rule(DAV, "supported-report")),
        }
    }
}

/// Whether objects are wanted in a form in which they are kept here (RFC 4791 §9.6, RFC 6352 §10.4).
fn check_form(data: Option<&Element>, known: &[&str], rule: (&'static str, &'static str)) -> Result<(), Problem> {
    let wanted = data.and_then(|data| data.attribute("content-type")).and_then(|kind| kind.split(';').next());
    if wanted.is_none_or(|wanted| known.iter().any(|known| known.eq_ignore_ascii_case(wanted.trim()))) {
        return Ok(());
    }
    let why = format!("Objects are given out as {} only.", known[0]);
    Err(Problem::new(axum::http::StatusCode::FORBIDDEN, why).rule(rule.0, rule.1))
}

/// Most conditions of a filter. Each is looked at for every object, and may have all its recurrences computed.
const MOST_CONDITIONS: usize = 64;

fn is_modest(filter: &Element) -> bool {
    fn conditions(filter: &Element) -> usize {
        filter.elements().map(|element| 1 + conditions(element)).sum()
    }
    conditions(filter) <= MOST_CONDITIONS
}

fn number(element: &Element) -> Result<u32, Problem> {
    let number = element.text().trim().parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| Problem::bad("A limit must be a number above zero."))
}

fn invalid_filter(namespace: &'static str) -> Problem {
    let status = axum::http::StatusCode::FORBIDDEN;
    let name = if namespace == CALDAV { "valid-filter" } else { "supported-filter" };
    Problem::new(status, "This filter is not understood.").rule(namespace, name)
}

/// A `time-range` or `expand`: UTC, and open where a side is missing (RFC 4791 §9.9).
fn range(element: &Element) -> Result<TimeRange, Problem> {
    let at = |name, open| match element.attribute(name) {
        None => Ok(open),
        Some(text) => chrono::NaiveDateTime::parse_from_str(text.trim(), "%Y%m%dT%H%M%SZ")
            .map(|at| at.and_utc().timestamp())
            .map_err(|_| invalid_filter(CALDAV)),
    };
    let range = TimeRange { start: at("start", FIRST)?, end: at("end", LAST)? };
    if range.start < range.end { Ok(range) } else { Err(invalid_filter(CALDAV)) }
}

/// The years 1 and 9999.
const FIRST: i64 = -62_135_596_800;
const LAST: i64 = 253_402_300_799;

fn component_filter(element: &Element) -> Result<ComponentFilter, Problem> {
    let name = element.attribute("name").ok_or_else(|| invalid_filter(CALDAV))?.to_owned();
    let range = element.child(CALDAV, "time-range").map(range).transpose()?;
    if range.is_some()
        && !["VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VALARM"].iter().any(|known| name.eq_ignore_ascii_case(known))
    {
        let why = "A `time-range` is supported here for events, tasks, journal entries, busy times and alarms.";
        return Err(Problem::new(axum::http::StatusCode::FORBIDDEN, why).rule(CALDAV, "supported-filter"));
    }
    let named = |name: &'static str| element.elements().filter(move |child| child.is(CALDAV, name));
    Ok(ComponentFilter {
        absent: element.child(CALDAV, "is-not-defined").is_some(),
        range,
        properties: named("prop-filter").map(property_filter).collect::<Result<_, _>>()?,
        components: named("comp-filter").map(component_filter).collect::<Result<_, _>>()?,
        name,
    })
}

fn property_filter(element: &Element) -> Result<PropertyFilter, Problem> {
    let parameters = element.elements().filter(|child| child.is(CALDAV, "param-filter"));
    Ok(PropertyFilter {
        name: element.attribute("name").ok_or_else(|| invalid_filter(CALDAV))?.to_owned(),
        absent: element.child(CALDAV, "is-not-defined").is_some(),
        range: element.child(CALDAV, "time-range").map(range).transpose()?,
        text: element.child(CALDAV, "text-match").map(|text| text_match(text, CALDAV)).transpose()?,
        parameters: parameters.map(|filter| parameter_filter(filter, CALDAV)).collect::<Result<_, _>>()?,
    })
}

fn parameter_filter(element: &Element, namespace: &'static str) -> Result<ParameterFilter, Problem> {
    Ok(ParameterFilter {
        name: element.attribute("name").ok_or_else(|| invalid_filter(namespace))?.to_owned(),
        absent: element.child(namespace, "is-not-defined").is_some(),
        text: element.child(namespace, "text-match").map(|text| text_match(text, namespace)).transpose()?,
    })
}

fn text_match(element: &Element, namespace: &'static str) -> Result<TextMatch, Problem> {
    let usual = if namespace == CALDAV { "i;ascii-casemap" } else { "i;unicode-casemap" };
    let collation = match element.attribute("collation").unwrap_or(usual) {
        "i;ascii-casemap" => Collation::AsciiCasemap,
        "i;octet" => Collation::Octet,
        "i;unicode-casemap" | "default" => Collation::UnicodeCasemap,
        _ => {
            let status = axum::http::StatusCode::FORBIDDEN;
            return Err(
                Problem::new(status, "This collation is not supported here.").rule(namespace, "supported-collation")
            );
        }
    };
    let kind = match element.attribute("match-type").unwrap_or("contains") {
        "equals" => MatchKind::Equals,
        "contains" => MatchKind::Contains,
        "starts-with" => MatchKind::StartsWith,
        "ends-with" => MatchKind::EndsWith,
        _ => return Err(invalid_filter(namespace)),
    };
    Ok(TextMatch {
        text: element.text(),
        collation,
        kind,
        negate: element.attribute("negate-condition") == Some("yes"),
    })
}

fn card_filter(element: &Element) -> Result<CardFilter, Problem> {
    let property = |filter: &Element| {
        let named = |name: &'static str| filter.elements().filter(move |child| child.is(CARDDAV, name));
        Ok(CardPropertyFilter {
            name: filter.attribute("name").ok_or_else(|| invalid_filter(CARDDAV))?.to_owned(),
            absent: filter.child(CARDDAV, "is-not-defined").is_some(),
            all: filter.attribute("test") == Some("allof"),
            texts: named("text-match").map(|text| text_match(text, CARDDAV)).collect::<Result<_, _>>()?,
            parameters: named("param-filter").map(|one| parameter_filter(one, CARDDAV)).collect::<Result<_, _>>()?,
        })
    };
    let properties = element.elements().filter(|child| child.is(CARDDAV, "prop-filter"));
    Ok(CardFilter {
        all: element.attribute("test") == Some("allof"),
        properties: properties.map(property).collect::<Result<_, Problem>>()?,
    })
}

/// What PROPPATCH, MKCOL and MKCALENDAR want to set and remove, in their order (RFC 4918 §9.2, RFC 5689 §3).
pub(super) fn changes(root: &Element) -> Result<Vec<PropertyChange>, Problem> {
    let mut changes = Vec::new();
    for element in root.elements() {
        let sets = element.is(DAV, "set");
        if !sets && !element.is(DAV, "remove") {
            continue;
        }
        let prop = element.child(DAV, "prop").ok_or_else(|| Problem::bad("A `set` or `remove` needs a `prop`."))?;
        for one in prop.elements() {
            changes.push(match sets {
                true => PropertyChange::Set(Property { name: one.name(), value: one.inner() }),
                false => PropertyChange::Remove(one.name()),
            });
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Report, Problem> {
        Report::parse(&Element::parse(text.as_bytes(), 1000).unwrap())
    }

    #[test]
    fn a_calendar_query() {
        let text = r#"<C:calendar-query xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:D="DAV:">
            <D:prop><D:getetag/><C:calendar-data><C:expand start="20060103T000000Z" end="20060105T000000Z"/></C:calendar-data></D:prop>
            <C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT">
            <C:time-range start="20060104T000000Z"/>
            <C:prop-filter name="SUMMARY"><C:text-match negate-condition="yes">x</C:text-match></C:prop-filter>
            </C:comp-filter></C:comp-filter></C:filter></C:calendar-query>"#;
        let Ok(Report::Calendar(Wanted::These(names, Recurring::Expanded(expand)), filter, None)) = parse(text) else {
            panic!()
        };
        assert_eq!(names.len(), 2);
        assert_eq!(expand, TimeRange { start: 1_136_246_400, end: 1_136_419_200 });
        assert_eq!(filter.narrowed(), (Some("VEVENT"), Some(TimeRange { start: 1_136_332_800, end: LAST })));
        assert!(filter.components[0].properties[0].text.as_ref().unwrap().negate);
        let limited = parse(&text.replace("C:expand", "C:limit-recurrence-set"));
        assert!(
            matches!(limited, Ok(Report::Calendar(Wanted::These(_, Recurring::Limited(range)), ..)) if range == expand)
        );
        for wrong in ["start=\"2006\"", "start=\"20060104T000000Z\" end=\"20060104T000000Z\""] {
            assert!(parse(&text.replace("start=\"20060104T000000Z\"", wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn objects_are_wanted_in_their_own_form() {
        let many = |data: &str| {
            parse(&format!(
                r#"<C:calendar-multiget xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:A="urn:ietf:params:xml:ns:carddav" xmlns="DAV:"><prop><{data}/></prop></C:calendar-multiget>"#
            ))
        };
        for (data, wanted) in [
            ("C:calendar-data", true),
            (r#"C:calendar-data content-type="Text/Calendar; charset=utf-8" version="2.0""#, true),
            (r#"C:calendar-data content-type="application/calendar+json""#, false),
            (r#"A:address-data content-type="text/vcard" version="4.0""#, true),
            (r#"A:address-data content-type="application/vcard+json""#, false),
        ] {
            assert_eq!(many(data).is_ok(), wanted, "{data}");
        }
    }

    #[test]
    fn other_reports() {
        let sync = parse(
            r#"<sync-collection xmlns="DAV:"><sync-token>t</sync-token><sync-level>1</sync-level><limit><nresults>7</nresults></limit><prop><getetag/></prop></sync-collection>"#,
        );
        assert!(matches!(sync, Ok(Report::Sync(_, Some(token), Some(7))) if token == "t"));
        assert!(parse(r#"<sync-collection xmlns="DAV:"><sync-level>2</sync-level></sync-collection>"#).is_err());
        assert!(parse(r#"<x xmlns="DAV:"/>"#).is_err());
        let cards = parse(
            r#"<a:addressbook-query xmlns:a="urn:ietf:params:xml:ns:carddav" xmlns="DAV:"><a:filter test="allof"><a:prop-filter name="FN"><a:text-match match-type="equals" collation="i;none">x</a:text-match></a:prop-filter></a:filter></a:addressbook-query>"#,
        );
        assert!(cards.is_err());
    }
}
