//! This process as one of several nodes.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{ClusterSettings, Error, NodeState, Tenure, Term};
use crate::foundations::clock::{Leases, Uptime};
use crate::foundations::random::{self, NoRandomness};
use crate::storage::database::{Database, Sql, Val};

/// How often to retry a row that others are changing.
const ATTEMPTS: usize = 8;

/// The node's lease and what it owns through it. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Membership(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    database: Database,
    settings: ClusterSettings,
    term: Mutex<Option<Arc<Term>>>,
    draining: std::sync::atomic::AtomicBool,
    /// What is known of others' leases.
    leases: Mutex<Leases>,
}

/// The owner of a user's mailboxes.
#[derive(Debug, Clone)]
pub enum Place {
    /// This node, now.
    Here(Tenure),
    /// Another.
    There(OtherNode),
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherNode {
    /// Its name.
    pub node: String,
    /// Where it is reached.
    pub address: String,
}

/// The row of an owner.
struct Owner {
    node: String,
    epoch: i64,
    address: Option<String>,
    /// Whether the node has since joined with another epoch, or is gone.
    is_stale: bool,
    /// As it was read; `None` for a node that is gone.
    lease_end: Option<i64>,
    is_alive: bool,
}

impl Membership {
    /// A node that has not joined yet.
    pub fn new(database: Database, settings: ClusterSettings) -> Self {
        let (term, draining) = (Mutex::default(), std::sync::atomic::AtomicBool::new(false));
        Self(Arc::new(Inner { database, settings, term, draining, leases: Mutex::default() }))
    }

    /// This node's name.
    pub fn node(&self) -> &str {
        &self.0.settings.node
    }

    /// Its settings.
    pub fn settings(&self) -> &ClusterSettings {
        &self.0.settings
    }

    /// The current term.
    pub fn term(&self) -> Option<Arc<Term>> {
        self.0.term.lock().clone().filter(|term| term.is_good())
    }

    /// Whether this node is being emptied.
    fn is_draining(&self) -> bool {
        self.0.draining.load(std::sync::atomic::Ordering::Acquire)
    }

    fn lease(&self) -> (i64, Duration) {
        let settings = &self.0.settings;
        let lease = settings.lease.duration();
        let own = lease.saturating_sub(settings.margin.duration());
        (i64::try_from(lease.as_micros()).unwrap_or(i64::MAX / 2), own)
    }

    /// Begins a term; `None` while an earlier lease of a node of this name is valid, since its process may still be
    /// alive.
    ///
    /// # Errors
    /// The database fails.
    pub async fn join(&self) -> Result<Option<Arc<Term>>, Error> {
        let inner = &self.0;
        let dialect = inner.database.dialect();
        let (now, (lease, own)) = (dialect.now(), self.lease());
        let begun = Uptime::now();
        let (node, address, epoch) = (inner.settings.node.as_str(), inner.settings.address.as_str(), fresh_epoch());
        // The row may be new; its lease is initially none, so that what follows decides in any case.
        let insert = format!(
            "INSERT INTO cluster_nodes (node, address, epoch, lease_end, joined_at, state) VALUES (?, ?, 0, 0, 0, ?){}",
            dialect.on_conflict(&["node"], &[])
        );
        let values: [Val; 3] = [node.into(), address.into(), NodeState::Serving.word().into()];
        inner.database.execute(Sql::assembled(insert), &values).await?;
        let sql = format!("SELECT lease_end, {now} FROM cluster_nodes WHERE node = ?");
        let Some(row) = inner.database.fetch_optional(Sql::assembled(sql), &[node.into()]).await? else {
            return Ok(None);
        };
        let (lease_end, shown) = (row.int(0)?, row.int(1)?);
        if !self.is_over(node, lease_end, shown) {
            return Ok(None);
        }
        // Unless somebody has renewed it meanwhile.
        let sql = format!(
            "UPDATE cluster_nodes SET epoch = ?, address = ?, lease_end = {now} + ?, joined_at = {now} \
             WHERE node = ? AND lease_end = ?"
        );
        let values: [Val; 5] = [epoch.into(), address.into(), lease.into(), node.into(), lease_end.into()];
        if inner.database.execute(Sql::assembled(sql), &values).await? != 1 {
            return Ok(None);
        }
        let term = Term::begin(epoch, begun + own);
        // Whatever a previous process of this node owned is now free.
        let sql = "DELETE FROM mailbox_owners WHERE node = ? AND epoch <> ?";
        inner.database.execute(sql, &[node.into(), epoch.into()]).await?;
        *inner.term.lock() = Some(Arc::clone(&term));
        Ok(Some(term))
    }

