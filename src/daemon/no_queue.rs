use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::foundations::failure::Refusal;
use crate::foundations::ids::QueueId;
use crate::services::handover::{Postponed, Queueing};

/// Stands in for the queue in a process without one, which serves LMTP to recipients that have been resolved already.
/// Anything that would have to wait is left to the client, which has a queue.
pub(super) struct NoQueue;

fn no_queue() -> Refusal {
    Refusal::temporary("this process has no queue; the `mta` role has")
}

impl Queueing for NoQueue {
    fn postpone<'a>(&'a self, _: Postponed<'a>) -> BoxFuture<'a, Result<QueueId, Refusal>> {
        std::future::ready(Err(no_queue())).boxed()
    }

    fn postpone_together<'a>(&'a self, _: Vec<Postponed<'a>>) -> BoxFuture<'a, Result<Vec<QueueId>, Refusal>> {
        std::future::ready(Err(no_queue())).boxed()
    }
}
