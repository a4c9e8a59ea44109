use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::{Clock, Timestamp};

/// A clock for unit tests that stands still until it is moved. Whoever sleeps on it sleeps for ever.
pub(crate) struct Hand(AtomicI64);

impl Hand {
    pub(crate) const fn at(time: Timestamp) -> Self {
        Self(AtomicI64::new(time.0))
    }

    pub(crate) fn advance(&self, span: Duration) {
        self.0.store((self.now() + span).0, Ordering::SeqCst);
    }

    pub(crate) fn put_back(&self, span: Duration) {
        self.0.store((self.now() - span).0, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn sleep_until(&self, _: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}
