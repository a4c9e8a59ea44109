//! Several statements that happen together or not at all.

use std::future::Future;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::{SqlSafeStr, SqlStr};
use sqlx_core::transaction::TransactionManager;
use tokio::sync::OwnedMutexGuard;

use super::engine::{self, Answer, Want};
use super::pool::{Inner as Pooled, Pools};
use super::readers::Turn;
use super::way_back::{WayBack, give_back};
use super::{Database, Dialect, Error, Row, Sql, Val};

/// What a commit guarantees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When `commit` returns, the data survives a power failure.
    Full,
    /// The data survives a crash of this program; a power failure may lose the latest commits. For the journal. MariaDB
    /// and MySQL have no such choice per transaction and keep the server's setting.
    Relaxed,
}

/// An open transaction. Dropped without [`Transaction::commit`] it is rolled back. On SQLite it excludes other writers
/// from its first moment, so it should be short.
#[derive(Debug)]
pub struct Transaction {
    inner: Inner,
    database: Database,
    /// The right to write to SQLite, released after the transaction's end. Declared last: dropped last.
    _turn: Option<OwnedMutexGuard<()>>,
}

#[derive(Debug)]
enum Inner {
    Sqlite(Open<sqlx::Sqlite>),
    MySql(Open<sqlx::MySql>),
    Postgres(Open<sqlx::Postgres>),
}

impl Inner {
    /// Enters a state; the one before.
    const fn enter(&mut self, state: State) -> State {
        let entered = match self {
            Self::Sqlite(open) => &mut open.state,
            Self::MySql(open) => &mut open.state,
            Self::Postgres(open) => &mut open.state,
        };
        std::mem::replace(entered, state)
    }
}

/// A connection with a transaction on it. The driver's own transactions return the connection to the pool even when a
/// BEGIN was cut off by its time limit and may have taken effect: the next user would work inside a transaction that
/// nobody commits. Here a connection is returned only when the fate of the transaction is known.
#[derive(Debug)]
struct Open<D: sqlx::Database> {
    /// Present until the transaction's end.
    connection: Option<PoolConnection<D>>,
    /// How it is given back.
    back: Option<WayBack>,
    /// Present if it reads SQLite.
    turn: Option<Turn>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A BEGIN, COMMIT or ROLLBACK was sent, and its result is unknown; or a server has not yet answered a statement.
    Uncertain,
    /// The transaction is open.
    Within,
    /// It was committed or rolled back.
    Ended,
}

impl<D: sqlx::Database> Open<D> {
    /// On which nothing has begun yet. Its first answer is due.
    fn over(connection: PoolConnection<D>, db: &Pooled) -> Self {
        Self { connection: Some(connection), back: db.way_back.clone(), turn: None, state: State::Uncertain }
    }

    async fn begin(connection: PoolConnection<D>, db: &Pooled, statement: Option<SqlStr>) -> Result<Self, Error> {
        Self::over(connection, db).begun(statement, db.statement_timeout).await
    }

    async fn begun(mut self, statement: Option<SqlStr>, limit: Duration) -> Result<Self, Error> {
        limited(limit, D::TransactionManager::begin(self.connection(), statement)).await?;
        self.state = State::Within;
        Ok(self)
    }

    async fn commit(mut self, limit: Duration) -> Result<(), Error> {
        self.state = State::Uncertain;
        limited(limit, D::TransactionManager::commit(self.connection())).await?;
        self.state = State::Ended;
        Ok(())
    }

    async fn rollback(mut self, limit: Duration) -> Result<(), Error> {
        self.state = State::Uncertain;
        limited(limit, D::TransactionManager::rollback(self.connection())).await?;
        self.state = State::Ended;
        Ok(())
    }

    fn connection(&mut self) -> &mut D::Connection {
        self.connection.as_mut().expect("only `drop` takes the connection away")
    }
}

impl<D: sqlx::Database> Drop for Open<D> {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        match self.state {
            // The pool waits for the answer before it gives the connection to somebody else.
            State::Within => D::TransactionManager::start_rollback(&mut connection),
            // Closed: the server undoes the open transaction.
            State::Uncertain => return drop(connection.detach()),
            State::Ended => {}
        }
        give_back(connection, self.back.as_ref(), self.turn.take());
    }
}

impl Database {
    /// Begins a transaction whose commit is on disk.
    pub async fn begin(&self) -> Result<Transaction, Error> {
        self.begin_with(Durability::Full).await
    }

    /// Whether the database can be written to: it may be locked, a copy that others write, or on a disk that has failed.
    /// Changes nothing.
    pub async fn check_writing(&self) -> Result<(), Error> {
        let mut transaction = self.begin_with(Durability::Relaxed).await?;
        // Every engine asks for the right to write before it looks for rows.
        let tried = transaction.execute("UPDATE events SET kind = kind WHERE 1 = 0", &[]).await;
        transaction.rollback().await?;
        tried?;
        self.check_log().await
    }

