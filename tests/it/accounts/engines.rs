//! A fresh database on each of the three engines.
//!
//! SQLite is always there. MariaDB and PostgreSQL are looked for at `POSTRIDER_TEST_MYSQL` and
//! `POSTRIDER_TEST_POSTGRES` (URLs without a database), else on this machine's usual ports. A test whose engine does
//! not answer says so and passes, unless `POSTRIDER_TEST_REQUIRE_ALL=1` makes that a failure.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use postrider::foundations::clock::{Clock, SystemClock};
use postrider::foundations::ids::MailId;
use postrider::storage::database::{Database, DatabaseSettings, DatabaseUrl, Dialect, Sql};

/// Runs every listed test function (`async fn(Database)`) on each engine, as tests named `sqlite::name` and so on.
macro_rules! on_every_engine {
    ($($test:ident),+ $(,)?) => {
        mod sqlite { $(#[test] fn $test() {
            $crate::accounts::engines::run(postrider::storage::database::Dialect::Sqlite, super::$test);
        })+ }
        mod mysql { $(#[test] fn $test() {
            $crate::accounts::engines::run(postrider::storage::database::Dialect::MySql, super::$test);
        })+ }
        mod postgres { $(#[test] fn $test() {
            $crate::accounts::engines::run(postrider::storage::database::Dialect::Postgres, super::$test);
        })+ }
    };
}
pub(crate) use on_every_engine;

/// A database of its own for one test.
pub(crate) struct Fresh {
    pub(crate) url: DatabaseUrl,
    admin: Option<DatabaseUrl>,
    name: String,
    _directory: tempfile::TempDir,
}

#[expect(clippy::disallowed_methods, reason = "tests find the servers by the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn server(dialect: Dialect) -> (String, &'static str) {
    match dialect {
        Dialect::Sqlite => (String::new(), ""),
        Dialect::MySql => {
            (variable("POSTRIDER_TEST_MYSQL").unwrap_or_else(|| "mysql://root@127.0.0.1:3306".to_owned()), "mysql")
        }
        Dialect::Postgres => (
            variable("POSTRIDER_TEST_POSTGRES").unwrap_or_else(|| "postgres://postgres@127.0.0.1:5432".to_owned()),
            "postgres",
        ),
    }
}

async fn administer(url: &DatabaseUrl, sql: String) -> Result<(), postrider::storage::database::Error> {
    let database = Database::connect(url, &DatabaseSettings { max_connections: 1, ..Default::default() }).await?;
    let result = database.execute(Sql::rare(sql), &[]).await.map(|_| ());
    database.close().await;
    result
}

impl Fresh {
    /// Creates an empty database; `None` when the engine is not there.
    pub(crate) async fn create(dialect: Dialect) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let name = format!("postrider_test_{}", MailId::generate(SystemClock.now())).to_lowercase();
        if dialect == Dialect::Sqlite {
            let url = DatabaseUrl::sqlite(&directory.path().join("test.sqlite"));
            return Some(Self { url, admin: None, name, _directory: directory });
        }
        let (base, maintenance) = server(dialect);
        let admin: DatabaseUrl = format!("{base}/{maintenance}").parse().expect("a database URL");
        let create = match dialect {
            Dialect::MySql => format!("CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"),
            _ => format!("CREATE DATABASE {name}"),
        };
        if let Err(error) = administer(&admin, create).await {
            let required = variable("POSTRIDER_TEST_REQUIRE_ALL").is_some_and(|value| value != "0");
            assert!(!required, "{dialect} is required (POSTRIDER_TEST_REQUIRE_ALL), but: {error:?}");
            eprintln!("SKIPPED on {dialect}: no server at {admin}: {error}");
            return None;
        }
        let url = format!("{base}/{name}").parse().expect("a database URL");
        Some(Self { url, admin: Some(admin), name, _directory: directory })
    }

    /// Removes it again.
    pub(crate) async fn remove(self) {
        if let Some(admin) = &self.admin {
            let force = if admin.dialect() == Dialect::Postgres { " WITH (FORCE)" } else { "" };
            let _ = administer(admin, format!("DROP DATABASE {}{force}", self.name)).await;
        }
    }

    /// Host part (with the login) and port of its server, when that is on this machine.
    pub(crate) fn local_port(&self) -> Option<(String, u16)> {
        let (base, _) = server(self.url.dialect());
        let (host, port) = base.rsplit_once(':')?;
        let local = host.ends_with("127.0.0.1") || host.ends_with("localhost");
        port.parse().ok().filter(|_| local).map(|port| (host.to_owned(), port))
    }

    /// Its address by another port of this machine.
    pub(crate) fn url_through(&self, host: &str, port: u16) -> DatabaseUrl {
        format!("{host}:{port}/{}", self.name).parse().expect("a database URL")
    }

    /// Connects to it.
    pub(crate) async fn connect(&self) -> Database {
        Database::connect(&self.url, &DatabaseSettings { max_connections: 4, ..Default::default() })
            .await
            .expect("connect")
    }
}

/// Runs one test on a fresh, migrated database and removes it, even after a failure.
pub(crate) fn run<F: Future<Output = ()>>(dialect: Dialect, test: fn(Database) -> F) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let Some(fresh) = runtime.block_on(Fresh::create(dialect)) else { return };
    let database = runtime.block_on(fresh.connect());
    let migrated = runtime.block_on(database.migrate());
    let result = migrated.map(|()| runtime.block_on(AssertUnwindSafe(test(database.clone())).catch_unwind()));
    runtime.block_on(async {
        database.close().await;
        fresh.remove().await;
    });
    if let Err(failure) = result.expect("the migrations run") {
        std::panic::resume_unwind(failure);
    }
}
