//! The way of a connection back to its pool.

use std::time::Duration;

use sqlx::pool::PoolConnection;

use super::readers::Turn;
use crate::foundations::tasks::Tasks;

/// How connections to a server are given back to the pool. Before it takes one, it waits for the answer to a question, and to a ROLLBACK
/// that was left to it. It has no limit for that: a server that has become silent would keep the connection, and its place, for a quarter
/// of an hour.
#[derive(Debug, Clone)]
pub(super) struct WayBack {
    tasks: Tasks,
    limit: Duration,
}

impl WayBack {
    /// On which a server has so long to answer.
    pub(super) fn within(limit: Duration) -> Self {
        Self { tasks: Tasks::new(), limit }
    }
}

/// Gives a connection back, or closes it if its server does not answer in time. The turn of a reader of SQLite ends with that.
pub(super) fn give_back<D: sqlx::Database>(
    mut connection: PoolConnection<D>,
    back: Option<&WayBack>,
    turn: Option<Turn>,
) {
    if let Some(turn) = turn {
        return turn.end_after(connection.return_to_pool());
    }
    let Some(WayBack { tasks, limit }) = back else { return drop(connection) };
    let (returned, limit) = (connection.return_to_pool(), *limit);
    tasks.spawn(async move {
        if tokio::time::timeout(limit, returned).await.is_err() {
            log::warn!("The database did not answer within {limit:?}; a connection to it is closed");
        }
    });
}

/// A connection on which an answer is due.
#[derive(Debug)]
pub(super) struct Due<D: sqlx::Database> {
    /// Present until the answer is there.
    connection: Option<PoolConnection<D>>,
    /// Present if it is to a server. If its caller (such as a probe in a hurry) stops waiting for the answer, the pool goes on waiting,
    /// without a limit: a server that has become silent would soon hold all connections, and leave no room for new ones.
    back: Option<WayBack>,
    /// Present if it reads SQLite.
    turn: Option<Turn>,
}

impl<D: sqlx::Database> Due<D> {
    pub(super) const fn on(connection: PoolConnection<D>, back: Option<WayBack>, turn: Option<Turn>) -> Self {
        Self { connection: Some(connection), back, turn }
    }

    pub(super) fn connection(&mut self) -> &mut D::Connection {
        self.connection.as_mut().expect("only an answer takes the connection away")
    }

    /// The connection can be used again.
    pub(super) fn answered(&mut self) {
        if let Some(connection) = self.connection.take() {
            give_back(connection, self.back.as_ref(), self.turn.take());
        }
    }

    /// It cannot.
    pub(super) fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

impl<D: sqlx::Database> Drop for Due<D> {
    fn drop(&mut self) {
        if self.back.is_some() {
            self.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqlitePoolOptions;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn a_connection_whose_answer_nobody_waits_for_is_given_up() {
        let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
        let back = WayBack::within(Duration::from_secs(60));
        let due = async |is_remote: bool| Due::on(pool.acquire().await.unwrap(), is_remote.then(|| back.clone()), None);
        drop(due(true).await);
        assert_eq!(pool.size(), 0);
        drop(due(false).await);
        assert_eq!(pool.size(), 1);
        due(true).await.answered();
        assert_eq!(pool.size(), 1);
        due(false).await.close();
        assert_eq!(pool.size(), 0);
    }

    #[tokio::test]
    async fn a_connection_that_cannot_be_given_back_in_time_is_closed() {
        let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
        let mut connection = pool.acquire().await.unwrap();
        // In place of a server that has become silent: it is busy for seconds.
        let long = sqlx::query(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000000) SELECT COUNT(*) FROM n",
        );
        let answer = tokio::time::timeout(Duration::from_millis(10), long.fetch_one(&mut *connection)).await;
        assert!(answer.is_err());
        let back = WayBack::within(Duration::from_millis(50));
        give_back(connection, Some(&back), None);
        let begun = Instant::now();
        while pool.size() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // There is room for another.
        pool.acquire().await.unwrap();
    }
}
