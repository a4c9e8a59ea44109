//! Work that only one of all processes does at a time.

use std::time::Duration;

use super::Error;
use crate::storage::database::{Database, Sql};

/// The table of duties.
#[derive(Debug, Clone)]
pub struct Duties {
    database: Database,
    node: String,
}

impl Duties {
    /// For this node.
    pub fn new(database: Database, node: &str) -> Self {
        Self { database, node: node.to_owned() }
    }

    /// Takes a duty for this node for a while, by the database's clock; `false` when another node has it. If this node
    /// already has it, its time is extended.
    ///
    /// # Errors
    /// The database fails.
    pub async fn take(&self, duty: &str, lease: Duration) -> Result<bool, Error> {
        let dialect = self.database.dialect();
        let insert = "INSERT INTO duties (duty, node, lease_end) VALUES (?, ?, 0)";
        let insert = format!("{insert}{}", dialect.on_conflict(&["duty"], &[]));
        self.database.execute(Sql::assembled(insert), &[duty.into(), self.node.as_str().into()]).await?;
        let now = dialect.now();
        let sql = format!(
            "UPDATE duties SET node = ?, lease_end = {now} + ? WHERE duty = ? AND (node = ? OR lease_end <= {now})"
        );
        let lease = i64::try_from(lease.as_micros()).unwrap_or(i64::MAX / 2);
        let node = || self.node.as_str().into();
        let taken = self.database.execute(Sql::assembled(sql), &[node(), lease.into(), duty.into(), node()]).await?;
        Ok(taken == 1)
    }

    /// Leaves a duty to the next node that wants it.
    ///
    /// # Errors
    /// The database fails.
    pub async fn leave(&self, duty: &str) -> Result<(), Error> {
        let sql = "UPDATE duties SET lease_end = 0 WHERE duty = ? AND node = ?";
        self.database.execute(sql, &[duty.into(), self.node.as_str().into()]).await?;
        Ok(())
    }
}
