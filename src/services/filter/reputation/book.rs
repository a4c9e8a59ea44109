//! The stored reputation, in memory and in the table.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::evidence::Evidence;
use super::party::Party;
use super::settings::ReputationSettings;
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::storage::database::{Database, Dialect, Durability, Error, Row, Sql, Val};

/// Owner (empty for everybody) and party.
type Key = (String, String);

/// What was found about some parties.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found(HashMap<Key, Evidence>);

impl Found {
    /// What an owner knows about a party.
    pub fn get(&self, owner: &str, party: &Party) -> Evidence {
        self.0.get(&(owner.to_owned(), party.key())).copied().unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn set(&mut self, owner: &str, party: &Party, evidence: Evidence) {
        self.0.insert((owner.to_owned(), party.key()), evidence);
    }
}

/// The reputation of senders, for all owners.
pub struct Book {
    database: Database,
    clock: SharedClock,
    state: Mutex<State>,
    /// Only one writes at a time, so that it is known what is being written.
    writing: tokio::sync::Mutex<Timestamp>,
}

#[derive(Default)]
struct State {
    rows: HashMap<Key, Cached>,
    /// Noted and not written yet.
    pending: HashMap<Key, Evidence>,
    /// On its way into the table.
    in_flight: HashMap<Key, Evidence>,
}

#[derive(Clone, Copy)]
struct Cached {
    kept: Evidence,
    read: Timestamp,
}

/// Most rows waiting to be written; further ones are dropped.
const MOST_PENDING: usize = 20_000;
/// Rows in one transaction, so that the database's other writers are not kept waiting.
const BATCH: usize = 200;
/// How often to look for rows to delete.
const PRUNE_EVERY: std::time::Duration = std::time::Duration::from_secs(3600);
/// Columns of numbers, in their order.
const COUNTS: [&str; 4] = ["told_wanted", "told_unwanted", "seen_wanted", "seen_unwanted"];

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Book")
    }
}

impl Book {
    /// The book in a database.
    pub fn new(database: Database, clock: SharedClock) -> Self {
        let writing = tokio::sync::Mutex::new(clock.now());
        Self { database, clock, state: Mutex::default(), writing }
    }

    /// What some owners know about some parties: from memory, or by one SELECT for all of them.
    ///
    /// # Errors
    /// The database fails.
    pub async fn read(
        &self,
        settings: &ReputationSettings,
        owners: &[String],
        parties: &[Party],
    ) -> Result<Found, Error> {
        let keys: Vec<String> = parties.iter().map(Party::key).collect();
        if owners.is_empty() || keys.is_empty() {
            return Ok(Found::default());
        }
        let wanted = || owners.iter().flat_map(|owner| keys.iter().map(|party| (owner.clone(), party.clone())));
        let now = self.clock.now();
        let refresh = settings.refresh.duration();
        let is_missing = {
            let state = self.state.lock();
            wanted().any(|key| state.rows.get(&key).is_none_or(|row| now.since(row.read) >= refresh))
        };
        if is_missing {
            let rows = self.select(owners, &keys).await?;
            let mut state = self.state.lock();
            state.make_room(settings.in_memory, owners.len() * keys.len());
            for key in wanted() {
                let kept = rows.get(&key).copied().unwrap_or_default();
                state.rows.insert(key, Cached { kept, read: now });
            }
        }
        let state = self.state.lock();
        Ok(Found(wanted().map(|key| (key.clone(), state.evidence(&key).faded(now))).collect()))
    }

    async fn select(&self, owners: &[String], parties: &[String]) -> Result<HashMap<Key, Evidence>, Error> {
        // Few different statements: the lists are filled up to a power of two by repeating their last value.
        let filled = |list: &[String]| -> Vec<Val> {
            let last = list.last().cloned().unwrap_or_default();
            let mut values: Vec<Val> = list.iter().map(Val::from).collect();
            values.resize(list.len().next_power_of_two(), last.into());
            values
        };
        let (owners, parties) = (filled(owners), filled(parties));
        let marks = |list: &[Val]| vec!["?"; list.len()].join(", ");
        let sql = format!(
            "SELECT owner, party, {} FROM sender_reputation WHERE owner IN ({}) AND party IN ({})",
            COUNTS.join(", "),
            marks(&owners),
            marks(&parties)
        );
        let rows = self.database.fetch_all(Sql::assembled(sql), &[owners, parties].concat()).await?;
        rows.iter().map(|row| Ok(((row.text(0)?, row.text(1)?), evidence(row)?))).collect()
    }

    /// Remembers something about parties. Never waits.
    pub fn note(&self, owner: &str, parties: &[Party], what: Evidence) {
        let grown = what.grown(self.clock.now());
        let mut state = self.state.lock();
        for party in parties {
            let key = (owner.to_owned(), party.key());
            if state.pending.len() < MOST_PENDING || state.pending.contains_key(&key) {
                *state.pending.entry(key).or_default() += grown;
            }
        }
    }

