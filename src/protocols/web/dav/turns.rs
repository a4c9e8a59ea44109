//! Who may make a query, and when.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::foundations::address::Address;

/// The rights to make queries: so many for everybody, and one for each account, so that nobody waits for more than one query of
/// another's.
pub(super) struct Turns {
    all: Semaphore,
    accounts: moka::sync::Cache<String, Arc<Semaphore>>,
}

/// The right to make a query; it ends when this is dropped.
pub(super) struct Turn<'a> {
    _account: OwnedSemaphorePermit,
    _one_of_all: SemaphorePermit<'a>,
}

impl Turns {
    /// So many at once; beyond `remembered` accounts the least used are forgotten.
    pub(super) fn new(at_once: u32, remembered: u32) -> Self {
        let all = Semaphore::new(at_once.max(1) as usize);
        Self { all, accounts: moka::sync::Cache::new(remembered.into()) }
    }

    /// Waits until the account may make a query.
    pub(super) async fn take(&self, account: &Address) -> Result<Turn<'_>, AcquireError> {
        let own = self.accounts.get_with(account.key().to_string(), || Arc::new(Semaphore::new(1)));
        let own = own.acquire_owned().await?;
        Ok(Turn { _account: own, _one_of_all: self.all.acquire().await? })
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
}