    /// Begins a transaction.
    pub async fn begin_with(&self, durability: Durability) -> Result<Transaction, Error> {
        self.open(durability).boxed().await
    }

    async fn open(&self, durability: Durability) -> Result<Transaction, Error> {
        let db = &self.0;
        let mut turn = None;
        let begun = match &db.pools {
            Pools::Sqlite { full, relaxed, writing, .. } => {
                turn = Some(db.turn(writing).await?);
                let pool = if durability == Durability::Full { full } else { relaxed };
                // IMMEDIATE: a transaction that starts by reading cannot later be refused the right to write.
                let statement = Some("BEGIN IMMEDIATE".into_sql_str());
                Open::begin(db.acquire(pool).await?, db, statement).await.map(Inner::Sqlite)
            }
            Pools::MySql(pool) => Open::begin(db.acquire(pool).await?, db, None).await.map(Inner::MySql),
            Pools::Postgres(pool) => Open::begin(db.acquire(pool).await?, db, None).await.map(Inner::Postgres),
        };
        db.note_connection(&begun);
        db.note_answer(&begun);
        let mut transaction = Transaction { inner: begun?, database: self.clone(), _turn: turn };
        if durability == Durability::Relaxed && self.dialect() == Dialect::Postgres {
            transaction.execute("SET LOCAL synchronous_commit = off", &[]).await?;
        }
        Ok(transaction)
    }
}

impl Database {
    /// Begins a transaction that only reads, and sees everything as it was at one moment, however long it takes. It
    /// blocks no writer.
    pub async fn begin_reading(&self) -> Result<Transaction, Error> {
        let db = &self.0;
        let limit = db.statement_timeout;
        let begun = match &db.pools {
            Pools::Sqlite { read, .. } => {
                let turn = read.turn(db.acquire_timeout).await?;
                let mut open = Open::over(db.acquire(read.pool()).await?, db);
                open.turn = Some(turn);
                open.begun(Some("BEGIN".into_sql_str()), limit).await.map(Inner::Sqlite)
            }
            Pools::MySql(pool) => {
                let mut open = Open::over(db.acquire(pool).await?, db);
                // Applies to the next transaction only.
                let level = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ";
                limited(limit, sqlx::Executor::execute(open.connection(), level)).await?;
                let statement = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
                open.begun(Some(statement.into_sql_str()), limit).await.map(Inner::MySql)
            }
            Pools::Postgres(pool) => {
                let statement = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
                let connection = db.acquire(pool).await?;
                Open::begin(connection, db, Some(statement.into_sql_str())).await.map(Inner::Postgres)
            }
        };
        db.note_connection(&begun);
        db.note_answer(&begun);
        let mut transaction = Transaction { inner: begun?, database: self.clone(), _turn: None };
        // SQLite and PostgreSQL fix the snapshot at the first read.
        transaction.fetch_optional("SELECT COUNT(*) FROM postrider_migrations", &[]).await?;
        Ok(transaction)
    }
}

async fn limited<T>(limit: Duration, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Error> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result.map_err(Error::from),
        Err(_) => Err(Error::Timeout(limit)),
    }
}

impl Transaction {
    /// The engine's SQL dialect.
    pub fn dialect(&self) -> Dialect {
        self.database.dialect()
    }

    /// Longest wait for the answer to one statement.
    fn limit(&self) -> Duration {
        self.database.0.statement_timeout
    }

    /// Every row of a SELECT, or of a statement with RETURNING.
    pub async fn fetch_all(&mut self, sql: impl Into<Sql>, values: &[Val]) -> Result<Vec<Row>, Error> {
        Ok(self.run(&sql.into(), values, Want::All).await?.rows)
    }

    /// The first row of a SELECT, if there is one.
    pub async fn fetch_optional(&mut self, sql: impl Into<Sql>, values: &[Val]) -> Result<Option<Row>, Error> {
        Ok(self.run(&sql.into(), values, Want::First).await?.rows.pop())
    }

    /// Runs one statement and returns how many rows it changed.
    ///
    /// After an error PostgreSQL accepts nothing more in this transaction: drop it.
    pub async fn execute(&mut self, sql: impl Into<Sql>, values: &[Val]) -> Result<u64, Error> {
        Ok(self.run(&sql.into(), values, Want::Changes).await?.changed)
    }

