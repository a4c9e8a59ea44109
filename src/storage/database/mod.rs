//! One SQL for three engines: pools, statements, transactions, migrations.
//!
//! Promises: a statement is written once, with `?` for its values, and means the same on SQLite, MariaDB/MySQL and
//! PostgreSQL; where the engines' languages differ, [`Dialect`] provides the SQL. Waiting is bounded: for a connection
//! by `acquire_timeout`, for an answer by `statement_timeout`. Nothing is retried behind the caller's back. While a
//! database is down every call fails fast with [`Kind::Temporary`](crate::foundations::failure::Kind); it is used again
//! as soon as it answers.
//!
//! Note for callers: with SQLite, `fetch_*` on [`Database`] uses connections that cannot write; any change of data goes
//! through [`Database::execute`] or a [`Transaction`].

mod copy;
mod dialect;
mod engine;
mod error;
mod migrate;
mod open;
mod pool;
mod readers;
mod settings;
mod sql;
mod transaction;
mod url;
mod value;
mod way_back;

pub use copy::{Column, ColumnKind, Table};
pub use dialect::Dialect;
pub use error::Error;
pub use migrate::mysql_tables;
pub use pool::Database;
pub use settings::DatabaseSettings;
pub use sql::Sql;
pub use transaction::{Durability, Transaction};
pub use url::DatabaseUrl;
pub use value::{Absent, Row, Val};

/// A database of its own, with every table; the folder goes when it is dropped.
#[cfg(test)]
pub(crate) async fn test_database() -> (tempfile::TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::sqlite(&folder.path().join("test.sqlite"));
    let database = Database::connect(&url, &DatabaseSettings::default()).await.unwrap();
    database.migrate().await.unwrap();
    (folder, database)
}