    /// Extends a term; `false` when it has ended here, or another node has recorded that it has. The reading of the
    /// database's clock does not end it: that may have been set forward.
    ///
    /// # Errors
    /// The database fails; the term keeps its end.
    pub async fn renew(&self, term: &Term) -> Result<bool, Error> {
        let inner = &self.0;
        let (lease, own) = self.lease();
        let begun = Uptime::now();
        let end = inner.database.dialect().renewed("lease_end", lease);
        let sql = format!("UPDATE cluster_nodes SET lease_end = {end} WHERE node = ? AND epoch = ? AND lease_end > 0");
        let values: [Val; 2] = [self.node().into(), term.epoch.into()];
        let renewed = inner.database.execute(Sql::assembled(sql), &values).await? == 1;
        Ok(renewed && term.prolong(begun + own))
    }

    /// Whether a node's lease has ended, read when the database's clock showed this.
    fn is_over(&self, node: &str, lease_end: i64, shown: i64) -> bool {
        let (settings, read) = (&self.0.settings, (lease_end, shown));
        let (margin, lease) = (settings.margin.duration(), settings.lease.duration());
        self.0.leases.lock().is_over(node, read, Uptime::now(), margin, lease)
    }

    /// Looks at the leases of the other nodes, so that their ends are known here whatever happens to the database's clock, and
    /// records those that have ended although that clock says otherwise. Returns their nodes.
    ///
    /// # Errors
    /// The database fails.
    pub async fn look_round(&self) -> Result<Vec<String>, Error> {
        let sql = format!(
            "SELECT node, epoch, lease_end, {} FROM cluster_nodes WHERE node <> ? AND lease_end > 0",
            self.0.database.dialect().now()
        );
        let rows = self.0.database.fetch_all(Sql::assembled(sql), &[self.node().into()]).await?;
        let (mut known, mut ended) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in &rows {
            let (node, lease_end, shown) = (row.text(0)?, row.int(2)?, row.int(3)?);
            if self.is_over(&node, lease_end, shown)
                && lease_end > shown
                && self.bury(&node, row.int(1)?, Some(lease_end)).await?
            {
                ended.push(node.clone());
            }
            known.push(node);
        }
        self.0.leases.lock().retain(|node| known.iter().any(|known| known == node));
        Ok(ended)
    }

    /// Reads how this node is to treat mailboxes.
    ///
    /// # Errors
    /// The database fails.
    pub async fn read_state(&self) -> Result<NodeState, Error> {
        let sql = format!("SELECT state, {} FROM cluster_nodes WHERE node = ?", self.0.database.dialect().now());
        let row = self.0.database.fetch_optional(Sql::assembled(sql), &[self.node().into()]).await?;
        if let Some(row) = &row {
            let (settings, shown) = (&self.0.settings, row.int(1)?);
            // A clock that is read often is known before it jumps.
            self.0.leases.lock().read(shown, Uptime::now(), settings.margin.duration(), settings.lease.duration());
        }
        let state = row.map(|row| row.text(0)).transpose()?;
        let state = state.and_then(|word| NodeState::from_word(&word)).unwrap_or(NodeState::Serving);
        self.0.draining.store(state == NodeState::Draining, std::sync::atomic::Ordering::Release);
        Ok(state)
    }

    /// The owner of a user's mailboxes; this node from now on, if there is none.
    ///
    /// # Errors
    /// This node has no lease, or the database fails.
    pub async fn take(&self, home: &str) -> Result<Place, Error> {
        let term = self.term().ok_or(Error::NoLease)?;
        for _ in 0..ATTEMPTS {
            let Some(owner) = self.owner(home).await? else {
                self.insert(home, &term).await?;
                continue;
            };
            if owner.node == self.node() && owner.epoch == term.epoch {
                let tenure = Tenure::under(&term);
                return tenure.check().map(|()| Place::Here(tenure)).map_err(|_| Error::NoLease);
            }
            match owner.address {
                Some(address) if owner.is_alive && !owner.is_stale => {
                    return Ok(Place::There(OtherNode { node: owner.node, address }));
                }
                Some(_) if !owner.is_stale && !self.bury(&owner.node, owner.epoch, owner.lease_end).await? => continue,
                _ => {}
            }
            let (node, epoch) = self.taker(&term).await?;
            let sql = format!(
                "UPDATE mailbox_owners SET node = ?, epoch = ?, since = {}, wanted = NULL \
                 WHERE home = ? AND node = ? AND epoch = ?",
                self.0.database.dialect().now()
            );
            let values: [Val; 5] = [node.into(), epoch.into(), home.into(), owner.node.into(), owner.epoch.into()];
            self.0.database.execute(Sql::assembled(sql), &values).await?;
        }
        Err(Error::Contended)
    }