    /// Inserts one row into a table whose key column `id` the engine numbers, and returns the number.
    pub async fn insert(&mut self, table: &str, columns: &[&str], values: &[Val]) -> Result<i64, Error> {
        let dialect = self.dialect();
        let text = format!("INSERT INTO {table} ({}) VALUES {}", columns.join(", "), dialect.values(columns.len(), 1));
        if dialect != Dialect::Postgres {
            return Ok(self.run(&Sql::assembled(text), values, Want::Changes).await?.inserted);
        }
        let row = self.fetch_optional(Sql::assembled(text + " RETURNING id"), values).await?;
        row.map_or(Err(Error::Null { column: 0 }), |row| row.int(0))
    }

    /// Inserts many rows with few statements. Each row has one value per column.
    pub async fn insert_many(&mut self, table: &str, columns: &[&str], rows: &[Vec<Val>]) -> Result<(), Error> {
        // Round trips dominate; beyond a hundred rows in one statement nothing is gained.
        for chunk in rows.chunks(100) {
            let text = format!(
                "INSERT INTO {table} ({}) VALUES {}",
                columns.join(", "),
                self.dialect().values(columns.len(), chunk.len())
            );
            let sql = if matches!(chunk.len(), 1 | 100) { Sql::assembled(text) } else { Sql::rare(text) };
            self.run(&sql, &chunk.concat(), Want::Changes).await?;
        }
        Ok(())
    }

    /// Makes everything done in the transaction permanent. After an error it may or may not be (the connection may have
    /// broken in between): the caller must be able to handle both.
    pub async fn commit(self) -> Result<(), Error> {
        let limit = self.limit();
        match self.inner {
            Inner::Sqlite(open) => open.commit(limit).await,
            Inner::MySql(open) => open.commit(limit).await,
            Inner::Postgres(open) => open.commit(limit).await,
        }
    }

    /// Undoes everything done in the transaction.
    pub async fn rollback(self) -> Result<(), Error> {
        let limit = self.limit();
        match self.inner {
            Inner::Sqlite(open) => open.rollback(limit).await,
            Inner::MySql(open) => open.rollback(limit).await,
            Inner::Postgres(open) => open.rollback(limit).await,
        }
    }

    /// Calls back with each row of a SELECT as it arrives.
    pub(super) async fn for_each<E: From<Error>>(
        &mut self,
        sql: &Sql,
        each: &mut (dyn FnMut(Row) -> Result<(), E> + Send),
    ) -> Result<(), E> {
        let limit = self.limit();
        // The rest of the rows would still arrive, also if nobody waits for them any longer.
        let state = self.inner.enter(State::Uncertain);
        let told = match &mut self.inner {
            Inner::Sqlite(open) => engine::sqlite_each(open.connection(), sql, limit, each).await,
            Inner::MySql(open) => engine::mysql_each(open.connection(), sql, limit, each).await,
            Inner::Postgres(open) => engine::postgres_each(open.connection(), sql, limit, each).await,
        };
        if told.is_ok() {
            self.inner.enter(state);
        }
        told
    }

    /// The connection must not be reused.
    const fn condemn(&mut self) {
        self.inner.enter(State::Uncertain);
    }

    /// On the heap, as in the pool.
    fn run<'a>(&'a mut self, sql: &'a Sql, values: &'a [Val], want: Want) -> BoxFuture<'a, Result<Answer, Error>> {
        let limit = self.limit();
        async move {
            // As in the pool, if nobody waits for the answer of a server any longer.
            let is_remote = !matches!(self.inner, Inner::Sqlite(_));
            let state = is_remote.then(|| self.inner.enter(State::Uncertain));
            let work = async {
                match &mut self.inner {
                    Inner::Sqlite(open) => engine::sqlite(open.connection(), sql, values, want).await,
                    Inner::MySql(open) => engine::mysql(open.connection(), sql, values, want).await,
                    Inner::Postgres(open) => engine::postgres(open.connection(), sql, values, want).await,
                }
            };
            let came = tokio::time::timeout(limit, work).await.unwrap_or(Err(Error::Timeout(limit)));
            // A cancelled statement may still be answered: the pool would wait for that, without a limit.
            if came.as_ref().is_err_and(|error| error.condemns() || matches!(error, Error::Timeout(_))) {
                self.condemn();
            } else if let Some(state) = state {
                self.inner.enter(state);
            }
            self.database.0.note_answer(&came);
            came
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_database;
    use super::*;

    #[tokio::test]
    async fn a_connection_whose_rows_nobody_waits_for_is_given_up() {
        let (_place, database) = test_database().await;
        let Pools::Sqlite { read, .. } = &database.0.pools else { panic!("it is SQLite") };
        let mut transaction = database.begin_reading().await.unwrap();
        let size = read.pool().size();
        let endless = Sql::from("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n");
        let mut each = |_: Row| Ok::<(), Error>(());
        assert!(transaction.for_each::<Error>(&endless, &mut each).now_or_never().is_none());
        drop(transaction);
        assert_eq!(read.pool().size(), size - 1);
    }
}
