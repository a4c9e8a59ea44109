//! Removing the remains of a crash.

use std::time::Duration;

use super::commit::{Change, Job};
use super::{Error, Spool};
use crate::foundations::ids::QueueId;
use crate::storage::database::{Sql, Val};

/// Ids per query.
const SLICE: usize = 500;
/// A younger body may belong to rows that are being written, or to a commit whose result the database does not know
/// yet.
const LONGEST_COMMIT: Duration = Duration::from_secs(600);

impl Spool {
    /// Deletes bodies without an entry that are older than `orphans_after`, and entries without recipients. Returns the
    /// number of bodies.
    pub async fn sweep(&self) -> Result<u64, Error> {
        let before = self.clock().now() - self.settings().orphans_after.duration().max(LONGEST_COMMIT);
        let mut removed = 0;
        for directory in self.on_disk(super::bodies::Bodies::directories).await? {
            let old = self.on_disk(move |bodies| bodies.old_bodies(&directory, before)).await?;
            for slice in old.chunks(SLICE) {
                removed += self.sweep_slice(slice).await?;
            }
        }
        let mut job = Job::full();
        let sql = "DELETE FROM queue_entries WHERE received_at < ? \
                   AND NOT EXISTS (SELECT 1 FROM queue_recipients WHERE entry = queue_entries.id)";
        job.changes.push(Change::new(sql, vec![Val::from(before)]));
        self.submit(job).await?;
        if removed > 0 {
            log::info!(bodies = removed; "Removed bodies without an entry from the spool");
        }
        Ok(removed)
    }

    async fn sweep_slice(&self, ids: &[QueueId]) -> Result<u64, Error> {
        // Asked before the database: a body no longer listed here has its rows by now, or will not get them.
        let ids: Vec<QueueId> = ids.iter().copied().filter(|id| !self.gets_rows(*id)).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        let marks = vec!["?"; ids.len()].join(", ");
        let values: Vec<Val> = ids.iter().map(|id| Val::from(id.to_string())).collect();
        let rows = self
            .database()
            .fetch_all(Sql::rare(format!("SELECT id FROM queue_entries WHERE id IN ({marks})")), &values);
        let known: std::collections::HashSet<String> =
            rows.await?.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
        let mut removed = 0;
        for id in ids.iter().copied().filter(|id| !known.contains(&id.to_string())) {
            self.on_disk(move |bodies| bodies.remove(id)).await?;
            removed += 1;
        }
        Ok(removed)
    }
}
