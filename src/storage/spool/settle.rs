//! Recording results for recipients.

use super::commit::{Change, Job, json};
use super::{Action, Destination, Error, RecipientKey, RecipientState, Report, Spool};
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::QueueId;
use crate::storage::database::{Sql, Val};

/// The result for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Settled; nobody needs to be told.
    Done,
    /// Settled; the sender must be told.
    Reported(Report),
    /// To be tried again.
    Again {
        /// When.
        due_at: Timestamp,
        /// When it was tried.
        at: Timestamp,
        /// The result, on one line.
        reply: String,
        /// A report for the sender meanwhile.
        report: Option<Report>,
    },
    /// Not tried after all (the destination is paused, the server is stopping); the count of attempts stays.
    Untried {
        /// When it may be tried.
        due_at: Timestamp,
    },
    /// Not tried: it has a new destination (the routes have changed, or the domain is no longer ours). Due at once.
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

impl Fate {
    /// Whether the result is final, so that no node needs to try again.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Done => true,
            Self::Reported(report) => report.action != Action::Failed,
            Self::Again { .. } | Self::Untried { .. } | Self::Redirected { .. } | Self::Hold { .. } => false,
        }
    }
}

/// Who reports a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settler<'a> {
    /// The node that has claimed it under this name. Once another node has taken the recipient over, only final results
    /// count, so that the message is not sent again after it has arrived.
    Claimant(&'a str),
    /// An administrator, regardless of claims.
    Administrator,
}

/// What is left of an entry after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Nothing: its last recipient has gone.
    EntryGone,
    /// Other recipients, or reports to be sent.
    EntryKept,
}

/// Longest reply kept, in characters.
const LONGEST_REPLY: usize = 1_000;

impl Spool {
    /// Records results for recipients of one entry. When it returns, they survive a power failure, so that none of the
    /// recipients is sent the message again.
    pub async fn settle(&self, id: QueueId, by: Settler<'_>, fates: &[(RecipientKey, Fate)]) -> Result<Settled, Error> {
        let mut job = Job::full();
        job.changes.extend(fates.iter().flat_map(|(key, fate)| changes(id, by, *key, fate)));
        // A postponed attempt needs no sync: after a power failure it is made early, which does no harm.
        if fates.iter().all(|(_, fate)| matches!(fate, Fate::Untried { .. } | Fate::Redirected { .. })) {
            job.durability = crate::storage::database::Durability::Relaxed;
        }
        Ok(self.submit_and_clear(job, id).await?.settled)
    }
}

fn changes(id: QueueId, by: Settler<'_>, key: RecipientKey, fate: &Fate) -> Vec<Change> {
    // Without an owner, and not finished, the recipient was taken from its claimant and nobody else has it yet: then
    // the claimant knows best. If it is finished, somebody else has settled it, and the sender is to be told of that.
    let (condition, claimant) = match by {
        Settler::Claimant(owner) if !fate.is_final() => (
            " AND state <> ? AND (owner IS NULL OR owner = ?)",
            vec![Val::from(RecipientState::Finished.number()), Val::from(owner)],
        ),
        Settler::Claimant(_) | Settler::Administrator => ("", Vec::new()),
    };
    let of_recipient = |statement: &str, mut values: Vec<Val>| {
        values.push(Val::from(key));
        values.extend(claimant.clone());
        Change::new(Sql::assembled(format!("{statement} WHERE id = ?{condition}")), values)
    };
    match fate {
        Fate::Done => vec![of_recipient("DELETE FROM queue_recipients", Vec::new())],
        Fate::Reported(report) => {
            let sql = "UPDATE queue_recipients SET state = ?, report = ?, last_at = ?, last_reply = ?, \
                       attempts = attempts + 1, owner = NULL, sending_since = NULL";
            let values = vec![
                Val::from(RecipientState::Finished.number()),
                Val::from(json(report)),
                Val::from(report.at),
                Val::from(report.diagnostic.as_deref().map(one_line)),
            ];
            vec![of_recipient(sql, values)]
        }
        Fate::Again { due_at, at, reply, report } => {
            let reported = report.as_ref().map(|report| {
                of_recipient("UPDATE queue_recipients SET report = ?, warn_at = NULL", vec![Val::from(json(report))])
            });
            let sql = "UPDATE queue_recipients SET due_at = ?, attempts = attempts + 1, last_at = ?, last_reply = ?, \
                       owner = NULL, sending_since = NULL";
            let values = vec![Val::from(*due_at), Val::from(*at), Val::from(one_line(reply))];
            reported.into_iter().chain([of_recipient(sql, values)]).collect()
        }
        Fate::Untried { due_at } => {
            let sql = "UPDATE queue_recipients SET due_at = ?, owner = NULL, sending_since = NULL";
            vec![of_recipient(sql, vec![Val::from(*due_at)])]
        }
        Fate::Redirected { destination } => {
            let sql = "UPDATE queue_recipients SET destination = ?, due_at = ?, owner = NULL, sending_since = NULL";
            vec![of_recipient(sql, vec![Val::from(destination.to_string()), Val::from(Timestamp::EPOCH)])]
        }
        Fate::Hold { reason } => {
            let sql = "UPDATE queue_recipients SET state = ?, owner = NULL, sending_since = NULL";
            let held = Val::from(RecipientState::Held.number());
            let entry = "UPDATE queue_entries SET hold_reason = ? WHERE id = ? \
                         AND EXISTS (SELECT 1 FROM queue_recipients WHERE id = ? AND state = ?)";
            let why = vec![Val::from(one_line(reason)), Val::from(id.to_string()), Val::from(key), held.clone()];
            vec![of_recipient(sql, vec![held]), Change::new(entry, why)]
        }
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_REPLY).collect()
}
