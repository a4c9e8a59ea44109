//! Messages as mail (iMIP, RFC 6047).

use std::collections::HashSet;

use chrono::{Days, NaiveDate, NaiveDateTime};

use super::super::components::{Component, Whole};
use super::super::particulars::text;
use super::language::Language;
use super::meeting::{Meeting, answer};
use super::message::Purpose;
use super::property::Property;
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::compose::{self, Charset};
use crate::foundations::mail::encoded_text;

/// Whether the programs of whoever gets a letter are to enter what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entering {
    /// By the message in it.
    Needed,
    /// It is in the calendar already; the letter is for people.
    Done,
}

/// A letter with a message about an event.
pub(super) struct Letter<'a> {
    pub(super) from: (&'a str, &'a Address),
    pub(super) to: (&'a str, &'a Address),
    pub(super) purpose: Purpose,
    pub(super) language: Language,
    pub(super) calendar: &'a str,
    pub(super) entering: Entering,
    pub(super) at: Timestamp,
    /// With its angle brackets.
    pub(super) message_id: &'a str,
    /// Hexadecimal digits that occur nowhere else.
    pub(super) boundary: &'a str,
}

impl Letter<'_> {
    /// The message with CRLF line ends.
    pub(super) fn build(&self) -> Vec<u8> {
        let needs_utf8 = self.from.1.needs_smtputf8() || self.to.1.needs_smtputf8();
        let charset = if needs_utf8 { Charset::Utf8 } else { Charset::Ascii };
        let whole = Whole::of(self.calendar);
        let event = whole.events().find(|event| !event.is_exception()).or_else(|| whole.events().next());
        let title = event.and_then(|event| event.value("SUMMARY")).map(text).unwrap_or_default();
        let (subject, saying) = self.saying(event);
        let boundary = self.boundary;
        let mut out = [
            format!("Date: {}\r\n", compose::date(self.at)),
            compose::addresses("From", [self.from], charset),
            compose::addresses("To", [self.to], charset),
            compose::field("Subject", &format!("{subject} {title}"), charset),
            format!("Message-ID: {}\r\nMIME-Version: 1.0\r\n", self.message_id),
        ]
        .concat();
        let described = described(&saying, &title, event, self.language) + &commented(&whole, self.language);
        let (written, encoding) = encoded_text(&described);
        let plain = format!(
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{written}"
        );
        if self.entering == Entering::Done {
            return (out + &plain).into_bytes();
        }
        out.push_str(&format!("Content-Type: multipart/alternative; boundary=\"{boundary}\"\r\n\r\n"));
        out.push_str(&format!("--{boundary}\r\n{plain}"));
        // RFC 6047 §2.4: the method is in the header, too.
        let (calendar, encoding) = encoded_text(self.calendar);
        out.push_str(&format!(
            "\r\n--{boundary}\r\nContent-Type: text/calendar; method={}; charset=utf-8\r\n\
             Content-Transfer-Encoding: {encoding}\r\n\r\n{calendar}\r\n--{boundary}--\r\n",
            self.purpose.word()
        ));
        out.into_bytes()
    }

    /// The word for the subject, and the first sentence.
    fn saying(&self, event: Option<&Component<'_>>) -> (&'static str, String) {
        let (name, address) = self.from;
        let who = if name.trim().is_empty() { address.to_string() } else { format!("{} <{address}>", name.trim()) };
        let words = self.language.words();
        let (subject, sentence) = match self.purpose {
            Purpose::Request => (words.invitation, words.invites),
            Purpose::Cancel => (words.cancelled, words.cancels),
            Purpose::Reply => {
                let me = Meeting::of(self.calendar).and_then(|reply| Some(reply.guests.first()?.address.clone()));
                let said = event.zip(me).and_then(|(event, me)| answer(event, &me));
                match said.as_deref() {
                    Some("ACCEPTED") => (words.accepted, words.accepts),
                    Some("TENTATIVE") => (words.tentative, words.may_come),
                    _ => (words.declined, words.declines),
                }
            }
        };
        (subject, sentence.replace("{who}", &who))
    }
}

/// What people read whose program does not know invitations.
fn described(saying: &str, title: &str, event: Option<&Component<'_>>, language: Language) -> String {
    let words = language.words();
    let mut out = format!("{saying}\n\n{title}\n");
    let Some(event) = event else { return out };
    let when =
        |name: &str, earlier| event.line(name).and_then(|line| time(&Property::of(&line.whole), earlier, language));
    let start = when("DTSTART", Days::new(0));
    if let Some(start) = &start {
        out.push_str(&format!("{} {start}\n", words.from));
    }
    // A day in DTEND is the one after the last (RFC 5545 §3.6.1); some programs mean the last.
    let end = when("DTEND", Days::new(0)).filter(|end| start.as_ref() != Some(end)).and(when("DTEND", Days::new(1)));
    if let Some(end) = end.filter(|end| start.as_ref() != Some(end)) {
        out.push_str(&format!("{} {end}\n", words.until));
    }
    if event.value("RRULE").is_some() {
        out.push_str(&format!("{}\n", words.repeats));
    }
    let said = |name: &str| event.value(name).map(text).filter(|text| !text.is_empty());
    if let Some(place) = said("LOCATION") {
        out.push_str(&format!("{} {place}\n", words.place));
    }
    if let Some(description) = said("DESCRIPTION") {
        out.push_str(&format!("\n{description}\n"));
    }
    out
}

/// What the sender says to it (RFC 5545 §3.8.1.4), once for all times that it is about.
fn commented(whole: &Whole<'_>, language: Language) -> String {
    let (mut out, mut said) = (String::new(), HashSet::new());
    let lines = whole.events().flat_map(Component::own).filter(|line| line.property() == "COMMENT");
    for comment in lines.map(|line| text(line.value())).filter(|comment| !comment.trim().is_empty()) {
        if said.insert(comment.clone()) {
            out.push_str(&format!("\n{} {comment}\n", language.words().comment));
        }
    }
    out
}

/// A time with its zone, for people. A whole day is so much earlier.
fn time(property: &Property, earlier: Days, language: Language) -> Option<String> {
    let value = property.value();
    let local = NaiveDateTime::parse_from_str(value.trim_end_matches(['Z', 'z']), "%Y%m%dT%H%M%S");
    let Ok(local) = local else {
        let day = NaiveDate::parse_from_str(value, "%Y%m%d").ok()?.checked_sub_days(earlier)?;
        return Some(language.day(day));
    };
    let zone = match property.parameter("TZID") {
        Some(zone) => format!(" ({zone})"),
        None if value.ends_with(['Z', 'z']) => " (UTC)".to_owned(),
        None => String::new(),
    };
    Some(format!("{}, {}{zone}", language.day(local.date()), local.format("%H:%M")))
}
