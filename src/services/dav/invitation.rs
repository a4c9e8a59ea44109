//! What programs for calendars send by mail (iTIP, RFC 5546; iMIP, RFC 6047): what is shown of it, the answer, and what of it
//! is entered into a calendar. Lines of others stay as they are but for the ones that say whether somebody comes.

use std::collections::HashSet;

use calcard::common::timezone::Tz;
use chrono::DateTime;
use serde::{Deserialize, Serialize};

use super::calendar::{check_lines, check_rules, parse};
use super::occurrences::{Occurrence, occurrences};
use super::particulars::{Line, folded, lines, text};
pub use super::replies::Recorded;
use super::replies::{noted, recorded};
use super::{Unfit, text as utf8};
use crate::foundations::clock::Timestamp;

/// Most people that are shown.
const MOST_PEOPLE: usize = 200;
/// Most characters of a title, a place or a name.
const LONGEST: usize = 1_000;
/// Most characters of a description.
const LONGEST_DESCRIPTION: usize = 20_000;
/// Recurrences that are looked at to find the first.
const RECURRENCES: usize = 4;
const DAY: i64 = 86_400;

/// What a message about an event wants (RFC 5546 §1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Somebody is invited, or the event has changed.
    Request,
    /// It does not take place.
    Cancel,
    /// Somebody has answered.
    Reply,
    /// It is made known; nobody is asked.
    Publish,
    /// Something that is only shown.
    Other,
}

/// How somebody answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Participation {
    /// Comes.
    Accepted,
    /// May come.
    Tentative,
    /// Does not come.
    Declined,
}

impl Participation {
    /// What a status says.
    pub(super) fn of(status: &str) -> Option<Self> {
        match status {
            "accepted" => Some(Self::Accepted),
            "tentative" => Some(Self::Tentative),
            "declined" => Some(Self::Declined),
            _ => None,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::Tentative => "TENTATIVE",
            Self::Declined => "DECLINED",
        }
    }
}

/// Somebody who has to do with an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Participant {
    /// The name; empty where none is told.
    pub name: String,
    /// The address.
    pub address: String,
    /// What is known of whether they come: `accepted`, `tentative`, `declined`, `delegated` or `needs-action`.
    pub status: String,
}

/// A moment of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// In milliseconds since 1970.
    At(i64),
    /// A whole day; as an end the last one.
    Date(String),
    /// A time wherever one is (RFC 5545 §3.3.5, form 1).
    Local(String),
}

/// What is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// What is wanted.
    pub method: Method,
    /// The title.
    pub summary: String,
    /// Where.
    pub location: String,
    /// Anything.
    pub description: String,
    /// Who invites.
    pub organiser: Option<Participant>,
    /// Who is invited.
    pub attendees: Vec<Participant>,
    /// When it begins, for the first time.
    pub start: Option<When>,
    /// When it ends, for the first time.
    pub end: Option<When>,
    /// How it recurs: `daily`, `weekly`, `monthly`, `yearly` or `often`.
    pub repeats: Option<&'static str>,
    /// Whether it is about single times of an event that recurs.
    pub exception: bool,
}

/// How an invitation stands to what the calendar has of its event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Whether the event is there.
    pub kept: bool,
    /// How it was answered, as the calendar has it.
    pub status: Option<String>,
    /// Whether the calendar has a later version.
    pub newer: bool,
    /// Whether the event there is of another organiser.
    pub foreign: bool,
    /// Of an answer to an event of one's own: whether the event has it.
    pub reply: Option<Recorded>,
}

/// A message about an event.
#[derive(Debug, Clone)]
pub struct Invitation {
    content: String,
    uid: String,
    shown: Shown,
}