    async fn insert(&self, home: &str, term: &Term) -> Result<(), Error> {
        let (node, epoch) = self.taker(term).await?;
        let dialect = self.0.database.dialect();
        let sql = format!(
            "INSERT INTO mailbox_owners (home, node, epoch, since) VALUES (?, ?, ?, {}){}",
            dialect.now(),
            dialect.on_conflict(&["home"], &[])
        );
        self.0.database.execute(Sql::assembled(sql), &[home.into(), node.into(), epoch.into()]).await?;
        Ok(())
    }

    /// The node that takes free mailboxes: this one, or while it is being emptied the one that owns least.
    async fn taker(&self, term: &Term) -> Result<(String, i64), Error> {
        if !self.is_draining() {
            return Ok((self.node().to_owned(), term.epoch));
        }
        let nodes = super::Nodes::new(self.0.database.clone()).list().await?;
        let open = nodes.into_iter().filter(|node| node.is_alive() && node.state == NodeState::Serving);
        let least = open.min_by_key(|node| node.users).ok_or(Error::NoTaker)?;
        Ok((least.name, least.epoch))
    }

    /// Records that a node's lease has ended, so that it cannot be renewed; `false` when it was renewed meanwhile.
    async fn bury(&self, node: &str, epoch: i64, lease_end: Option<i64>) -> Result<bool, Error> {
        let sql = "UPDATE cluster_nodes SET lease_end = 0 WHERE node = ? AND epoch = ? AND lease_end = ?";
        let values: [Val; 3] = [node.into(), epoch.into(), lease_end.into()];
        Ok(self.0.database.execute(sql, &values).await? == 1)
    }

    async fn owner(&self, home: &str) -> Result<Option<Owner>, Error> {
        let sql = format!(
            "SELECT o.node, o.epoch, n.address, n.epoch, n.lease_end, {} FROM mailbox_owners o \
             LEFT JOIN cluster_nodes n ON n.node = o.node WHERE o.home = ?",
            self.0.database.dialect().now()
        );
        let Some(row) = self.0.database.fetch_optional(Sql::assembled(sql), &[home.into()]).await? else {
            return Ok(None);
        };
        let (node, epoch, lease_end, shown) = (row.text(0)?, row.int(1)?, row.opt_int(4)?, row.int(5)?);
        Ok(Some(Owner {
            is_alive: lease_end.is_some_and(|end| !self.is_over(&node, end, shown)),
            node,
            epoch,
            address: row.opt_text(2)?,
            is_stale: row.opt_int(3)? != Some(epoch),
            lease_end,
        }))
    }

    /// Gives a user back, after all its data is on disk.
    ///
    /// # Errors
    /// The database fails; then the user stays with this node until its lease ends or somebody requests it here.
    pub async fn give_back(&self, home: &str, term: &Term) -> Result<(), Error> {
        let sql = "DELETE FROM mailbox_owners WHERE home = ? AND node = ? AND epoch = ?";
        self.0.database.execute(sql, &[home.into(), self.node().into(), term.epoch.into()]).await?;
        Ok(())
    }

    /// Hands a user over to another node, after all its data is on disk; to nobody when that node is absent.
    ///
    /// # Errors
    /// The database fails; then the user stays with this node until its lease ends or somebody requests it here.
    pub async fn hand_over(&self, home: &str, term: &Term, to: &str) -> Result<(), Error> {
        let sql = format!(
            "SELECT epoch FROM cluster_nodes WHERE node = ? AND lease_end > {}",
            self.0.database.dialect().now()
        );
        let Some(row) = self.0.database.fetch_optional(Sql::assembled(sql), &[to.into()]).await? else {
            return self.give_back(home, term).await;
        };
        let sql = format!(
            "UPDATE mailbox_owners SET node = ?, epoch = ?, since = {}, wanted = NULL \
             WHERE home = ? AND node = ? AND epoch = ?",
            self.0.database.dialect().now()
        );
        let values: [Val; 5] = [to.into(), row.int(0)?.into(), home.into(), self.node().into(), term.epoch.into()];
        self.0.database.execute(Sql::assembled(sql), &values).await?;
        Ok(())
    }

    /// Users of this node, at most `most`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn owned(&self, term: &Term, most: u32) -> Result<Vec<String>, Error> {
        let sql = "SELECT home FROM mailbox_owners WHERE node = ? AND epoch = ? LIMIT ?";
        let values: [Val; 3] = [self.node().into(), term.epoch.into(), most.into()];
        let rows = self.0.database.fetch_all(sql, &values).await?;
        rows.iter().map(|row| Ok(row.text(0)?)).collect()
    }

