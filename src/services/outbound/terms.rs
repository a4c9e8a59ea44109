//! On which terms a session was opened, and whether they are still those of its host.

use std::time::Duration;

use super::demand::{Candidate, Demand, SenderWish, demand};
use super::hosts::{Host, host_addresses};
use super::mta_sts::Policy;
use super::route::{OutboundParts, way};
use super::{Group, OutboundSettings};
use crate::foundations::clock::Timestamp;
use crate::storage::spool::Destination;

/// How long a session is used for further messages. After that the domain may have other exchangers.
const USED_FOR: Duration = Duration::from_secs(300);

/// What a host had to show when a session with it was opened.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) opened: Timestamp,
    pub(super) host: Host,
    pub(super) wish: SenderWish,
    pub(super) demand: Demand,
}

impl Terms {
    /// Whether the host has to show just that, and no more, for this group. A policy of its domain (DANE, MTA-STS) may have come,
    /// changed or gone since, and what must not be used for a new session now is no good for an old one either.
    pub(super) async fn hold(
        &self,
        parts: &OutboundParts,
        settings: &OutboundSettings,
        destination: &Destination,
        sts: Option<&Policy>,
        group: &Group<'_>,
    ) -> bool {
        let Self { opened, host, wish, demand: before } = self;
        let waives_more = *wish == SenderWish::Waived && SenderWish::of(group) != SenderWish::Waived;
        if waives_more || parts.clock.now().since(*opened) > USED_FOR {
            return false;
        }
        let found = host_addresses(&*parts.resolver, host, settings.families, group.id).await;
        let Ok(addresses) = found else { return false };
        let way = way(settings, destination);
        let candidate = Candidate { destination, way: &way, host, addresses: &addresses, sts, wish: *wish };
        demand(parts, settings, &candidate).await.is_ok_and(|demanded| demanded == *before)
    }
}