impl Invitation {
    /// Reads it.
    ///
    /// # Errors
    /// It is none, or is about several events.
    pub fn read(content: &str) -> Result<Self, Unfit> {
        utf8(content.as_bytes())?;
        check_lines(content)?;
        let whole = Whole::of(content);
        let mut uids = whole.events().filter_map(|event| event.value("UID")).map(str::to_owned);
        let uid = uids.next().filter(|uid| !uid.is_empty()).ok_or(Unfit::Rule("it is about no event"))?;
        if uids.any(|other| other != uid) {
            return Err(Unfit::Rule("it is about several events"));
        }
        // What only a parser of our own understood would be refused by the calendar later.
        let calendar = parse(content)?;
        check_rules(&calendar)?;
        let first = occurrences(&calendar, Tz::UTC, RECURRENCES).times.into_iter().min_by_key(|time| time.start);
        let event = whole.events().find(|event| !event.is_exception()).or_else(|| whole.events().next());
        let event = event.ok_or(Unfit::Rule("it is about no event"))?;
        let shown = shown(whole.method(), event, first);
        let shown = Shown { exception: whole.events().all(Component::is_exception), ..shown };
        Ok(Self { content: content.to_owned(), uid, shown })
    }

    /// What is shown of it.
    pub const fn shown(&self) -> &Shown {
        &self.shown
    }

    /// Which event it is about.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Which of these addresses is invited.
    pub fn invited(&self, addresses: &[String]) -> Option<&Participant> {
        let is_one = |one: &&Participant| addresses.iter().any(|known| known.eq_ignore_ascii_case(&one.address));
        self.shown.attendees.iter().find(is_one)
    }

    /// How it stands to what a calendar has, for whoever has these addresses.
    pub fn standing(&self, stored: &str, addresses: &[String]) -> Standing {
        let (own, stored) = (Whole::of(&self.content), Whole::of(stored));
        let like = own.events().next().and_then(Component::exception);
        let same = |event: &&Component<'_>| event.exception() == like;
        let master = || stored.events().find(|event| !event.is_exception());
        let Some(kept) = stored.events().find(same).or_else(master).or_else(|| stored.events().next()) else {
            return Standing::default();
        };
        let sequence = own.events().map(Component::sequence).max().unwrap_or_default();
        let people = kept.people("ATTENDEE");
        let me = people.iter().find(|one| addresses.iter().any(|known| known.eq_ignore_ascii_case(&one.address)));
        let organiser = kept.people("ORGANIZER").into_iter().next();
        let foreign = match (&organiser, &self.shown.organiser) {
            (Some(there), Some(here)) => !there.address.eq_ignore_ascii_case(&here.address),
            (None, None) => false,
            _ => true,
        };
        let is_own = |one: &Participant| addresses.iter().any(|known| known.eq_ignore_ascii_case(&one.address));
        let is_answer = self.shown.method == Method::Reply && organiser.as_ref().is_some_and(is_own);
        Standing {
            kept: true,
            status: me.map(|one| one.status.clone()),
            newer: kept.sequence() > sequence,
            foreign,
            reply: is_answer.then(|| recorded(&own, &stored)),
        }
    }

    /// The answer for the organiser (RFC 5546 §3.2.3).
    pub fn reply(&self, me: &Participant, answer: Participation, now: Timestamp) -> String {
        const COPIED: [&str; 8] =
            ["UID", "SEQUENCE", "RECURRENCE-ID", "ORGANIZER", "SUMMARY", "DTSTART", "DTEND", "DURATION"];
        let whole = Whole::of(&self.content);
        let mut out =
            String::from("BEGIN:VCALENDAR\r\nPRODID:-//Postrider//webmail//EN\r\nVERSION:2.0\r\nMETHOD:REPLY\r\n");
        whole.components.iter().filter(|one| one.kind == "VTIMEZONE").for_each(|zone| zone.write(&mut out));
        for event in whole.events() {
            out.push_str("BEGIN:VEVENT\r\n");
            let copied = event.own().filter(|line| COPIED.contains(&line.property().as_str()));
            copied.for_each(|line| out.push_str(&folded(&line.whole)));
            out.push_str(&format!("DTSTAMP:{}\r\n", now.utc().format("%Y%m%dT%H%M%SZ")));
            let line = event.own().find(|line| is_attendee(line, &me.address)).map(|line| line.whole.clone());
            out.push_str(&folded(&attending(line.as_deref(), me, answer)));
            out.push_str("END:VEVENT\r\n");
        }
        out.push_str("END:VCALENDAR\r\n");
        out
    }

