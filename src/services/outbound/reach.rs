//! Whether mail can leave: hosts are connected to as for a delivery, and nothing is sent to them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::io::Errno;

use super::attempt::brief;
use super::dialogue::Dialogue;
use super::hosts::{Shuffle, host_addresses, hosts};
use super::route::{OutboundParts, way};
use super::{Io, Outbound, OutboundSettings, Protection, Trouble};
use crate::foundations::address::Domain;
use crate::foundations::ids::QueueId;
use crate::storage::spool::Destination;

/// What came of connecting to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Its name.
    pub host: String,
    /// Where it was looked for.
    pub address: SocketAddr,
    /// How far that went.
    pub met: Met,
}

/// How far a connection went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Met {
    /// The host is ready for mail.
    Ready,
    /// The host is reached, and says this instead of a greeting.
    Refused(String),
    /// This machine has no address of that kind, or no route.
    NoRoute(String),
    /// Nobody is reached, for this reason.
    Nobody(String),
}

impl Outbound {
    /// Where mail to these domains goes, and the hosts of all routes; each once.
    pub fn ways_out(&self, domains: &[Domain]) -> Vec<Destination> {
        let settings = self.parts.settings.get();
        let of_routes = settings.routes.iter().filter_map(|route| {
            let host = route.host.clone()?;
            Some(Destination::Host(host, route.port))
        });
        let mut ways: Vec<Destination> = Vec::new();
        for way in domains.iter().map(|domain| self.destination(domain)).chain(of_routes) {
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        ways
    }

    /// Connects to the first host of a destination, once over each kind of address, and takes leave after its greeting. Each
    /// step may take as long as `patience`.
    ///
    /// # Errors
    /// The destination has no host, or the host no address.
    pub async fn try_out(&self, destination: &Destination, patience: Duration) -> Result<Vec<Tried>, Trouble> {
        let parts = &*self.parts;
        let (settings, now) = (parts.settings.get(), parts.clock.now());
        let shuffle = Shuffle::of(QueueId::generate(now), now);
        let found = hosts(&*parts.resolver, destination, &parts.hostname, shuffle).await?;
        let Some(host) = found.into_iter().next() else { return Ok(Vec::new()) };
        let all = host_addresses(&*parts.resolver, &host, settings.families, shuffle).await?.all;
        let of_each_kind = [all.iter().find(|ip| ip.is_ipv4()), all.iter().find(|ip| ip.is_ipv6())];
        let way = way(&settings, destination);
        let (settings, way, host) = (&*settings, &way, &host);
        let met = of_each_kind.into_iter().flatten().map(|ip| async move {
            let address = SocketAddr::new(*ip, way.port);
            let met = meet(parts, settings, way.protection, address, patience).await;
            Tried { host: host.name.clone(), address, met }
        });
        Ok(join_all(met).await)
    }
}

async fn meet(
    parts: &OutboundParts,
    settings: &OutboundSettings,
    protection: Protection,
    address: SocketAddr,
    patience: Duration,
) -> Met {
    let source = match address.ip() {
        IpAddr::V4(_) => settings.source_ipv4,
        IpAddr::V6(_) => settings.source_ipv6,
    };
    match tokio::time::timeout(patience, parts.connector.connect(address, source)).await {
        // It greets inside TLS only.
        Ok(Ok(_)) if protection == Protection::Implicit => Met::Ready,
        Ok(Ok(stream)) => greeted(stream, patience, settings.timeouts.quit.duration()).await,
        Ok(Err(error)) if is_without_route(&error) => Met::NoRoute(error.to_string()),
        Ok(Err(error)) => Met::Nobody(error.to_string()),
        Err(_) => Met::Nobody(format!("no answer within {} seconds", patience.as_secs())),
    }
}

/// Some networks let connections to port 25 end nowhere, so only a greeting proves that a host is reached.
async fn greeted(stream: Box<dyn Io>, patience: Duration, leave: Duration) -> Met {
    let mut dialogue = Dialogue::new(stream);
    match dialogue.reply(patience).await {
        Ok(reply) => {
            dialogue.quit(leave).await;
            if reply.is_success() { Met::Ready } else { Met::Refused(brief(reply.to_string())) }
        }
        Err(broken) => Met::Nobody(format!("connected, but {broken}")),
    }
}

/// A kernel without IPv6 knows no such addresses at all.
pub(super) fn is_without_route(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable)
        || error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
}
