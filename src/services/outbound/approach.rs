//! How the hosts of a destination are approached.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::attempt::{Contact, Verified};
use super::demand::{Candidate, Demand, SenderWish, demand};
use super::hosts::{Addresses, Host};
use super::mta_sts::{Certainty, Policy};
use super::observed::{Far, Observer};
use super::opening::{Finding, Session, Target, Unopened, open};
use super::route::{OutboundParts, Way, way};
use super::{Outbound, OutboundSettings, Trouble};
use crate::foundations::clock::Timestamp;
use crate::storage::spool::Destination;

/// How the hosts of a destination are approached, and who hears what was seen there.
pub(super) struct Approach<'a> {
    pub(super) parts: &'a OutboundParts,
    settings: &'a OutboundSettings,
    destination: &'a Destination,
    way: Way,
    pub(super) finding: Finding,
    sts: Option<&'a Policy>,
    certainty: Certainty,
    pub(super) wish: SenderWish,
    /// Before what its hosts must show is looked up.
    pub(super) begun: Timestamp,
    observer: Option<Observer<'a>>,
}

impl<'a> Approach<'a> {
    pub(super) fn new(
        parts: &'a OutboundParts,
        settings: &'a OutboundSettings,
        destination: &'a Destination,
        (sts, certainty): (Option<&'a Policy>, Certainty),
        wish: SenderWish,
    ) -> Self {
        let name = match destination {
            // What was waived says nothing about how the domain's policies are kept.
            Destination::Exchangers(domain) if domain.literal().is_none() && wish != SenderWish::Waived => {
                Some(domain.as_str())
            }
            _ => None,
        };
        let observer = name.map(|name| Observer::new(parts, settings, name, sts));
        let finding = match destination {
            Destination::Exchangers(_) => Finding::ByDns,
            _ => Finding::ByRoute,
        };
        let (way, begun) = (way(settings, destination), parts.clock.now());
        Self { parts, settings, destination, way, finding, sts, certainty, wish, begun, observer }
    }

    /// What a host must show; see [`demand`].
    pub(super) async fn demand(&self, host: &Host, addresses: &Addresses) -> Result<Demand, Trouble> {
        let Self { parts, settings, destination, way, .. } = self;
        let (sts, certainty, wish) = (self.sts, self.certainty, self.wish);
        let candidate = Candidate { destination, way, host, addresses, sts, certainty, wish };
        let demanded = demand(parts, settings, &candidate).await;
        demanded.map_err(|Unopened { trouble, tls, .. }| {
            if let (Some(observer), Some(failure)) = (&self.observer, tls) {
                observer.excluded(failure, Far { host: &host.name, address: None });
            }
            trouble
        })
    }

    /// Opens a session with a host at one of its addresses.
    pub(super) async fn open(
        &self,
        host: &Host,
        address: IpAddr,
        demand: &Demand,
    ) -> Result<Session, (Unopened, Contact)> {
        let Demand { policy, by } = demand;
        let socket = SocketAddr::new(address, self.way.port);
        let target = Target {
            host: &host.name,
            address: socket,
            way: &self.way,
            policy: policy.clone(),
            by,
            finding: self.finding,
        };
        let far = Far { host: &host.name, address: Some(address) };
        let opened = open(self.parts, self.settings, &target).await;
        if let Some(observer) = &self.observer {
            match &opened {
                Ok(session) => observer.opened(demand, session, far),
                Err(unopened) => observer.not_opened(demand, unopened, far),
            }
        }
        opened.map_err(|unopened| {
            let host = host.name.clone();
            let contact = Contact { host, address: Some(socket), tls: None, verified: Verified::No, policy: by };
            (unopened, contact)
        })
    }
}

/// The MTA-STS policy of a destination, where its mail exchangers get the mail.
pub(super) async fn policy(
    outbound: &Outbound,
    settings: &OutboundSettings,
    destination: &Destination,
) -> (Option<Arc<Policy>>, Certainty) {
    let Destination::Exchangers(domain) = destination else { return (None, Certainty::Sure) };
    if !settings.mta_sts.enabled || domain.literal().is_some() {
        return (None, Certainty::Sure);
    }
    let Outbound { parts, policies } = outbound;
    policies.find(parts, settings, domain.as_str()).await
}
