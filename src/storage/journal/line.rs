//! The log line of an event: a single place, so that services need not log what they record.

use std::fmt::Write as _;

use log::kv::{Error, Key, Source, Value, VisitSource};
use log::{Level, Record};

use crate::foundations::event::{Event, EventKind};

/// Writes the event's line to the log, with its ids and details as key-values.
pub(super) fn write_line(event: &Event) {
    let level = level(event);
    if level > log::max_level() {
        return;
    }
    log::logger().log(
        &Record::builder()
            .level(level)
            .target("postrider::events")
            .module_path_static(Some("postrider::events"))
            .key_values(&Fields(event))
            .args(format_args!("{}", sentence(event)))
            .build(),
    );
}

/// The event in one readable sentence, without its ids. It never contains a line break.
pub fn sentence(event: &Event) -> String {
    let subject = event.subject.as_deref().unwrap_or_default();
    let mut sentence = what_happened(event, subject);
    // What is said of a script says them itself.
    if !matches!(event.kind, EventKind::SieveAction) {
        sentence.push_str(&circumstances(event));
    }
    sentence.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A detail that is a text; empty without it.
fn text<'e>(event: &'e Event, name: &str) -> &'e str {
    event.details.get(name).and_then(|value| value.as_str()).unwrap_or_default()
}

/// Where, and why.
fn circumstances(event: &Event) -> String {
    let mut out = String::new();
    let places = [("folder", " in "), ("host", " via "), ("address", " at "), ("action", ": ")];
    // What is said of a ban says its action itself.
    for (name, before) in places.into_iter().filter(|(name, _)| event.kind != EventKind::Ban || *name != "action") {
        if !text(event, name).is_empty() {
            let _ = write!(out, "{before}{}", text(event, name));
        }
    }
    let mut reasons = ["reply", "reason", "problem", "state"].into_iter().map(|name| text(event, name));
    if let Some(why) = reasons.find(|reason| !reason.is_empty()) {
        let _ = write!(out, ": {why}");
    }
    out
}

/// Through which service, and from where: without it, nobody could tell a guesser from a user's forgotten telephone.
fn way(event: &Event) -> String {
    let mut out = String::new();
    for (name, before) in [("service", " over "), ("peer", " from ")] {
        if !text(event, name).is_empty() {
            let _ = write!(out, "{before}{}", text(event, name));
        }
    }
    out
}

