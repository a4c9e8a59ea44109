//! The self-test: whether others can reach this server and will trust its mail, and what to do if not.
//!
//! Each check gives findings, each finding says what was looked at, what was found and, where something is amiss, the
//! remedy. Promises: changes nothing, logs in nowhere and sends no mail; asks the DNS, connects to our own listeners
//! and to a few hosts that mail may leave to, and looks at our own files. What cannot be determined is a finding too, never passed over in silence. Called by the
//! command line.

mod dmarc;
mod domains;
mod finding;
mod host;
mod listeners;
mod machine;
mod outgoing;
mod spf;
mod tags;
mod tlsa;

pub use finding::{Finding, Health};
pub use listeners::{Lacking, Shut};
pub use machine::{Guarded, OTHERS, Unread, Volume};

use std::net::IpAddr;

use futures_util::StreamExt as _;
use futures_util::future::join5;

use crate::foundations::address::Domain;
use crate::foundations::clock::SharedClock;
use crate::foundations::dns::Resolver;
use crate::services::certificates::acme::AcmeCertificate;
use crate::services::filter::DnsListSettings;
use crate::services::outbound::Outbound;
use crate::services::probe::{Probe, Prober};
use crate::services::records::Wanted;

/// What is examined, and with what.
pub struct Doctor<'d> {
    /// What should be in the DNS.
    pub wanted: Wanted,
    /// The chains of the host's certificates in its files, in DER, each with the host's own first. They count where no
    /// listener shows any.
    pub chains: Vec<Vec<Vec<u8>>>,
    /// The hosts of the authorities that issue certificates by ACME.
    pub authorities: Vec<String>,
    /// Asks the DNS.
    pub resolver: &'d dyn Resolver,
    /// Fetches policies as another server would.
    pub outbound: Outbound,
    /// The domains whose keys are rotated on a schedule.
    pub rotated: &'d [Domain],
    /// Files that the configuration names and that could not be read, so that what depends on them is not examined.
    pub unread: Vec<Unread>,
    /// The DNS lists that others may look us up in.
    pub lists: &'d [DnsListSettings],
    /// Tries listeners.
    pub prober: Prober,
    /// The listeners, as this machine reaches them.
    pub probes: Vec<Probe>,
    /// Listeners that a running role could not open: another program answers there.
    pub unopened: Vec<Shut>,
    /// Certificates that the server obtains itself and that lack some of their names.
    pub lacking: Vec<Lacking>,
    /// The ports that others must reach; none are tried when it is empty.
    pub ports: Vec<u16>,
    /// The domains whose mail exchangers are tried, to see whether mail can leave; no other host is when it is `None`.
    pub reach: Option<&'d [Domain]>,
    /// Files and directories that not everybody may read.
    pub guarded: Vec<Guarded>,
    /// File systems that must not be full.
    pub volumes: Vec<Volume>,
    /// Why the database cannot be asked, if so. The domains are then only those that were named.
    pub database: Option<String>,
    /// Certificates whose authorities are asked for the time.
    pub clocks: &'d [AcmeCertificate],
    /// How many connections may be open at once.
    pub connections: u64,
    /// The time.
    pub clock: SharedClock,
}

impl Doctor<'_> {
    /// Examines everything. Findings come in the order of the checks, and of the domains.
    pub async fn examine(&self) -> Vec<Finding> {
        let addresses = self.addresses().await;
        let found = addresses.as_deref().unwrap_or_default();
        let domains: Vec<_> = self.wanted.domains.iter().map(|domain| domains::check(self, domain, found)).collect();
        // Results in the order of the domains, whichever the DNS answers first.
        let domains = futures_util::stream::iter(domains).buffered(DOMAINS_AT_ONCE).collect::<Vec<_>>();
        // On the heap, because together they are large.
        let (host, listeners) = (Box::pin(host::check(self, &addresses)), Box::pin(listeners::check(self, found)));
        let time = Box::pin(machine::compared_time(self.clocks, &self.clock));
        let outgoing = Box::pin(outgoing::check(self));
        let (mut findings, domains, listeners, outgoing, time) = join5(host, domains, listeners, outgoing, time).await;
        findings.extend(domains.into_iter().flatten());
        findings.extend(listeners);
        findings.extend(outgoing);
        findings.extend(machine::check(self, time));
        finding::said_once(findings)
    }

    /// The addresses of the host in the DNS, or why there are none.
    async fn addresses(&self) -> Result<Vec<IpAddr>, crate::foundations::dns::Error> {
        let found = crate::foundations::dns::addresses(self.resolver, self.wanted.hostname.as_str()).await?;
        Ok(found.records)
    }
}

/// How many domains are examined at once. Each asks some twenty questions at a time, and name servers take only so many.
const DOMAINS_AT_ONCE: usize = 8;
