//! Events in plain words.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use serde_json::Value;

use crate::foundations::counted::counted;
use crate::foundations::event::{Event, EventKind};
use crate::storage::journal::sentence;
use crate::storage::spool::QUARANTINED;

/// An event in one line: the log's sentence, and what a person who traces a message wants to know besides.
pub(super) fn say(event: &Event) -> String {
    let mut words = sentence(event);
    for (before, detail) in particulars(event.kind) {
        if let Some(text) = detail.of(event) {
            // Writing to a String cannot fail.
            let _ = write!(words, "; {before}{text}");
        }
    }
    words.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A detail of an event, and how it is shown.
#[derive(Clone, Copy)]
enum Detail {
    /// The text of this name.
    Text(&'static str),
    /// The texts of this name, with commas between them.
    Texts(&'static str),
    /// The number of this name, with what is counted.
    Count(&'static str, &'static str),
    /// The heaviest signals.
    Signals,
    /// What has become of an account, which is under one of two names.
    Change,
    /// Who has done it, and which administrator that was.
    By,
}

impl Detail {
    /// What there is to be shown, if there is anything.
    fn of(self, event: &Event) -> Option<String> {
        let text = |name: &str| event.details.get(name).and_then(Value::as_str).map(str::to_owned);
        match self {
            Self::Text(name) => text(name),
            Self::Texts(name) => {
                Some(texts(event, name).collect::<Vec<_>>().join(", ")).filter(|list| !list.is_empty())
            }
            Self::Count(name, what) => {
                event.details.get(name).and_then(Value::as_u64).map(|number| counted(number, what))
            }
            Self::Signals => Some(signals(event)).filter(|signals| !signals.is_empty()),
            Self::Change => text("change").or_else(|| text("what")),
            Self::By => match (text("by"), text("administrator")) {
                (Some(by), Some(name)) => Some(format!("{by} ({name})")),
                (by, name) => by.or(name),
            },
        }
    }
}

/// What is added to the sentence about an event of this kind: each detail that is there, with the words before it.
const fn particulars(kind: EventKind) -> &'static [(&'static str, Detail)] {
    use Detail::{By, Change, Count, Signals, Text, Texts};
    match kind {
        EventKind::MessageReceived | EventKind::MessageRefused | EventKind::Queued | EventKind::AliasExpanded => &[
            ("it came from ", Text("peer")),
            ("the login was ", Text("login")),
            ("it has ", Count("size", "octet")),
            ("for ", Texts("recipients")),
            ("for ", Texts("to")),
            ("held until an administrator releases it: ", Text("held")),
        ],
        EventKind::SieveAction => &[("by the script ", Text("script")), ("because ", Text("why"))],
        EventKind::ConnectionRefused => &[("it stands for ", Count("times", "refusal"))],
        EventKind::LoginAccepted => &[("with the app password ", Text("app_password"))],
        EventKind::RecipientRefused => &[("the sender was ", Text("from")), ("the client was ", Text("peer"))],
        EventKind::SendingRise => &[("it has sent ", Count("copies", "copy")), ("from ", Text("peer"))],
        EventKind::AppPassword
        | EventKind::TwoFactor
        | EventKind::Ban
        | EventKind::Cluster
        | EventKind::Configuration
        | EventKind::Certificate => &[("by ", By)],
        EventKind::SigningKey => &[("the selector is ", Text("selector")), ("by ", By)],
        EventKind::FilterTrained => &[
            ("", Count("ham", "wanted message")),
            ("", Count("spam", "unwanted message")),
            ("forgotten: ", Count("forgotten", "message")),
            ("imported: ", Count("tokens", "word")),
            ("by ", By),
        ],
        EventKind::Expunged => &[("", Count("messages", "message")), ("over ", Text("protocol"))],
        EventKind::Backup => &[("the backup is ", Text("backup")), ("by ", By)],
        EventKind::Verdict => &[("", Signals)],
        EventKind::Relayed | EventKind::Deferred | EventKind::Failed => {
            &[("over ", Text("tls")), ("the next attempt is at ", Text("next_attempt"))]
        }
        EventKind::NotificationSent => {
            &[("about ", Texts("about")), ("the notification is message ", Text("notification_mail"))]
        }
        EventKind::QueueChanged => &[
            ("for ", Texts("to")),
            ("selection: ", Text("selection")),
            ("of ", Count("recipients", "recipient")),
            ("by ", By),
        ],
        EventKind::AccountChanged => &[("", Change), ("by ", By)],
        EventKind::ScriptChanged => &[("it is called ", Text("script")), ("by ", By)],
        _ => &[],
    }
}

fn texts<'e>(event: &'e Event, name: &str) -> impl Iterator<Item = &'e str> {
    let items = event.details.get(name).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_str)
}

