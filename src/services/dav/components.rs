//! A calendar's components as lines (RFC 5545 §3.4), so that unchanged lines stay octet for octet.

use std::collections::{HashMap, HashSet};

use calcard::common::timezone::Tz;
use chrono::{NaiveDateTime, TimeZone as _};

use super::invitation::{Method, Participant, Participation};
use super::particulars::{Line, folded, lines};

/// Most characters of a name or an address.
const LONGEST: usize = 1_000;
/// Most people that are shown.
const MOST_PEOPLE: usize = 200;

/// A calendar split into its parts.
pub(super) struct Whole<'a> {
    properties: Vec<Line<'a>>,
    pub(super) components: Vec<Component<'a>>,
}

/// Where components are, by the times that they are about. There can be thousands, and a search for each of them takes minutes.
pub(super) struct Places(pub(super) HashMap<Option<String>, usize>);

/// A component directly in a calendar, with everything in it, from its BEGIN to its END.
pub(super) struct Component<'a> {
    pub(super) kind: String,
    pub(super) lines: Vec<Line<'a>>,
}

/// Whether the alarms of an event are written with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alarms {
    Kept,
    LeftOut,
}

impl<'a> Whole<'a> {
    pub(super) fn of(content: &'a str) -> Self {
        let mut whole = Self { properties: Vec::new(), components: Vec::new() };
        let mut depth = 0usize;
        for line in lines(content).into_iter().filter(|line| !line.whole.trim().is_empty()) {
            let property = line.property();
            let (begins, ends) = (property == "BEGIN", property == "END");
            if begins && depth == 1 {
                whole.components.push(Component { kind: line.value().to_ascii_uppercase(), lines: Vec::new() });
            }
            let within = depth >= 2 || begins && depth == 1;
            depth = if begins { depth + 1 } else { depth.saturating_sub(usize::from(ends)) };
            match whole.components.last_mut() {
                Some(component) if within => component.lines.push(line),
                _ if !begins && !ends => whole.properties.push(line),
                _ => {}
            }
        }
        whole
    }

    pub(super) fn events(&self) -> impl Iterator<Item = &Component<'a>> {
        self.components.iter().filter(|component| component.kind == "VEVENT")
    }

    /// Where the series (`None`) and its exceptions are among the components.
    pub(super) fn places(&self) -> Places {
        let mut places = HashMap::new();
        for (at, event) in self.components.iter().enumerate().filter(|(_, component)| component.kind == "VEVENT") {
            places.entry(event.exception()).or_insert(at);
        }
        Places(places)
    }

    /// The component about the same time as an event of another calendar.
    pub(super) fn same(&self, places: &Places, event: &Component<'_>) -> Option<&Component<'a>> {
        self.components.get(*places.0.get(&event.exception())?)
    }

    /// The series itself.
    pub(super) fn master(&self, places: &Places) -> Option<&Component<'a>> {
        self.components.get(*places.0.get(&None::<String>)?)
    }

    /// The METHOD as it is written.
    pub(super) fn purpose(&self) -> Option<&str> {
        self.properties.iter().find(|line| line.property() == "METHOD").map(Line::value)
    }

    pub(super) fn method(&self) -> Method {
        self.purpose().map_or(Method::Publish, Method::named)
    }

    /// The beginning in its stored form: without METHOD (RFC 4791 §4.1).
    pub(super) fn head(&self) -> String {
        let kept = self.properties.iter().filter(|line| line.property() != "METHOD");
        std::iter::once("BEGIN:VCALENDAR\r\n".to_owned()).chain(kept.map(|line| folded(&line.whole))).collect()
    }
}

