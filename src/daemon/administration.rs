//! Commands of an administrator to the queue, whether or not the role that owns it is running.

use serde::{Deserialize, Serialize};

use crate::foundations::address::ReversePath;
use crate::foundations::clock::{SystemClock, Timestamp};
use crate::foundations::failure::Kind;
use crate::foundations::ids::QueueId;
use crate::services::queue::{self, Change, Queue};
use crate::storage::journal::Journal;
use crate::storage::spool::{self, Listing, Queued, RecipientState, Selection, Spool, Whom};

/// An administrator's command to the queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum QueueCommand {
    /// A page of entries.
    List {
        /// Which: see [`selection`].
        which: String,
        /// The last entry of the previous page.
        after: Option<QueueId>,
    },
    /// One entry in full.
    Show {
        /// Which.
        id: QueueId,
    },
    /// Try waiting recipients now.
    Retry {
        /// Which.
        which: String,
    },
    /// Hold recipients until an administrator releases them.
    Hold {
        /// Which.
        which: String,
    },
    /// Release held recipients.
    Release {
        /// Which.
        which: String,
    },
    /// Remove an entry without notifying anybody.
    Delete {
        /// Which.
        id: QueueId,
    },
    /// Remove recipients from an entry without notifying anybody.
    DeleteFor {
        /// Which entry.
        id: QueueId,
        /// Which recipients: `to:ADDRESS` or `domain:NAME`.
        whom: String,
    },
    /// Give up on an entry and notify its sender.
    Bounce {
        /// Which.
        id: QueueId,
    },
    /// Give up on some recipients of an entry and notify its sender.
    BounceFor {
        /// Which entry.
        id: QueueId,
        /// Which recipients: `to:ADDRESS` or `domain:NAME`.
        whom: String,
    },
}

/// A queue entry, for output.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EntryShown {
    /// Its queue id.
    pub id: QueueId,
    /// The message's id in events.
    pub mail: String,
    /// Its sender; empty for notifications.
    pub sender: String,
    /// Size in octets.
    pub size: u64,
    /// When it was received.
    pub received: Timestamp,
    /// Its Message-ID.
    pub message_id: Option<String>,
    /// The account that submitted it.
    pub login: Option<String>,
    /// Why it must be released by an administrator.
    pub hold_reason: Option<String>,
    /// Recipients that are not finished yet.
    pub recipients: Vec<RecipientShown>,
    /// How many more there are whose rows in the database cannot be understood.
    #[serde(default)]
    pub unreadable: u64,
}

/// A recipient of an entry, for output.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecipientShown {
    /// The address.
    pub address: String,
    /// `waiting`, `held`, `sending` or `finished`.
    pub state: String,
    /// Where it goes next.
    pub destination: String,
    /// How often it has been tried.
    pub attempts: u32,
    /// When it is tried next.
    pub due: Timestamp,
    /// When delivery is given up.
    pub expires: Timestamp,
    /// The result of the last attempt.
    pub last_reply: Option<String>,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] queue::Error),
    /// Its storage failed.
    #[error(transparent)]
    Spool(#[from] spool::Error),
    /// The selection is invalid.
    #[error(
        "`{0}` selects nothing: use `all`, `held`, a queue id, `from:ADDRESS` (`from:<>` for notifications), `to:ADDRESS` or \
         `domain:NAME`"
    )]
    Selection(String),
    /// Only a running server can notify the sender.
    #[error("only a running server can give up on a message and notify its sender; start it, or use `queue delete`")]
    NeedsServer,
    /// The answer does not fit JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// The kind of failure, if storage reports one.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Queue(error) => Some(error.kind()),
            Self::Spool(error) => Some(error.kind()),
            Self::NeedsServer => Some(Kind::Temporary),
            Self::Selection(_) | Self::Json(_) => None,
        }
    }
}

/// Who has the queue open.
#[derive(Clone, Copy)]
pub enum Keeper<'a> {
    /// The role that owns it, and the journal in which it records what the administrator does.
    Running(&'a Queue, &'a Journal),
    /// Nobody: there are only its storage, and the journal for events.
    Resting(&'a Spool, &'a Journal),
}

/// Entries on one page of a list.
pub const PAGE: u32 = 500;

/// Which entries a word selects: `all`, `held`, a queue id, `from:ADDRESS`, `from:<>`, `to:ADDRESS`, `domain:NAME`.
///
/// # Errors
/// It is none of these.
pub fn selection(which: &str) -> Result<Selection, Error> {
    let selection = match which.split_once(':') {
        Some(("from", "<>")) => Some(Selection::Sender(ReversePath::Null)),
        Some(("from", address)) => address.parse().ok().map(|address| Selection::Sender(ReversePath::Address(address))),
        Some(("to", address)) => address.parse().ok().map(Selection::Recipient),
        Some(("domain", name)) => name.parse().ok().map(Selection::Domain),
        Some(_) => None,
        None if which == "all" => Some(Selection::All),
        None if which == "held" => Some(Selection::Held),
        None => which.parse().ok().map(Selection::Entry),
    };
    selection.ok_or_else(|| Error::Selection(which.to_owned()))
}