/// The heaviest signals of a verdict, in whatever form the filter has recorded them: names with weights.
fn signals(event: &Event) -> String {
    let Some(Value::Array(all)) = event.details.get("signals") else { return String::new() };
    let name = |signal: &Value| match signal {
        Value::String(text) => Some(text.clone()),
        Value::Object(fields) => {
            let name = fields.get("name").and_then(Value::as_str)?;
            Some(fields.get("weight").map_or_else(|| name.to_owned(), |weight| format!("{name} ({weight})")))
        }
        _ => None,
    };
    all.iter().filter_map(name).take(10).collect::<Vec<_>>().join(", ")
}

/// What has become of a message as far as its events say.
pub(super) fn ending(events: &[Event]) -> String {
    let fates = fates(events);
    if fates.is_empty() {
        let refused = events.iter().any(|event| event.kind == EventKind::MessageRefused);
        return if refused { "refused" } else { "on its way" }.to_owned();
    }
    let mut counts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (recipient, word) in fates {
        counts.entry(word).or_default().push(recipient);
    }
    let part = |(word, who): (&str, Vec<&str>)| match who.as_slice() {
        few if few.len() <= 3 => format!("{word} for {}", few.join(", ")),
        many => format!("{word} for {} recipients", many.len()),
    };
    counts.into_iter().map(part).collect::<Vec<_>>().join("; ")
}

/// What has become of each recipient: the last word counts.
fn fates(events: &[Event]) -> BTreeMap<&str, &'static str> {
    let mut fates = BTreeMap::new();
    // What was queued for `ann+tag` is settled for the account.
    let mut settled = HashSet::new();
    for event in events {
        match fate(event) {
            Some(fate) if event.kind == EventKind::QueueChanged => {
                fates.extend(texts(event, "to").map(|recipient| (recipient, fate)));
            }
            Some(fate) => {
                if let Some(recipient) = event.details.get("recipient").and_then(Value::as_str) {
                    settled.insert(recipient);
                    if fates.get(recipient) == Some(&"waiting") {
                        fates.remove(recipient);
                    }
                }
                fates.insert(event.subject.as_deref().unwrap_or_default(), fate);
            }
            None => {}
        }
    }
    for event in events.iter().filter(|event| event.kind == EventKind::Queued) {
        for recipient in texts(event, "recipients").filter(|recipient| !settled.contains(recipient)) {
            fates.entry(recipient).or_insert(at_first(event));
        }
    }
    fates
}

/// What becomes of a message in the queue before anybody does something about it.
fn at_first(queued: &Event) -> &'static str {
    match queued.details.get("held").and_then(Value::as_str) {
        Some(QUARANTINED) => "in quarantine",
        Some(_) => "held",
        None => "waiting",
    }
}

/// What an event says about the recipients it is about, if it settles anything.
fn fate(event: &Event) -> Option<&'static str> {
    Some(match event.kind {
        EventKind::Delivered if is_by_script(event) => "filed by Sieve",
        EventKind::Delivered => "delivered",
        EventKind::SieveAction if is_redirect(event) => "redirected by Sieve",
        EventKind::Discarded if is_by_script(event) => "discarded by Sieve",
        EventKind::Discarded => "dropped on purpose",
        EventKind::Expunged if event.details.get("by").and_then(Value::as_str) == Some("age") => "removed for its age",
        EventKind::Expunged => "expunged by a client",
        EventKind::Relayed => "passed on",
        EventKind::Deferred => "waiting",
        EventKind::Failed => "given up",
        EventKind::QueueChanged if event.details.contains_key("unreadable_note") => "held",
        EventKind::QueueChanged => match event.details.get("action").and_then(Value::as_str)? {
            "delete" => "deleted by an administrator",
            "hold" => "held by an administrator",
            "release" | "retry" => "waiting",
            _ => return None,
        },
        _ => return None,
    })
}

/// Whether a Sieve script acted on a message.
fn is_by_script(event: &Event) -> bool {
    event.details.get("by").and_then(Value::as_str) == Some("sieve")
}

