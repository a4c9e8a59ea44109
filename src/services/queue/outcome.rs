//! From the result of an attempt to what is stored, reported and recorded.

use std::sync::Arc;
use std::time::Duration;

use super::QueueSettings;
use super::enqueue::passed_on;
use super::lanes::Rest;
use super::schedule::{next_attempt, spread};
use crate::foundations::clock::Timestamp;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::mail::Recipient;
use crate::foundations::wire::smtp::EnhancedStatus;
use crate::services::outbound::{Attempt, By, Contact, Form, NextDsn, Outcome, Scope, Trouble, Verified};
use crate::storage::spool::{Action, Claimed, Entry, Fate, Queued, RecipientKey, Report};

/// What became of one recipient, in the queue's own words: attempts over the network and local deliveries alike.
#[derive(Debug, Clone)]
pub(super) enum RecipientResult {
    /// Another host has it.
    Relayed { reply: String, dsn: NextDsn, form: Form },
    /// It is in a mailbox, which delivery has recorded itself. The reply is that of the process with the mailboxes, if that is
    /// another one.
    Delivered { reply: Option<String> },
    /// It goes on as another entry of the queue, for whom it was meant.
    Expanded,
    /// It goes on as another entry of the queue, for others; the action says to how many.
    PassedOn(Action),
    /// Not now, or never, as the status says.
    Trouble(Trouble),
}

/// Everything that follows from a result.
#[derive(Debug)]
pub(super) struct Consequence {
    pub(super) fate: Fate,
    pub(super) event: Option<Event>,
}

/// What has come of an attempt for one recipient.
#[derive(Debug)]
pub(super) struct Attempted {
    pub(super) result: RecipientResult,
    /// The host that was talked to, if one was.
    pub(super) contact: Option<Arc<Contact>>,
}

/// Without another host.
impl From<RecipientResult> for Attempted {
    fn from(result: RecipientResult) -> Self {
        Self { result, contact: None }
    }
}

impl From<Attempt> for Attempted {
    fn from(attempt: Attempt) -> Self {
        let result = match attempt.outcome {
            Outcome::Relayed { reply, dsn, form } => RecipientResult::Relayed { reply, dsn, form },
            Outcome::Trouble(trouble) => RecipientResult::Trouble(trouble),
        };
        Self { result, contact: attempt.contact }
    }
}

/// What follows from an attempt for one recipient, at a moment.
pub(super) fn consequence(
    settings: &QueueSettings,
    entry: &Entry,
    recipient: &Queued,
    Attempted { result, contact }: Attempted,
    now: Timestamp,
) -> Consequence {
    let contact = contact.as_deref();
    let event = |kind| {
        let event =
            Event::new(now, kind).mail(entry.mail).queue(entry.id).subject(recipient.recipient.address.to_string());
        let event = event.with("attempts", recipient.attempts + 1);
        with_contact(event, contact)
    };
    let report = |action, status: String, diagnostic: Option<String>| Report {
        action,
        status,
        diagnostic,
        remote: contact.map(|contact| contact.host.clone()),
        at: now,
    };
    let settled = |told, report, event| Consequence { fate: reported(settings, entry, told, report), event };
    let wishes = recipient.recipient.notify;
    match result {
        RecipientResult::Relayed { reply, dsn, form } => {
            let told = wishes.success && dsn == NextDsn::EndsHere;
            let report = report(Action::Relayed, "2.0.0".to_owned(), Some(by_remote(&reply)));
            settled(told, report, Some(with_form(event(EventKind::Relayed).with("reply", reply), form)))
        }
        RecipientResult::Delivered { reply } => {
            let report = report(Action::Delivered, "2.0.0".to_owned(), reply.as_deref().map(by_remote));
            settled(wishes.success, report, None)
        }
        RecipientResult::PassedOn(action) => settled(wishes.success, passed_on(action, now), None),
        // The new entry's recipients have inherited the wishes.
        RecipientResult::Expanded => Consequence { fate: Fate::Done, event: None },
        RecipientResult::Trouble(trouble) if trouble.is_permanent() => {
            let event = with_trouble(event(EventKind::Failed), &trouble);
            let report = report(Action::Failed, trouble.status.to_string(), Some(diagnostic(&trouble)));
            settled(wishes.failure, report, Some(event))
        }
        RecipientResult::Trouble(trouble) if is_over(settings, recipient, now) => {
            // RFC 3463 §3.5: X.4.7, delivery time expired.
            let event = with_trouble(event(EventKind::Failed), &trouble).with("reason", "the message is too old");
            let report = report(Action::Failed, "4.4.7".to_owned(), Some(diagnostic(&trouble)));
            settled(wishes.failure, report, Some(event))
        }
        RecipientResult::Trouble(trouble) => {
            let due_at = next_attempt(settings, now, recipient.expires_at, recipient.attempts + 1, recipient.key);
            let event = with_trouble(event(EventKind::Deferred), &trouble).with("next_attempt", due_at.to_string());
            let report = warning_due(entry, recipient, now)
                .then(|| report(Action::Delayed, trouble.status.to_string(), Some(diagnostic(&trouble))));
            Consequence { fate: Fate::Again { due_at, at: now, reply: trouble.reply, report }, event: Some(event) }
        }
    }
}