fn what_happened(event: &Event, subject: &str) -> String {
    let text = |name: &str| text(event, name);
    match event.kind {
        EventKind::ConnectionRefused => format!("A client{} was turned away", way(event)),
        EventKind::LoginAccepted => format!("{subject} logged in{}", way(event)),
        EventKind::LoginEnded => format!("A login of {subject}{} was ended", way(event)),
        EventKind::LoginRefused => format!("A login as {subject}{} was refused", way(event)),
        EventKind::RecipientRefused => format!("{subject} was refused as a recipient or sender"),
        EventKind::MessageReceived => format!("A message from {} was accepted", named(subject)),
        EventKind::MessageRefused => format!("A message from {} was refused", named(subject)),
        EventKind::Verdict => format!("The filter's verdict is {}", text("decision")),
        EventKind::SieveAction => by_script(event, subject),
        EventKind::AliasExpanded => format!("{subject} is an alias for other addresses"),
        EventKind::Delivered => format!("Stored for {subject}"),
        EventKind::NearlyFull => {
            let percent = event.details.get("percent").and_then(serde_json::Value::as_u64);
            let percent = percent.map(|percent| format!(" ({percent} %)")).unwrap_or_default();
            format!("The mailbox of {subject} is nearly full{percent}, and its user was notified")
        }
        EventKind::Discarded => format!("Dropped on purpose for {subject}"),
        EventKind::Queued => "Put into the queue".to_owned(),
        EventKind::Relayed => format!("Passed on for {subject}"),
        EventKind::Deferred => format!("Not passed on yet for {subject}"),
        EventKind::Failed => format!("Given up for {subject}"),
        EventKind::NotificationSent => format!("The sender {subject} was notified"),
        EventKind::QueueChanged if event.details.contains_key("possible_duplicate") => {
            format!("Sent again for {subject}, who may get it twice")
        }
        EventKind::QueueChanged if event.details.contains_key("unreadable_note") => {
            format!("Held for {subject}: the result of the last attempt cannot be read")
        }
        EventKind::QueueChanged => "The queue was changed by hand".to_owned(),
        EventKind::AccountChanged => format!("The account, alias or domain {subject} was changed"),
        EventKind::AppPassword => {
            format!("The app password {} of {subject}: {}{}", text("name"), text("change"), way(event))
        }
        EventKind::TwoFactor => format!("Two-factor login of {subject}: {}{}", text("change"), way(event)),
        EventKind::ScriptChanged => format!("A Sieve script of {subject} was {}", text("what")),
        EventKind::CollectionChanged => format!("A program of {subject} changed {}: {}", text("path"), text("what")),
        EventKind::CollectionRefused => format!("A program of {subject} was not allowed to change {}", text("path")),
        EventKind::CalendarMessage => of_calendars(event, subject),
        EventKind::ReportSent if event.details.contains_key("failed") => {
            format!("A report for {subject} could not be sent")
        }
        EventKind::ReportSent => format!("A report was sent to {subject}"),
        EventKind::ReportReceived if event.details.contains_key("problem") => {
            format!("A report from {subject} could not be read")
        }
        EventKind::ReportReceived => format!("A report about {subject} was received"),
        EventKind::Ban if text("action") == "lifted" => format!("{subject} is no longer banned"),
        EventKind::Ban if text("until").is_empty() => format!("{subject} is banned"),
        EventKind::Ban => format!("{subject} is banned until {}", text("until")),
        EventKind::SendingRise => format!("{subject} sends much more than usual"),
        EventKind::SigningKey => format!("A signing key of {subject}"),
        EventKind::FilterTrained if subject.is_empty() => "The filter was trained for everybody".to_owned(),
        EventKind::FilterTrained => format!("The filter was trained for {subject}"),
        EventKind::Expunged if text("by") == "age" => format!("Old messages of {subject} were removed"),
        EventKind::Expunged => format!("Messages of {subject} were expunged by a client"),
        EventKind::Certificate => of_certificates(event),
        EventKind::Configuration if text("result") == "loaded" => "The configuration was reloaded".to_owned(),
        EventKind::Configuration if text("result") == "incomplete" => {
            "The configuration is in force, except for what cannot be used".to_owned()
        }
        EventKind::Configuration => "The configuration cannot be loaded; the old one stays in force".to_owned(),
        EventKind::Backup => format!("Backups: {}, {}", text("what"), text("result")),
        EventKind::Cluster if !text("by").is_empty() => format!("The node {subject} of the queue: {}", text("what")),
        EventKind::Cluster if matches!(text("what"), "joined" | "left" | "lost") => {
            format!("The node {subject} of the cluster: lease {}", text("what"))
        }
        EventKind::Cluster => format!("The node {subject} of the cluster: {}", text("what")),
        EventKind::Lifecycle if event.details.contains_key("events_dropped") => {
            "Events were lost because the database was away for too long".to_owned()
        }
        EventKind::Lifecycle if text("what") == "clock-jumped" => format!(
            "The clock has jumped ahead since it was last checked ({}): nothing is deleted by age until {}",
            text("clock_last_seen"),
            text("nothing_deleted_until")
        ),
        EventKind::Lifecycle if text("what") == "stopping" => "The server is stopping".to_owned(),
        EventKind::Lifecycle => "The server has started".to_owned(),
    }
}

/// What has become of a calendar message (RFC 6638 §3.2.9), in plain words.
fn of_calendars(event: &Event, subject: &str) -> String {
    let text = |name: &str| text(event, name);
    let message = match text("method") {
        "REQUEST" => "An invitation",
        "REPLY" => "A reply to an invitation",
        "CANCEL" => "A cancellation",
        _ => "A calendar message",
    };
    let result = match text("status") {
        "1.1" => "was sent by mail",
        "1.2" => "was entered into the calendar",
        "3.7" => "was not sent: there is no such address",
        "3.8" => "was not entered: the event in the calendar belongs to somebody else",
        // The mail with it is there.
        "" => "waits for a click",
        _ => "could not be delivered",
    };
    format!("{message} from {} for {subject} {result}", text("from"))
}

