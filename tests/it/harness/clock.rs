use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider::foundations::clock::{Clock, SystemClock, Timestamp};
use tokio::sync::Notify;

/// A clock that stands still until it is moved. It begins at the real time, so that certificates are valid.
#[derive(Clone)]
pub struct TestClock(Arc<Inner>);

struct Inner {
    now: Mutex<Timestamp>,
    moved: Notify,
}

impl TestClock {
    pub fn new() -> Self {
        Self(Arc::new(Inner { now: Mutex::new(SystemClock.now()), moved: Notify::new() }))
    }

    /// Moves it forward; everything that sleeps until then wakes up.
    pub fn advance(&self, span: Duration) {
        let mut now = self.0.now.lock();
        *now = *now + span;
        drop(now);
        self.0.moved.notify_waiters();
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.now.lock()
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let clock = self.clone();
        Box::pin(async move {
            loop {
                let moved = clock.0.moved.notified();
                tokio::pin!(moved);
                // Registered before the look at the time, so that no move in between is missed.
                moved.as_mut().enable();
                if clock.now() >= at {
                    return;
                }
                moved.await;
            }
        })
    }
}