impl Component<'_> {
    /// Its own lines, without those of nested components.
    pub(super) fn own(&self) -> impl Iterator<Item = &Line<'_>> {
        let mut depth = 0usize;
        self.lines.iter().filter(move |line| match line.property().as_str() {
            "BEGIN" => {
                depth += 1;
                false
            }
            "END" => {
                depth = depth.saturating_sub(1);
                false
            }
            _ => depth == 1,
        })
    }

    pub(super) fn line(&self, name: &str) -> Option<&Line<'_>> {
        self.own().find(|line| line.property() == name)
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.line(name).map(Line::value)
    }

    /// Which time of a recurring event it is about.
    pub(super) fn exception(&self) -> Option<String> {
        self.time("RECURRENCE-ID")
    }

    /// The time in a property.
    pub(super) fn time(&self, name: &str) -> Option<String> {
        let (pieces, value) = pieces(&self.line(name)?.whole);
        Some(comparable(&pieces, value))
    }

    pub(super) fn is_exception(&self) -> bool {
        self.line("RECURRENCE-ID").is_some()
    }

    /// Whether a time of it does not take place (RFC 5545 §3.8.5.1).
    pub(super) fn leaves_out(&self, id: &str) -> bool {
        self.own().filter(|line| line.property() == "EXDATE").any(|line| {
            let (pieces, value) = pieces(&line.whole);
            value.split(',').any(|time| comparable(&pieces, time) == id)
        })
    }

    pub(super) fn sequence(&self) -> u32 {
        self.value("SEQUENCE").and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    pub(super) fn people(&self, name: &str) -> Vec<Participant> {
        self.own().filter(|line| line.property() == name).take(MOST_PEOPLE).map(participant).collect()
    }

    pub(super) fn write(&self, out: &mut String) {
        self.lines.iter().for_each(|line| out.push_str(&folded(&line.whole)));
    }

    /// Writes an event with somebody's answer, if there is one, and with the alarms and whatever else of what it replaces is not the
    /// organiser's (RFC 6638 §3.2.2.1).
    pub(super) fn write_entered(
        &self,
        answer: Option<(&Participant, Participation)>,
        former: Option<&Component<'_>>,
        out: &mut String,
    ) {
        let is_named = answer.is_none_or(|(me, _)| self.own().any(|line| is_attendee(line, &me.address)));
        let owners = former.into_iter().flat_map(Component::own).filter(|line| is_owners(&line.property()));
        let owners: Vec<&Line<'_>> = owners.collect();
        // There may be tens of thousands of lines of both.
        let names: HashSet<String> = owners.iter().map(|line| line.property()).collect();
        let mut write = |line: &str| out.push_str(&folded(line));
        let mut depth = 0usize;
        for (n, (line, is_alarm)) in self.lines_and_alarms().enumerate() {
            let property = line.property();
            depth = depth.saturating_sub(usize::from(property == "END"));
            let is_replaced = depth == 1 && names.contains(&property);
            depth += usize::from(property == "BEGIN");
            if n + 1 == self.lines.len() {
                let kept = former.into_iter().flat_map(Component::lines_and_alarms).filter(|(_, is_alarm)| *is_alarm);
                kept.for_each(|(line, _)| write(&line.whole));
            }
            match answer {
                _ if is_replaced || is_alarm && former.is_some() => {}
                Some((me, participation)) if !is_alarm && is_attendee(line, &me.address) => {
                    write(&attending(Some(&line.whole), me, participation));
                }
                Some((me, participation)) if n == 0 && !is_named => {
                    write(&line.whole);
                    write(&attending(None, me, participation));
                }
                _ => write(&line.whole),
            }
            if n == 0 {
                owners.iter().for_each(|line| write(&line.whole));
            }
        }
    }

    /// Writes it with its own lines changed (`None` leaves one out), and with more of them after these: alarms are last (RFC 5545 §3.6.1).
    /// Lines of nested components stay as they are.
    pub(super) fn write_changed(
        &self,
        alarms: Alarms,
        change: &dyn Fn(&Line<'_>) -> Option<String>,
        more: &[String],
        out: &mut String,
    ) {
        let (mut depth, mut more) = (0usize, more);
        for (n, (line, is_alarm)) in self.lines_and_alarms().enumerate() {
            let property = line.property();
            let (begins, ends) = (property == "BEGIN", property == "END");
            depth = depth.saturating_sub(usize::from(ends));
            if begins && depth == 1 || n + 1 == self.lines.len() {
                std::mem::take(&mut more).iter().for_each(|line| out.push_str(&folded(line)));
            }
            let written = match (is_alarm, alarms) {
                (true, Alarms::LeftOut) => None,
                _ if depth == 1 && !begins && !ends => change(line),
                _ => Some(line.whole.clone()),
            };
            if let Some(written) = written {
                out.push_str(&folded(&written));
            }
            depth += usize::from(begins);
        }
    }

    /// All times of the properties with a name, as [`Self::time`] has them.
    pub(super) fn times(&self, name: &str) -> Vec<String> {
        let lines = self.own().filter(|line| line.property() == name);
        let times = lines.flat_map(|line| {
            let (pieces, value) = pieces(&line.whole);
            value.split(',').map(|time| comparable(&pieces, time)).collect::<Vec<_>>()
        });
        times.collect()
    }

    /// All lines, each with whether it is an alarm's.
    fn lines_and_alarms(&self) -> impl Iterator<Item = (&Line<'_>, bool)> {
        let (mut depth, mut is_alarm) = (0usize, false);
        self.lines.iter().map(move |line| {
            let property = line.property();
            if property == "BEGIN" {
                depth += 1;
                is_alarm = if depth == 2 { line.value().eq_ignore_ascii_case("VALARM") } else { is_alarm };
            }
            let within = is_alarm && depth >= 2;
            depth = depth.saturating_sub(usize::from(property == "END"));
            (line, within)
        })
    }
}

/// Whether a property of somebody's event is theirs, whoever has organised it: whether it makes them busy (RFC 6638 §3.2.2.1), in which
/// colour they see it (RFC 7986 §5.9; many programs choose it by category), the way there, and which alarms they have seen already.
fn is_owners(property: &str) -> bool {
    ["TRANSP", "COLOR", "CATEGORIES"].contains(&property)
        || ["X-MOZ-LASTACK", "X-MOZ-SNOOZE-TIME", "X-APPLE-TRAVEL-"].iter().any(|name| property.starts_with(name))
}

/// A message in the form in which events are stored.
pub(super) fn without_method(content: &str) -> String {
    let whole = Whole::of(content);
    let mut out = whole.head();
    whole.components.iter().for_each(|component| component.write(&mut out));
    out + "END:VCALENDAR\r\n"
}

/// The line of somebody who has answered.
pub(super) fn attending(line: Option<&str>, me: &Participant, answer: Participation) -> String {
    let word = answer.word();
    if let Some(line) = line {
        let (pieces, value) = pieces(line);
        let kept = pieces.iter().skip(1).filter(|piece| !named(piece, "PARTSTAT") && !named(piece, "RSVP"));
        let parameters: String = kept.map(|piece| format!(";{piece}")).collect();
        return format!("ATTENDEE;PARTSTAT={word}{parameters}:{value}");
    }
    // RFC 5545 §3.1: a parameter cannot contain a quotation mark.
    let name: String = me.name.chars().filter(|c| !c.is_control() && *c != '"').collect();
    let name = if name.trim().is_empty() { String::new() } else { format!(";CN=\"{}\"", name.trim()) };
    format!("ATTENDEE;PARTSTAT={word}{name}:mailto:{}", me.address)
}

pub(super) fn is_attendee(line: &Line<'_>, address: &str) -> bool {
    line.property() == "ATTENDEE" && mailbox(line.value()).eq_ignore_ascii_case(address)
}

fn participant(line: &Line<'_>) -> Participant {
    let (pieces, value) = pieces(&line.whole);
    let parameter = |name: &str| {
        let piece = pieces.iter().skip(1).find(|piece| named(piece, name))?;
        piece.split_once('=').map(|(_, value)| value.trim().trim_matches('"').to_owned())
    };
    let status = parameter("PARTSTAT").unwrap_or_default().to_ascii_lowercase();
    let known = ["accepted", "tentative", "declined", "delegated"].contains(&status.as_str());
    Participant {
        name: cut(&parameter("CN").unwrap_or_default(), LONGEST),
        address: cut(mailbox(value), LONGEST),
        status: if known { status } else { "needs-action".to_owned() },
    }
}

/// The address of a `mailto:`.
pub(super) fn mailbox(value: &str) -> &str {
    let scheme = value.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
    scheme.map_or(value, |scheme| value[scheme.len()..].trim())
}

/// The name of a line and its parameters, and its value (RFC 5545 §3.1).
pub(super) fn pieces(line: &str) -> (Vec<&str>, &str) {
    let (mut pieces, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ';' | ':' if !quoted => {
                pieces.push(&line[start..at]);
                start = at + 1;
                if c == ':' {
                    return (pieces, line[start..].trim());
                }
            }
            _ => {}
        }
    }
    (pieces, "")
}

/// A time in canonical form: in UTC, unless it is a day or in no known zone. A reply may
/// name in UTC what the organiser has named in a zone (RFC 5545 §3.8.4.4).
pub(super) fn comparable(pieces: &[&str], time: &str) -> String {
    let time = time.trim().to_ascii_uppercase();
    let zone = pieces.iter().skip(1).filter(|piece| named(piece, "TZID")).find_map(|piece| {
        let (_, name) = piece.split_once('=')?;
        name.trim().trim_matches('"').parse::<Tz>().ok()
    });
    let local = NaiveDateTime::parse_from_str(&time, "%Y%m%dT%H%M%S").ok();
    let at = zone.zip(local).and_then(|(zone, local)| zone.from_local_datetime(&local).earliest());
    at.map_or(time, |at| at.naive_utc().format("%Y%m%dT%H%M%SZ").to_string())
}

pub(super) fn named(piece: &str, name: &str) -> bool {
    piece.split_once('=').is_some_and(|(given, _)| given.trim().eq_ignore_ascii_case(name))
}

pub(super) fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}
