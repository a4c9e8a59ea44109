//! The destinations of the queue's mail.

use super::{Error, QUARANTINED, RecipientState, Spool};
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::QueueId;
use crate::storage::database::{Sql, Val};

/// The mail waiting for one destination.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Backlog {
    /// The destination, as in the queue's column: `mx:example.com`.
    pub destination: String,
    /// Recipients that wait for an attempt.
    pub waiting: u64,
    /// Recipients that wait for an administrator.
    pub held: u64,
    /// When the oldest of their messages was taken.
    pub oldest: Option<Timestamp>,
    /// Most attempts made for one of them.
    pub attempts: u64,
    /// The result of the latest attempt.
    pub last_reply: Option<String>,
}

impl Spool {
    /// The destinations with most recipients, at most `limit` (and 100) of them. What is in quarantine has none yet.
    pub async fn destinations(&self, limit: u32) -> Result<Vec<Backlog>, Error> {
        let dialect = self.database().dialect();
        let of = |state: RecipientState| {
            dialect.integer(&format!("SUM(CASE WHEN state = {} THEN 1 ELSE 0 END)", state.number()))
        };
        let (waiting, held) = (of(RecipientState::Waiting), of(RecipientState::Held));
        let sql = Sql::assembled(format!(
            "SELECT destination, {waiting}, {held}, MIN(entry), MAX(attempts) FROM queue_recipients \
             WHERE report IS NULL AND entry NOT IN (SELECT id FROM queue_entries WHERE hold_reason = ?) \
             GROUP BY destination ORDER BY COUNT(*) DESC, destination LIMIT ?"
        ));
        let mut backlogs = Vec::new();
        for row in self.database().fetch_all(&sql, &[Val::from(QUARANTINED), Val::from(limit.min(100))]).await? {
            let unsigned = |column| row.int(column).map(|n| n.max(0).cast_unsigned());
            let oldest: Option<QueueId> = row.text(3)?.parse().ok();
            backlogs.push(Backlog {
                destination: row.text(0)?,
                waiting: unsigned(1)?,
                held: unsigned(2)?,
                oldest: oldest.map(QueueId::made_at),
                attempts: unsigned(4)?,
                last_reply: None,
            });
        }
        for backlog in &mut backlogs {
            let sql = "SELECT last_reply FROM queue_recipients WHERE destination = ? AND last_reply IS NOT NULL \
                 ORDER BY last_at DESC LIMIT 1";
            let row = self.database().fetch_optional(sql, &[Val::from(backlog.destination.clone())]).await?;
            backlog.last_reply = row.map(|row| row.text(0)).transpose()?;
        }
        Ok(backlogs)
    }
}
