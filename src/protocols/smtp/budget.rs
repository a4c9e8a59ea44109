//! Memory for messages that are being received.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::foundations::settings::ByteSize;

/// The memory that all sessions together may fill with messages. Cloning gives another handle to it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>, u32);

/// What one session holds of it; given back when dropped.
#[derive(Debug, Default)]
pub(super) struct Share {
    permit: Option<OwnedSemaphorePermit>,
}

/// The unit in which memory is counted.
const UNIT: usize = 4096;

impl Budget {
    /// So many octets, at least one megabyte.
    pub fn new(size: ByteSize) -> Self {
        let units = (size.len().max(1 << 20) / UNIT).min(Semaphore::MAX_PERMITS);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        Self(Arc::new(Semaphore::new(units as usize)), units)
    }

    /// Brings a share to so many octets at least, waiting at most `patience`; whether it has them.
    pub(super) async fn enlarge(&self, share: &mut Share, octets: usize, patience: Duration) -> Enough {
        let held = share.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        // A message larger than everything there is gets all of it, alone.
        let wanted = u32::try_from(octets.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.1);
        let missing = wanted.saturating_sub(u32::try_from(held).unwrap_or(u32::MAX));
        if missing == 0 {
            return Enough::Yes;
        }
        let acquire = Arc::clone(&self.0).acquire_many_owned(missing);
        let Ok(Ok(more)) = tokio::time::timeout(patience, acquire).await else { return Enough::No };
        match &mut share.permit {
            Some(permit) => permit.merge(more),
            None => share.permit = Some(more),
        }
        Enough::Yes
    }
}

/// Whether a share has what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enough {
    Yes,
    No,
}

impl Share {
    /// Gives everything back.
    pub(super) fn release(&mut self) {
        self.permit = None;
    }

    /// Octets in the share.
    pub(super) fn octets(&self) -> usize {
        self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) * UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shares_are_bounded_and_given_back() {
        let budget = Budget::new(ByteSize::mib(1));
        let (mut first, mut second) = (Share::default(), Share::default());
        let soon = Duration::from_millis(10);
        assert_eq!(budget.enlarge(&mut first, 1 << 19, soon).await, Enough::Yes);
        assert_eq!(budget.enlarge(&mut first, 1 << 19, soon).await, Enough::Yes);
        assert_eq!(first.octets(), 1 << 19);
        assert_eq!(budget.enlarge(&mut second, 1 << 20, soon).await, Enough::No);
        assert_eq!(budget.enlarge(&mut second, 1 << 19, soon).await, Enough::Yes);
        first.release();
        assert_eq!(budget.enlarge(&mut second, 1 << 30, soon).await, Enough::Yes);
    }
}
