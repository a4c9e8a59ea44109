//! Attempts that take long: they leave their usual places to others, and are given up when there are too many.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Lanes, Pace, Rest};
use crate::foundations::clock::Timestamp;
use crate::services::outbound::Stage;
use crate::services::queue::QueueSettings;
use crate::storage::spool::{Claimed, Destination};

/// An attempt that takes long.
#[derive(Debug)]
pub(super) struct Slow {
    number: u64,
    destination: Destination,
    pub(super) recipients: usize,
    /// Until then the message may be on its way at a fair rate.
    patience: Instant,
    attempt: Arc<LongAttempt>,
}

/// What the lanes and the worker know of an attempt that takes long.
#[derive(Debug, Default)]
pub(in super::super) struct LongAttempt {
    /// It is given up when this is cancelled, unless the message may have arrived.
    pub(in super::super) give_up: CancellationToken,
    pub(in super::super) stage: Stage,
}

/// Whether an attempt that takes long has left its usual place to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Aside {
    /// It has, under this number.
    Stepped(u64),
    /// There are too many already. The oldest has been asked to give up, so it may be worth trying again soon.
    NoRoom,
}

/// How long a destination rests if it takes long to answer and its recipients hold up others.
pub(super) const STALL: Duration = Duration::from_secs(60);

impl Lanes {
    pub(super) fn slow_workers(&self) -> u32 {
        u32::try_from(self.slow.len()).unwrap_or(u32::MAX)
    }

    /// An attempt takes long: its worker leaves its usual place to others, if there is room for that.
    pub(in super::super) fn step_aside(
        &mut self,
        group: &Claimed,
        attempt: &Arc<LongAttempt>,
        now: Instant,
        settings: &QueueSettings,
    ) -> Aside {
        self.regard(&group.destination, Pace::Doubtful);
        if self.slow_workers() >= settings.slow_connections {
            self.give_up_oldest(now);
            return Aside::NoRoom;
        }
        let Some(lane) = self.lanes.get_mut(&group.destination) else { return Aside::NoRoom };
        lane.slow += 1;
        self.doubtful = self.doubtful.saturating_sub(1);
        self.numbers += 1;
        let number = self.numbers;
        let (destination, recipients) = (group.destination.clone(), group.recipients.len());
        let patience = now + Duration::from_secs(group.entry.size / settings.slow_rate.get().max(1));
        self.slow.push_back(Slow { number, destination, recipients, patience, attempt: Arc::clone(attempt) });
        Aside::Stepped(number)
    }

    /// A long attempt has ended; its worker counts as any other.
    pub(in super::super) fn step_back(&mut self, number: u64) {
        let Some(place) = self.slow.iter().position(|slow| slow.number == number) else { return };
        let Some(slow) = self.slow.remove(place) else { return };
        if let Some(lane) = self.lanes.get_mut(&slow.destination) {
            lane.slow = lane.slow.saturating_sub(1);
            self.doubtful += u32::from(!lane.quick);
        }
    }

    /// Asks the attempt that has taken longest to give up, of those whose message cannot have arrived yet and is not on its
    /// way at a fair rate.
    pub(in super::super) fn give_up_oldest(&self, now: Instant) {
        let may_go = |slow: &&Slow| {
            let LongAttempt { give_up, stage } = &*slow.attempt;
            !give_up.is_cancelled() && !stage.is_ending() && (stage.is_opening() || slow.patience <= now)
        };
        if let Some(oldest) = self.slow.iter().find(may_go) {
            oldest.attempt.give_up.cancel();
        }
    }

    /// Makes room for other recipients: takes out those that wait for destinations all of whose workers take long. These destinations
    /// rest for a while.
    pub(in super::super) fn make_room(&mut self, now: Timestamp) -> Vec<Claimed> {
        let mut returned = Vec::new();
        for lane in self.lanes.values_mut() {
            if lane.slow == 0 || lane.slow < lane.workers || lane.backlog.is_empty() {
                continue;
            }
            let why = "The destination is slow to answer, and mail for others is waiting";
            lane.rest.get_or_insert_with(|| Rest { until: now, why: why.to_owned() });
            if let Some(rest) = &mut lane.rest {
                rest.until = rest.until.max(now + STALL);
            }
            lane.waiting = 0;
            returned.extend(lane.backlog.drain(..));
        }
        returned
    }
}
