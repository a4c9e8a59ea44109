//! On which terms a session was opened, and whether they are still those of its host.

use std::time::Duration;

use super::OutboundSettings;
use super::demand::{Candidate, Demand, RequireTls, demand};
use super::hosts::{Host, host_addresses};
use super::mta_sts::Policy;
use super::route::{OutboundParts, way};
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::QueueId;
use crate::storage::spool::Destination;

/// How long a session is used for further messages. After that the domain may have other exchangers.
const USED_FOR: Duration = Duration::from_secs(300);

/// What a host had to show when a session with it was opened.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) opened: Timestamp,
    pub(super) host: Host,
    pub(super) require: RequireTls,
    pub(super) demand: Demand,
}

impl Terms {
    /// Whether the host still has to show just that. A policy of its domain (DANE, MTA-STS) may have come, changed or gone since, and
    /// what must not be used for a new session now is no good for an old one either.
    pub(super) async fn hold(
        &self,
        parts: &OutboundParts,
        settings: &OutboundSettings,
        destination: &Destination,
        sts: Option<&Policy>,
        id: QueueId,
    ) -> bool {
        let Self { opened, host, require, demand: before } = self;
        if parts.clock.now().since(*opened) > USED_FOR {
            return false;
        }
        let Ok(addresses) = host_addresses(&*parts.resolver, host, settings.families, id).await else { return false };
        let way = way(settings, destination);
        let candidate = Candidate { destination, way: &way, host, addresses: &addresses, sts, require: *require };
        demand(parts, settings, &candidate).await.is_ok_and(|demanded| demanded == *before)
    }
}
