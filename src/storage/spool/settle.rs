//! What has become of recipients.

use super::commit::{Change, Job, json};
use super::open::Cleared;
use super::{Destination, Error, RecipientState, Report, Spool};
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::QueueId;
use crate::storage::database::Val;

/// The result for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Settled; nobody wants to hear of it.
    Done,
    /// Settled; the sender is to be told.
    Reported(Report),
    /// To be tried again.
    Again {
        /// When.
        due_at: Timestamp,
        /// When it was tried.
        at: Timestamp,
        /// What came of it, on one line.
        reply: String,
        /// What the sender is to be told meanwhile.
        report: Option<Report>,
    },
    /// Not tried after all (the destination rests, the server stops); the count of attempts stays.
    Untried {
        /// When it may be tried.
        due_at: Timestamp,
    },
    /// Not tried: it goes somewhere else now (the routes have changed, or the domain is no longer ours). Due at once.
    Redirected {
        /// Where.
        destination: Destination,
    },
    /// To wait for an administrator, with the reason on the entry.
    Hold {
        /// Why, on one line.
        reason: String,
    },
}

/// What is left of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Nothing: the last recipient is settled and told about.
    EntryGone,
    /// Other recipients, or reports to be sent.
    EntryKept,
}

/// Longest reply kept, in characters.
const LONGEST_REPLY: usize = 1_000;

impl Spool {
    /// Writes down what has become of recipients of one entry. When it returns, that survives a power failure, so that
    /// none of them is sent the message again.
    pub async fn settle(&self, id: QueueId, fates: &[(i64, Fate)]) -> Result<Settled, Error> {
        let mut job = Job::full();
        job.changes.extend(fates.iter().flat_map(|(key, fate)| changes(id, *key, fate)));
        // A message that was only put off needs no sync: after a power failure it is tried early, which does no harm.
        if fates.iter().all(|(_, fate)| matches!(fate, Fate::Untried { .. } | Fate::Redirected { .. })) {
            job.durability = crate::storage::database::Durability::Relaxed;
        }
        match self.submit_and_clear(job, id).await? {
            Cleared::Gone => Ok(Settled::EntryGone),
            Cleared::Kept => Ok(Settled::EntryKept),
        }
    }
}

fn changes(id: QueueId, key: i64, fate: &Fate) -> Vec<Change> {
    let key = Val::from(key);
    match fate {
        Fate::Done => vec![Change::new("DELETE FROM queue_recipients WHERE id = ?", vec![key])],
        Fate::Reported(report) => {
            let sql = "UPDATE queue_recipients SET state = ?, report = ?, last_at = ?, last_reply = ?, \
                       attempts = attempts + 1, owner = NULL, sending_since = NULL WHERE id = ?";
            let values = vec![
                Val::from(RecipientState::Finished.number()),
                Val::from(json(report)),
                Val::from(report.at),
                Val::from(report.diagnostic.as_deref().map(one_line)),
                key,
            ];
            vec![Change::new(sql, values)]
        }
        Fate::Again { due_at, at, reply, report } => {
            let sql = "UPDATE queue_recipients SET due_at = ?, attempts = attempts + 1, last_at = ?, last_reply = ?, \
                       owner = NULL, sending_since = NULL WHERE id = ?";
            let mut all = vec![Change::new(
                sql,
                vec![Val::from(*due_at), Val::from(*at), Val::from(one_line(reply)), key.clone()],
            )];
            if let Some(report) = report {
                let sql = "UPDATE queue_recipients SET report = ?, warn_at = NULL WHERE id = ?";
                all.push(Change::new(sql, vec![Val::from(json(report)), key]));
            }
            all
        }
        Fate::Untried { due_at } => {
            let sql = "UPDATE queue_recipients SET due_at = ?, owner = NULL, sending_since = NULL WHERE id = ?";
            vec![Change::new(sql, vec![Val::from(*due_at), key])]
        }
        Fate::Redirected { destination } => {
            let sql = "UPDATE queue_recipients SET destination = ?, due_at = ?, owner = NULL, sending_since = NULL \
                       WHERE id = ?";
            vec![Change::new(sql, vec![Val::from(destination.to_string()), Val::from(Timestamp::EPOCH), key])]
        }
        Fate::Hold { reason } => {
            let sql = "UPDATE queue_recipients SET state = ?, owner = NULL, sending_since = NULL WHERE id = ?";
            let held = Val::from(RecipientState::Held.number());
            let entry = "UPDATE queue_entries SET hold_reason = ? WHERE id = ?";
            let why = vec![Val::from(one_line(reason)), Val::from(id.to_string())];
            vec![Change::new(sql, vec![held, key]), Change::new(entry, why)]
        }
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_REPLY).collect()
}