    /// Writes what was noted, and from time to time deletes what is old or too much.
    ///
    /// # Errors
    /// The database fails; what was not written stays in memory.
    pub async fn flush(&self, settings: &ReputationSettings) -> Result<(), Error> {
        let mut pruned = self.writing.lock().await;
        loop {
            let batch: Vec<(Key, Evidence)> = {
                let mut state = self.state.lock();
                let keys: Vec<Key> = state.pending.keys().take(BATCH).cloned().collect();
                let batch: Vec<_> = keys.into_iter().filter_map(|key| state.pending.remove_entry(&key)).collect();
                state.in_flight = batch.iter().cloned().collect();
                batch
            };
            if batch.is_empty() {
                break;
            }
            let written = self.write(&batch).await;
            let mut state = self.state.lock();
            state.in_flight.clear();
            for (key, change) in batch {
                match (&written, state.rows.get_mut(&key)) {
                    (Ok(()), Some(row)) => row.kept += change,
                    (Ok(()), None) => {}
                    (Err(_), _) => *state.pending.entry(key).or_default() += change,
                }
            }
            drop(state);
            written?;
        }
        let now = self.clock.now();
        if now.since(*pruned) >= PRUNE_EVERY {
            self.prune(settings, now).await?;
            *pruned = now;
        }
        Ok(())
    }

    async fn write(&self, batch: &[(Key, Evidence)]) -> Result<(), Error> {
        let sql = adding(self.database.dialect());
        let now = self.clock.now();
        let mut transaction = self.database.begin_with(Durability::Relaxed).await?;
        // In a fixed order, so that two processes do not wait for each other's rows.
        let mut batch: Vec<&(Key, Evidence)> = batch.iter().collect();
        batch.sort_by(|(a, _), (b, _)| a.cmp(b));
        for ((owner, party), change) in batch {
            let counts = [change.told_wanted, change.told_unwanted, change.seen_wanted, change.seen_unwanted];
            let mut values: Vec<Val> = vec![owner.into(), party.into()];
            values.extend(counts.map(|count| Val::from(count.max(0.0))));
            values.push(now.into());
            // An existing row is changed by adding the count, which may be negative when something is undone.
            values.extend(counts.iter().flat_map(|count| [*count, *count]).map(Val::from));
            values.push(now.into());
            transaction.execute(&sql, &values).await?;
        }
        transaction.commit().await
    }

    /// Deletes senders that have been silent for long and, if there are too many, those that have been silent longest.
    ///
    /// # Errors
    /// The database fails.
    pub async fn prune(&self, settings: &ReputationSettings, now: Timestamp) -> Result<(), Error> {
        let old = now - settings.remember.duration();
        self.database.execute("DELETE FROM sender_reputation WHERE touched < ?", &[old.into()]).await?;
        let count = self.database.fetch_optional("SELECT COUNT(*) FROM sender_reputation", &[]).await?;
        let surplus = count.map_or(Ok(0), |row| row.int(0))? - i64::from(settings.rows);
        if surplus <= 0 {
            return Ok(());
        }
        // A tenth more, so that this does not happen every time.
        let out = surplus + i64::from(settings.rows) / 10;
        let sql = "SELECT touched FROM sender_reputation ORDER BY touched LIMIT 1 OFFSET ?";
        if let Some(row) = self.database.fetch_optional(sql, &[out.into()]).await? {
            self.database.execute("DELETE FROM sender_reputation WHERE touched < ?", &[row.int(0)?.into()]).await?;
        }
        Ok(())
    }
}

impl State {
    fn evidence(&self, key: &Key) -> Evidence {
        let kept = self.rows.get(key).map(|row| row.kept).unwrap_or_default();
        let noted = [&self.pending, &self.in_flight].into_iter().filter_map(|noted| noted.get(key));
        noted.fold(kept, |sum, noted| sum + *noted)
    }

    /// Drops the least recently read rows when there is no room for this many more.
    fn make_room(&mut self, most: usize, more: usize) {
        if self.rows.len() + more <= most {
            return;
        }
        let keep = (most / 2).min(self.rows.len());
        let mut times: Vec<Timestamp> = self.rows.values().map(|row| row.read).collect();
        let out = times.len() - keep;
        if out == times.len() {
            self.rows.clear();
            return;
        }
        let (_, cut, _) = times.select_nth_unstable(out);
        let cut = *cut;
        self.rows.retain(|_, row| row.read > cut);
    }
}

fn evidence(row: &Row) -> Result<Evidence, Error> {
    Ok(Evidence {
        told_wanted: row.real(2)?,
        told_unwanted: row.real(3)?,
        seen_wanted: row.real(4)?,
        seen_unwanted: row.real(5)?,
    })
}

/// Inserts a row, or adds to the counts of an existing one without letting them fall below zero.
fn adding(dialect: Dialect) -> Sql {
    let insert = format!(
        "INSERT INTO sender_reputation (owner, party, {}, touched) VALUES (?, ?, ?, ?, ?, ?, ?)",
        COUNTS.join(", ")
    );
    let number = match dialect {
        Dialect::Postgres => "CAST(? AS DOUBLE PRECISION)",
        Dialect::Sqlite | Dialect::MySql => "?",
    };
    let added = COUNTS.map(|c| {
        let sum = format!("sender_reputation.{c} + {number}");
        format!("{c} = CASE WHEN {sum} < 0 THEN 0 ELSE {sum} END")
    });
    let conflict = match dialect {
        Dialect::MySql => "ON DUPLICATE KEY UPDATE",
        Dialect::Sqlite | Dialect::Postgres => "ON CONFLICT (owner, party) DO UPDATE SET",
    };
    Sql::assembled(format!("{insert} {conflict} {}, touched = ?", added.join(", ")))
}