    /// What the calendar is to have: the event as it was sent, with the answer of somebody, if there is one. Where it is only
    /// about single times of an event that recurs, these in what is there.
    pub fn entered(&self, stored: Option<&str>, answer: Option<(&Participant, Participation)>) -> String {
        let own = Whole::of(&self.content);
        let Some(stored) = stored.filter(|_| self.shown.exception) else {
            let mut out = own.head();
            own.components.iter().for_each(|component| component.write_answered(answer, &mut out));
            return out + "END:VCALENDAR\r\n";
        };
        let there = Whole::of(stored);
        let replaced: HashSet<String> = own.events().filter_map(Component::exception).collect();
        let zones: HashSet<&str> = there.components.iter().filter_map(|one| one.value("TZID")).collect();
        let mut out = there.head();
        let is_new =
            |one: &&Component<'_>| one.kind == "VTIMEZONE" && one.value("TZID").is_none_or(|id| !zones.contains(id));
        own.components.iter().filter(is_new).for_each(|zone| zone.write(&mut out));
        let stays = |one: &&Component<'_>| one.exception().is_none_or(|id| !replaced.contains(&id));
        there.components.iter().filter(stays).for_each(|component| component.write(&mut out));
        own.events().for_each(|event| event.write_answered(answer, &mut out));
        out + "END:VCALENDAR\r\n"
    }

    /// The organiser's event with the answer in it (RFC 5546 §3.2.3).
    ///
    /// # Errors
    /// Whoever answers is not invited, or the time that the answer is about cannot be told.
    pub fn noted_in(&self, stored: &str, now: Timestamp) -> Result<String, Unfit> {
        noted(&Whole::of(&self.content), &Whole::of(stored), now)
    }

    /// What stays of what the calendar has once this does not take place; `None` when nothing does.
    pub fn taken_out(&self, stored: &str) -> Option<String> {
        let (own, there) = (Whole::of(&self.content), Whole::of(stored));
        if !self.shown.exception || !there.events().any(|event| event.value("RRULE").is_some()) {
            return None;
        }
        let gone: HashSet<String> = own.events().filter_map(Component::exception).collect();
        let mut out = there.head();
        for component in &there.components {
            if component.exception().is_some_and(|id| gone.contains(&id)) {
                continue;
            }
            if component.kind != "VEVENT" || component.is_exception() {
                component.write(&mut out);
                continue;
            }
            // RFC 5545 §3.8.5.1: times at which it does not take place.
            let (last, before) = component.lines.split_last()?;
            before.iter().for_each(|line| out.push_str(&folded(&line.whole)));
            for line in own.events().filter_map(|event| event.line("RECURRENCE-ID")) {
                let (pieces, value) = pieces(&line.whole);
                let kept = pieces.iter().skip(1).filter(|piece| !named(piece, "RANGE"));
                let parameters: String = kept.map(|piece| format!(";{piece}")).collect();
                out.push_str(&folded(&format!("EXDATE{parameters}:{value}")));
            }
            out.push_str(&folded(&last.whole));
        }
        Some(out + "END:VCALENDAR\r\n")
    }
}

fn shown(method: Method, event: &Component<'_>, first: Option<Occurrence>) -> Shown {
    let word = |name: &str, most: usize| event.value(name).map(|value| cut(&text(value), most)).unwrap_or_default();
    let (start, end) = first.map_or((None, None), |time| times(event, &time));
    let frequency = event.value("RRULE").map(str::to_ascii_uppercase);
    let repeats = frequency.map(|rule| {
        let is = |word: &str| rule.split(';').any(|part| part.trim() == format!("FREQ={word}"));
        let known = [("DAILY", "daily"), ("WEEKLY", "weekly"), ("MONTHLY", "monthly"), ("YEARLY", "yearly")];
        known.into_iter().find(|(word, _)| is(word)).map_or("often", |(_, shown)| shown)
    });
    Shown {
        method,
        summary: word("SUMMARY", LONGEST),
        location: word("LOCATION", LONGEST),
        description: word("DESCRIPTION", LONGEST_DESCRIPTION),
        organiser: event.people("ORGANIZER").into_iter().next(),
        attendees: event.people("ATTENDEE"),
        start,
        end,
        repeats,
        exception: false,
    }
}

