//! The queue's length over time.

use std::time::Duration;

use super::{Counts, Error, Spool};
use crate::foundations::clock::Timestamp;
use crate::storage::database::{Sql, Val};

/// The state of the queue at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Sample {
    /// When the interval it stands for began.
    pub at: Timestamp,
    /// Most messages within the interval.
    pub entries: u64,
    /// Most recipients that waited for an attempt.
    pub waiting: u64,
    /// Most recipients that waited for an administrator.
    pub held: u64,
}

/// Rows of one answer.
const MOST_ROWS: u32 = 10_000;

impl Spool {
    /// Records the present state of the queue. Of several nodes, the first at a moment counts.
    pub async fn sample(&self) -> Result<Counts, Error> {
        let counts = self.counts().await?;
        let sql = self.database().dialect().upsert("queue_samples", &["at"], &["entries", "waiting", "held", "oldest"]);
        let oldest = counts.oldest.map(Timestamp::unix_micros);
        let values = [
            Val::from(self.clock().now()),
            Val::from(number(counts.entries)),
            Val::from(number(counts.waiting)),
            Val::from(number(counts.held)),
            Val::from(oldest),
        ];
        self.database().execute(&sql, &values).await?;
        Ok(counts)
    }

    /// The history of the queue since a time, in intervals, oldest first.
    pub async fn samples(&self, since: Timestamp, step: Duration) -> Result<Vec<Sample>, Error> {
        let step = i64::try_from(step.as_micros()).unwrap_or(i64::MAX).max(1);
        let sql = Sql::assembled(format!(
            "SELECT step, MAX(entries), MAX(waiting), MAX(held) FROM \
             (SELECT at - at % ? AS step, entries, waiting, held FROM queue_samples WHERE at >= ?) AS steps \
             GROUP BY step ORDER BY step LIMIT {MOST_ROWS}"
        ));
        let mut samples = Vec::new();
        for row in self.database().fetch_all(&sql, &[Val::from(step), Val::from(since)]).await? {
            let unsigned = |column| row.int(column).map(|n| n.max(0).cast_unsigned());
            samples.push(Sample { at: row.time(0)?, entries: unsigned(1)?, waiting: unsigned(2)?, held: unsigned(3)? });
        }
        Ok(samples)
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
