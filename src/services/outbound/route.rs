//! Where a domain's mail goes.

use std::sync::Arc;

use super::mta_sts::Policies;
use super::{Connector, Courier, OutboundSettings, Protection, Roots, RouteSettings, TlsLevel};
use crate::foundations::address::Domain;
use crate::foundations::clock::SharedClock;
use crate::foundations::dns::SharedResolver;
use crate::foundations::settings::Live;
use crate::services::filter::Filter;
use crate::storage::database::Database;
use crate::storage::reports::Reports;
use crate::storage::spool::Destination;

/// Delivery to other hosts. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Outbound {
    pub(super) parts: Arc<OutboundParts>,
    /// The MTA-STS policies of others that are known.
    pub(super) policies: Arc<Policies>,
}

/// What outbound delivery needs.
pub struct OutboundParts {
    /// Its settings.
    pub settings: Live<OutboundSettings>,
    /// Our name, for EHLO, and by which we know ourselves among mail exchangers.
    pub hostname: Domain,
    /// The DNS.
    pub resolver: SharedResolver,
    /// What opens connections.
    pub connector: Arc<dyn Connector>,
    /// Whose certificates are trusted.
    pub roots: Roots,
    /// The time, for how long policies hold.
    pub clock: SharedClock,
    /// Where results are counted for the reports that domains ask for.
    pub reports: Option<Reports>,
    /// Where policies of others are kept over a restart.
    pub database: Option<Database>,
    /// What makes our signatures again where a message is converted.
    pub filter: Option<Arc<Filter>>,
}

/// How one destination is to be reached.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) port: u16,
    pub(super) protection: Protection,
    pub(super) tls: TlsLevel,
    pub(super) login: Option<(String, std::path::PathBuf)>,
}

impl Outbound {
    /// Puts the parts together.
    pub fn new(parts: OutboundParts) -> Self {
        Self { parts: Arc::new(parts), policies: Arc::default() }
    }

    /// Where mail for a domain goes next, by the first route that fits, else by its mail exchangers. Whether the domain is
    /// our own is not asked here.
    pub fn destination(&self, domain: &Domain) -> Destination {
        let settings = self.parts.settings.get();
        match route(&settings, domain) {
            Some(RouteSettings { host: Some(host), port, .. }) => Destination::Host(host.clone(), *port),
            _ => Destination::Exchangers(domain.clone()),
        }
    }

    /// Someone to work for a destination, without a connection yet.
    pub fn courier(&self, destination: Destination) -> Courier {
        Courier::new(self.clone(), destination)
    }
}

/// The first route that fits a domain.
fn route<'a>(settings: &'a OutboundSettings, domain: &Domain) -> Option<&'a RouteSettings> {
    settings.routes.iter().find(|route| route.domains.iter().any(|pattern| fits(pattern, domain.as_str())))
}

/// Whether a domain is meant by `example.com`, `*.example.com` or `*`.
fn fits(pattern: &str, domain: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    match pattern.strip_prefix('*') {
        Some("") => true,
        Some(suffix) => suffix.starts_with('.') && domain.len() > suffix.len() && domain.ends_with(suffix),
        None => pattern == domain,
    }
}

/// How a destination is reached: by the settings of its route, which are looked for again each time, so that a
/// reload counts for what is queued already.
pub(super) fn way(settings: &OutboundSettings, destination: &Destination) -> Way {
    let found = match destination {
        Destination::Host(host, port) => {
            settings.routes.iter().find(|route| route.host.as_ref() == Some(host) && route.port == *port)
        }
        Destination::Exchangers(domain) => route(settings, domain).filter(|route| route.host.is_none()),
        Destination::Local => None,
    };
    let port = if let Destination::Host(_, port) = destination { *port } else { settings.port };
    match found {
        Some(route) => Way {
            port,
            protection: route.protection,
            tls: route.tls,
            login: route.username.clone().zip(route.password_file.clone()),
        },
        None => Way { port, protection: Protection::StartTls, tls: settings.tls, login: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_a_domain_or_all_below_it() {
        for (pattern, domain, yes) in [
            ("example.com", "example.com", true),
            ("Example.com", "example.com", true),
            ("example.com", "a.example.com", false),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "example.com", false),
            ("*example.com", "anexample.com", false),
            ("*", "anything.test", true),
        ] {
            assert_eq!(fits(pattern, domain), yes, "{pattern} {domain}");
        }
    }
}
