//! Networks that have logged in to accounts: remembered, kept over a restart, and known to every process.

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::IpNet;

use super::admission::Guard;
use super::bounded::{Bounded, Expiring};
use crate::foundations::clock::Timestamp;
use crate::storage::database::{Database, Durability, Error};

/// How long a network that has logged in to an account is trusted with it.
const TRUSTED_FOR: Duration = Duration::from_secs(30 * 86_400);
/// How often it is recorded that a network goes on logging in.
const WRITTEN_EVERY: Duration = Duration::from_secs(86_400);
/// Most that wait to be written.
const MOST_UNWRITTEN: usize = 10_000;
/// Rows are read again from this long before the latest: clocks of several machines differ, and transactions take time.
const OVERLAP: Duration = Duration::from_secs(120);
/// Rows of one answer of the database.
const MOST_ROWS: u32 = 20_000;

/// An account and a network, in the order in which rows are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct AccountNetwork {
    /// By the name under which its failures are counted.
    pub(super) account: String,
    pub(super) network: IpNet,
}

/// A network has logged in to an account.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Forgotten at this time.
    until: Timestamp,
    /// What the table says of that.
    written: Timestamp,
}

impl Seen {
    const fn never() -> Self {
        Self { until: Timestamp::EPOCH, written: Timestamp::EPOCH }
    }
}

impl Expiring for Seen {
    fn expires_at(&self) -> Timestamp {
        self.until
    }
}

/// What this process remembers.
#[derive(Default)]
pub(super) struct KnownNetworks {
    seen: Bounded<AccountNetwork, Seen>,
    unwritten: BTreeMap<AccountNetwork, Timestamp>,
}

impl KnownNetworks {
    /// Whether the network has logged in to the account.
    pub(super) fn knows(&self, pair: &AccountNetwork, now: Timestamp) -> bool {
        self.seen.get(pair).is_some_and(|seen| seen.until > now)
    }

    /// The network logs in to the account.
    pub(super) fn record(&mut self, pair: AccountNetwork, now: Timestamp, most: usize) {
        let until = now + TRUSTED_FOR;
        let seen = self.seen.entry(pair.clone(), now, most, Seen::never);
        seen.until = until;
        // What was written while the clock was ahead is not true.
        if seen.written > until || until.since(seen.written) >= WRITTEN_EVERY {
            seen.written = until;
            self.wait(pair, until);
        }
    }

    /// Lets a pair wait to be written. When nobody writes, no more than these wait.
    fn wait(&mut self, pair: AccountNetwork, until: Timestamp) {
        if self.unwritten.len() < MOST_UNWRITTEN || self.unwritten.contains_key(&pair) {
            let waiting = self.unwritten.entry(pair).or_insert(until);
            *waiting = until.max(*waiting);
        }
    }

    /// What is to be written.
    pub(super) fn take_unwritten(&mut self) -> BTreeMap<AccountNetwork, Timestamp> {
        std::mem::take(&mut self.unwritten)
    }

    /// Takes back what could not be written.
    pub(super) fn give_back(&mut self, unwritten: BTreeMap<AccountNetwork, Timestamp>) {
        for (pair, until) in unwritten {
            self.wait(pair, until);
        }
    }

    /// Takes over what the table says.
    pub(super) fn adopt(&mut self, known: Vec<(AccountNetwork, Timestamp)>, now: Timestamp, most: usize) {
        for (pair, until) in known {
            // What was written while a clock was ahead holds no longer than if it had been written now.
            let until = until.min(now + TRUSTED_FOR);
            if until > now {
                let seen = self.seen.entry(pair, now, most, Seen::never);
                seen.until = until.max(seen.until);
                seen.written = until.max(seen.written);
            }
        }
    }
}

/// Carries them between the memory of this process and the table.
#[derive(Default)]
pub(super) struct KnownNetworksTable {
    /// The time of the latest row that was read.
    read: Option<Timestamp>,
}

impl KnownNetworksTable {
    /// Writes what is new here, and takes over what is new elsewhere.
    ///
    /// # Errors
    /// The database fails; what was not written is kept for the next time.
    pub(super) async fn exchange(&mut self, guard: &Guard, database: &Database, now: Timestamp) -> Result<(), Error> {
        let unwritten = guard.take_known_networks();
        if let Err(error) = write(database, &unwritten, now).await {
            guard.give_known_networks_back(unwritten);
            return Err(error);
        }
        self.read(guard, database, now).await
    }

    /// Reads what was written since the last time; at first all that still counts.
    async fn read(&mut self, guard: &Guard, database: &Database, now: Timestamp) -> Result<(), Error> {
        let sql = "SELECT account, network, ends_at, noted_at FROM known_networks WHERE noted_at >= ? \
                   AND (noted_at > ? OR account > ? OR (account = ? AND network > ?)) \
                   ORDER BY noted_at, account, network LIMIT ?";
        // What others write after the clock was put back is older than what was read before.
        let mut latest = self.read.map_or(now - TRUSTED_FOR, |read| read.min(now));
        let mut from = latest - OVERLAP;
        let (mut account, mut network) = (String::new(), String::new());
        loop {
            let (name, of) = (account.as_str(), network.as_str());
            let values = [from.into(), from.into(), name.into(), name.into(), of.into(), MOST_ROWS.into()];
            let rows = database.fetch_all(sql, &values).await?;
            let mut known = Vec::with_capacity(rows.len());
            for row in &rows {
                (account, network, from) = (row.text(0)?, row.text(1)?, row.time(3)?);
                if let Ok(network) = network.parse::<IpNet>() {
                    known.push((AccountNetwork { account: account.clone(), network }, row.time(2)?));
                }
            }
            guard.adopt_known_networks(known);
            latest = latest.max(from);
            if rows.len() < MOST_ROWS as usize {
                self.read = Some(latest);
                return Ok(());
            }
        }
    }
}

/// Writes what is new, always in the same order, so that two processes do not wait for each other.
async fn write(
    database: &Database,
    unwritten: &BTreeMap<AccountNetwork, Timestamp>,
    now: Timestamp,
) -> Result<(), Error> {
    if unwritten.is_empty() {
        return Ok(());
    }
    let mut transaction = database.begin_with(Durability::Relaxed).await?;
    for (AccountNetwork { account, network }, until) in unwritten {
        let sql = database.dialect().upsert("known_networks", &["account", "network"], &["ends_at", "noted_at"]);
        let values = [account.into(), network.to_string().into(), (*until).into(), now.into()];
        transaction.execute(sql, &values).await?;
    }
    transaction
        .execute("DELETE FROM known_networks WHERE noted_at < ?", &[(now - TRUSTED_FOR - OVERLAP).into()])
        .await?;
    transaction.commit().await
}
