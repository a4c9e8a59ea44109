//! The nodes that share a queue: which of them are alive, and whether they see the same directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;

use super::Error;
use crate::foundations::clock::{Leases, Uptime};
use crate::foundations::files;
use crate::foundations::hexadecimal::hexadecimal;
use crate::foundations::random;
use crate::storage::database::{Database, Sql, Val};

/// Where nodes leave their marks, below the spool's directory.
const MARKS: &str = "nodes";
/// Octets of a mark.
const LENGTH: u64 = 64;
/// The part of a lease by which the database's clock may jump without ending leases renewed in time.
const TOLERATED: u32 = 10;

/// This process as one of those that share a queue.
///
/// A node holds a lease by the database's clock, and leaves a mark in the spool's directory that is also stored in its
/// row. A node that finds another's mark sees the same directory. Only then does it take over the other's claims when
/// its lease ends: see [`Spool::recover_from`](super::Spool::recover_from).
#[derive(Debug)]
pub struct QueueNode {
    database: Database,
    directory: PathBuf,
    name: String,
    lease: Duration,
    mark: Mutex<String>,
    /// What is known of others' leases.
    leases: Mutex<Leases>,
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Its name.
    pub name: String,
    /// When its lease ends by the database's clock, in microseconds.
    pub lease_end: i64,
    /// Whether the lease is still valid.
    pub is_alive: bool,
    /// Whether its mark is in the directory that this node sees.
    pub is_seen: bool,
    /// Whether others have ended its lease: an administrator has said that it will not come back ([`forget_node`]), or
    /// somebody is taking over its claims.
    pub is_given_up: bool,
    /// Whether it has claims.
    pub has_claims: bool,
}

impl QueueNode {
    /// A node that has not joined yet, for the spool in `directory`.
    pub fn new(database: Database, directory: &Path, name: String, lease: Duration) -> Self {
        let (mark, leases) = (Mutex::default(), Mutex::default());
        Self { database, directory: directory.join(MARKS), name, lease, mark, leases }
    }

    /// How long its lease lasts without renewal.
    pub const fn lease(&self) -> Duration {
        self.lease
    }

    /// The file for a node's mark. A node's name is never a path.
    fn mark_of(&self, node: &str) -> PathBuf {
        self.directory.join(format!("node-{node}"))
    }

    fn lease_micros(&self) -> i64 {
        i64::try_from(self.lease.as_micros()).unwrap_or(i64::MAX / 2)
    }

    /// Leaves a new mark and begins a lease, whatever an earlier process of this name held. Nothing is claimed before.
    ///
    /// # Errors
    /// The database fails, or the disk does ([`Error::Body`]): then the lease has begun, but others do not find the
    /// mark.
    pub async fn join(&self) -> Result<(), Error> {
        let mark = fresh_mark()?;
        let (directory, path, content) = (self.directory.clone(), self.mark_of(&self.name), mark.clone());
        let left = tokio::task::spawn_blocking(move || {
            files::create_directory(&directory, 0o700)?;
            files::write_durable(&path, content.as_bytes(), 0o600)
        });
        let on_disk = |error: files::Error| Error::Body { path: error.path, source: error.source };
        let left = left.await.map_err(|_| Error::Closed)?.map_err(on_disk);
        let dialect = self.database.dialect();
        // The lease is initially none, so that the next statement decides by the database's clock.
        let insert = "INSERT INTO queue_nodes (node, mark, lease_end) VALUES (?, ?, 0)";
        let insert = format!("{insert}{}", dialect.on_conflict(&["node"], &[]));
        let name = || Val::from(self.name.as_str());
        self.database.execute(Sql::assembled(insert), &[name(), mark.as_str().into()]).await?;
        let sql = format!("UPDATE queue_nodes SET mark = ?, lease_end = {} + ? WHERE node = ?", dialect.now());
        self.database.execute(Sql::assembled(sql), &[mark.as_str().into(), self.lease_micros().into(), name()]).await?;
        *self.mark.lock() = mark;
        left
    }

