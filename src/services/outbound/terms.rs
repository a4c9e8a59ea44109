//! On which terms a session was opened, and whether they are still those of its host.

use std::time::Duration;

use super::demand::{Candidate, Demand, SenderWish, demand, requires_tls};
use super::hosts::{Host, Shuffle, host_addresses};
use super::mta_sts::{Certainty, Policy};
use super::route::{OutboundParts, way};
use super::{Group, OutboundSettings};
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::QueueId;
use crate::storage::spool::Destination;

/// How long a session is used for further messages. After that the domain may have other exchangers.
const USED_FOR: Duration = Duration::from_secs(300);
/// How long terms are relied on that were found to hold. A resolver that checks signatures does not keep what it has not found, such
/// as the policy of a domain that has none: without this, every message over a busy session would wait for the DNS.
const RELIED_ON: Duration = Duration::from_secs(10);

/// What a host had to show when a session with it was opened.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) opened: Timestamp,
    /// When they were last looked up.
    pub(super) found: Timestamp,
    pub(super) host: Host,
    pub(super) wish: SenderWish,
    pub(super) demand: Demand,
    /// Whether another host was left to be tried.
    pub(super) has_next: bool,
}

/// What is known of terms without asking anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// They are no good for this group, or too old.
    Over,
    /// They were found to hold a moment ago.
    Sure,
    /// A policy of the domain (DANE, MTA-STS) may have come, changed or gone since.
    Unsure,
}

impl Terms {
    /// What is known of them at this time.
    pub(super) fn standing(&self, now: Timestamp, group: &Group<'_>) -> Standing {
        let waives_more = self.wish == SenderWish::Waived && SenderWish::of(group) != SenderWish::Waived;
        // What a sender demands of the way to a host was not asked for then.
        let demands_more = requires_tls(group.envelope) && self.wish != SenderWish::Required;
        // If the clock was put back, it does not tell how old they are.
        let is_old = now < self.found || now.since(self.opened) > USED_FOR;
        if waives_more || demands_more || is_old {
            Standing::Over
        } else if now.since(self.found) < RELIED_ON {
            Standing::Sure
        } else {
            Standing::Unsure
        }
    }

    /// Looks up whether the host has to show just that, and no more. What must not be used for a new session now is no good for an old
    /// one either.
    pub(super) async fn look_up(
        &mut self,
        parts: &OutboundParts,
        settings: &OutboundSettings,
        destination: &Destination,
        sts: Option<&Policy>,
        id: QueueId,
    ) -> bool {
        let now = parts.clock.now();
        let Self { host, wish, demand: before, .. } = &*self;
        let found = host_addresses(&*parts.resolver, host, settings.families, Shuffle::of(id, now)).await;
        let Ok(addresses) = found else { return false };
        let way = way(settings, destination);
        // Why it does not hold makes no difference here.
        let certainty = Certainty::Sure;
        let candidate = Candidate { destination, way: &way, host, addresses: &addresses, sts, certainty, wish: *wish };
        let holds = demand(parts, settings, &candidate).await.is_ok_and(|demanded| demanded == *before);
        self.found = now;
        holds
    }
}
