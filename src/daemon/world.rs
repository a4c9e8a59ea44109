use std::path::PathBuf;
use std::sync::Arc;

use crate::foundations::clock::{SharedClock, SystemClock};
use crate::foundations::dns::SharedResolver;
use crate::foundations::net::Inherited;
use crate::services::outbound::{Connector, TcpConnector};

/// What the server finds outside itself, and what tests put in its place.
pub struct World {
    /// The time.
    pub clock: SharedClock,
    /// Names and addresses; `None` for the one that `dns` of the configuration describes.
    pub resolver: Option<SharedResolver>,
    /// What opens connections to other hosts.
    pub connector: Arc<dyn Connector>,
    /// The directory of this process's credentials, for declared accounts.
    pub credentials: Option<PathBuf>,
    /// Sockets that systemd has passed.
    pub inherited: Inherited,
}

impl World {
    /// The world as it is.
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
