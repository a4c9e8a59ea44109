use std::path::PathBuf;
use std::sync::Arc;

use crate::foundations::clock::{SharedClock, SystemClock};
use crate::foundations::dns::SharedResolver;
use crate::foundations::net::Inherited;
use crate::services::outbound::{Connector, TcpConnector};

/// The outside world of the server, which tests replace.
pub struct World {
    /// The time.
    pub clock: SharedClock,
    /// The DNS resolver; `None` for the one configured in `dns`.
    pub resolver: Option<SharedResolver>,
    /// Opens connections to other hosts.
    pub connector: Arc<dyn Connector>,
    /// The directory of this process's credentials, for declared accounts.
    pub credentials: Option<PathBuf>,
    /// Sockets passed by systemd.
    pub inherited: Inherited,
}

impl World {
    /// The real world.
    pub fn real(inherited: Inherited) -> Self {
        Self {
            clock: Arc::new(SystemClock),
            resolver: None,
            connector: Arc::new(TcpConnector),
            credentials: None,
            inherited,
        }
    }
}