/// Which recipients of an entry a word selects; `None` for a word that selects all of them.
///
/// # Errors
/// It selects nothing.
pub fn whom(which: &str) -> Result<Option<Whom>, Error> {
    Ok(match selection(which)? {
        Selection::Recipient(address) => Some(Whom::Address(address)),
        Selection::Domain(domain) => Some(Whom::Domain(domain)),
        _ => None,
    })
}

/// Carries out a command: returns entries for `List` and `Show`, and the number of changed recipients for the others.
///
/// # Errors
/// There is no such entry, or the database or disk fails.
pub async fn perform(command: QueueCommand, keeper: Keeper<'_>) -> Result<serde_json::Value, Error> {
    use Keeper::{Resting, Running};
    let change = match command {
        QueueCommand::List { which, after } => {
            let selection = selection(&which)?;
            let listings = match keeper {
                Running(queue, _) => queue.list(&selection, after, PAGE).await?,
                Resting(spool, _) => spool.list(&selection, after, PAGE).await?,
            };
            return Ok(serde_json::to_value(listings.iter().map(shown).collect::<Vec<_>>())?);
        }
        QueueCommand::Show { id } => {
            let listing = match keeper {
                Running(queue, _) => queue.show(id).await?,
                Resting(spool, _) => spool.entry(id).await?,
            };
            return Ok(serde_json::to_value(shown(&listing))?);
        }
        QueueCommand::Bounce { id } => {
            let Running(queue, journal) = keeper else { return Err(Error::NeedsServer) };
            queue.bounce(id, journal).await?;
            return Ok(1.into());
        }
        QueueCommand::BounceFor { id, whom: which } => {
            let Running(queue, journal) = keeper else { return Err(Error::NeedsServer) };
            queue.bounce_for(id, &whom(&which)?.ok_or(Error::Selection(which))?, journal).await?;
            return Ok(1.into());
        }
        QueueCommand::Retry { which } => Change::Retry(selection(&which)?),
        QueueCommand::Hold { which } => Change::Hold(selection(&which)?),
        QueueCommand::Release { which } => Change::Release(selection(&which)?),
        QueueCommand::Delete { id } => Change::Delete(id),
        QueueCommand::DeleteFor { id, whom: which } => {
            Change::DeleteFor(id, whom(&which)?.ok_or(Error::Selection(which))?)
        }
    };
    let changed = match keeper {
        Running(queue, journal) => queue.change_telling(&change, journal).await?,
        Resting(spool, journal) => change.make(spool, journal, &SystemClock).await?,
    };
    Ok(changed.into())
}

fn shown(listing: &Listing) -> EntryShown {
    let entry = &listing.entry;
    EntryShown {
        id: entry.id,
        mail: entry.mail.to_string(),
        sender: entry.envelope.reverse_path.bare(),
        size: entry.size,
        received: entry.received_at,
        message_id: entry.message_id.clone(),
        login: entry.login.clone(),
        hold_reason: entry.hold_reason.clone(),
        recipients: listing.recipients.iter().map(recipient).collect(),
        unreadable: listing.unreadable,
    }
}

fn recipient(queued: &Queued) -> RecipientShown {
    let state = match queued.state {
        _ if queued.sending_since.is_some() => "sending",
        RecipientState::Waiting => "waiting",
        RecipientState::Held => "held",
        RecipientState::Finished => "finished",
    };
    RecipientShown {
        address: queued.recipient.address.to_string(),
        state: state.to_owned(),
        destination: queued.destination.to_string(),
        attempts: queued.attempts,
        due: queued.due_at,
        expires: queued.expires_at,
        last_reply: queued.last_reply.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_select() {
        let id = QueueId::generate(Timestamp::EPOCH);
        assert_eq!(selection("all").unwrap(), Selection::All);
        assert_eq!(selection(&id.to_string()).unwrap(), Selection::Entry(id));
        assert!(matches!(selection("from:ann@example.test"), Ok(Selection::Sender(_))));
        assert_eq!(selection("from:<>").unwrap(), Selection::Sender(ReversePath::Null));
        assert!(matches!(selection("domain:example.test"), Ok(Selection::Domain(_))));
        for word in ["", "none", "from:", "to:ann", "to:<>", "x:y"] {
            assert!(selection(word).is_err(), "{word}");
        }
        assert_eq!(Error::NeedsServer.kind(), Some(Kind::Temporary), "as everywhere when the server does not run");
    }
}
