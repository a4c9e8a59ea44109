//! Turns for queries and for opening messages.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

use crate::foundations::address::Address;

/// The rights to do what takes memory or the processor: so many for everybody, and one for each account, so that nobody waits for
/// more than one piece of work of another's.
pub(super) struct Turns {
    all: Arc<Semaphore>,
    accounts: moka::sync::Cache<String, Arc<Semaphore>>,
}

/// The right to do it; it ends when all handles to it are dropped.
#[derive(Clone)]
pub(super) struct Turn {
    _own_and_one_of_all: Arc<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl Turn {
    /// Does a part of it on a thread that may block. The turn lasts to its end even if whoever asked goes away:
    /// otherwise a client that hangs up again and again would have as much done at once as it likes.
    pub(super) async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let turn = self.clone();
        let job = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        job.await
    }
}

impl Turns {
    /// So many at once; beyond `remembered` accounts the least used are forgotten.
    pub(super) fn new(at_once: u32, remembered: u32) -> Self {
        let all = Arc::new(Semaphore::new(at_once.max(1) as usize));
        Self { all, accounts: moka::sync::Cache::new(remembered.into()) }
    }

    /// Waits until the account has its turn. A caller that has one must not wait for another of the same account.
    pub(super) async fn take(&self, account: &Address) -> Result<Turn, AcquireError> {
        let own = self.accounts.get_with(account.key().to_string(), || Arc::new(Semaphore::new(1)));
        let own = own.acquire_owned().await?;
        let one_of_all = Arc::clone(&self.all).acquire_owned().await?;
        Ok(Turn { _own_and_one_of_all: Arc::new((own, one_of_all)) })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn who_asks_much_waits_for_himself() {
        let turns = Turns::new(2, 10);
        let [ann, bob] = ["ann@example.test", "bob@example.test"].map(|address| address.parse::<Address>().unwrap());
        let first = turns.take(&ann).await.unwrap();
        assert!(turns.take(&ann).now_or_never().is_none());
        let other = turns.take(&bob).now_or_never().expect("one is left for bob").unwrap();
        drop(first);
        assert!(turns.take(&ann).now_or_never().is_some());
        drop(other);
    }

    #[tokio::test]
    async fn who_hangs_up_has_no_turn_before_the_work_is_done() {
        let turns = Turns::new(2, 10);
        let ann = "ann@example.test".parse::<Address>().unwrap();
        let turn = turns.take(&ann).await.unwrap();
        let (begin, begun) = tokio::sync::oneshot::channel::<()>();
        let (finish, wait) = tokio::sync::oneshot::channel::<()>();
        let work = move || {
            let _ = begin.send(());
            wait.blocking_recv()
        };
        assert!(turn.block(work).now_or_never().is_none());
        drop(turn);
        begun.await.unwrap();
        assert!(turns.take(&ann).now_or_never().is_none());
        finish.send(()).unwrap();
        turns.take(&ann).await.unwrap();
    }
}