/// What follows for a group whose destination rests: it is put off until the rest is over. That counts as an attempt only for
/// recipients whose time is up, or whose sender is to be told of the delay. If the rest has ended meanwhile, it counts for nobody,
/// and the group may be tried at once.
pub(super) fn untried(
    settings: &QueueSettings,
    group: &Claimed,
    rest: Option<&Rest>,
    now: Timestamp,
) -> (Vec<(RecipientKey, Fate)>, Vec<Event>) {
    let (mut fates, mut events) = (Vec::with_capacity(group.recipients.len()), Vec::new());
    for recipient in &group.recipients {
        let is_up = now >= recipient.expires_at || recipient.warn_at.is_some_and(|at| at <= now);
        let fate = match rest {
            None => Fate::Untried { due_at: now },
            Some(rest) if is_up => {
                let trouble = Trouble::ours(EnhancedStatus::new(4, 4, 1), rest.why.as_str(), Scope::Destination);
                let attempted = RecipientResult::Trouble(trouble).into();
                let came = consequence(settings, &group.entry, recipient, attempted, now);
                events.extend(came.event);
                came.fate
            }
            // Spread over the ten seconds after the rest, so that they do not all come at once.
            Some(rest) => {
                let later = spread(Duration::from_secs(50), recipient.key).saturating_sub(Duration::from_secs(45));
                Fate::Untried { due_at: rest.until + later }
            }
        };
        fates.push((recipient.key, fate));
    }
    (fates, events)
}

/// Whether it has been tried for long enough (RFC 5321 §4.5.4.1). The clock alone does not decide that: it may be wrong.
fn is_over(settings: &QueueSettings, recipient: &Queued, now: Timestamp) -> bool {
    now >= recipient.expires_at && recipient.attempts + 1 >= settings.attempts_before_giving_up
}

/// Whether the sender is to be told of the delay now.
fn warning_due(entry: &Entry, recipient: &Queued, now: Timestamp) -> bool {
    recipient.recipient.notify.delay
        && entry.envelope.reverse_path.address().is_some()
        && recipient.warn_at.is_some_and(|at| at <= now)
}

/// A settled recipient's fate. If the sender is to be told, the recipient is kept until that is done.
pub(super) fn reported(settings: &QueueSettings, entry: &Entry, wanted: bool, report: Report) -> Fate {
    let somebody = match entry.envelope.reverse_path.address() {
        Some(_) => wanted,
        // RFC 5321 §6.1: a notification is never answered by one; the postmaster may want to see it.
        None => report.action == Action::Failed && settings.double_bounces_to.is_some(),
    };
    if somebody { Fate::Reported(report) } else { Fate::Done }
}

fn diagnostic(trouble: &Trouble) -> String {
    match trouble.by {
        By::Remote => by_remote(&trouble.reply),
        By::Us => format!("x-postrider; {}", trouble.reply),
    }
}

/// RFC 3464 §2.3.6: `smtp` is for replies of the remote; the type before the semicolon tells them apart.
fn by_remote(reply: &str) -> String {
    format!("smtp; {reply}")
}

fn with_trouble(event: Event, trouble: &Trouble) -> Event {
    event.with("status", trouble.status.to_string()).with("reply", trouble.reply.clone())
}

/// With how the message was changed for the host, if it was.
fn with_form(event: Event, form: Form) -> Event {
    let Form::SevenBit { broken } = form else { return event };
    let event = event.with("converted", "7bit");
    if broken.is_empty() { event } else { event.with("broken_signatures", broken) }
}

fn with_contact(mut event: Event, contact: Option<&Contact>) -> Event {
    let Some(contact) = contact else { return event };
    event = event.with("host", contact.host.clone());
    if let Some(address) = contact.address {
        event = event.with("address", address.to_string());
    }
    if let Some(tls) = &contact.tls {
        event = event.with("tls", tls.version).with("cipher", tls.cipher.clone());
        event = event.with("verified", contact.verified == Verified::Yes).with("policy", contact.policy);
    }
    event
}

/// The recipients alone, as `outbound` takes them.
pub(super) fn plain(recipients: &[Queued]) -> Vec<Recipient> {
    recipients.iter().map(|queued| queued.recipient.clone()).collect()
}
