//! Putting messages into the queue.

use futures_util::future::BoxFuture;

use super::{Error, Queue};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::Refusal;
use crate::foundations::ids::QueueId;
use crate::foundations::mail::Recipient;
use crate::services::handover::{Bound, Postponed, Queueing};
use crate::services::routing::Resolution;
use crate::storage::spool::{Action, Destination, NewEntry, NewRecipient, Report};

impl Queue {
    /// Puts a message into the queue. When it returns an id, the entry is on disk, and the first attempts begin at once.
    ///
    /// Fails when the disk or the database does, or without recipients.
    pub async fn enqueue(&self, postponed: Postponed<'_>) -> Result<QueueId, Error> {
        let new = self.new_entry(&postponed)?;
        let id = self.0.parts.spool.commit(new).await?;
        self.tell_queued(id, &postponed);
        self.tell_passed_on(id, &postponed).await;
        Ok(id)
    }

    /// Puts several into the queue, all of them or none.
    async fn enqueue_together(&self, postponed: Vec<Postponed<'_>>) -> Result<Vec<QueueId>, Error> {
        let entries: Result<Vec<_>, _> = postponed.iter().map(|one| self.new_entry(one)).collect();
        let ids = self.0.parts.spool.commit_together(entries?).await?;
        for (id, one) in ids.iter().zip(&postponed) {
            self.tell_queued(*id, one);
            self.tell_passed_on(*id, one).await;
        }
        Ok(ids)
    }

    fn new_entry<'a>(&self, postponed: &Postponed<'a>) -> Result<NewEntry<'a>, Error> {
        if postponed.recipients.is_empty() {
            return Err(Error::NoRecipients);
        }
        let recipients = postponed.recipients.iter().map(|(recipient, bound)| {
            let (destination, action) = match bound {
                Bound::Here => (Destination::Local, None),
                Bound::Elsewhere => (self.0.parts.outbound.destination(recipient.address.domain()), None),
                Bound::PassedOn(action) => (Destination::Local, Some(*action)),
            };
            let mut new = self.new_recipient(recipient.clone(), destination, Purpose::Message);
            new.report = action.map(|action| passed_on(action, new.due_at));
            new
        });
        Ok(NewEntry {
            mail: postponed.mail,
            recipients: recipients.collect(),
            message_id: postponed.message_id.map(ToOwned::to_owned),
            hold: postponed.hold.clone(),
        })
    }

    fn tell_queued(&self, id: QueueId, postponed: &Postponed<'_>) {
        let mail = postponed.mail;
        let addresses: Vec<String> = postponed.recipients.iter().map(|(one, _)| one.address.to_string()).collect();
        let event = Event::new(self.0.parts.clock.now(), EventKind::Queued)
            .session(mail.origin.session)
            .mail(mail.id)
            .queue(id)
            .subject(mail.envelope.reverse_path.bare())
            .with("recipients", addresses)
            .with("size", mail.message.len() as u64)
            .with_known("message_id", postponed.message_id)
            .with_known("held", postponed.hold.as_deref());
        self.0.parts.journal.record(event);
    }

    /// Tells the sender of those for whom others get the message.
    async fn tell_passed_on(&self, id: QueueId, postponed: &Postponed<'_>) {
        if postponed.recipients.iter().any(|(_, bound)| matches!(bound, Bound::PassedOn(_))) {
            self.notify_sender(id).await;
        }
    }

    /// A recipient that is due now.
    pub(super) fn new_recipient(
        &self,
        recipient: Recipient,
        destination: Destination,
        purpose: Purpose,
    ) -> NewRecipient {
        let settings = self.0.parts.settings.get();
        let now = self.0.parts.clock.now();
        let lifetime = match purpose {
            Purpose::Message => settings.lifetime,
            Purpose::Notification => settings.notification_lifetime,
        };
        let warn_after = settings.warn_after.duration();
        let warn_at = (!warn_after.is_zero() && purpose == Purpose::Message).then(|| now + warn_after);
        NewRecipient {
            recipient,
            destination,
            due_at: now,
            expires_at: now + lifetime.duration(),
            warn_at,
            report: None,
        }
    }

    /// Where mail for an address goes: here when its domain is ours.
    pub(super) async fn destination_of(&self, address: &Address) -> Result<Destination, Error> {
        Ok(match self.0.parts.routing.resolve(address).await? {
            Resolution::Remote => self.0.parts.outbound.destination(address.domain()),
            Resolution::Unknown | Resolution::Local { .. } | Resolution::Refused(_) => Destination::Local,
        })
    }
}

/// What is told of a recipient in whose place others get the message.
pub(super) fn passed_on(action: Action, at: Timestamp) -> Report {
    Report { action, status: "2.0.0".to_owned(), diagnostic: None, remote: None, at }
}

/// What an entry is for, which decides how long it is worth trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Message,
    Notification,
}

impl Queueing for Queue {
    fn postpone<'a>(&'a self, postponed: Postponed<'a>) -> BoxFuture<'a, Result<QueueId, Refusal>> {
        Box::pin(async move { self.enqueue(postponed).await.map_err(Refusal::from) })
    }

    fn postpone_together<'a>(&'a self, postponed: Vec<Postponed<'a>>) -> BoxFuture<'a, Result<Vec<QueueId>, Refusal>> {
        Box::pin(async move { self.enqueue_together(postponed).await.map_err(Refusal::from) })
    }
}
