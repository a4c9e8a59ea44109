//! Events in plain words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use crate::foundations::counted::counted;
use crate::foundations::event::{Event, EventKind};
use crate::storage::journal::sentence;

/// An event in one line: the log's sentence, and what a person who traces a message wants to know besides.
pub(super) fn say(event: &Event) -> String {
    let mut words = sentence(event);
    let text = |name: &str| event.details.get(name).and_then(Value::as_str);
    let mut add = |label: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = write!(words, "; {label}{value}");
    };
    match event.kind {
        EventKind::MessageReceived | EventKind::MessageRefused | EventKind::Queued | EventKind::AliasExpanded => {
            if let Some(peer) = text("peer") {
                add("it came from ", peer);
            }
            if let Some(size) = event.details.get("size").and_then(Value::as_u64) {
                add("it has ", &counted(size, "octet"));
            }
            for name in ["recipients", "to"] {
                let list = list(event, name);
                if !list.is_empty() {
                    add("for ", &list);
                }
            }
            if let Some(why) = text("held") {
                add("held until an administrator releases it: ", why);
            }
        }
        EventKind::SieveAction => {
            if let Some(script) = text("script") {
                add("by the script ", script);
            }
            if let Some(why) = text("why") {
                add("because ", why);
            }
        }
        EventKind::RecipientRefused => {
            if let Some(from) = text("from") {
                add("the sender was ", from);
            }
        }
        EventKind::Verdict => {
            let signals = signals(event);
            if !signals.is_empty() {
                add("", &signals);
            }
        }
        EventKind::Relayed | EventKind::Deferred | EventKind::Failed => {
            if let Some(tls) = text("tls") {
                add("over ", tls);
            }
            if let Some(next) = text("next_attempt") {
                add("the next attempt is at ", next);
            }
        }
        EventKind::NotificationSent => {
            add("about ", &list(event, "about"));
            if let Some(id) = text("notification_mail") {
                add("the notification is message ", id);
            }
        }
        EventKind::QueueChanged => {
            let to = list(event, "to");
            if !to.is_empty() {
                add("for ", &to);
            }
            if let Some(selection) = text("selection") {
                add("selected were ", selection);
            }
            if let Some(recipients) = event.details.get("recipients").and_then(Value::as_u64) {
                add("of ", &counted(recipients, "recipient"));
            }
        }
        EventKind::AccountChanged => {
            add("", text("change").or_else(|| text("what")).unwrap_or_default());
            add_by(&mut add, text("by"));
        }
        EventKind::ScriptChanged => {
            if let Some(script) = text("script") {
                add("it is called ", script);
            }
            add_by(&mut add, text("by"));
        }
        _ => {}
    }
    let words = words.trim_end_matches("; ");
    words.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn add_by(add: &mut impl FnMut(&str, &str), by: Option<&str>) {
    if let Some(by) = by {
        add("by ", by);
    }
}

fn list(event: &Event, name: &str) -> String {
    let items = event.details.get(name).and_then(Value::as_array);
    let texts: Vec<&str> = items.into_iter().flatten().filter_map(Value::as_str).collect();
    texts.join(", ")
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
    // The last word about each recipient counts.
    let mut fates: BTreeMap<&str, &'static str> = BTreeMap::new();
    let mut queued = BTreeSet::new();
    let mut refused = false;
    for event in events {
        let word = match event.kind {
            EventKind::Delivered if is_by_script(event) => "filed by Sieve",
            EventKind::Delivered => "delivered",
            EventKind::SieveAction if is_redirect(event) => "redirected by Sieve",
            EventKind::Discarded if is_by_script(event) => "discarded by Sieve",
            EventKind::Expunged => "expunged by a client",
            EventKind::Relayed => "passed on",
            EventKind::Deferred => "waiting",
            EventKind::Failed => "given up",
            EventKind::Discarded => "dropped on purpose",
            EventKind::Queued => {
                let recipients = event.details.get("recipients").and_then(Value::as_array);
                queued.extend(recipients.into_iter().flatten().filter_map(Value::as_str));
                continue;
            }
            EventKind::QueueChanged => {
                let word = match event.details.get("action").and_then(Value::as_str) {
                    Some("delete") => "deleted by an administrator",
                    Some("hold") => "held by an administrator",
                    Some("release" | "retry") => "waiting",
                    _ => continue,
                };
                let to = event.details.get("to").and_then(Value::as_array);
                fates.extend(to.into_iter().flatten().filter_map(Value::as_str).map(|recipient| (recipient, word)));
                continue;
            }
            EventKind::MessageRefused => {
                refused = true;
                continue;
            }
            _ => continue,
        };
        fates.insert(event.subject.as_deref().unwrap_or_default(), word);
    }
    for recipient in queued {
        fates.entry(recipient).or_insert("waiting");
    }
    let mut counts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (recipient, word) in &fates {
        counts.entry(word).or_default().push(recipient);
    }
    let part = |(word, who): (&&str, &Vec<&str>)| match who.as_slice() {
        few if few.len() <= 3 => format!("{word} for {}", few.join(", ")),
        many => format!("{word} for {} recipients", many.len()),
    };
    let parts: Vec<String> = counts.iter().map(part).collect();
    match (parts.is_empty(), refused) {
        (true, true) => "refused".to_owned(),
        (true, false) => "on its way".to_owned(),
        (false, _) => parts.join("; "),
    }
}

/// Whether a Sieve script has had its way with a message.
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
        assert_eq!(
            say(&deferred),
            "Not passed on for bob@x yet; it will be tried again: 451 no; the next attempt is at noon"
        );
        let verdict = event(EventKind::Verdict, "")
            .with("decision", "junk")
            .with("signals", vec![serde_json::json!({ "name": "SPF_FAIL", "weight": 2.5 })]);
        assert_eq!(say(&verdict), "The filter's verdict is junk; SPF_FAIL (2.5)");
        let received = event(EventKind::MessageReceived, "ann@x").with("peer", "192.0.2.1:9").with("size", 12);
        assert_eq!(say(&received), "A message from ann@x was accepted; it came from 192.0.2.1:9; it has 12 octets");
    }
}