/// When it begins and ends, in the form in which its beginning is written.
fn times(event: &Component<'_>, time: &Occurrence) -> (Option<When>, Option<When>) {
    let Some(line) = event.line("DTSTART") else { return (None, None) };
    let (pieces, value) = pieces(&line.whole);
    let ends = time.end > time.start;
    let offset = time.local.saturating_sub(time.start);
    let written = |seconds: i64, form: &str| DateTime::from_timestamp(seconds, 0).map(|at| at.format(form).to_string());
    if !value.contains(['T', 't']) {
        let date = |seconds| written(seconds, "%Y-%m-%d").map(When::Date);
        let last = time.end.saturating_add(offset).saturating_sub(DAY).max(time.local);
        return (date(time.local), date(last).filter(|_| ends));
    }
    if !value.ends_with(['Z', 'z']) && !pieces.iter().any(|piece| named(piece, "TZID")) {
        let local = |seconds| written(seconds, "%Y-%m-%dT%H:%M:%S").map(When::Local);
        return (local(time.local), local(time.end.saturating_add(offset)).filter(|_| ends));
    }
    let at = |seconds: i64| When::At(seconds.saturating_mul(1000));
    (Some(at(time.start)), Some(at(time.end)).filter(|_| ends))
}

/// A calendar in its parts.
pub(super) struct Whole<'a> {
    properties: Vec<Line<'a>>,
    pub(super) components: Vec<Component<'a>>,
}

/// A component directly in a calendar, with all within it, from its BEGIN to its END.
pub(super) struct Component<'a> {
    pub(super) kind: String,
    pub(super) lines: Vec<Line<'a>>,
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

    fn method(&self) -> Method {
        let line = self.properties.iter().find(|line| line.property() == "METHOD");
        match line.map(|line| line.value().to_ascii_uppercase()).as_deref() {
            Some("REQUEST") => Method::Request,
            Some("CANCEL") => Method::Cancel,
            Some("REPLY") => Method::Reply,
            Some("PUBLISH") | None => Method::Publish,
            Some(_) => Method::Other,
        }
    }

    /// The beginning as it is stored: without METHOD (RFC 4791 §4.1).
    pub(super) fn head(&self) -> String {
        let kept = self.properties.iter().filter(|line| line.property() != "METHOD");
        std::iter::once("BEGIN:VCALENDAR\r\n".to_owned()).chain(kept.map(|line| folded(&line.whole))).collect()
    }
}

impl Component<'_> {
    /// Its own lines, without those of what is in it.
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

    /// Which time of an event that recurs it is about.
    pub(super) fn exception(&self) -> Option<String> {
        self.value("RECURRENCE-ID").map(str::to_ascii_uppercase)
    }

    pub(super) fn is_exception(&self) -> bool {
        self.line("RECURRENCE-ID").is_some()
    }

    fn sequence(&self) -> u32 {
        self.value("SEQUENCE").and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    pub(super) fn people(&self, name: &str) -> Vec<Participant> {
        self.own().filter(|line| line.property() == name).take(MOST_PEOPLE).map(participant).collect()
    }

    pub(super) fn write(&self, out: &mut String) {
        self.write_answered(None, out);
    }

    fn write_answered(&self, answer: Option<(&Participant, Participation)>, out: &mut String) {
        let answer = answer.filter(|_| self.kind == "VEVENT");
        let Some((me, participation)) = answer else {
            self.lines.iter().for_each(|line| out.push_str(&folded(&line.whole)));
            return;
        };
        let is_named = self.own().any(|line| is_attendee(line, &me.address));
        for (n, line) in self.lines.iter().enumerate() {
            if is_attendee(line, &me.address) {
                out.push_str(&folded(&attending(Some(&line.whole), me, participation)));
                continue;
            }
            out.push_str(&folded(&line.whole));
            if n == 0 && !is_named {
                out.push_str(&folded(&attending(None, me, participation)));
            }
        }
    }
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
    // RFC 5545 §3.1: a quotation mark stands in no parameter.
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
fn mailbox(value: &str) -> &str {
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

pub(super) fn named(piece: &str, name: &str) -> bool {
    piece.split_once('=').is_some_and(|(given, _)| given.trim().eq_ignore_ascii_case(name))
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
#[path = "invitation_tests.rs"]
mod tests;
