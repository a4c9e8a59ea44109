//! What the room needs from the rest of the house.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connections::Connections;
use super::settings::ImapSettings;
use crate::foundations::clock::SharedClock;
use crate::foundations::net::TlsContext;
use crate::foundations::settings::Live;
use crate::services::cluster::Cluster;
use crate::services::guard::Guard;
use crate::services::lessons::Lessons;
use crate::services::login::Login;
use crate::storage::directory::Directory;
use crate::storage::journal::Journal;
use crate::storage::mailbox::Mailboxes;

/// What IMAP sessions are given; filled by `daemon::build`.
#[derive(Clone)]
pub struct Needs {
    /// Limits and times.
    pub settings: Live<ImapSettings>,
    /// Who may connect.
    pub guard: Guard,
    /// Checks passwords.
    pub login: Login,
    /// Knows quotas.
    pub directory: Directory,
    /// The mail.
    pub mailboxes: Mailboxes,
    /// Takes events.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
    /// Who learns from what users do with messages; nobody when `None`.
    pub lessons: Option<Arc<Lessons>>,
    /// Who has which mailboxes, where there are several nodes.
    pub cluster: Option<Cluster>,
    /// For STARTTLS; `None` without a certificate.
    pub tls: Option<TlsContext>,
}

/// All IMAP sessions of this process.
pub struct Room {
    pub(super) needs: Needs,
    pub(super) connections: Connections,
    append_memory: Arc<Semaphore>,
}

/// The right to hold a message in memory.
#[derive(Debug)]
pub struct Memory(#[expect(dead_code, reason = "held, never looked at")] OwnedSemaphorePermit);

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").field("connections", &self.connections).finish_non_exhaustive()
    }
}

impl Room {
    /// A room without sessions. The memory for APPEND is that of the settings now.
    pub fn new(needs: Needs) -> Self {
        let units = units(needs.settings.get().append_memory.get()) as usize;
        let append_memory = Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS)));
        Self { needs, connections: Connections::default(), append_memory }
    }

    /// How many accounts have sessions now.
    pub fn accounts(&self) -> usize {
        self.connections.accounts()
    }

    /// Waits until there is memory for so many octets; `None` when there is none within `patience`.
    pub(super) async fn memory(&self, octets: u64, patience: Duration) -> Option<Memory> {
        let acquire = Arc::clone(&self.append_memory).acquire_many_owned(units(octets));
        match tokio::time::timeout(patience, acquire).await {
            Ok(Ok(permit)) => Some(Memory(permit)),
            _ => None,
        }
    }
}

/// Memory is counted in KiB, so that a semaphore can count it.
fn units(octets: u64) -> u32 {
    u32::try_from(octets.div_ceil(1024)).unwrap_or(u32::MAX)
}
