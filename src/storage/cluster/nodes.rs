//! The nodes as seen from outside: for status, and for moving users.

use super::Error;
use crate::foundations::clock::Timestamp;
use crate::storage::database::{Database, Row, Sql};

crate::words! {
    /// How a node treats mailboxes that nobody owns.
    pub enum NodeState {
        /// It takes them.
        Serving = "serving",
        /// It gives up its own and takes no others.
        Draining = "draining",
    }
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The address at which the others reach it.
    pub address: String,
    /// The epoch of its lease.
    pub epoch: i64,
    /// The rest of its lease by the database's clock, in milliseconds; zero when it has none.
    pub lease_left: i64,
    /// When it last joined.
    pub joined_at: Timestamp,
    /// How it treats mailboxes.
    pub state: NodeState,
    /// How many users it owns.
    pub users: i64,
}

impl Node {
    /// Whether its lease is valid.
    pub const fn is_alive(&self) -> bool {
        self.lease_left > 0
    }
}

/// The table of nodes.
#[derive(Debug, Clone)]
pub struct Nodes {
    database: Database,
}

impl Nodes {
    /// Over a migrated database.
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Every node that has ever joined and was not forgotten, by name.
    ///
    /// # Errors
    /// The database fails.
    pub async fn list(&self) -> Result<Vec<Node>, Error> {
        let dialect = self.database.dialect();
        let (now, users) = (dialect.now(), dialect.integer("COUNT(o.home)"));
        let sql = format!(
            "SELECT n.node, n.address, n.epoch, n.lease_end, {now}, n.joined_at, n.state, {users} FROM cluster_nodes n \
             LEFT JOIN mailbox_owners o ON o.node = n.node AND o.epoch = n.epoch \
             GROUP BY n.node, n.address, n.epoch, n.lease_end, n.joined_at, n.state ORDER BY n.node"
        );
        self.database.fetch_all(Sql::assembled(sql), &[]).await?.iter().map(node).collect()
    }

    /// The node that owns a user, if one does.
    ///
    /// # Errors
    /// The database fails.
    pub async fn owner(&self, home: &str) -> Result<Option<String>, Error> {
        let sql = format!(
            "SELECT o.node FROM mailbox_owners o JOIN cluster_nodes n ON n.node = o.node AND n.epoch = o.epoch \
             WHERE o.home = ? AND n.lease_end > {}",
            self.database.dialect().now()
        );
        let row = self.database.fetch_optional(Sql::assembled(sql), &[home.into()]).await?;
        Ok(row.map(|row| row.text(0)).transpose()?)
    }

    /// Sets how a node treats mailboxes; it follows at its next renewal.
    ///
    /// # Errors
    /// There is no such node, or the database fails.
    pub async fn set_state(&self, node: &str, state: NodeState) -> Result<(), Error> {
        let sql = "UPDATE cluster_nodes SET state = ? WHERE node = ?";
        match self.database.execute(sql, &[state.word().into(), node.into()]).await? {
            0 => Err(Error::NoNode(node.to_owned())),
            _ => Ok(()),
        }
    }

    /// Requests that a user move to a node; its owner hands it over at its next renewal. `false` when nobody owns it.
    ///
    /// # Errors
    /// There is no such live node, or the database fails.
    pub async fn wish(&self, home: &str, node: &str) -> Result<bool, Error> {
        let alive = self.list().await?.into_iter().any(|known| known.name == node && known.is_alive());
        if !alive {
            return Err(Error::NoNode(node.to_owned()));
        }
        let sql = "UPDATE mailbox_owners SET wanted = ? WHERE home = ? AND node <> ?";
        let wished = self.database.execute(sql, &[node.into(), home.into(), node.into()]).await? > 0;
        Ok(wished || self.owner(home).await?.is_some())
    }

    /// Forgets a node that will not come back. `false` when its lease is still valid, or there is no such node.
    ///
    /// # Errors
    /// The database fails.
    pub async fn forget(&self, node: &str) -> Result<bool, Error> {
        let sql =
            format!("DELETE FROM cluster_nodes WHERE node = ? AND lease_end <= {}", self.database.dialect().now());
        let gone = self.database.execute(Sql::assembled(sql), &[node.into()]).await? > 0;
        if gone {
            self.database.execute("DELETE FROM mailbox_owners WHERE node = ?", &[node.into()]).await?;
        }
        Ok(gone)
    }
}

fn node(row: &Row) -> Result<Node, Error> {
    let (end, now) = (row.int(3)?, row.int(4)?);
    Ok(Node {
        name: row.text(0)?,
        address: row.text(1)?,
        epoch: row.int(2)?,
        lease_left: end.saturating_sub(now).max(0) / 1_000,
        joined_at: row.time(5)?,
        state: NodeState::from_word(&row.text(6)?).unwrap_or(NodeState::Serving),
        users: row.int(7)?,
    })
}
