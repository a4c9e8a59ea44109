//! Counting results.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::hexadecimal::hexadecimal;
use crate::foundations::ids::SessionId;
use crate::foundations::tasks::Tasks;
use crate::storage::database::{Database, Dialect, Durability, Error, Sql, Val};

crate::words! {
    /// What a report is about.
    pub enum Kind {
        /// Mail sent in a domain's name (DMARC aggregate reports).
        Dmarc = "dmarc",
        /// How sessions with a domain's hosts were protected (TLS-RPT, RFC 8460).
        Tls = "tlsrpt",
        /// A single message that was not what it claimed (DMARC failure reports, RFC 6591). They are received, not
        /// counted.
        Failure = "failure",
    }
}

/// The outcome of something that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As the domain's owner intends.
    Good,
    /// Otherwise.
    Bad,
}

/// How often something was seen for a domain on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The policy in force, as JSON.
    pub policy: String,
    /// The observation, as JSON; empty for successes that are only counted.
    pub detail: String,
    /// Number of good outcomes.
    pub good: u64,
    /// Number of bad outcomes.
    pub bad: u64,
}

/// The room. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Reports(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) database: Database,
    clock: SharedClock,
    pending: Mutex<HashMap<Key, (u64, u64)>>,
    /// This process as one of the writers, and the day it began.
    process: (String, i64),
    writing: tokio::sync::Mutex<Writing>,
    pub(super) failures: Mutex<Vec<super::Failure>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    kind: Kind,
    day: i64,
    domain: String,
    policy: String,
    detail: String,
}

/// The rows of one commit.
struct Row {
    key: Key,
    digest: String,
    counts: (u64, u64),
}

impl Row {
    /// Its place in the table.
    fn place(&self) -> (&str, i64, &str, &str) {
        (self.key.kind.word(), self.key.day, &self.key.domain, &self.digest)
    }
}

/// The state of writing.
struct Writing {
    /// The number of the next commit.
    number: i64,
    /// Its rows, if its result is unknown.
    uncertain: Option<Vec<Row>>,
}

/// Stands for a kind in the claims, where each process records the number of its last commit.
const WRITTEN: &str = "written";
/// Most different results in memory; further ones are not counted until these are in the tables.
const MOST_PENDING: usize = 20_000;
/// Longest policy or detail in octets; a longer one is not counted.
const LONGEST: usize = 16_384;
/// How often the tables are updated.
const EVERY: Duration = Duration::from_secs(60);
/// Rows in one transaction, so that the database's other writers are not kept waiting.
const BATCH: usize = 200;

impl std::fmt::Debug for Reports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reports")
    }
}

impl Reports {
    /// The room on a database. Nothing is written before [`Reports::start`] or [`Reports::flush`].
    pub fn new(database: Database, clock: SharedClock) -> Self {
        let now = clock.now();
        let process = (SessionId::generate(now).to_string(), Self::day_of(now));
        let writing = tokio::sync::Mutex::new(Writing { number: 1, uncertain: None });
        let (pending, failures) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { database, clock, pending, process, writing, failures }))
    }

    /// The database it is on.
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    /// Writes counts at intervals and at the end.
    pub fn start(&self, tasks: &Tasks) {
        let (reports, running) = (self.clone(), tasks.clone());
        tasks.keep("the record of results for reports", move || reports.clone().write_regularly(running.clone()));
    }

    async fn write_regularly(self, tasks: Tasks) {
        while !tasks.is_stopping() {
            let next = self.0.clock.now() + EVERY;
            tokio::select! {
                () = self.0.clock.sleep_until(next) => {}
                () = tasks.stopping() => {}
            }
            if let Err(error) = self.flush().await {
                log::warn!(cause:% = error; "Results for reports cannot be written at the moment; they stay in memory");
            }
        }
    }

    /// The day of a moment, in UTC: days since 1970.
    pub const fn day_of(at: Timestamp) -> i64 {
        at.unix_seconds().div_euclid(86_400)
    }

    /// Counts one result now.
    pub fn note(&self, kind: Kind, domain: &str, policy: String, detail: String, outcome: Outcome) {
        if domain.is_empty() || domain.len() > 253 || policy.len() > LONGEST || detail.len() > LONGEST {
            return;
        }
        let day = Self::day_of(self.0.clock.now());
        let key = Key { kind, day, domain: domain.to_ascii_lowercase(), policy, detail };
        let mut pending = self.0.pending.lock();
        if pending.len() >= MOST_PENDING && !pending.contains_key(&key) {
            return;
        }
        let counts = pending.entry(key).or_default();
        match outcome {
            Outcome::Good => counts.0 += 1,
            Outcome::Bad => counts.1 += 1,
        }
    }

    /// Adds pending counts to the tables.
    ///
    /// # Errors
    /// The database fails; unwritten counts stay in memory.
    pub async fn flush(&self) -> Result<(), Error> {
        let mut writing = self.0.writing.lock().await;
        loop {
            let batch = writing.uncertain.take().unwrap_or_else(|| self.take_batch());
            if batch.is_empty() {
                return Ok(());
            }
            if let Err(error) = self.write(writing.number, &batch).await {
                writing.uncertain = Some(batch);
                return Err(error);
            }
            writing.number += 1;
        }
    }

    /// Takes some pending counts, in the order of the table: processes that lock rows in different orders would wait
    /// for each other.
    fn take_batch(&self) -> Vec<Row> {
        let mut pending = self.0.pending.lock();
        let keys: Vec<Key> = pending.keys().take(BATCH).cloned().collect();
        let taken = keys.into_iter().filter_map(|key| pending.remove_entry(&key));
        let row = |(key, counts): (Key, (u64, u64))| {
            let digest = digest(&[&key.policy, &key.detail]);
            Row { key, digest, counts }
        };
        let mut batch: Vec<Row> = taken.map(row).collect();
        batch.sort_unstable_by(|one, other| one.place().cmp(&other.place()));
        batch
    }

    /// Adds a batch to the tables, unless that was already done under this number and only the answer was lost.
    async fn write(&self, number: i64, batch: &[Row]) -> Result<(), Error> {
        let dialect = self.0.database.dialect();
        let (process, day) = &self.0.process;
        let mut transaction = self.0.database.begin_with(Durability::Relaxed).await?;
        let conflict = dialect.on_conflict(&["kind", "day", "domain"], &[]);
        let insert = format!("INSERT INTO report_claims (kind, day, domain, claimed_at) VALUES (?, ?, ?, 0){conflict}");
        let values: [Val; 3] = [WRITTEN.into(), (*day).into(), process.as_str().into()];
        transaction.execute(Sql::assembled(insert), &values).await?;
        let sql =
            "UPDATE report_claims SET claimed_at = ? WHERE kind = ? AND day = ? AND domain = ? AND claimed_at < ?";
        let [kind, day, process] = values;
        if transaction.execute(sql, &[number.into(), kind, day, process, number.into()]).await? == 0 {
            return transaction.rollback().await;
        }
        let sql = adding(dialect);
        for Row { key, digest, counts: (good, bad) } in batch {
            let values = [
                key.kind.word().into(),
                key.day.into(),
                key.domain.as_str().into(),
                digest.as_str().into(),
                key.policy.as_str().into(),
                key.detail.as_str().into(),
                int(*good).into(),
                int(*bad).into(),
            ];
            transaction.execute(&sql, &values).await?;
        }
        transaction.commit().await
    }

    /// The counts of a domain on a day, the most frequent first, at most `most`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn tallies(&self, kind: Kind, day: i64, domain: &str, most: u32) -> Result<Vec<Tally>, Error> {
        let sql = "SELECT policy, detail, good, bad FROM report_tallies WHERE kind = ? AND day = ? AND domain = ? \
                   ORDER BY good + bad DESC, digest LIMIT ?";
        let values = [kind.word().into(), day.into(), domain.into(), most.into()];
        let rows = self.0.database.fetch_all(sql, &values).await?;
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        rows.iter()
            .map(|row| {
                let (good, bad) = (count(row.int(2)?), count(row.int(3)?));
                Ok(Tally { policy: row.text(0)?, detail: row.text(1)?, good, bad })
            })
            .collect()
    }
}

