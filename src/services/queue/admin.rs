//! What an administrator does with the queue.

use std::time::Duration;

use tokio::time::Instant;

use super::by_hand::{Action as Hand, ByHand, Change};
use super::outcome::reported;
use super::{Error, Queue};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::ids::QueueId;
use crate::storage::journal::Journal;
use crate::storage::spool::{
    self, Action, Fate, Listing, RecipientKey, RecipientState, Report, Selection, Settler, Whom,
};

/// How long an attempt under way is waited for when its message is to be given up.
const PATIENCE: Duration = Duration::from_secs(4);
/// How often it is looked at meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Queue {
    /// Entries in the order of their arrival after `after`, at most `limit` (and 1,000).
    pub async fn list(&self, selection: &Selection, after: Option<QueueId>, limit: u32) -> Result<Vec<Listing>, Error> {
        Ok(self.0.parts.spool.list(selection, after, limit).await?)
    }

    /// One entry with its recipients.
    pub async fn show(&self, id: QueueId) -> Result<Listing, Error> {
        Ok(self.0.parts.spool.entry(id).await?)
    }

    /// Makes a change by hand. Returns how many recipients it concerned.
    pub async fn change(&self, change: &Change) -> Result<u64, Error> {
        self.change_telling(change, &self.0.parts.journal).await
    }

    /// The same, for somebody in whose name the journal records.
    pub async fn change_telling(&self, change: &Change, journal: &Journal) -> Result<u64, Error> {
        if matches!(change, Change::Retry(_)) {
            self.0.lanes.lock().wake_all();
        }
        let parts = &self.0.parts;
        Ok(change.make(&parts.spool, journal, &*parts.clock).await?)
    }

    /// Gives an entry up: its sender is told of every recipient that is not settled, as the sender wished. An attempt under
    /// way is waited for: its result counts. The journal is that of whoever gives it up.
    ///
    /// Fails with [`Error::InFlight`] when the attempt takes long; the entry is held then.
    pub async fn bounce(&self, id: QueueId, journal: &Journal) -> Result<(), Error> {
        self.give_up(id, &Selection::Entry(id), journal).await
    }

    /// The same for some of its recipients; the others are served as before. Fails also when there is none of these.
    pub async fn bounce_for(&self, id: QueueId, whom: &Whom, journal: &Journal) -> Result<(), Error> {
        self.give_up(id, &Selection::Part(id, whom.clone()), journal).await
    }

    async fn give_up(&self, id: QueueId, selection: &Selection, journal: &Journal) -> Result<(), Error> {
        // From now on no attempt begins.
        self.0.parts.spool.hold(selection).await?;
        let mut listing = self.at_rest(id, selection).await?;
        listing.recipients.retain(|one| selection.takes(&one.recipient.address));
        if listing.recipients.is_empty() {
            return Err(spool::Error::NotFound(id).into());
        }
        let settings = self.0.parts.settings.get();
        let now = self.0.parts.clock.now();
        let fates: Vec<(RecipientKey, Fate)> = listing
            .recipients
            .iter()
            .filter(|recipient| recipient.state != RecipientState::Finished)
            .map(|recipient| {
                let said = "x-postrider; An administrator of this server has given the message up";
                let report =
                    Report {
                        action: Action::Failed,
                        // RFC 3463 §3.8: 5.7.0, other policy.
                        status: "5.7.0".to_owned(),
                        diagnostic: Some(recipient.last_reply.clone().map_or_else(
                            || said.to_owned(),
                            |reply| format!("{said}; the last attempt gave: {reply}"),
                        )),
                        remote: None,
                        at: now,
                    };
                (recipient.key, reported(&settings, &listing.entry, recipient.recipient.notify.failure, report))
            })
            .collect();
        self.0.parts.spool.settle(id, Settler::Administrator, &fates).await?;
        for recipient in listing.recipients.iter().filter(|one| one.state != RecipientState::Finished) {
            let event = Event::new(now, EventKind::Failed).mail(listing.entry.mail).queue(id);
            let event = event.subject(recipient.recipient.address.to_string());
            journal.record(event.with("reason", "an administrator has given it up"));
        }
        ByHand::to(listing, Hand::Bounce).tell(journal, self.0.parts.clock.now(), fates.len() as u64);
        self.notify_sender(id).await;
        Ok(())
    }

    /// Gives back what of an entry is in memory, unless a worker has it.
    async fn withdraw(&self, id: QueueId) -> Result<(), Error> {
        let groups = self.0.lanes.lock().withdraw(id);
        if groups.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = groups.iter().flat_map(|group| group.recipients.iter().map(|one| one.key)).collect();
        // First: a recipient that is claimed again while it is still in memory waits for housekeeping.
        for group in &groups {
            self.0.lanes.lock().finish(group);
        }
        Ok(self.0.parts.spool.give_back(self.owner(), &keys).await?)
    }

    /// An entry once no attempt for the selected recipients is under way.
    async fn at_rest(&self, id: QueueId, selection: &Selection) -> Result<Listing, Error> {
        let end = Instant::now() + PATIENCE;
        loop {
            // Every time: recipients that were claimed a moment ago may not have been in memory yet.
            self.withdraw(id).await?;
            let listing = self.0.parts.spool.entry(id).await?;
            let meant = listing.recipients.iter().filter(|one| selection.takes(&one.recipient.address));
            let recipients = meant.filter(|one| one.owner.is_some()).count();
            if recipients == 0 {
                return Ok(listing);
            }
            if Instant::now() >= end {
                return Err(Error::InFlight { id, recipients });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}
