//! Writing iTIP messages (RFC 5546).

use std::collections::HashSet;

use super::super::components::{Alarms, Component, Whole};
use super::super::particulars::folded;
use super::meeting::View;
use super::property::Property;
use crate::foundations::clock::Timestamp;

/// The parameter of a guest that says when the last answer was given that came by mail: one that has been overtaken on its way
/// must not count (RFC 5546 §2.1.5).
pub(super) const ANSWERED: &str = "X-POSTRIDER-ANSWERED";

/// What only the server and its own clients are concerned with (RFC 6638 §7: these never leave).
pub(super) const SCHEDULE: [&str; 4] = ["SCHEDULE-AGENT", "SCHEDULE-FORCE-SEND", "SCHEDULE-STATUS", ANSWERED];

/// The purpose of a message (RFC 5546 §1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Invites, or tells of a change.
    Request,
    /// Takes an invitation back.
    Cancel,
    /// Answers an invitation.
    Reply,
}

impl Purpose {
    /// The METHOD.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Request => "REQUEST",
            Self::Cancel => "CANCEL",
            Self::Reply => "REPLY",
        }
    }
}

/// Whether a cancelled event still takes place for others (RFC 5546 §3.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cancelled {
    /// Nobody meets.
    ForAll,
    /// The guest is no longer invited.
    ForGuest,
}

/// What a guest answers for one component.
pub(super) struct Answered<'b, 'a> {
    pub(super) event: &'b Component<'a>,
    /// The time of a series that is meant where no component of its own says so.
    pub(super) of: Option<Property>,
    /// `ACCEPTED`, `TENTATIVE` or `DECLINED`.
    pub(super) answer: String,
}

fn begin(purpose: Purpose, whole: &Whole<'_>) -> String {
    let mut out = format!(
        "BEGIN:VCALENDAR\r\nPRODID:-//Postrider//scheduling//EN\r\nVERSION:2.0\r\nMETHOD:{}\r\n",
        purpose.word()
    );
    whole.components.iter().filter(|one| one.kind == "VTIMEZONE").for_each(|zone| zone.write(&mut out));
    out
}

pub(super) fn stamp(now: Timestamp) -> String {
    format!("DTSTAMP:{}", now.utc().format("%Y%m%dT%H%M%SZ"))
}

/// An EXDATE for the time that an exception changes.
pub(super) fn left_out(exception: &Component<'_>) -> Option<String> {
    let id = exception.line("RECURRENCE-ID")?;
    Some(Property::of(&id.whole).without(&["RANGE"]).named("EXDATE").line())
}

/// RFC 5546 §3.2.2: all that concerns a guest, without the organiser's alarms.
pub(super) fn request(whole: &Whole<'_>, view: &View<'_, '_>, now: Timestamp) -> String {
    let mut out = begin(Purpose::Request, whole);
    for event in view.events() {
        let mut more = vec![stamp(now)];
        if !event.is_exception() {
            more.extend(view.left_out.iter().filter_map(|exception| left_out(exception)));
        }
        let change = |line: &super::super::particulars::Line<'_>| match line.property().as_str() {
            "DTSTAMP" => None,
            "ATTENDEE" | "ORGANIZER" => Some(Property::of(&line.whole).without(&SCHEDULE).line()),
            _ => Some(line.whole.clone()),
        };
        event.write_changed(Alarms::LeftOut, &change, &more, &mut out);
    }
    out + "END:VCALENDAR\r\n"
}

/// RFC 5546 §3.2.5: for one guest, of these components.
pub(super) fn cancel(
    whole: &Whole<'_>,
    events: &[&Component<'_>],
    (guest, cancelled): (&str, Cancelled),
    sequence: u32,
    now: Timestamp,
) -> String {
    const COPIED: [&str; 8] =
        ["UID", "RECURRENCE-ID", "ORGANIZER", "SUMMARY", "LOCATION", "DTSTART", "DTEND", "DURATION"];
    let mut out = begin(Purpose::Cancel, whole);
    for event in events {
        out.push_str("BEGIN:VEVENT\r\n");
        for line in event.own() {
            let property = line.property();
            let is_guest = || property == "ATTENDEE" && Property::of(&line.whole).address() == guest;
            if COPIED.contains(&property.as_str()) || is_guest() {
                out.push_str(&folded(&Property::of(&line.whole).without(&SCHEDULE).line()));
            }
        }
        out.push_str(&format!("{}\r\nSEQUENCE:{sequence}\r\n", stamp(now)));
        if cancelled == Cancelled::ForAll {
            out.push_str("STATUS:CANCELLED\r\n");
        }
        out.push_str("END:VEVENT\r\n");
    }
    out + "END:VCALENDAR\r\n"
}

/// Most octets of a reply: one that leaves out thousands of times would have thousands of components.
const LARGEST_REPLY: usize = 256 << 10;

/// RFC 5546 §3.2.3: what one guest answers, as much of it as fits, with those comments that have not been said before.
pub(super) fn reply(
    whole: &Whole<'_>,
    answers: &[Answered<'_, '_>],
    (me, said_before): (&str, &HashSet<&str>),
    now: Timestamp,
) -> String {
    const COPIED: [&str; 7] = ["UID", "SEQUENCE", "ORGANIZER", "SUMMARY", "LOCATION", "COMMENT", "DURATION"];
    let mut out = begin(Purpose::Reply, whole);
    let empty = out.len();
    for Answered { event, of, answer } in answers {
        if out.len() > empty && out.len() > LARGEST_REPLY {
            break;
        }
        out.push_str("BEGIN:VEVENT\r\n");
        for line in event.own() {
            let property = line.property();
            let written = match property.as_str() {
                "ATTENDEE" => Some(Property::of(&line.whole))
                    .filter(|mine| mine.address() == me)
                    .map(|mine| mine.without(&SCHEDULE).without(&["RSVP"]).with("PARTSTAT", answer).line()),
                "ORGANIZER" => Some(Property::of(&line.whole).without(&SCHEDULE).line()),
                "COMMENT" if said_before.contains(line.value()) => None,
                "RECURRENCE-ID" | "DTSTART" | "DTEND" if of.is_none() => Some(line.whole.clone()),
                name if COPIED.contains(&name) => Some(line.whole.clone()),
                _ => None,
            };
            if let Some(written) = written {
                out.push_str(&folded(&written));
            }
        }
        if let Some(of) = of {
            out.push_str(&folded(&of.clone().named("RECURRENCE-ID").line()));
            out.push_str(&folded(&of.clone().named("DTSTART").line()));
        }
        out.push_str(&format!("{}\r\nREQUEST-STATUS:2.0;Success\r\nEND:VEVENT\r\n", stamp(now)));
    }
    out + "END:VCALENDAR\r\n"
}
