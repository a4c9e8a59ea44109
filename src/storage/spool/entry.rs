//! One entry of the queue.

use super::{Destination, Error, RecipientKey, Report};
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::{MailId, QueueId, SessionId};
use crate::foundations::mail::{Envelope, Mail, Recipient};
use crate::storage::database::Row;

/// The `hold_reason` of what the filter has put into quarantine.
pub const QUARANTINED: &str = "quarantined by the filter";

/// A new entry for the queue.
#[derive(Debug)]
pub struct NewEntry<'a> {
    /// The message, its sender and origin. The recipients of its envelope are ignored.
    pub mail: &'a Mail,
    /// The recipients, at least one.
    pub recipients: Vec<NewRecipient>,
    /// The Message-ID of its header, to find it by.
    pub message_id: Option<String>,
    /// Why it must wait for an administrator, if it must.
    pub hold: Option<String>,
}

/// One recipient of a new entry.
#[derive(Debug, Clone)]
pub struct NewRecipient {
    /// The address and the sender's wishes.
    pub recipient: Recipient,
    /// Where it goes next.
    pub destination: Destination,
    /// When it is tried first.
    pub due_at: Timestamp,
    /// When it is given up.
    pub expires_at: Timestamp,
    /// When the sender is told of the delay; `None` for never.
    pub warn_at: Option<Timestamp>,
    /// A report for the sender, to be sent at once; then nothing else is to be done for this recipient.
    pub report: Option<Report>,
}

/// An entry of the queue, without its recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub id: QueueId,
    /// The message it is about.
    pub mail: MailId,
    /// The connection over which it came.
    pub session: Option<SessionId>,
    /// When it came.
    pub received_at: Timestamp,
    /// Sender and options; the list of recipients is empty.
    pub envelope: Envelope,
    /// Its Message-ID.
    pub message_id: Option<String>,
    /// The account that submitted it.
    pub login: Option<String>,
    /// Size of the message in octets.
    pub size: u64,
    /// Why an administrator must release it.
    pub hold_reason: Option<String>,
}

impl Entry {
    /// On whose behalf it is sent: the account that submitted it, or else its sender. In a queue, parties take turns.
    pub fn party(&self) -> String {
        self.login.clone().unwrap_or_else(|| self.envelope.reverse_path.bare())
    }
}

/// One recipient that has not been settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Its key in the database.
    pub key: RecipientKey,
    /// The address and the sender's wishes.
    pub recipient: Recipient,
    /// Where it goes next.
    pub destination: Destination,
    /// Whether it waits, is held, or only waits for its report.
    pub state: RecipientState,
    /// When it is tried next, or the end of the lease of the node that is working on it.
    pub due_at: Timestamp,
    /// When it is given up.
    pub expires_at: Timestamp,
    /// When the sender is told of the delay; `None` when that has been done or is not wanted.
    pub warn_at: Option<Timestamp>,
    /// How often it has been tried.
    pub attempts: u32,
    /// When it was tried last.
    pub last_at: Option<Timestamp>,
    /// The result of that attempt.
    pub last_reply: Option<String>,
    /// A report still to be sent to the sender.
    pub report: Option<Report>,
    /// The node that is working on it.
    pub owner: Option<String>,
    /// Since when its message is being transmitted: if the node crashed meanwhile, it may have arrived.
    pub sending_since: Option<Timestamp>,
}

/// What a recipient waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecipientState {
    /// The next attempt, or the end of the one under way.
    Waiting,
    /// An administrator.
    Held,
    /// Nothing but the report to the sender.
    Finished,
}

impl RecipientState {
    /// As the database keeps it.
    pub const fn number(self) -> i64 {
        match self {
            Self::Waiting => 0,
            Self::Held => 1,
            Self::Finished => 2,
        }
    }

    pub(super) const fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Waiting),
            1 => Some(Self::Held),
            2 => Some(Self::Finished),
            _ => None,
        }
    }
}

/// The columns that [`entry`] reads, with `e` for the table.
pub(super) const ENTRY_COLUMNS: &str =
    "e.id, e.mail, e.session, e.received_at, e.message_id, e.login, e.size, e.envelope, e.hold_reason";
/// How many they are.
pub(super) const ENTRY_WIDTH: usize = 9;

/// The columns that [`queued`] reads, with `r` for the table.
pub(super) const RECIPIENT_COLUMNS: &str = "r.id, r.recipient, r.destination, r.state, r.due_at, r.expires_at, \
     r.warn_at, r.attempts, r.last_at, r.last_reply, r.report, r.owner, r.sending_since";

pub(super) fn entry(row: &Row) -> Result<Entry, Error> {
    let id = row.text(0)?;
    let corrupt = |what| Error::Corrupt { entry: id.clone(), what };
    Ok(Entry {
        id: id.parse().map_err(|_| corrupt("id"))?,
        mail: row.text(1)?.parse().map_err(|_| corrupt("mail"))?,
        session: row.opt_text(2)?.and_then(|id| id.parse().ok()),
        received_at: row.time(3)?,
        message_id: row.opt_text(4)?,
        login: row.opt_text(5)?,
        size: row.int(6)?.max(0).cast_unsigned(),
        envelope: serde_json::from_str(&row.text(7)?).map_err(|_| corrupt("envelope"))?,
        hold_reason: row.opt_text(8)?,
    })
}

/// Reads a recipient from the columns that start at `from`.
pub(super) fn queued(row: &Row, from: usize) -> Result<Queued, Error> {
    let key = RecipientKey(row.int(from)?);
    let corrupt = |what| Error::Corrupt { entry: format!("recipient {key}"), what };
    let report = row.opt_text(from + 10)?;
    Ok(Queued {
        key,
        recipient: serde_json::from_str(&row.text(from + 1)?).map_err(|_| corrupt("recipient"))?,
        destination: row.text(from + 2)?.parse().map_err(|_| corrupt("destination"))?,
        state: RecipientState::from_number(row.int(from + 3)?).ok_or_else(|| corrupt("state"))?,
        due_at: row.time(from + 4)?,
        expires_at: row.time(from + 5)?,
        warn_at: row.opt_time(from + 6)?,
        attempts: u32::try_from(row.int(from + 7)?).unwrap_or(u32::MAX),
        last_at: row.opt_time(from + 8)?,
        last_reply: row.opt_text(from + 9)?,
        report: report.map(|text| serde_json::from_str(&text)).transpose().map_err(|_| corrupt("report"))?,
        owner: row.opt_text(from + 11)?,
        sending_since: row.opt_time(from + 12)?,
    })
}