/// Results about certificates, in plain words.
fn of_certificates(event: &Event) -> String {
    let text = |name: &str| text(event, name);
    let names = listed(event, "names");
    match text("result") {
        "loaded" => format!("A certificate for {names} is served, valid until {}", text("until")),
        "standing-in" => format!("A certificate that nobody trusts stands in for {names} until one is obtained"),
        "obtained" => format!("A certificate for {names} was obtained, valid until {}", text("until")),
        "obtained-in-part" => format!("A certificate for only some of the names {names} was obtained"),
        "not-obtained" => format!("No certificate for {names} could be obtained"),
        "kept-old" => "A certificate cannot be used; the old ones stay in use".to_owned(),
        "held-back" => "A certificate waits for its TLSA record".to_owned(),
        "taken-unpublished" => "A certificate is served that the DNS does not vouch for".to_owned(),
        "served" => format!("Every listener serves the intended certificates, for the names {names}"),
        "not-served" => "A listener does not serve the intended certificate".to_owned(),
        other => format!("Certificates: {other}"),
    }
}

/// A detail that is one text or several, with commas.
fn listed(event: &Event, name: &str) -> String {
    match event.details.get(name) {
        Some(serde_json::Value::Array(list)) => {
            list.iter().filter_map(|one| one.as_str()).collect::<Vec<_>>().join(", ")
        }
        Some(one) => one.as_str().unwrap_or_default().to_owned(),
        None => String::new(),
    }
}

/// Actions of a Sieve script, in plain words.
fn by_script(event: &Event, subject: &str) -> String {
    let text = |name: &str| text(event, name);
    let to = listed(event, "to");
    let mut out = match text("action") {
        "fileinto" => format!("Filed by Sieve for {subject} in {}", text("folder")),
        "keep" => format!("Kept by Sieve for {subject} in {}", text("folder")),
        "redirect" => format!("Redirected by Sieve for {subject} to {to}"),
        "discard" => format!("Discarded by Sieve for {subject}"),
        "reject" => format!("Rejected by Sieve for {subject}"),
        "vacation" => format!("Answered by Sieve for {subject} to {to}"),
        "notify" => format!("Notification sent by Sieve for {subject} to {to}"),
        "failed" => format!("A Sieve script of {subject} failed"),
        other => format!("A Sieve script of {subject} acted: {other}"),
    };
    for name in ["reason", "problem"] {
        if !text(name).is_empty() {
            let _ = write!(out, ": {}", text(name));
        }
    }
    out
}

fn named(subject: &str) -> &str {
    if subject.is_empty() { "<>" } else { subject }
}

fn level(event: &Event) -> Level {
    match event.kind {
        EventKind::Lifecycle if event.details.contains_key("events_dropped") => Level::Error,
        EventKind::Lifecycle if event.details.contains_key("nothing_deleted_until") => Level::Warn,
        EventKind::Cluster if event.details.get("what").is_some_and(|what| what == "lost") => Level::Error,
        // These report the failures of a reload or a run; the callers put the reason in `problem`.
        EventKind::Backup | EventKind::Certificate | EventKind::Configuration | EventKind::Lifecycle
            if event.details.contains_key("problem") =>
        {
            Level::Error
        }
        EventKind::SieveAction if event.details.contains_key("problem") => Level::Warn,
        EventKind::Failed | EventKind::MessageRefused | EventKind::SendingRise => Level::Warn,
        EventKind::Verdict | EventKind::AliasExpanded => Level::Debug,
        _ => Level::Info,
    }
}

/// The ids, the subject and the details, as the logger's key-values.
struct Fields<'a>(&'a Event);

