//! Telling senders.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use parking_lot::Mutex;

use super::dsn::{Notification, compose, headline, is_double_bounce, message_id};
use super::enqueue::Purpose;
use super::{Error, Queue};
use crate::foundations::address::{Address, ReversePath};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::ids::{MailId, QueueId, SessionId};
use crate::foundations::mail::{BodyKind, Envelope, Mail, Message, Notify, Origin, Recipient};
use crate::storage::spool::{self, NewEntry, PendingReport};

/// The entries whose senders are being notified at this moment.
#[derive(Debug, Default)]
pub(super) struct Tellings(Mutex<HashMap<QueueId, Meanwhile>>);

/// What others have done since a notification was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// They have asked to notify the same sender.
    Asked,
}

impl Tellings {
    /// `None` while somebody else is at it, who will then look again.
    fn begin(&self, id: QueueId) -> Option<Telling<'_>> {
        match self.0.lock().entry(id) {
            Entry::Vacant(place) => {
                place.insert(Meanwhile::Nothing);
            }
            Entry::Occupied(mut meanwhile) => {
                meanwhile.insert(Meanwhile::Asked);
                return None;
            }
        }
        Some(Telling { tellings: self, id, is_over: false })
    }
}

/// A sender is being notified. Once this is dropped, even by a panic, others may do it.
struct Telling<'a> {
    tellings: &'a Tellings,
    id: QueueId,
    is_over: bool,
}

impl Telling<'_> {
    /// Ends it, unless others have asked meanwhile: what they know of may not have been there yet.
    fn end_unless_asked(&mut self) {
        let mut under_way = self.tellings.0.lock();
        if under_way.insert(self.id, Meanwhile::Nothing) != Some(Meanwhile::Asked) {
            under_way.remove(&self.id);
            self.is_over = true;
        }
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.tellings.0.lock().remove(&self.id);
        }
    }
}

impl Queue {
    /// Tells the sender of an entry what has gathered for it. What cannot be done now is done by housekeeping later.
    pub(super) async fn notify_sender(&self, id: QueueId) {
        let Some(mut telling) = self.0.tellings.begin(id) else { return };
        while !telling.is_over {
            // A panic must not end the caller, least of all the scheduler.
            match AssertUnwindSafe(self.try_notify(id)).catch_unwind().await {
                Ok(Ok(()) | Err(Error::Spool(spool::Error::Overtaken))) => {}
                Ok(Err(error)) => {
                    log::warn!(queue:% = id, cause:% = error; "A sender cannot be notified yet; it will be tried again");
                }
                Err(_) => {
                    log::error!(queue:% = id; "A fault of this program kept a sender from being notified; it will be tried again");
                }
            }
            telling.end_unless_asked();
        }
    }

    async fn try_notify(&self, id: QueueId) -> Result<(), Error> {
        let spool = &self.0.parts.spool;
        let Some(pending) = spool.pending_report(id).await? else { return Ok(()) };
        let settings = self.0.parts.settings.get();
        // A notification without the message is better than none.
        let message = spool.message(id).await.ok();
        let to = match pending.entry.envelope.reverse_path.address() {
            Some(sender) => Some(sender.clone()),
            // RFC 5321 §6.1: it would come back for as long as that address takes no mail.
            None if message.as_ref().is_some_and(is_double_bounce) => None,
            None => settings.double_bounces_to.clone(),
        };
        let Some(to) = to else {
            spool.commit_report(&pending, None).await?;
            return Ok(());
        };
        let mail = self.notification(&pending, &to, message.as_ref());
        let mail_id = message_id(mail.id, &self.0.parts.hostname);
        let recipient = Recipient { address: to.clone(), notify: Notify::NEVER, original: None };
        let destination = self.destination_of(&to).await?;
        let new = NewEntry {
            mail: &mail,
            recipients: vec![self.new_recipient(recipient, destination, Purpose::Notification)],
            message_id: Some(mail_id.clone()),
            hold: None,
        };
        let notification = spool.commit_report(&pending, Some(new)).await?;
        let about: Vec<String> = pending.recipients.iter().map(|one| one.recipient.address.to_string()).collect();
        let mut event = Event::new(self.0.parts.clock.now(), EventKind::NotificationSent)
            .mail(pending.entry.mail)
            .queue(id)
            .subject(to.to_string())
            .with("about", about)
            .with("action", headline(&pending));
        if let Some(notification) = notification {
            event = event.with("notification", notification.to_string()).with("notification_mail", mail.id.to_string());
            self.tell_notification(notification, &mail, &to, &mail_id);
        }
        self.0.parts.journal.record(event);
        Ok(())
    }

    /// The beginning of the notification's own journey.
    fn tell_notification(&self, id: QueueId, mail: &Mail, to: &Address, message_id: &str) {
        let event = Event::new(self.0.parts.clock.now(), EventKind::Queued)
            .session(mail.origin.session)
            .mail(mail.id)
            .queue(id)
            .subject("")
            .with("recipients", vec![to.to_string()])
            .with("size", mail.message.len() as u64)
            .with("message_id", message_id);
        self.0.parts.journal.record(event);
    }

    fn notification(&self, pending: &PendingReport, to: &Address, message: Option<&Message>) -> Mail {
        let now = self.0.parts.clock.now();
        let id = MailId::generate(now);
        let settings = self.0.parts.settings.get();
        let bytes = compose(&Notification {
            pending,
            to,
            from: &self.0.parts.hostname,
            id,
            at: now,
            message,
            returned_size: settings.returned_size.len(),
        });
        let envelope = Envelope {
            body: BodyKind::of(&bytes),
            smtputf8: pending.entry.envelope.smtputf8,
            require_tls: pending.entry.envelope.require_tls,
            ..Envelope::plain(ReversePath::Null, Vec::new())
        };
        let origin = Origin::internal(SessionId::generate(now), now);
        Mail { id, origin, envelope, message: Message::new(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::foundations::clock::Timestamp;

    #[tokio::test]
    async fn whoever_goes_away_in_the_middle_leaves_it_to_the_next() {
        let (tellings, id) = (Tellings::default(), QueueId::generate(Timestamp::EPOCH));
        let mut telling = Box::pin(async {
            let _telling = tellings.begin(id);
            pending::<()>().await;
        });
        assert!(futures_util::poll!(&mut telling).is_pending());
        assert!(tellings.begin(id).is_none(), "one is enough");
        drop(telling);
        assert!(tellings.begin(id).is_some());
    }

    #[test]
    fn what_is_known_of_meanwhile_is_looked_for_afterwards() {
        let (tellings, id) = (Tellings::default(), QueueId::generate(Timestamp::EPOCH));
        let mut telling = tellings.begin(id).unwrap();
        assert!(tellings.begin(id).is_none() && tellings.begin(id).is_none());
        telling.end_unless_asked();
        assert!(!telling.is_over, "others have asked");
        telling.end_unless_asked();
        assert!(telling.is_over);
        let next = tellings.begin(id);
        drop(telling);
        assert!(tellings.begin(id).is_none(), "only the next one ends what it has begun");
        drop(next);
    }
}
