//! The pools, and calls outside a transaction.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sqlx::pool::PoolConnection;
use sqlx::{MySqlPool, PgPool, Pool, SqlitePool};
use tokio::time::Instant;

use super::engine::{self, Answer, Want};
use super::readers::Readers;
use super::way_back::{Due, WayBack};
use super::{DatabaseSettings, DatabaseUrl, Dialect, Error, Row, Sql, Val};

/// The database of accounts, queue and journal. Cloning gives another handle to the same pools.
#[derive(Debug, Clone)]
pub struct Database(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) pools: Pools,
    /// `file` of SQLite.
    pub(super) url: DatabaseUrl,
    pub(super) acquire_timeout: Duration,
    pub(super) statement_timeout: Duration,
    retry_after_failure: Duration,
    /// Until when calls fail at once because the server was away.
    resting_until: Mutex<Option<Instant>>,
    /// When the server answered last.
    answered_at: Mutex<Option<Instant>>,
    /// How connections to a server are given back; none for SQLite.
    pub(super) way_back: Option<WayBack>,
}

#[derive(Debug)]
pub(super) enum Pools {
    Sqlite {
        /// One connection, `synchronous=FULL`: commits are on disk.
        full: SqlitePool,
        /// One connection, `synchronous=NORMAL`: a power failure may lose the latest commits.
        relaxed: SqlitePool,
        /// Several, which cannot write.
        read: Readers,
        /// Held while one of the two writers has a transaction: waiting here is fair and wakes up at once, while SQLite
        /// polls for its lock.
        writing: Arc<tokio::sync::Mutex<()>>,
    },
    MySql(MySqlPool),
    Postgres(PgPool),
}

/// How long closing waits for connections that are in use.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);

impl Database {
    /// Opens the pools. SQLite's file is created when it is missing (readable by its owner only); with the other
    /// engines nothing is connected yet, so that a server that is down does not keep the daemon from starting.
    pub async fn connect(url: &DatabaseUrl, settings: &DatabaseSettings) -> Result<Self, Error> {
        Ok(Self::over(Pools::open(url, settings).await?, url, settings))
    }

    /// Opens an existing database and creates nothing, for callers that only read. Fails when SQLite's file is missing;
    /// writing to an existing one fails.
    pub async fn look(url: &DatabaseUrl, settings: &DatabaseSettings) -> Result<Option<Self>, Error> {
        let Some(path) = url.path() else { return Self::connect(url, settings).await.map(Some) };
        match tokio::fs::try_exists(&path).await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(because) => return Err(Error::File { path: path.display().to_string(), because }),
        }
        Ok(Some(Self::over(Pools::look(&path, settings), url, settings)))
    }

    fn over(pools: Pools, url: &DatabaseUrl, settings: &DatabaseSettings) -> Self {
        let is_remote = !matches!(pools, Pools::Sqlite { .. });
        let limit = settings.statement_timeout.duration();
        Self(Arc::new(Inner {
            pools,
            url: url.clone(),
            acquire_timeout: settings.acquire_timeout.duration(),
            statement_timeout: limit,
            retry_after_failure: settings.retry_after_failure.duration(),
            resting_until: Mutex::new(None),
            answered_at: Mutex::new(None),
            way_back: is_remote.then(|| WayBack::within(limit)),
        }))
    }

    /// The engine's SQL dialect.
    pub fn dialect(&self) -> Dialect {
        self.0.url.dialect()
    }

    /// Every row of a SELECT. The caller bounds their number in the statement.
    pub async fn fetch_all(&self, sql: impl Into<Sql>, values: &[Val]) -> Result<Vec<Row>, Error> {
        Ok(self.run(&sql.into(), values, Want::All).await?.rows)
    }

    /// The first row of a SELECT, if there is one.
    pub async fn fetch_optional(&self, sql: impl Into<Sql>, values: &[Val]) -> Result<Option<Row>, Error> {
        Ok(self.run(&sql.into(), values, Want::First).await?.rows.pop())
    }

    /// Runs one statement that changes data, durably, and returns how many rows it changed.
    pub async fn execute(&self, sql: impl Into<Sql>, values: &[Val]) -> Result<u64, Error> {
        Ok(self.run(&sql.into(), values, Want::Changes).await?.changed)
    }

    /// Whether the database answers at all.
    pub async fn check(&self) -> Result<(), Error> {
        self.fetch_optional("SELECT 1", &[]).await.map(|_| ())
    }

    /// Whether SQLite's log, to which all changes go, can still be opened for writing. To begin a transaction does not tell: SQLite
    /// has its files open, and a file system becomes read-only under them when its disk fails. Unlike the database's own file, the
    /// log carries no locks, which this process would lose by closing it.
    pub(super) async fn check_log(&self) -> Result<(), Error> {
        let Some(path) = self.0.url.path() else { return Ok(()) };
        let mut log = path.into_os_string();
        log.push("-wal");
        match tokio::fs::OpenOptions::new().write(true).open(&log).await {
            Err(because) if because.kind() != io::ErrorKind::NotFound => {
                Err(Error::File { path: Path::new(&log).display().to_string(), because })
            }
            _ => Ok(()),
        }
    }

    /// Closes every connection; calls after it fail. SQLite's log is folded into its file. A connection still in use
    /// after [`CLOSED_WITHIN`] ends with the process, so that stopping never waits for ever.
    pub async fn close(&self) {
        let closed = async {
            match &self.0.pools {
                Pools::Sqlite { full, relaxed, read, .. } => {
                    read.pool().close().await;
                    relaxed.close().await;
                    full.close().await;
                }
                Pools::MySql(pool) => pool.close().await,
                Pools::Postgres(pool) => pool.close().await,
            }
        };
        if tokio::time::timeout(CLOSED_WITHIN, closed).await.is_err() {
            log::warn!("Connections to the database were still in use when it was closed");
        }
    }

    /// On the heap: a future reserves room for everything it may await, and a caller that finds a cached answer should
    /// not carry the state of three drivers around.
    fn run<'a>(&'a self, sql: &'a Sql, values: &'a [Val], want: Want) -> BoxFuture<'a, Result<Answer, Error>> {
        macro_rules! on {
            ($pool:expr, $engine:path, $turn:expr) => {{
                let connection = self.0.acquire($pool).await?;
                let mut due = Due::on(connection, self.0.way_back.clone(), $turn);
                match tokio::time::timeout(self.0.statement_timeout, $engine(due.connection(), sql, values, want)).await
                {
                    Ok(Err(error)) if error.condemns() => {
                        due.close();
                        Err(error)
                    }
                    Ok(answer) => {
                        due.answered();
                        answer
                    }
                    Err(_) => {
                        // Its answer may still arrive: the connection cannot be reused.
                        due.close();
                        Err(Error::Timeout(self.0.statement_timeout))
                    }
                }
            }};
        }
        async move {
            let came = match &self.0.pools {
                Pools::Sqlite { full, writing, .. } if want == Want::Changes => {
                    let _turn = self.0.turn(writing).await?;
                    on!(full, engine::sqlite, None)
                }
                Pools::Sqlite { read, .. } => {
                    let turn = read.turn(self.0.acquire_timeout).await?;
                    on!(read.pool(), engine::sqlite, Some(turn))
                }
                Pools::MySql(pool) => on!(pool, engine::mysql, None),
                Pools::Postgres(pool) => on!(pool, engine::postgres, None),
            };
            self.0.note_answer(&came);
            came
        }
        .boxed()
    }
}

