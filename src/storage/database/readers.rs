//! Who reads SQLite at once.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::SqlitePool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Error;
use crate::foundations::tasks::Tasks;

/// How long somebody waits for those who read before another connection is opened. Most statements take less.
const PATIENCE: Duration = Duration::from_millis(5);

/// Connections that only read: as many as are needed at once. Each is a thread and 250 KB for as long as the database is open, and the
/// pool opens another one whenever all are in use, even for an instant: everything that begins when the server starts asks for a row.
#[derive(Debug)]
pub(super) struct Readers {
    pool: SqlitePool,
    /// One for each connection.
    turns: Arc<Semaphore>,
    /// How many connections there may be besides.
    more: AtomicU32,
    patience: Duration,
    tasks: Tasks,
}

/// The right to use one of the connections.
#[derive(Debug)]
pub(super) struct Turn {
    permit: OwnedSemaphorePermit,
    tasks: Tasks,
}

impl Turn {
    /// Ends it when the connection is back in the pool. Who has the next turn would not find it there before.
    pub(super) fn end_after(self, returned: impl Future<Output = ()> + Send + 'static) {
        let Self { permit, tasks } = self;
        tasks.spawn(async move {
            returned.await;
            drop(permit);
        });
    }
}

impl Readers {
    pub(super) fn of(pool: SqlitePool) -> Self {
        let most = pool.options().get_max_connections();
        let more = AtomicU32::new(most.saturating_sub(1));
        Self { pool, turns: Arc::new(Semaphore::new(1)), more, patience: PATIENCE, tasks: Tasks::new() }
    }

    pub(super) const fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Waits until a connection is free or may be opened.
    pub(super) async fn turn(&self, longest: Duration) -> Result<Turn, Error> {
        let mut waiting = pin!(Arc::clone(&self.turns).acquire_owned());
        let permit = match timeout(self.patience, &mut waiting).await {
            Ok(permit) => permit,
            Err(_) => {
                if self.more.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |more| more.checked_sub(1)).is_ok() {
                    self.turns.add_permits(1);
                }
                timeout(longest, waiting).await.map_err(|_| Error::Busy(longest))?
            }
        };
        Ok(Turn { permit: permit.expect("nobody closes it"), tasks: self.tasks.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::pool::Pools;
    use super::super::test_database;
    use super::*;

    fn readers() -> Readers {
        Readers::of(SqlitePool::connect_lazy("sqlite::memory:").unwrap())
    }

    #[tokio::test]
    async fn no_connection_is_opened_for_those_who_wait_for_an_instant() {
        let patience = Duration::from_secs(600);
        let readers = Readers { patience, ..readers() };
        let first = readers.turn(patience).await.unwrap();
        let (next, ()) = tokio::join!(readers.turn(patience), async { first.end_after(std::future::ready(())) });
        next.unwrap();
        assert_eq!(readers.more.load(Ordering::Relaxed), readers.pool().options().get_max_connections() - 1);
    }

    #[tokio::test]
    async fn another_one_is_opened_for_those_who_would_wait_longer() {
        let (_place, database) = test_database().await;
        let Pools::Sqlite { read, .. } = &database.0.pools else { panic!("it is SQLite") };
        let mut long = Vec::new();
        for _ in 0..4 {
            long.push(database.begin_reading().await.unwrap());
        }
        assert!(read.pool().size() >= 4);
        database.check().await.unwrap();
    }

    #[tokio::test]
    async fn who_finds_all_in_use_is_told_so() {
        let readers = readers();
        let most = readers.pool().options().get_max_connections();
        let mut turns = Vec::new();
        for _ in 0..most {
            turns.push(readers.turn(PATIENCE).await.unwrap());
        }
        assert!(matches!(readers.turn(PATIENCE).await, Err(Error::Busy(_))));
        turns.pop();
        readers.turn(PATIENCE).await.unwrap();
    }
}