/// Whether a Sieve script has passed it on, so that the queue has it.
fn is_redirect(event: &Event) -> bool {
    event.details.get("action").and_then(Value::as_str) == Some("redirect") && event.queue.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::clock::Timestamp;

    fn event(kind: EventKind, subject: &str) -> Event {
        Event::new(Timestamp::EPOCH, kind).subject(subject)
    }

    #[test]
    fn tells_the_end() {
        use EventKind::{
            Deferred, Delivered, Discarded, Failed, MessageRefused, QueueChanged, Queued, Relayed, SieveAction, Verdict,
        };
        let by_hand = |action: &str| event(QueueChanged, "").with("action", action).with("to", vec!["a@x"]);
        for (events, wanted) in [
            (vec![event(Verdict, "")], "on its way"),
            (vec![event(MessageRefused, "")], "refused"),
            (vec![event(Deferred, "a@x"), event(Relayed, "a@x")], "passed on for a@x"),
            (vec![event(Delivered, "a@x"), event(Failed, "b@x")], "delivered for a@x; given up for b@x"),
            (vec![event(Queued, "s@x").with("recipients", vec!["b@y"])], "waiting for b@y"),
            (
                vec![event(Queued, "s@x").with("recipients", vec!["b@y"]).with("held", QUARANTINED)],
                "in quarantine for b@y",
            ),
            (
                vec![
                    event(Queued, "s@x").with("recipients", vec!["a@x"]).with("held", QUARANTINED),
                    by_hand("release"),
                ],
                "waiting for a@x",
            ),
            (vec![event(Queued, "s@x").with("recipients", vec!["b@y"]).with("held", "why")], "held for b@y"),
            (
                vec![event(Deferred, "a@x"), event(Relayed, "b@x"), by_hand("delete")],
                "deleted by an administrator for a@x; passed on for b@x",
            ),
            (vec![event(Deferred, "a@x"), by_hand("hold")], "held by an administrator for a@x"),
            (vec![by_hand("hold"), by_hand("release")], "waiting for a@x"),
            (
                vec![event(SieveAction, "a@x").with("action", "fileinto"), event(Delivered, "a@x").with("by", "sieve")],
                "filed by Sieve for a@x",
            ),
            (vec![event(Discarded, "a@x").with("by", "sieve")], "discarded by Sieve for a@x"),
            (
                vec![
                    event(Queued, "s@x").with("recipients", vec!["a+t@x", "b@y"]),
                    event(Deferred, "a+t@x"),
                    event(Delivered, "a@x").with("recipient", "a+t@x"),
                ],
                "delivered for a@x; waiting for b@y",
            ),
            (
                vec![event(Relayed, "a"), event(Relayed, "b"), event(Relayed, "c"), event(Relayed, "d")],
                "passed on for 4 recipients",
            ),
        ] {
            assert_eq!(ending(&events), wanted);
        }
    }

    #[test]
    fn says_what_matters() {
        let deferred = event(EventKind::Deferred, "bob@x").with("reply", "451 no").with("next_attempt", "noon");
        assert_eq!(say(&deferred), "Not passed on yet for bob@x: 451 no; the next attempt is at noon");
        let refused = event(EventKind::RecipientRefused, "nobody@x").with("reason", "No such user here");
        assert_eq!(
            say(&refused.with("from", "joe@y").with("peer", "192.0.2.1:9")),
            "nobody@x was refused as a recipient or sender: No such user here; the sender was joe@y; \
             the client was 192.0.2.1:9"
        );
        let revoked = event(EventKind::AppPassword, "ann@x").with("name", "phone").with("change", "revoked");
        let by_somebody = revoked.with("by", "an administrator");
        assert_eq!(say(&by_somebody), "The app password phone of ann@x: revoked; by an administrator");
        assert_eq!(
            say(&by_somebody.with("administrator", "alice")),
            "The app password phone of ann@x: revoked; by an administrator (alice)"
        );
        let held = event(EventKind::QueueChanged, "").with("action", "hold").with("to", vec!["a@x"]);
        assert_eq!(say(&held.with("administrator", "alice")), "The queue was changed by hand: hold; for a@x; by alice");
        let created = event(EventKind::Backup, "").with("what", "created").with("result", "ok");
        assert_eq!(
            say(&created.with("backup", "20261130T2246Z").with("administrator", "alice")),
            "Backups: created, ok; the backup is 20261130T2246Z; by alice"
        );
        let verdict = event(EventKind::Verdict, "")
            .with("decision", "junk")
            .with("signals", vec![serde_json::json!({ "name": "SPF_FAIL", "weight": 2.5 })]);
        assert_eq!(say(&verdict), "The filter's verdict is junk; SPF_FAIL (2.5)");
        let received = event(EventKind::MessageReceived, "sales@x").with("peer", "192.0.2.1:9").with("size", 12);
        assert_eq!(
            say(&received.with("login", "ann@x")),
            "A message from sales@x was accepted; it came from 192.0.2.1:9; the login was ann@x; it has 12 octets"
        );
    }
}