impl Inner {
    /// A connection within `acquire_timeout`; fails at once while the server is known to be away.
    pub(super) async fn acquire<D: sqlx::Database>(&self, pool: &Pool<D>) -> Result<PoolConnection<D>, Error> {
        self.admit()?;
        let begun = Instant::now();
        let result = pool.acquire().await.map_err(|error| match error {
            // The driver reports this for a server that is away, too.
            sqlx::Error::PoolTimedOut if self.has_answered_since(begun) => Error::Busy(self.acquire_timeout),
            error => error.into(),
        });
        self.note_connection(&result);
        result
    }

    /// Whether the server is there: always, for an open SQLite file.
    fn has_answered_since(&self, moment: Instant) -> bool {
        let is_file = matches!(self.pools, Pools::Sqlite { .. });
        is_file || self.answered_at.lock().is_some_and(|answered| answered >= moment)
    }

    /// The result of a statement; a refusal also counts as an answer of the server.
    pub(super) fn note_answer<T>(&self, result: &Result<T, Error>) {
        if result.as_ref().err().is_none_or(|error| !error.is_unreachable()) {
            *self.answered_at.lock() = Some(Instant::now());
            // It was only slow: whoever waited for a connection meanwhile took it for away.
            *self.resting_until.lock() = None;
        }
    }

    /// Waits for the right to write to SQLite.
    pub(super) async fn turn(
        &self,
        writing: &Arc<tokio::sync::Mutex<()>>,
    ) -> Result<tokio::sync::OwnedMutexGuard<()>, Error> {
        // A writer may be waiting for another process; that has its own limit, to which this one is added.
        let patience = self.acquire_timeout + self.statement_timeout;
        tokio::time::timeout(patience, Arc::clone(writing).lock_owned()).await.map_err(|_| Error::Timeout(patience))
    }

    /// Fails while the server is known to be away.
    pub(super) fn admit(&self) -> Result<(), Error> {
        let mut resting = self.resting_until.lock();
        match *resting {
            Some(until) if Instant::now() < until => Err(Error::Resting),
            Some(_) => {
                // This call makes the attempt; the others keep failing fast until it knows more.
                *resting = Some(Instant::now() + self.acquire_timeout);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Notes whether a connection could be had, or a transaction begun.
    pub(super) fn note_connection<T>(&self, result: &Result<T, Error>) {
        if matches!(self.pools, Pools::Sqlite { .. }) {
            return;
        }
        let mut resting = self.resting_until.lock();
        match result {
            Err(error) if error.is_unreachable() => *resting = Some(Instant::now() + self.retry_after_failure),
            _ => *resting = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_database;

    #[tokio::test]
    async fn a_log_that_can_no_longer_be_opened_is_found_by_the_check() {
        let (place, database) = test_database().await;
        database.check_writing().await.unwrap();
        // In place of a disk that has failed: SQLite has the file open and can begin transactions.
        let log = place.path().join("test.sqlite-wal");
        std::fs::rename(&log, place.path().join("moved")).unwrap();
        std::fs::create_dir(&log).unwrap();
        let told = database.check_writing().await.unwrap_err().to_string();
        assert!(told.contains(&log.display().to_string()), "{told}");
    }
}
