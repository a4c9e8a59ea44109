//! Counting results.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::hexadecimal::hexadecimal;
use crate::foundations::tasks::Tasks;
use crate::storage::database::{Database, Dialect, Durability, Error, Sql};

crate::words! {
    /// What a report is about.
    pub enum Kind {
        /// Who has sent mail in a domain's name (DMARC aggregate reports).
        Dmarc = "dmarc",
        /// How sessions with a domain's hosts were protected (TLS-RPT, RFC 8460).
        Tls = "tlsrpt",
        /// A single message that was not what it said (DMARC failure reports, RFC 6591). They are received, not counted.
        Failure = "failure",
    }
}

impl serde::Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.word())
    }
}

/// How something that is counted came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As the domain's owner wants it.
    Good,
    /// Otherwise.
    Bad,
}

/// How often something was seen for a domain on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The policy that held, as JSON.
    pub policy: String,
    /// What was seen, as JSON; empty for successes that are only counted.
    pub detail: String,
    /// How often it came out as the owner wants it.
    pub good: u64,
    /// How often it did not.
    pub bad: u64,
}

/// The room. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Reports(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) database: Database,
    clock: SharedClock,
    pending: Mutex<HashMap<Key, (u64, u64)>>,
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

/// Most different results in memory; further ones are not counted until these are in the tables.
const MOST_PENDING: usize = 20_000;
/// Longest policy or detail in octets; a longer one is not counted.
const LONGEST: usize = 16_384;
/// How often the tables are brought up to date.
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
        Self(Arc::new(Inner { database, clock, pending: Mutex::default(), failures: Mutex::default() }))
    }

    /// The database it is on.
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    /// Writes what was counted, now and then and at the end.
    pub fn start(&self, tasks: &Tasks) {
        let (reports, running) = (self.clone(), tasks.clone());
        tasks.spawn(async move {
            while !running.is_stopping() {
                let next = reports.0.clock.now() + EVERY;
                tokio::select! {
                    () = reports.0.clock.sleep_until(next) => {}
                    () = running.stopping() => {}
                }
                if let Err(error) = reports.flush().await {
                    log::warn!(cause:% = error; "Results for reports cannot be written now; they stay in memory");
                }
            }
        });
    }

    /// The day of a moment, in UTC: days since 1970.
    pub const fn day_of(at: Timestamp) -> i64 {
        at.unix_seconds().div_euclid(86_400)
    }

    /// Counts one result of now.
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

    /// Adds what was counted to the tables.
    ///
    /// # Errors
    /// The database fails; what was not written stays in memory.
    pub async fn flush(&self) -> Result<(), Error> {
        loop {
            let batch: Vec<(Key, (u64, u64))> = {
                let mut pending = self.0.pending.lock();
                let keys: Vec<Key> = pending.keys().take(BATCH).cloned().collect();
                keys.into_iter().filter_map(|key| pending.remove_entry(&key)).collect()
            };
            if batch.is_empty() {
                return Ok(());
            }
            if let Err(error) = self.write(&batch).await {
                let mut pending = self.0.pending.lock();
                for (key, counts) in batch {
                    let kept = pending.entry(key).or_default();
                    kept.0 += counts.0;
                    kept.1 += counts.1;
                }
                return Err(error);
            }
        }
    }

    async fn write(&self, batch: &[(Key, (u64, u64))]) -> Result<(), Error> {
        let sql = adding(self.0.database.dialect());
        let mut transaction = self.0.database.begin_with(Durability::Relaxed).await?;
        for (key, (good, bad)) in batch {
            let values = [
                key.kind.word().into(),
                key.day.into(),
                key.domain.as_str().into(),
                digest(&[&key.policy, &key.detail]).into(),
                key.policy.as_str().into(),
                key.detail.as_str().into(),
                int(*good).into(),
                int(*bad).into(),
            ];
            transaction.execute(&sql, &values).await?;
        }
        transaction.commit().await
    }

    /// What was counted for a domain on a day, what was seen most first, at most `most` of it.
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

/// Adds to the counts of a row that is there, else inserts it.
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
