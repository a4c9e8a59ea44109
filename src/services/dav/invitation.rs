//! What calendar programs send by mail (iTIP, RFC 5546; iMIP, RFC 6047): what is shown, the reply, and what is
//! entered into a calendar. Lines written by others stay as they are, except those that say whether somebody comes.

use std::collections::HashSet;

use calcard::common::timezone::Tz;
use chrono::DateTime;
use serde::{Deserialize, Serialize};

use super::calendar::{check_lines, check_rules, parse};
use super::components::{Component, Whole, attending, cut, is_attendee, named, pieces};
use super::occurrences::{Occurrence, occurrences};
use super::particulars::{folded, text};
pub use super::replies::Recorded;
use super::replies::{noted, recorded};
use super::{Unfit, text as utf8};
use crate::foundations::clock::Timestamp;
use crate::foundations::said::said;

/// Most characters of a title or a place.
const LONGEST: usize = 1_000;
/// Most characters of a description.
const LONGEST_DESCRIPTION: usize = 20_000;
/// Recurrences that are checked to find the first.
const RECURRENCES: usize = 4;
const DAY: i64 = 86_400;

/// The purpose of a message about an event (RFC 5546 §1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Somebody is invited, or the event has changed.
    Request,
    /// The event is cancelled.
    Cancel,
    /// Somebody has replied.
    Reply,
    /// It is announced; nobody is asked to reply.
    Publish,
    /// Anything else; it is only shown.
    Other,
}

impl Method {
    /// The purpose by its name, in any case.
    pub(super) fn named(name: &str) -> Self {
        match name.to_ascii_uppercase().as_str() {
            "REQUEST" => Self::Request,
            "CANCEL" => Self::Cancel,
            "REPLY" => Self::Reply,
            "PUBLISH" => Self::Publish,
            _ => Self::Other,
        }
    }
}

/// A reply to an invitation.
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
    /// The participation for a status.
    pub(super) fn of(status: &str) -> Option<Self> {
        match status {
            "accepted" => Some(Self::Accepted),
            "tentative" => Some(Self::Tentative),
            "declined" => Some(Self::Declined),
            _ => None,
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::Tentative => "TENTATIVE",
            Self::Declined => "DECLINED",
        }
    }
}

/// Somebody involved in an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Participant {
    /// The name; empty if none is given.
    pub name: String,
    /// The address.
    pub address: String,
    /// Their status: `accepted`, `tentative`, `declined`, `delegated` or `needs-action`.
    pub status: String,
}

/// A time of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// In milliseconds since 1970.
    At(i64),
    /// A whole day; as an end, the last one.
    Date(String),
    /// A local time, wherever one is (RFC 5545 §3.3.5, form 1).
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
    /// The description.
    pub description: String,
    /// What the sender says to it.
    pub comment: String,
    /// Who invites.
    pub organiser: Option<Participant>,
    /// Who is invited.
    pub attendees: Vec<Participant>,
    /// When it begins for the first time.
    pub start: Option<When>,
    /// When it ends for the first time.
    pub end: Option<When>,
    /// How it recurs: `daily`, `weekly`, `monthly`, `yearly` or `often`.
    pub repeats: Option<&'static str>,
    /// Whether it is about single times of a recurring event.
    pub exception: bool,
}

