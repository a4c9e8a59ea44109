//! Answers that several may use.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// The last answer to one question. While it is fresh everybody gets it; when it is not, one asks and the others wait.
#[derive(Debug)]
pub struct Shared<T> {
    last: Mutex<Option<(Instant, Arc<T>)>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { last: Mutex::new(None) }
    }
}

impl<T> Shared<T> {
    /// The last answer if it is younger than this, else a new one.
    pub async fn get(&self, fresh_for: Duration, ask: impl Future<Output = T>) -> Arc<T> {
        let mut last = self.last.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < fresh_for
        {
            return Arc::clone(answer);
        }
        let answer = Arc::new(ask.await);
        *last = Some((Instant::now(), Arc::clone(&answer)));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn asks_once_while_fresh() {
        let (shared, asked) = (Shared::default(), AtomicU32::new(0));
        let ask = || async { asked.fetch_add(1, Ordering::Relaxed) };
        let long = Duration::from_secs(3_600);
        let (first, second) = tokio::join!(shared.get(long, ask()), shared.get(long, ask()));
        assert_eq!((*first, *second), (0, 0));
        assert_eq!(*shared.get(Duration::ZERO, ask()).await, 1);
        assert_eq!(*shared.get(long, ask()).await, 1);
    }
}
