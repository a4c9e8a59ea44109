//! CPU-bound work that clients can request as often as they like.

use std::sync::{Arc, LazyLock};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

/// As many permits as processors: with more at once everybody else would wait, and blocking threads, whose number is
/// limited, would be missing where files are read.
static TURNS: LazyLock<Arc<Semaphore>> =
    LazyLock::new(|| Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, Into::into))));

/// Runs the work on a blocking thread when it gets a permit, which is held until the work ends even if the caller goes
/// away.
///
/// # Errors
/// The work panicked, or the runtime is ending.
pub async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    // Nobody closes the semaphore.
    let turn = Arc::clone(&TURNS).acquire_owned().await.ok();
    let job = tokio::task::spawn_blocking(move || {
        let result = work();
        drop(turn);
        result
    });
    job.await
}

/// Parties such as accounts, each with one place, so that nobody waits for more than one piece of another party's work.
pub struct Parties(Cache<String, Arc<Semaphore>>);

/// The place of a party; free again when dropped.
#[derive(Debug)]
pub struct Place {
    // Nobody closes a place.
    _permit: Option<OwnedSemaphorePermit>,
}

impl std::fmt::Debug for Parties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parties")
    }
}

impl Default for Parties {
    fn default() -> Self {
        // By default the cache would rather drop a new party, whose place is held, than one that was known for longer.
        Self(Cache::builder().max_capacity(REMEMBERED).eviction_policy(EvictionPolicy::lru()).build())
    }
}

impl Parties {
    /// Waits until the place of a party is free.
    pub async fn place(&self, party: &str) -> Place {
        let place = self.0.get_with_by_ref(party, || Arc::new(Semaphore::new(1)));
        Place { _permit: place.acquire_owned().await.ok() }
    }

    /// Like [`in_turn`], after whatever else the party has requested.
    ///
    /// # Errors
    /// The work panicked, or the runtime is ending.
    pub async fn in_turn<T: Send + 'static>(
        &self,
        party: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let place = self.place(party).await;
        in_turn(move || {
            let result = work();
            drop(place);
            result
        })
        .await
    }
}

/// Parties whose places are kept; the one unused for longest is replaced.
const REMEMBERED: u64 = 10_000;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn no_more_at_once_than_there_are_processors() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let turns = std::thread::available_parallelism().map_or(1, Into::into);
        let jobs = (0..turns * 4).map(|_| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            in_turn(move || {
                most.fetch_max(now.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
                std::thread::sleep(Duration::from_millis(5));
                now.fetch_sub(1, Ordering::AcqRel);
            })
        });
        // Work of other tests in this process is not counted here, but waits along with these.
        assert!(join_all(jobs).await.iter().all(Result::is_ok));
        assert!((1..=turns).contains(&most.load(Ordering::Acquire)));
    }
    #[tokio::test]
    async fn a_party_has_one_place() {
        let parties = Parties::default();
        let held = parties.place("ann").await;
        let mut waiting = Box::pin(parties.in_turn("ann", || ()));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        let other = tokio::time::timeout(Duration::from_secs(10), parties.in_turn("bob", || 5)).await;
        assert!(matches!(other, Ok(Ok(5))), "one party keeps another waiting");
        drop(held);
        waiting.await.unwrap();
    }

    /// It had another one for everybody who asked, since others were known for longer.
    #[tokio::test]
    async fn a_new_party_has_one_place_beside_many_others() {
        let parties = Parties::default();
        for _ in 0..2 {
            for n in 0..REMEMBERED {
                parties.place(&n.to_string()).await;
            }
            parties.0.run_pending_tasks();
        }
        let _held = parties.place("ann").await;
        parties.0.run_pending_tasks();
        assert!(futures_util::poll!(Box::pin(parties.place("ann"))).is_pending());
    }
}