/// How an invitation relates to its event in the calendar.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Whether the event exists.
    pub kept: bool,
    /// How it was answered, according to the calendar.
    pub status: Option<String>,
    /// Whether the calendar has a later version.
    pub newer: bool,
    /// Whether the calendar has an earlier version, or another time than is proposed: the answer was to something else.
    pub outdated: bool,
    /// Whether the event there has another organiser.
    pub foreign: bool,
    /// For a reply to one's own event: whether the event has it.
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
    /// It is invalid, or is about several events.
    pub fn read(content: &str) -> Result<Self, Unfit> {
        utf8(content.as_bytes())?;
        check_lines(content)?;
        let nothing = || Unfit::Rule(said!("invitation-no-event", "it contains no event"));
        let whole = Whole::of(content);
        let mut uids = whole.events().filter_map(|event| event.value("UID")).map(str::to_owned);
        let uid = uids.next().filter(|uid| !uid.is_empty()).ok_or_else(nothing)?;
        if uids.any(|other| other != uid) {
            return Err(Unfit::Rule(said!("invitation-several", "it is about several events")));
        }
        // Anything that only our own parser understood would be refused by the calendar later.
        let calendar = parse(content)?;
        check_rules(&calendar)?;
        let first = occurrences(&calendar, Tz::UTC, RECURRENCES).times.into_iter().min_by_key(|time| time.start);
        let event = whole.events().find(|event| !event.is_exception()).or_else(|| whole.events().next());
        let event = event.ok_or_else(nothing)?;
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

    /// How it relates to what a calendar has, for a user with these addresses.
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
            // Exchange leaves the organiser out of replies, against RFC 5546 §3.2.3.
            (Some(_), None) => self.shown.method != Method::Reply,
            (None, None) => false,
            (None, Some(_)) => true,
        };
        let is_own = |one: &Participant| addresses.iter().any(|known| known.eq_ignore_ascii_case(&one.address));
        let is_answer = self.shown.method == Method::Reply && organiser.as_ref().is_some_and(is_own);
        // RFC 5545 §3.8.5.1: declined times of a recurring event are no longer among its times.
        let is_out = like.as_deref().is_some_and(|id| kept.exception().is_none() && kept.leaves_out(id));
        let outdated = !is_out && self.differs(&own, kept, sequence);
        let status = me.map(|one| one.status.clone()).filter(|_| !outdated);
        Standing {
            kept: true,
            status: if is_out { Some("declined".to_owned()) } else { status },
            newer: kept.sequence() > sequence,
            outdated,
            foreign,
            reply: is_answer.then(|| recorded(&own, &stored)),
        }
    }

    /// Whether it differs from what the calendar has: a later version (RFC 5546 §2.1.4), a single time that the calendar
    /// does not know yet, or a time that a guest proposes (RFC 5546 §3.2.7).
    fn differs(&self, own: &Whole<'_>, kept: &Component<'_>, sequence: u32) -> bool {
        let others = |event: &Component<'_>, names: &[&str]| {
            names.iter().any(|name| event.value(name).is_some_and(|value| kept.value(name) != Some(value)))
        };
        match self.shown.method {
            Method::Reply | Method::Cancel => false,
            Method::Other => own.events().any(|event| others(event, &["DTSTART", "DTEND", "DURATION"])),
            Method::Request | Method::Publish => {
                let is_moved = |event: &Component<'_>| {
                    event.exception().is_some_and(|id| {
                        kept.exception().as_ref() != Some(&id)
                            && (event.time("DTSTART").is_some_and(|start| start != id)
                                || others(event, &["DURATION", "SUMMARY", "LOCATION"]))
                    })
                };
                sequence > kept.sequence() || own.events().take(1).any(is_moved)
            }
        }
    }

    /// The reply to the organiser (RFC 5546 §3.2.3).
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

    /// What to store in the calendar: the event as it was sent, with the answer of somebody, if there is one, and the alarms that it
    /// has there. If it is only about single times of a recurring event, these are put into the stored event.
    pub fn entered(&self, stored: Option<&str>, answer: Option<(&Participant, Participation)>) -> String {
        let own = Whole::of(&self.content);
        let stored = stored.map(Whole::of);
        let places = stored.as_ref().map(Whole::places);
        // What it replaces: the same event or, if it is a new exception, the series.
        let former = |event: &Component<'_>| {
            let (there, places) = stored.as_ref().zip(places.as_ref())?;
            there.same(places, event).or_else(|| there.master(places))
        };
        let enter = |event: &Component<'_>, out: &mut String| event.write_entered(answer, former(event), out);
        let Some(there) = stored.as_ref().filter(|_| self.shown.exception) else {
            let mut out = own.head();
            for component in &own.components {
                match component.kind.as_str() {
                    "VEVENT" => enter(component, &mut out),
                    _ => component.write(&mut out),
                }
            }
            return out + "END:VCALENDAR\r\n";
        };
        let replaced: HashSet<String> = own.events().filter_map(Component::exception).collect();
        let zones: HashSet<&str> = there.components.iter().filter_map(|one| one.value("TZID")).collect();
        let mut out = there.head();
        let is_new =
            |one: &&Component<'_>| one.kind == "VTIMEZONE" && one.value("TZID").is_none_or(|id| !zones.contains(id));
        own.components.iter().filter(is_new).for_each(|zone| zone.write(&mut out));
        let stays = |one: &&Component<'_>| one.exception().is_none_or(|id| !replaced.contains(&id));
        there.components.iter().filter(stays).for_each(|component| component.write(&mut out));
        own.events().for_each(|event| enter(event, &mut out));
        out + "END:VCALENDAR\r\n"
    }

    /// The organiser's event with the reply in it (RFC 5546 §3.2.3).
    ///
    /// # Errors
    /// The sender of the reply is not invited, or it is unclear which time the reply is about.
    pub fn noted_in(&self, stored: &str, now: Timestamp) -> Result<String, Unfit> {
        noted(&Whole::of(&self.content), &Whole::of(stored), now)
    }

    /// What remains in the calendar after this cancellation; `None` when nothing does.
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
        comment: word("COMMENT", LONGEST_DESCRIPTION),
        organiser: event.people("ORGANIZER").into_iter().next(),
        attendees: event.people("ATTENDEE"),
        start,
        end,
        repeats,
        exception: false,
    }
}

/// When it begins and ends, in the form of its beginning.
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

#[cfg(test)]
#[path = "invitation_tests.rs"]
mod tests;
