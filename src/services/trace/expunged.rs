//! Messages that a client has removed for good: what the journal is told, and whose journey it belongs to.

use serde_json::Value;

use crate::foundations::clock::Timestamp;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::mail::{SequenceSet, Uid};

/// Characters of a set of UIDs that an event holds; of very many removed at once, some cannot be told of.
const LONGEST: usize = 1_000;

/// What a client removes from a folder leaves a trace.
pub fn expunged(now: Timestamp, account: &str, folder: &str, uids: &[Uid]) -> Event {
    let set: SequenceSet<Uid> = uids.iter().copied().collect();
    let mut text = set.to_string();
    if text.len() > LONGEST {
        let end = text[..LONGEST].rfind(',').unwrap_or(0);
        text.truncate(end);
    }
    let event = Event::new(now, EventKind::Expunged).subject(account).with("folder", folder);
    event.with("messages", uids.len()).with("uids", text)
}

/// Adds to the events of a message that it was expunged where it had been delivered to.
pub(super) fn add_to(events: &mut Vec<Event>, all: &[Event]) {
    let delivered: Vec<Event> = events.iter().filter(|event| event.kind == EventKind::Delivered).cloned().collect();
    let ends = delivered.iter().filter_map(|delivered| all.iter().find(|expunged| is_end_of(expunged, delivered)));
    events.extend(ends.cloned());
    events.sort_by_key(|event| event.at);
}

fn is_end_of(expunged: &Event, delivered: &Event) -> bool {
    let text = |event: &Event, name: &str| event.details.get(name).and_then(Value::as_str).map(str::to_owned);
    let uid = delivered.details.get("uid").and_then(Value::as_u64).and_then(|uid| u32::try_from(uid).ok());
    let Some(uid) = uid.and_then(Uid::new) else { return false };
    let is_in = || text(expunged, "uids")?.parse::<SequenceSet<Uid>>().ok().map(|set| set.contains(uid, Some(uid)));
    expunged.at >= delivered.at
        && expunged.subject == delivered.subject
        && text(expunged, "folder") == text(delivered, "folder")
        && is_in() == Some(true)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn uids(numbers: impl Iterator<Item = u32>) -> Vec<Uid> {
        numbers.filter_map(Uid::new).collect()
    }

    #[test]
    fn a_removal_belongs_to_what_was_delivered_before_it() {
        let later = Timestamp::EPOCH + Duration::from_secs(1);
        let delivered = Event::new(Timestamp::EPOCH, EventKind::Delivered).subject("ann@x");
        let delivered = delivered.with("folder", "INBOX").with("uid", 7);
        for (expunged, belongs) in [
            (expunged(later, "ann@x", "INBOX", &uids(5..9)), true),
            (expunged(later, "ann@x", "INBOX", &uids(8..9)), false),
            (expunged(later, "ann@x", "Junk", &uids(5..9)), false),
            (expunged(later, "bob@x", "INBOX", &uids(5..9)), false),
            (expunged(Timestamp::EPOCH - Duration::from_secs(1), "ann@x", "INBOX", &uids(5..9)), false),
        ] {
            let mut events = vec![delivered.clone()];
            add_to(&mut events, std::slice::from_ref(&expunged));
            assert_eq!(events.len() == 2, belongs, "{expunged:?}");
        }
    }

    #[test]
    fn very_many_are_cut_between_two() {
        let event = expunged(Timestamp::EPOCH, "ann@x", "INBOX", &uids((1..5_000).step_by(2)));
        let text = event.details["uids"].as_str().unwrap();
        assert!(text.len() <= LONGEST && text.parse::<SequenceSet<Uid>>().is_ok(), "{text}");
        assert_eq!(event.details["messages"], 2_500);
    }
}