    /// Renews the lease; `false` when another node has recorded that it has ended, or it belongs to another process.
    /// The reading of the database's clock does not end it: that may have been set forward.
    ///
    /// # Errors
    /// The database fails.
    pub async fn renew(&self) -> Result<bool, Error> {
        let end = self.database.dialect().renewed("lease_end", self.lease_micros());
        let sql = format!("UPDATE queue_nodes SET lease_end = {end} WHERE node = ? AND mark = ? AND lease_end > 0");
        let mark = self.mark.lock().clone();
        let values: [Val; 2] = [self.name.as_str().into(), mark.into()];
        Ok(self.database.execute(Sql::assembled(sql), &values).await? == 1)
    }

    /// The other nodes, by name.
    ///
    /// # Errors
    /// The disk or the database fails.
    pub async fn neighbours(&self) -> Result<Vec<Neighbour>, Error> {
        let sql = format!(
            "SELECT n.node, n.mark, n.lease_end, {}, (SELECT MIN(r.id) FROM queue_recipients r WHERE r.owner = n.node) \
             FROM queue_nodes n WHERE n.node <> ? ORDER BY n.node",
            self.database.dialect().now()
        );
        let rows = self.database.fetch_all(Sql::assembled(sql), &[self.name.as_str().into()]).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let (name, lease_end, shown) = (row.text(0)?, row.int(2)?, row.int(3)?);
            let neighbour = Neighbour {
                is_alive: !self.is_over(&name, lease_end, shown),
                name,
                lease_end,
                is_seen: false,
                is_given_up: lease_end == 0,
                has_claims: row.opt_int(4)?.is_some(),
            };
            found.push((self.mark_of(&neighbour.name), row.text(1)?, neighbour));
        }
        self.leases.lock().retain(|name| found.iter().any(|(_, _, neighbour)| neighbour.name == name));
        let looked = tokio::task::spawn_blocking(move || {
            let look = |(path, mark, neighbour): (PathBuf, String, Neighbour)| Neighbour {
                // A mark that cannot be read counts as not seen.
                is_seen: files::read_bounded(&path, LENGTH).is_ok_and(|content| content == mark.as_bytes()),
                ..neighbour
            };
            found.into_iter().map(look).collect()
        });
        looked.await.map_err(|_| Error::Closed)
    }

    /// Whether another's lease has ended, read when the database's clock showed this.
    fn is_over(&self, node: &str, lease_end: i64, shown: i64) -> bool {
        let read = (lease_end, shown);
        self.leases.lock().is_over(node, read, Uptime::now(), self.lease / TOLERATED, self.lease)
    }

    /// Records that another node's lease has ended, so that it cannot be renewed; `false` when it was renewed
    /// meanwhile.
    ///
    /// # Errors
    /// The database fails.
    pub async fn bury(&self, other: &Neighbour) -> Result<bool, Error> {
        let sql = "UPDATE queue_nodes SET lease_end = 0 WHERE node = ? AND lease_end = ?";
        Ok(self.database.execute(sql, &[other.name.as_str().into(), other.lease_end.into()]).await? == 1)
    }
}

/// Ends the lease of a node that will not come back, so that the others take over its claims at once, as with one whose
/// lease has expired. Returns the number of recipients concerned.
///
/// # Errors
/// The database fails.
pub async fn forget_node(database: &Database, node: &str) -> Result<u64, Error> {
    database.execute("UPDATE queue_nodes SET lease_end = 0 WHERE node = ?", &[node.into()]).await?;
    let sql = "SELECT COUNT(*) FROM queue_recipients WHERE owner = ?";
    let row = database.fetch_optional(sql, &[node.into()]).await?;
    let claims = row.map_or(Ok(0), |row| row.int(0))?;
    if claims == 0 {
        database.execute("DELETE FROM queue_nodes WHERE node = ? AND lease_end = 0", &[node.into()]).await?;
    }
    Ok(claims.unsigned_abs())
}

fn fresh_mark() -> Result<String, Error> {
    Ok(hexadecimal(&random::octets::<32>().map_err(|_| Error::Closed)?))
}