impl Source for Fields<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), Error> {
        let event = self.0;
        visitor.visit_pair(Key::from_str("event"), Value::from(event.kind.word()))?;
        if let Some(id) = &event.session {
            visitor.visit_pair(Key::from_str("session"), Value::from_display(id))?;
        }
        if let Some(id) = &event.mail {
            visitor.visit_pair(Key::from_str("mail"), Value::from_display(id))?;
        }
        if let Some(id) = &event.queue {
            visitor.visit_pair(Key::from_str("queue"), Value::from_display(id))?;
        }
        if let Some(subject) = &event.subject {
            visitor.visit_pair(Key::from_str("subject"), Value::from(subject.as_str()))?;
        }
        for (name, value) in &event.details {
            let value = match value {
                serde_json::Value::String(text) => Value::from(text.as_str()),
                other => Value::from_display(other),
            };
            visitor.visit_pair(Key::from_str(name), value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::clock::Timestamp;

    #[test]
    fn says_what_happened() {
        let event = Event::new(Timestamp::EPOCH, EventKind::Deferred)
            .subject("bob@example.net")
            .with("host", "mx.example.net")
            .with("reply", "451 4.7.1 Greylisted\r\nevil");
        assert_eq!(
            sentence(&event),
            "Not passed on yet for bob@example.net via mx.example.net: 451 4.7.1 Greylisted??evil"
        );
        let every = EventKind::ALL.iter().map(|kind| sentence(&Event::new(Timestamp::EPOCH, *kind)));
        assert!(every.into_iter().all(|text| !text.is_empty()));
    }

    #[test]
    fn who_was_let_in_or_kept_out_is_told_with_the_place() {
        let at = |kind, subject: &str| {
            let event = Event::new(Timestamp::EPOCH, kind).subject(subject);
            event.with("service", "imap").with("peer", "192.0.2.1:9")
        };
        let ban = |action: &str| {
            let event = Event::new(Timestamp::EPOCH, EventKind::Ban).subject("192.0.2.0/24");
            event.with("action", action).with("reason", "too many failures")
        };
        let calendar = |method: &str, status: &str| {
            let event = Event::new(Timestamp::EPOCH, EventKind::CalendarMessage).subject("bob@x").with("from", "ann@x");
            event.with("method", method).with("status", status)
        };
        for (event, wanted) in [
            (calendar("REQUEST", "1.2"), "An invitation from ann@x for bob@x was entered into the calendar"),
            (calendar("CANCEL", "5.1"), "A cancellation from ann@x for bob@x could not be delivered"),
            (
                calendar("REPLY", "").with("reason", "it took too long"),
                "A reply to an invitation from ann@x for bob@x waits for a click: it took too long",
            ),
            (at(EventKind::LoginAccepted, "ann@x"), "ann@x logged in over imap from 192.0.2.1:9"),
            (
                at(EventKind::LoginRefused, "ann@x").with("reason", "wrong password"),
                "A login as ann@x over imap from 192.0.2.1:9 was refused: wrong password",
            ),
            (
                at(EventKind::ConnectionRefused, "").with("reason", "busy"),
                "A client over imap from 192.0.2.1:9 was turned away: busy",
            ),
            (
                at(EventKind::AppPassword, "ann@x").with("name", "phone").with("change", "used for the first time"),
                "The app password phone of ann@x: used for the first time over imap from 192.0.2.1:9",
            ),
            (ban("begun"), "192.0.2.0/24 is banned: too many failures"),
            (ban("begun").with("until", "noon"), "192.0.2.0/24 is banned until noon: too many failures"),
            (ban("lifted").with("until", "noon"), "192.0.2.0/24 is no longer banned: too many failures"),
            (
                Event::new(Timestamp::EPOCH, EventKind::NearlyFull).subject("ann@x").with("percent", 91),
                "The mailbox of ann@x is nearly full (91 %), and its user was notified",
            ),
        ] {
            assert_eq!(sentence(&event), wanted);
        }
    }

    #[test]
    fn a_certificate_or_configuration_that_cannot_be_used_is_an_error_with_its_reason() {
        let told = |kind, result: &str| {
            let event = Event::new(Timestamp::EPOCH, kind).with("result", result).with("names", vec!["mail.a.test"]);
            let event = event.with("problem", "`/k.pem` is damaged");
            (level(&event), sentence(&event))
        };
        for (kind, result, words) in [
            (EventKind::Certificate, "kept-old", "A certificate cannot be used; the old ones stay in use"),
            (EventKind::Certificate, "not-obtained", "No certificate for mail.a.test could be obtained"),
            (
                EventKind::Certificate,
                "obtained-in-part",
                "A certificate for only some of the names mail.a.test was obtained",
            ),
            (EventKind::Configuration, "kept-old", "The configuration cannot be loaded; the old one stays in force"),
        ] {
            assert_eq!(told(kind, result), (Level::Error, format!("{words}: `/k.pem` is damaged")));
        }
        let loaded = Event::new(Timestamp::EPOCH, EventKind::Certificate).with("result", "loaded");
        let loaded = loaded.with("names", vec!["a.test", "b.test"]).with("until", "2027-01-01");
        assert_eq!(level(&loaded), Level::Info);
        assert_eq!(sentence(&loaded), "A certificate for a.test, b.test is served, valid until 2027-01-01");
    }
}
