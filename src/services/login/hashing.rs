//! The bounded number of workers that hash passwords.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

/// Why a password was not hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Busy {
    #[error("too many logins wait for their passwords to be checked")]
    Full,
    #[error("no worker became free in time")]
    Timeout,
    #[error("the worker failed")]
    Failed,
}

/// As many hashings at once as there are workers; a bounded number of others wait their turn.
#[derive(Debug)]
pub(super) struct HashingWorkers {
    workers: Arc<Semaphore>,
    waiting: AtomicU32,
}

/// Counts itself as waiting for as long as it lives, also when the login is given up half-way.
struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl HashingWorkers {
    pub(super) fn new(workers: u32) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = if workers == 0 { cores() } else { workers as usize };
        Self { workers: Arc::new(Semaphore::new(workers)), waiting: AtomicU32::new(0) }
    }

    /// Runs `work` on a blocking thread once a worker is free. `shortcut` is asked in between: while this login waited,
    /// another one may have found the answer.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        most_waiting: u32,
        patience: Duration,
        shortcut: impl FnOnce() -> Option<T> + Send,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let permit = match Arc::clone(&self.workers).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let already = self.waiting.fetch_add(1, Ordering::Relaxed);
                let _waiting = Waiting(&self.waiting);
                if already >= most_waiting {
                    return Err(Busy::Full);
                }
                let turn = tokio::time::timeout(patience, Arc::clone(&self.workers).acquire_owned()).await;
                turn.map_err(|_| Busy::Timeout)?.map_err(|_| Busy::Failed)?
            }
        };
        if let Some(answer) = shortcut() {
            return Ok(answer);
        }
        // The permit goes with the work: when the client hangs up, its thread still counts until it is done.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        done.await.map_err(|_| Busy::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn is_bounded() {
        let workers = Arc::new(HashingWorkers::new(1));
        let (release, held) = std::sync::mpsc::sync_channel::<()>(0);
        let patience = Duration::from_millis(50);
        let first = workers.run(1, patience, || None, move || held.recv().is_ok());
        tokio::pin!(first);
        assert!(futures_util::poll!(&mut first).is_pending());
        {
            let second = workers.run(1, Duration::from_secs(60), || None, || true);
            tokio::pin!(second);
            assert!(futures_util::poll!(&mut second).is_pending());
            assert_eq!(workers.run(1, patience, || None, || true).await, Err(Busy::Full));
        }
        assert_eq!(workers.run(1, patience, || None, || true).await, Err(Busy::Timeout));
        release.send(()).unwrap();
        assert_eq!(first.await, Ok(true));
        assert_eq!(workers.run(1, patience, || Some(false), || true).await, Ok(false));
    }
}
