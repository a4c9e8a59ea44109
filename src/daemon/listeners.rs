use std::sync::Arc;

use super::{Error, Roles};
use crate::config::{Config, Protocol};
use crate::foundations::net::{Bind, Counters, Inherited, Listener, ListenerOptions, TlsContext};
use crate::services::certificates::Certificates;

/// A place where the server listens.
#[derive(Debug, Clone)]
pub struct Listening {
    /// What is spoken there.
    pub protocol: Protocol,
    /// Where, with the port that was given for port 0.
    pub bind: Bind,
    /// What has happened there.
    pub counters: Arc<Counters>,
}

/// A bound socket that accepts nobody yet.
pub(super) struct Bound {
    pub(super) listening: Listening,
    pub(super) listener: Listener,
}

/// Binds everything that the roles of this process serve. Nobody is accepted yet, but clients may connect and wait.
pub(super) fn bind(
    config: &Config,
    roles: &Roles,
    certificates: &Certificates,
    nodes: Option<&TlsContext>,
    inherited: &mut Inherited,
) -> Result<Vec<Bound>, Error> {
    let every: Vec<Bind> = config.listener.iter().flat_map(|listener| listener.bind.clone()).collect();
    let mut bound = Vec::new();
    for settings in config.listener.iter().filter(|listener| roles.has(listener.role())) {
        let protocol = settings.protocol;
        if protocol == Protocol::Cluster && nodes.is_none() {
            // `check` has refused it; without keys nobody may be let in.
            continue;
        }
        let options = ListenerOptions {
            name: protocol.word(),
            connections: settings.connections as usize,
            implicit_tls: match protocol {
                Protocol::Cluster => nodes.cloned(),
                protocol => implicit_tls(protocol, certificates),
            },
            proxies: settings.proxies.clone(),
            proxy_timeout: settings.proxy_timeout.duration(),
        };
        let access = settings.access().map_err(Error::Owner)?;
        for place in &settings.bind {
            let failed = |source| Error::Listen { bind: place.clone(), source };
            for listener in Listener::bind(place, &every, access, inherited, &options).map_err(failed)? {
                let listening =
                    Listening { protocol, bind: listener.local().map_err(failed)?, counters: listener.counters() };
                bound.push(Bound { listening, listener });
            }
        }
    }
    Ok(bound)
}

/// What a protocol's handshakes need when it begins with one.
fn implicit_tls(protocol: Protocol, certificates: &Certificates) -> Option<TlsContext> {
    match protocol {
        Protocol::Https => certificates.web_context(),
        protocol if protocol.has_implicit_tls() => certificates.context(),
        _ => None,
    }
}
