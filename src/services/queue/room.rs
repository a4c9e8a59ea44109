//! The room and what it is made of.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, OnceCell, Semaphore};

use super::QueueSettings;
use super::lanes::{Lanes, Rest};
use super::notify::Tellings;
use crate::foundations::address::Domain;
use crate::foundations::clock::SharedClock;
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::services::handover::LocalDelivery;
use crate::services::outbound::Outbound;
use crate::services::routing::Routing;
use crate::storage::journal::Journal;
use crate::storage::spool::{Counts, Destination, QueueNode, Spool};

/// What the queue needs.
pub struct QueueParts {
    /// Its settings. `memory` counts from the start of the process.
    pub settings: Live<QueueSettings>,
    /// Our name in notifications.
    pub hostname: Domain,
    /// The name under which this process claims recipients. The next process has it again; no other does at the same time.
    pub claimant: String,
    /// This process among others of the same queue, where there are several nodes.
    pub node: Option<QueueNode>,
    /// Where entries are kept.
    pub spool: Spool,
    /// Who passes them on to other hosts.
    pub outbound: Outbound,
    /// Who knows which addresses are ours.
    pub routing: Routing,
    /// Who puts them into mailboxes.
    pub delivery: Arc<dyn LocalDelivery>,
    /// Where attempts are recorded.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
    /// Where the scheduler and its workers run.
    pub tasks: Tasks,
}

/// The queue. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Queue(pub(super) Arc<Room>);

pub(super) struct Room {
    pub(super) parts: QueueParts,
    pub(super) lanes: Mutex<Lanes>,
    pub(super) tellings: Tellings,
    /// Set when what an earlier process had claimed has been taken back. From then on, claims under our name are this process's.
    pub(super) begun: OnceCell<()>,
    /// Something has changed that the scheduler should look at.
    pub(super) stir: Notify,
    /// Octets of messages that may be in memory.
    pub(super) memory: Memory,
    /// Those among them that may be for destinations which have not lately been quick.
    pub(super) doubtful_memory: Memory,
}

/// Memory for messages, in units of [`MEMORY_UNIT`].
pub(super) struct Memory {
    pub(super) permits: Arc<Semaphore>,
    pub(super) units: u32,
}

impl Memory {
    fn new(octets: u64) -> Self {
        let units = u32::try_from((octets / MEMORY_UNIT).clamp(1, 1 << 28)).unwrap_or(1 << 28);
        Self { permits: Arc::new(Semaphore::new(usize::try_from(units).unwrap_or(1))), units }
    }
}

/// Octets for which one permit of the memory stands.
pub(super) const MEMORY_UNIT: u64 = 4096;

/// What a destination is doing now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneState {
    /// Which.
    pub destination: Destination,
    /// Recipients in memory that wait for it.
    pub waiting: usize,
    /// Connections, idle ones included.
    pub connections: u32,
    /// Its rest, if it has one.
    pub rest: Option<Rest>,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("lanes", &*self.0.lanes.lock()).finish_non_exhaustive()
    }
}

impl Queue {
    /// Puts the parts together. Nothing is sent before [`Queue::start`].
    pub fn new(parts: QueueParts) -> Self {
        let octets = parts.settings.get().memory.get();
        let (memory, doubtful_memory) = (Memory::new(octets), Memory::new(octets / 4 * 3));
        Self(Arc::new(Room {
            parts,
            lanes: Mutex::default(),
            tellings: Tellings::default(),
            begun: OnceCell::new(),
            stir: Notify::new(),
            memory,
            doubtful_memory,
        }))
    }

    /// The queue in numbers. Fails when the database does.
    pub async fn counts(&self) -> Result<Counts, super::Error> {
        Ok(self.0.parts.spool.counts().await?)
    }

    /// The destinations that have work or rest, for people to see.
    pub fn lanes(&self) -> Vec<LaneState> {
        self.0.lanes.lock().states()
    }

    /// Connections to other hosts and to mailboxes at this moment.
    pub fn connections(&self) -> u32 {
        self.0.lanes.lock().workers()
    }
}
