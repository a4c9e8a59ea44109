//! What the room needs from the rest of the house.

use std::sync::Arc;

use super::connections::Connections;
use super::settings::ImapSettings;
use crate::foundations::address::Address;
use crate::foundations::budget::Budget;
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
    /// For APPEND, by accounts.
    pub(super) append_memory: Budget<Address>,
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").field("connections", &self.connections).finish_non_exhaustive()
    }
}

impl Room {
    /// A room without sessions. The memory for APPEND is that of the settings now.
    pub fn new(needs: Needs) -> Self {
        let settings = needs.settings.get();
        let append_memory = Budget::new(settings.append_memory, settings.append_memory_per_user);
        Self { needs, connections: Connections::default(), append_memory }
    }

    /// How many accounts have sessions now.
    pub fn accounts(&self) -> usize {
        self.connections.accounts()
    }
}