/// Adds to the counts of an existing row, else inserts it.
fn adding(dialect: Dialect) -> Sql {
    let insert = "INSERT INTO report_tallies (kind, day, domain, digest, policy, detail, good, bad) \
                  VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let update = match dialect {
        Dialect::MySql => "ON DUPLICATE KEY UPDATE good = good + VALUES(good), bad = bad + VALUES(bad)",
        Dialect::Sqlite | Dialect::Postgres => {
            "ON CONFLICT (kind, day, domain, digest) DO UPDATE SET \
             good = report_tallies.good + excluded.good, bad = report_tallies.bad + excluded.bad"
        }
    };
    Sql::assembled(format!("{insert} {update}"))
}

/// SHA-256 of some texts, in hexadecimal digits.
pub(super) fn digest(texts: &[&str]) -> String {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for text in texts {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    hexadecimal(context.finish().as_ref())
}

pub(super) fn int(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::foundations::clock::SystemClock;
    use crate::storage::database::test_database;

    #[tokio::test]
    async fn what_is_written_again_for_want_of_an_answer_counts_once() {
        let (_place, database) = test_database().await;
        let reports = Reports::new(database.clone(), Arc::new(SystemClock));
        let note = |domain: &str| {
            reports.note(Kind::Dmarc, domain, "{}".to_owned(), "{}".to_owned(), Outcome::Good);
        };
        let names = || (0..50).map(|n| format!("d{n}.test"));
        names().for_each(|domain| note(&domain));
        // The database has it, but the process does not know.
        let batch = reports.take_batch();
        reports.write(1, &batch).await.unwrap();
        reports.0.writing.lock().await.uncertain = Some(batch);
        note("d7.test");
        reports.flush().await.unwrap();
        let today = Reports::day_of(reports.0.clock.now());
        let mut counted = 0;
        for domain in names() {
            for day in [today - 1, today] {
                counted +=
                    reports.tallies(Kind::Dmarc, day, &domain, 9).await.unwrap().iter().map(|t| t.good).sum::<u64>();
            }
        }
        assert_eq!(counted, 51);
        // Another process has numbers of its own.
        let other = Reports::new(database.clone(), Arc::new(SystemClock));
        other.note(Kind::Dmarc, "e.test", "{}".to_owned(), "{}".to_owned(), Outcome::Bad);
        other.flush().await.unwrap();
        let waiting = other.waiting(today + 2, other.0.clock.now(), 100).await.unwrap();
        let domains: BTreeSet<String> = waiting.into_iter().map(|(_, _, domain)| domain).collect();
        assert_eq!(domains.len(), 51, "{domains:?}");
        database.close().await;
    }

    #[tokio::test]
    async fn all_processes_lock_rows_in_the_same_order() {
        let (_place, database) = test_database().await;
        let reports = Reports::new(database.clone(), Arc::new(SystemClock));
        for n in 0..100 {
            let domain = format!("d{}.test", n % 10);
            reports.note(Kind::Tls, &domain, "{}".to_owned(), n.to_string(), Outcome::Good);
        }
        let batch = reports.take_batch();
        assert_eq!(batch.len(), 100);
        assert!(batch.is_sorted_by(|one, other| one.place() < other.place()));
        database.close().await;
    }
}
