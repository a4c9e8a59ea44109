//! Running one statement on one connection, for each engine.

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;

use super::sql::{Reuse, numbered};
use super::{Absent, Error, Row, Sql, Val};

/// What the caller wants from a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// Every row.
    All,
    /// The first row.
    First,
    /// How many rows were changed.
    Changes,
}

/// The result of a statement.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
    pub(super) changed: u64,
    /// The number the engine gave the inserted row; PostgreSQL reports it only with RETURNING.
    pub(super) inserted: i64,
}

macro_rules! engine {
    ($name:ident, $each:ident, $database:ty, $connection:ty, $row:path, |$result:ident| $inserted:expr,
     |$sql:ident| $text:expr) => {
        pub(super) async fn $name(
            connection: &mut $connection,
            $sql: &Sql,
            values: &[Val],
            want: Want,
        ) -> Result<Answer, Error> {
            let mut query = sqlx::query::<$database>(AssertSqlSafe($text)).persistent($sql.reuse() == Reuse::Often);
            for value in values {
                query = match value {
                    Val::Null(Absent::Int) => query.bind(None::<i64>),
                    Val::Null(Absent::Real) => query.bind(None::<f64>),
                    Val::Null(Absent::Text) => query.bind(None::<String>),
                    Val::Null(Absent::Blob) => query.bind(None::<Vec<u8>>),
                    Val::Int(number) => query.bind(*number),
                    Val::Real(number) => query.bind(*number),
                    Val::Text(text) => query.bind(text.as_str()),
                    Val::Blob(bytes) => query.bind(bytes.as_slice()),
                };
            }
            let mut answer = Answer::default();
            match want {
                Want::Changes => {
                    let $result = query.execute(connection).await?;
                    answer.changed = $result.rows_affected();
                    answer.inserted = $inserted;
                }
                Want::First => answer.rows.extend(query.fetch_optional(connection).await?.map($row)),
                Want::All => answer.rows = query.fetch(connection).map_ok($row).try_collect().await?,
            }
            Ok(answer)
        }

        /// Calls back with each row of a SELECT as it arrives, so that memory does not grow with the table. `limit`
        /// bounds the wait for one row.
        pub(super) async fn $each<E: From<Error>>(
            connection: &mut $connection,
            $sql: &Sql,
            limit: Duration,
            each: &mut (dyn FnMut(Row) -> Result<(), E> + Send),
        ) -> Result<(), E> {
            let mut rows = sqlx::query::<$database>(AssertSqlSafe($text)).persistent(false).fetch(connection);
            loop {
                let next = tokio::time::timeout(limit, rows.try_next()).await.map_err(|_| Error::Timeout(limit))?;
                match next.map_err(Error::from)? {
                    Some(row) => each($row(row))?,
                    None => return Ok(()),
                }
            }
        }
    };
}

engine!(
    sqlite,
    sqlite_each,
    sqlx::Sqlite,
    sqlx::SqliteConnection,
    Row::Sqlite,
    |result| result.last_insert_rowid(),
    |sql| sql.shared()
);
engine!(
    mysql,
    mysql_each,
    sqlx::MySql,
    sqlx::MySqlConnection,
    Row::MySql,
    |result| i64::try_from(result.last_insert_id()).unwrap_or(0),
    |sql| sql.shared()
);
engine!(postgres, postgres_each, sqlx::Postgres, sqlx::PgConnection, Row::Postgres, |_result| 0, |sql| numbered(
    sql.as_str()
));
