//! The pools, and calls outside a transaction.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rustix::fs::{Access, access};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Executor, MySqlPool, PgPool, Pool, SqlitePool};
use tokio::time::Instant;

use super::engine::{self, Answer, Want};
use super::migrate::take_file_turn;
use super::way_back::{Due, WayBack};
use super::{DatabaseSettings, DatabaseUrl, Dialect, Error, Row, Sql, Val};
use crate::foundations::files::Owner;

/// A connection used within this time is handed out without testing it.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// Pages of SQLite's log are folded into the database at its default of 1000; a log grown larger is cut to this.
const WAL_KEPT: &str = "67108864";

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
        read: SqlitePool,
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
        let password = settings.password_file.as_deref().map(read_password).transpose()?;
        let pools = match url.dialect() {
            Dialect::Sqlite => open_sqlite(url, settings).await.map_err(|error| explained(error, url).at(url))?,
            Dialect::MySql => Pools::MySql(open_mysql(url, password.as_deref(), settings)?),
            Dialect::Postgres => Pools::Postgres(open_postgres(url, password.as_deref(), settings)?),
        };
        Ok(Self::over(pools, url, settings))
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
        let options = sqlite_options(&path, settings).read_only(true);
        let pool = || limits(SqlitePoolOptions::new(), settings).connect_lazy_with(options.clone());
        let writing = Arc::new(tokio::sync::Mutex::new(()));
        let pools = Pools::Sqlite { full: pool(), relaxed: pool(), read: pool(), writing };
        Ok(Some(Self::over(pools, url, settings)))
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
                    read.close().await;
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
            ($pool:expr, $engine:path) => {{
                let connection = self.0.acquire($pool).await?;
                let mut due = Due::on(connection, self.0.way_back.clone());
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
                    on!(full, engine::sqlite)
                }
                Pools::Sqlite { read, .. } => on!(read, engine::sqlite),
                Pools::MySql(pool) => on!(pool, engine::mysql),
                Pools::Postgres(pool) => on!(pool, engine::postgres),
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

fn read_password(path: &Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|because| Error::Password { path: path.display().to_string(), because })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn limits<D: sqlx::Database>(options: PoolOptions<D>, settings: &DatabaseSettings) -> PoolOptions<D> {
    options
        .acquire_timeout(settings.acquire_timeout.duration())
        .test_before_acquire(false)
        .max_connections(settings.max_connections.max(1))
}

fn sqlite_options(path: &Path, settings: &DatabaseSettings) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(settings.busy_timeout.duration())
        .pragma("journal_size_limit", WAL_KEPT)
}

async fn open_sqlite(url: &DatabaseUrl, settings: &DatabaseSettings) -> Result<Pools, Error> {
    let path = url.path().unwrap_or_default();
    create_private(&path).map_err(|because| Error::File { path: path.display().to_string(), because })?;
    let options = sqlite_options(&path, settings);
    let writer = |synchronous| options.clone().journal_mode(SqliteJournalMode::Wal).synchronous(synchronous);
    let pool = |connections: u32| {
        limits(SqlitePoolOptions::new(), settings)
            .max_connections(connections)
            .max_lifetime(None)
            .idle_timeout(None)
            // SQLite itself undoes a transaction when the disk is full or fails. The driver's own ROLLBACK then finds
            // nothing to undo, and the driver takes the connection to be within a transaction for ever: another one is
            // opened.
            .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
    };
    // Two connections that turn on the log of a new file at once would get "locked" without any waiting.
    let _turn = take_file_turn(&path).await?;
    // The writers come first: opening one turns the log on, without which a reader could not read beside them.
    Ok(Pools::Sqlite {
        full: pool(1).connect_with(writer(SqliteSynchronous::Full)).await?,
        relaxed: pool(1).connect_with(writer(SqliteSynchronous::Normal)).await?,
        read: pool(settings.max_connections.max(1)).connect_lazy_with(options.read_only(true)),
        writing: Arc::new(tokio::sync::Mutex::new(())),
    })
}

