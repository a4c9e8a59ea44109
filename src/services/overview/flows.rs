//! Mail in numbers.

use serde::Serialize;

use crate::foundations::event::EventKind;
use crate::storage::journal::Count;

/// How much mail went which way in some time. Messages are counted on the way in, recipients on the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Flow {
    /// Messages received.
    pub received: u64,
    /// Recipients whose mailbox got one.
    pub delivered: u64,
    /// Recipients whose mail was passed on to another server.
    pub relayed: u64,
    /// Attempts to pass on that will be repeated.
    pub deferred: u64,
    /// Recipients given up.
    pub failed: u64,
    /// Clients, senders, recipients and messages refused. Logins are no mail.
    pub refused: u64,
    /// Messages that the filter took for junk or put into quarantine.
    pub junk: u64,
    /// Messages that the filter refused.
    pub spam: u64,
}

/// How often clients were refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusals {
    /// What was refused.
    pub kind: EventKind,
    /// Why, in general words.
    pub reason: String,
    /// How often.
    pub number: u64,
}

/// The kinds that a flow is made of.
pub const KINDS: &[EventKind] = &[
    EventKind::MessageReceived,
    EventKind::Delivered,
    EventKind::Relayed,
    EventKind::Deferred,
    EventKind::Failed,
    EventKind::ConnectionRefused,
    EventKind::LoginRefused,
    EventKind::RecipientRefused,
    EventKind::MessageRefused,
    EventKind::Verdict,
];

impl Flow {
    /// Adds a count.
    pub(super) fn add(&mut self, count: &Count) {
        let place = match count.kind {
            EventKind::MessageReceived => &mut self.received,
            EventKind::Delivered => &mut self.delivered,
            EventKind::Relayed => &mut self.relayed,
            EventKind::Deferred => &mut self.deferred,
            EventKind::Failed => &mut self.failed,
            EventKind::ConnectionRefused | EventKind::RecipientRefused | EventKind::MessageRefused => &mut self.refused,
            EventKind::Verdict if matches!(count.outcome.as_str(), "junk" | "quarantine") => &mut self.junk,
            EventKind::Verdict if count.outcome == "refuse" => &mut self.spam,
            _ => return,
        };
        *place += count.number;
    }

    /// Junk and refused spam among all mail that was judged, in per cent.
    #[expect(clippy::cast_precision_loss, reason = "a share is shown with one digit")]
    pub fn unwanted_percent(&self) -> f64 {
        match self.received + self.spam {
            0 => 0.0,
            all => 100.0 * (self.junk + self.spam) as f64 / all as f64,
        }
    }

    /// All counts together.
    pub fn of<'a>(counts: impl IntoIterator<Item = &'a Count>) -> Self {
        let mut flow = Self::default();
        counts.into_iter().for_each(|count| flow.add(count));
        flow
    }
}

/// Refusals by their reason, the most frequent first.
pub fn refusals(counts: &[Count]) -> Vec<Refusals> {
    let mut refusals: Vec<Refusals> = Vec::new();
    for count in counts.iter().filter(|count| is_refusal(count.kind)) {
        let kind = count.kind;
        match refusals.iter_mut().find(|other| other.kind == kind && other.reason == count.outcome) {
            Some(same) => same.number += count.number,
            None => refusals.push(Refusals { kind, reason: count.outcome.clone(), number: count.number }),
        }
    }
    refusals.sort_by(|a, b| b.number.cmp(&a.number).then_with(|| a.reason.cmp(&b.reason)));
    refusals.truncate(MOST_REASONS);
    refusals
}

const fn is_refusal(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::ConnectionRefused
            | EventKind::LoginRefused
            | EventKind::RecipientRefused
            | EventKind::MessageRefused
    )
}

const MOST_REASONS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::clock::Timestamp;

    fn count(kind: EventKind, outcome: &str, number: u64) -> Count {
        Count { at: Timestamp::EPOCH, kind, outcome: outcome.to_owned(), number }
    }

    #[test]
    fn adds_up() {
        let counts = [
            count(EventKind::MessageReceived, "", 7),
            count(EventKind::Verdict, "junk", 2),
            count(EventKind::Verdict, "refuse", 3),
            count(EventKind::Verdict, "accept", 4),
            count(EventKind::RecipientRefused, "No such mailbox", 5),
            count(EventKind::RecipientRefused, "No such mailbox", 1),
            count(EventKind::LoginRefused, "wrong password", 6),
        ];
        let flow = Flow::of(&counts);
        assert_eq!((flow.received, flow.junk, flow.spam, flow.refused), (7, 2, 3, 6));
        let reasons: Vec<_> = refusals(&counts).into_iter().map(|refusal| (refusal.reason, refusal.number)).collect();
        assert_eq!(reasons, [("No such mailbox".to_owned(), 6), ("wrong password".to_owned(), 6)]);
    }
}
