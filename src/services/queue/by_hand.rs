//! Changes that an administrator makes to the queue, and what the journal records of them.

use crate::foundations::clock::{Clock, Timestamp};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::ids::QueueId;
use crate::storage::journal::Journal;
use crate::storage::spool::{Error, Listing, QUARANTINED, Queued, RecipientState, Selection, Spool, Whom};

/// Most messages that are recorded one by one; of a change to more, only the selection is recorded.
const MOST_TOLD: usize = 1_000;

/// Entries that are looked up at once.
const PAGE: u32 = 500;

/// A change that an administrator makes, or that is made for one, whether the queue is at work or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Waiting recipients are due now.
    Retry(Selection),
    /// Waiting recipients are kept until they are released.
    Hold(Selection),
    /// Held recipients are let go.
    Release(Selection),
    /// An entry goes, and nobody is told. An attempt under way is finished.
    Delete(QueueId),
    /// The same for some of its recipients.
    DeleteFor(QueueId, Whom),
    /// The same for one that has been in quarantine for too long, unless it was released meanwhile.
    Expire(QueueId),
}

impl Change {
    /// Makes the change and tells the journal of it. How many recipients it has met; 1 for an entry that was deleted.
    ///
    /// # Errors
    /// There is no such entry, or database or disk fail.
    pub async fn make(&self, spool: &Spool, journal: &Journal, clock: &dyn Clock) -> Result<u64, Error> {
        let met = match self {
            Self::Retry(selection) => ByHand::prepare(spool, selection, Action::Retry).await?,
            Self::Hold(selection) => ByHand::prepare(spool, selection, Action::Hold).await?,
            Self::Release(selection) => ByHand::prepare(spool, selection, Action::Release).await?,
            Self::Delete(id) | Self::Expire(id) => {
                ByHand::prepare(spool, &Selection::Entry(*id), Action::Delete).await?
            }
            Self::DeleteFor(id, whom) => {
                ByHand::prepare(spool, &Selection::Part(*id, whom.clone()), Action::Delete).await?
            }
        };
        let recipients = match self {
            Self::Retry(selection) => spool.retry(selection).await?,
            Self::Hold(selection) => spool.hold(selection).await?,
            Self::Release(selection) => spool.release(selection).await?,
            Self::Delete(id) => spool.delete(*id).await.map(|()| 1)?,
            Self::DeleteFor(id, whom) => spool.delete_for(*id, whom).await?,
            Self::Expire(id) => spool.delete_quarantined(*id).await?,
        };
        met.tell(journal, clock.now(), recipients);
        Ok(recipients)
    }
}

/// What is done by hand, in the journal's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Retry,
    Hold,
    Release,
    Delete,
    /// The message goes, and its sender is told.
    Bounce,
}

impl Action {
    const fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Delete => "delete",
            Self::Bounce => "bounce",
        }
    }

    fn concerns(self, state: RecipientState) -> bool {
        match self {
            Self::Retry | Self::Hold => state == RecipientState::Waiting,
            Self::Release => state == RecipientState::Held,
            Self::Delete | Self::Bounce => state != RecipientState::Finished,
        }
    }
}

/// A change that is about to be made: whom it will meet is looked up before.
#[derive(Debug)]
pub(super) struct ByHand {
    action: Action,
    selection: Selection,
    /// `None` when they are too many, or when nobody understands their rows, which can be deleted all the same.
    met: Option<Vec<Listing>>,
}

impl ByHand {
    /// Looks up what a change will meet.
    async fn prepare(spool: &Spool, selection: &Selection, action: Action) -> Result<Self, Error> {
        let mut met: Vec<Listing> = Vec::new();
        while met.len() <= MOST_TOLD {
            let after = met.last().map(|listing| listing.entry.id);
            let page = match spool.list(selection, after, PAGE).await {
                Err(Error::Corrupt { .. }) => break,
                page => page?,
            };
            if page.is_empty() {
                return Ok(Self { action, selection: selection.clone(), met: Some(met) });
            }
            met.extend(page);
        }
        Ok(Self { action, selection: selection.clone(), met: None })
    }

    /// A change to an entry that has been looked up.
    pub(super) fn to(listing: Listing, action: Action) -> Self {
        Self { action, selection: Selection::Entry(listing.entry.id), met: Some(vec![listing]) }
    }

    /// Tells the journal of a change that has been made to so many recipients.
    pub(super) fn tell(&self, journal: &Journal, now: Timestamp, recipients: u64) {
        for event in self.events(now, recipients) {
            journal.record(event);
        }
    }

    /// What is to be told. Nothing, when no recipient was changed.
    fn events(&self, now: Timestamp, recipients: u64) -> Vec<Event> {
        if recipients == 0 {
            return Vec::new();
        }
        let Some(met) = &self.met else { return vec![self.of_selection(now, recipients)] };
        let is_one = matches!(self.selection, Selection::Entry(_));
        let meant = |listing: &&Listing| is_one || listing.entry.hold_reason.as_deref() != Some(QUARANTINED);
        let told = |listing: &Listing| {
            let is_met = |recipient: &&Queued| {
                self.action.concerns(recipient.state) && self.selection.takes(&recipient.recipient.address)
            };
            let to = listing.recipients.iter().filter(is_met);
            let to: Vec<_> = to.map(|recipient| recipient.recipient.address.to_string()).collect();
            let event = Event::new(now, EventKind::QueueChanged).mail(listing.entry.mail).queue(listing.entry.id);
            (!to.is_empty()).then(|| event.with("action", self.action.word()).with("to", to))
        };
        met.iter().filter(meant).filter_map(told).collect()
    }

    fn of_selection(&self, now: Timestamp, recipients: u64) -> Event {
        let event = Event::new(now, EventKind::QueueChanged);
        let event = match &self.selection {
            Selection::All => event.with("selection", "all"),
            Selection::Held => event.with("selection", "held"),
            Selection::Entry(id) | Selection::Part(id, _) => event.queue(*id),
            Selection::Sender(path) => {
                event.subject(path.address().map_or_else(|| "<>".to_owned(), ToString::to_string))
            }
            Selection::Recipient(address) => event.subject(address.to_string()),
            Selection::Domain(domain) => event.subject(domain.to_string()),
        };
        event.with("action", self.action.word()).with("recipients", recipients)
    }
}