/// SQLite only says that it cannot open a file. The system knows why; the file is not opened to find out, since closing
/// it again would drop this process's locks on it.
fn explained(error: Error, url: &DatabaseUrl) -> Error {
    let is_vague = matches!(error, Error::Unavailable(_) | Error::ReadOnly(_));
    let Some(path) = url.path().filter(|_| is_vague) else { return error };
    let wanted = Access::READ_OK | Access::WRITE_OK;
    let because = if path.is_dir() {
        Some(io::ErrorKind::IsADirectory.into())
    } else {
        [&*path, directory_of(&path)].into_iter().find_map(|path| access(path, wanted).err()).map(io::Error::from)
    };
    match because {
        Some(because) => Error::File { path: path.display().to_string(), because },
        None => error,
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Password hashes live in the file: nobody but the owner, that of the directory, may read it. SQLite gives its log the same
/// mode and owner.
fn create_private(path: &Path) -> io::Result<()> {
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => Owner::of_open(std::fs::File::open(directory_of(path))?.as_fd())?.give(file),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}

/// Tests whether the server of an idle connection is still there.
macro_rules! ask_if_idle {
    () => {
        |connection, idle| {
            Box::pin(async move {
                if idle.idle_for > TRUSTED_FOR {
                    connection.ping().await?;
                }
                Ok(true)
            })
        }
    };
}

fn open_mysql(url: &DatabaseUrl, password: Option<&str>, settings: &DatabaseSettings) -> Result<MySqlPool, Error> {
    let mut options = MySqlConnectOptions::from_str(url.text())?.charset("utf8mb4");
    if let Some(password) = password {
        options = options.password(password);
    }
    let pool = limits(MySqlPoolOptions::new(), settings)
        .after_connect(|connection, _| {
            Box::pin(async move {
                // Values too long for a column are refused as by the other engines, and a transaction sees what others
                // have committed, as with PostgreSQL.
                connection.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')").await?;
                connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
                // On a server that sets this to 0, every statement outside a transaction would be undone when the
                // connection ends.
                connection.execute("SET SESSION autocommit = 1").await?;
                Ok(())
            })
        })
        .before_acquire(ask_if_idle!())
        .connect_lazy_with(options);
    Ok(pool)
}

fn open_postgres(url: &DatabaseUrl, password: Option<&str>, settings: &DatabaseSettings) -> Result<PgPool, Error> {
    let mut options = PgConnectOptions::from_str(url.text())?.application_name("postrider");
    if let Some(password) = password {
        options = options.password(password);
    }
    Ok(limits(PgPoolOptions::new(), settings).before_acquire(ask_if_idle!()).connect_lazy_with(options))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, chown};
    use std::path::PathBuf;

    use super::*;

    #[tokio::test]
    async fn a_file_that_root_creates_belongs_to_the_owner_of_the_directory() {
        let place = tempfile::tempdir().unwrap();
        // Only root may give files away.
        if chown(place.path(), Some(1001), Some(1001)).is_err() {
            return;
        }
        let path = place.path().join("postrider.sqlite");
        let database = Database::connect(&DatabaseUrl::sqlite(&path), &DatabaseSettings::default()).await.unwrap();
        database.migrate().await.unwrap();
        for entry in std::fs::read_dir(place.path()).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (1001, 1001), "{}", entry.path().display());
        }
    }

    #[tokio::test]
    async fn a_log_that_can_no_longer_be_opened_is_found_by_the_check() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("postrider.sqlite");
        let database = Database::connect(&DatabaseUrl::sqlite(&path), &DatabaseSettings::default()).await.unwrap();
        database.migrate().await.unwrap();
        database.check_writing().await.unwrap();
        // In place of a disk that has failed: SQLite has the file open and can begin transactions.
        let log = place.path().join("postrider.sqlite-wal");
        std::fs::rename(&log, place.path().join("moved")).unwrap();
        std::fs::create_dir(&log).unwrap();
        let told = database.check_writing().await.unwrap_err().to_string();
        assert!(told.contains(&log.display().to_string()), "{told}");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_had_is_told_with_what_to_do() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("file"), "").unwrap();
        for (path, wanted) in [
            ("missing/postrider.sqlite", "but not its directory: create that"),
            ("file/postrider.sqlite", "but not its directory: create that"),
            ("", "Name a file inside it"),
        ] {
            // Without a trailing slash for the directory itself.
            let path: PathBuf = place.path().join(path).components().collect();
            let connected = Database::connect(&DatabaseUrl::sqlite(&path), &DatabaseSettings::default()).await;
            let error = connected.unwrap_err();
            let told = error.to_string();
            let named = told.contains(&path.display().to_string()) && told.contains("`storage.database`");
            assert!(named && told.contains(wanted) && error.is_set_up(), "{told}");
        }
        let denied = Error::File { path: "/x".to_owned(), because: io::ErrorKind::PermissionDenied.into() };
        assert!(denied.to_string().contains("commands are run as that user or as root"), "{denied}");
        let settings = DatabaseSettings { password_file: Some("/nonexistent/password".into()), ..Default::default() };
        let url = "mysql://mail@db.test/mail".parse().unwrap();
        let error = Database::connect(&url, &settings).await.unwrap_err();
        assert!(error.is_set_up() && error.to_string().contains("`database.password_file`"), "{error}");
    }
}
