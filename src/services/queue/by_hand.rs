//! What the journal is told of changes that an administrator makes to the queue.

use crate::foundations::clock::Timestamp;
use crate::foundations::event::{Event, EventKind};
use crate::storage::spool::{Error, Listing, QUARANTINED, RecipientState, Selection, Spool};

/// Most messages that are told of one by one; of a change to more, only the selection is told.
const MOST_TOLD: usize = 1_000;

/// Entries that are looked up at once.
const PAGE: u32 = 500;

/// What is done by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Waiting recipients are due now.
    Retry,
    /// Waiting recipients are kept.
    Hold,
    /// Held ones are let go.
    Release,
    /// The message goes, and nobody is told.
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
pub struct ByHand {
    action: Action,
    selection: Selection,
    /// `None` when they are too many, or when nobody understands their rows, which can be deleted all the same.
    met: Option<Vec<Listing>>,
}

impl ByHand {
    /// Looks up what a change will meet.
    ///
    /// # Errors
    /// The database fails.
    pub async fn prepare(spool: &Spool, selection: &Selection, action: Action) -> Result<Self, Error> {
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

    /// What is to be told when so many recipients have been changed. Nothing, when it was none.
    pub fn events(&self, now: Timestamp, recipients: u64) -> Vec<Event> {
        if recipients == 0 {
            return Vec::new();
        }
        let Some(met) = &self.met else { return vec![self.of_selection(now, recipients)] };
        let is_one = matches!(self.selection, Selection::Entry(_));
        let meant = |listing: &&Listing| is_one || listing.entry.hold_reason.as_deref() != Some(QUARANTINED);
        let told = |listing: &Listing| {
            let to = listing.recipients.iter().filter(|recipient| self.action.concerns(recipient.state));
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
            Selection::Entry(id) => event.queue(*id),
            Selection::Sender(path) => {
                event.subject(path.address().map_or_else(|| "<>".to_owned(), ToString::to_string))
            }
            Selection::Recipient(address) => event.subject(address.to_string()),
            Selection::Domain(domain) => event.subject(domain.to_string()),
        };
        event.with("action", self.action.word()).with("recipients", recipients)
    }
}
