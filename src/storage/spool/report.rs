//! Pending reports to senders.

use serde::{Deserialize, Serialize};

use super::commit::{Change, Job, insert_rows};
use super::entry::{ENTRY_COLUMNS, ENTRY_WIDTH, RECIPIENT_COLUMNS, entry, queued};
use super::{Entry, Error, NewEntry, Queued, RecipientState, Spool};
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::QueueId;
use crate::storage::database::{Sql, Val};

/// The result for one recipient, for a delivery status notification (RFC 3464 §2.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What was done.
    pub action: Action,
    /// The enhanced status, such as `5.1.1`.
    pub status: String,
    /// The remote's reply on one line, or our own reason.
    pub diagnostic: Option<String>,
    /// The host that sent it.
    pub remote: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// The action of a report (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Failed.
    Failed,
    /// Delayed; attempts continue.
    Delayed,
    /// In the recipient's mailbox.
    Delivered,
    /// Passed on to a host that will not report success.
    Relayed,
    /// Expanded into several messages.
    Expanded,
}

/// An entry with a pending report to its sender.
#[derive(Debug, Clone)]
pub struct PendingReport {
    /// The entry.
    pub entry: Entry,
    /// The recipients concerned, each with its report.
    pub recipients: Vec<Queued>,
}

impl Spool {
    /// Entries with pending reports after this one, in the order of their ids, at most `limit`.
    pub async fn entries_to_report(&self, after: Option<QueueId>, limit: u32) -> Result<Vec<QueueId>, Error> {
        let sql =
            "SELECT DISTINCT entry FROM queue_recipients WHERE report IS NOT NULL AND entry > ? ORDER BY entry LIMIT ?";
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let rows = self.database().fetch_all(sql, &[Val::from(after), Val::from(limit)]).await?;
        let ids = rows.iter().map(|row| {
            let id = row.text(0)?;
            id.parse().map_err(|_| Error::Corrupt { entry: id, what: "id" })
        });
        ids.collect()
    }

    /// The pending report of an entry; `None` when there is nothing (any more).
    pub async fn pending_report(&self, id: QueueId) -> Result<Option<PendingReport>, Error> {
        let sql = Sql::assembled(format!(
            "SELECT {ENTRY_COLUMNS}, {RECIPIENT_COLUMNS} FROM queue_recipients r JOIN queue_entries e ON e.id = r.entry \
             WHERE r.entry = ? AND r.report IS NOT NULL ORDER BY r.id"
        ));
        let rows = self.database().fetch_all(&sql, &[Val::from(id.to_string())]).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let recipients = rows.iter().map(|row| queued(row, ENTRY_WIDTH)).collect::<Result<_, _>>()?;
        Ok(Some(PendingReport { entry: entry(first)?, recipients }))
    }

    /// Puts a notification into the queue and removes its recipients' reports from the entry, both or neither. Without
    /// a notification the reports are only removed. Recipients that waited for nothing else are gone afterwards. Fails
    /// with [`Error::Overtaken`] when somebody else has told the sender meanwhile, or when the reports have changed by
    /// now.
    pub async fn commit_report(
        &self,
        reported: &PendingReport,
        notification: Option<NewEntry<'_>>,
    ) -> Result<Option<QueueId>, Error> {
        let mut job = Job::full();
        let mut body = None;
        if let Some(new) = notification {
            let fresh = self.write_body(&new).await?;
            job.inserts.push(insert_rows(fresh.id, &new));
            body = Some(fresh);
        }
        let id = body.as_ref().map(|body| body.id);
        for recipient in &reported.recipients {
            let key = Val::from(recipient.key);
            // Whoever removes a report first has told the sender.
            let change = if recipient.state == RecipientState::Finished {
                Change::of_rows(1, "DELETE FROM queue_recipients WHERE id = ? AND report IS NOT NULL", vec![key])
            } else {
                // Recipients settled meanwhile have another report, which is still to be sent.
                let sql = "UPDATE queue_recipients SET report = NULL, warn_at = NULL \
                           WHERE id = ? AND report IS NOT NULL AND state <> ?";
                Change::of_rows(1, sql, vec![key, Val::from(RecipientState::Finished.number())])
            };
            job.changes.push(change);
        }
        if let Err(error) = self.submit_and_clear(job, reported.entry.id).await {
            if let Some(id) = id {
                self.take_back_body(id, &error).await;
            }
            return Err(error);
        }
        Ok(id)
    }
}
