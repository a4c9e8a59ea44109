//! The opening of the pools: what each engine is asked for.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Access, access};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Executor, MySqlPool, PgPool};

use super::migrate::take_file_turn;
use super::pool::Pools;
use super::readers::Readers;
use super::{DatabaseSettings, DatabaseUrl, Dialect, Error};
use crate::foundations::files::Owner;

/// A connection used within this time is handed out without testing it.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// Pages of SQLite's log are folded into the database at its default of 1000; a log grown larger is cut to this.
const WAL_KEPT: &str = "67108864";

impl Pools {
    /// See [`Database::connect`](super::Database::connect).
    pub(super) async fn open(url: &DatabaseUrl, settings: &DatabaseSettings) -> Result<Self, Error> {
        let password = settings.password_file.as_deref().map(read_password).transpose()?;
        match url.dialect() {
            Dialect::Sqlite => open_sqlite(url, settings).await.map_err(|error| explained(error, url).at(url)),
            Dialect::MySql => open_mysql(url, password.as_deref(), settings).map(Self::MySql),
            Dialect::Postgres => open_postgres(url, password.as_deref(), settings).map(Self::Postgres),
        }
    }

    /// Those of an existing file of SQLite that is only read.
    pub(super) fn look(path: &Path, settings: &DatabaseSettings) -> Self {
        let options = sqlite_options(path, settings).read_only(true);
        let pool = || limits(SqlitePoolOptions::new(), settings).connect_lazy_with(options.clone());
        let writing = Arc::new(tokio::sync::Mutex::new(()));
        Self::Sqlite { full: pool(), relaxed: pool(), read: Readers::of(pool()), writing }
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
        read: Readers::of(pool(settings.max_connections.max(1)).connect_lazy_with(options.read_only(true))),
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

    use super::super::Database;
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