    /// Users of this node that are to move to another, at most `most`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn wanted(&self, term: &Term, most: u32) -> Result<Vec<(String, String)>, Error> {
        let sql = "SELECT home, wanted FROM mailbox_owners WHERE node = ? AND epoch = ? AND wanted IS NOT NULL LIMIT ?";
        let values: [Val; 3] = [self.node().into(), term.epoch.into(), most.into()];
        let rows = self.0.database.fetch_all(sql, &values).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect()
    }

    /// Gives everything back at the end, when nothing is written any more: others may take it at once.
    ///
    /// # Errors
    /// The database fails; others can take it when the lease ends.
    pub async fn leave(&self) -> Result<(), Error> {
        let Some(term) = self.0.term.lock().take() else { return Ok(()) };
        term.end();
        let owned: [Val; 2] = [self.node().into(), term.epoch.into()];
        self.0.database.execute("DELETE FROM mailbox_owners WHERE node = ? AND epoch = ?", &owned).await?;
        self.0.database.execute("UPDATE cluster_nodes SET lease_end = 0 WHERE node = ? AND epoch = ?", &owned).await?;
        Ok(())
    }
}

/// Different for every term of every node.
fn fresh_epoch() -> i64 {
    match random::octets() {
        Ok(octets) => i64::from_le_bytes(octets) & i64::MAX,
        // A fallback: two nodes may have the same epoch, but only one of them holds the lease.
        Err(NoRandomness) => Uptime::now().micros(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::settings::Span;
    use crate::storage::database::test_database;

    /// Two processes of one name would both write, until the first notices.
    #[tokio::test]
    async fn a_clock_put_forward_lets_no_other_process_join() {
        const HOUR: i64 = 3_600_000_000;
        let (_folder, database) = test_database().await;
        let node = || {
            let settings =
                ClusterSettings { node: "a".to_owned(), lease: Span::minutes(10), ..ClusterSettings::default() };
            Membership::new(database.clone(), settings)
        };
        let (first, second) = (node(), node());
        first.join().await.unwrap().unwrap();
        let sql = format!("SELECT {}", database.dialect().now());
        let now = database.fetch_optional(Sql::assembled(sql), &[]).await.unwrap().unwrap().int(0).unwrap();
        // The clock was an hour behind, and the lease would last for half an hour longer by it.
        second.is_over("a", 0, now - HOUR);
        database.execute("UPDATE cluster_nodes SET lease_end = ?", &[(now - HOUR / 2).into()]).await.unwrap();
        assert!(second.join().await.unwrap().is_none());
        // One that knows only this clock takes it at its word.
        assert!(node().join().await.unwrap().is_some());
        database.close().await;
    }

    /// By the clock that was set back, the dead would have kept their users for as long.
    #[tokio::test]
    async fn a_clock_set_back_keeps_no_users_with_the_dead() {
        const HOUR: i64 = 3_600_000_000;
        let (_folder, database) = test_database().await;
        let node = |name: &str| {
            let (node, address) = (name.to_owned(), format!("{name}.test:2425"));
            let lease = Span::minutes(10);
            Membership::new(database.clone(), ClusterSettings { node, address, lease, ..ClusterSettings::default() })
        };
        let (dead, living, again) = (node("a"), node("b"), node("a"));
        let term = dead.join().await.unwrap().unwrap();
        for home in ["ann@example.test", "bob@example.test"] {
            assert!(matches!(dead.take(home).await.unwrap(), Place::Here(_)));
        }
        let sql = format!("SELECT {}", database.dialect().now());
        let now = database.fetch_optional(Sql::assembled(sql), &[]).await.unwrap().unwrap().int(0).unwrap();
        let end = now + HOUR;
        let set = "UPDATE cluster_nodes SET lease_end = ? WHERE node = 'a'";
        database.execute(set, &[end.into()]).await.unwrap();
        // Both read it when the clock was an hour ahead, and only a moment of it was left.
        for watcher in [&living, &again] {
            assert!(!watcher.is_over("a", end, end - 300_000));
        }
        living.join().await.unwrap().unwrap();
        let taken = async {
            while !matches!(living.take("ann@example.test").await.unwrap(), Place::Here(_)) {
                assert!(node("a").join().await.unwrap().is_none(), "who knows only this clock takes it at its word");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), taken).await.expect("the lease ends");
        assert!(!dead.renew(&term).await.unwrap(), "two own the same user");

        // Without anybody asking for its users it is found, too, and by a process of the same name.
        database.execute(set, &[end.into()]).await.unwrap();
        assert_eq!(living.look_round().await.unwrap(), ["a"]);
        assert!(living.look_round().await.unwrap().is_empty());
        database.execute(set, &[end.into()]).await.unwrap();
        assert!(again.join().await.unwrap().is_some());
        database.close().await;
    }
}
