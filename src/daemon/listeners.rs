use std::io;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Error, Roles};
use crate::config::{Config, Protocol};
use crate::foundations::net::{Bind, Counters, Inherited, Listener, ListenerOptions, TlsContext};
use crate::services::certificates::Certificates;

/// A place where the server listens.
#[derive(Debug, Clone)]
pub struct Listening {
    /// The protocol.
    pub protocol: Protocol,
    /// The address, with the actual port instead of port 0.
    pub bind: Bind,
    /// Its connection counts.
    pub counters: Arc<Counters>,
    /// The networks from which a PROXY header is expected.
    pub proxies: Vec<IpNet>,
}

/// A listener that could not be opened: systemd has passed other sockets but not this one, and the process could not
/// open it itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unopened {
    /// The protocol: [`Protocol::word`].
    pub protocol: String,
    /// The address, as in the configuration.
    pub listener: String,
    /// The system's error.
    pub reason: String,
}

impl Unopened {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        format!(
            "Another program may use the port: `ss -ltnp` shows it. Stop it, then restart the socket's unit, on NixOS \
             `systemctl restart postrider-{}.socket`, which restarts the role with it.",
            self.protocol
        )
    }
}

/// The listeners of a process, opened or not.
pub(super) struct BoundListeners {
    pub(super) bound: Vec<Bound>,
    pub(super) unopened: Vec<Unopened>,
}

/// A bound socket that does not accept connections yet.
pub(super) struct Bound {
    pub(super) listening: Listening,
    pub(super) listener: Listener,
}

/// Binds everything that the roles of this process serve. No connections are accepted yet, but clients may connect and
/// wait.
///
/// Under systemd each port has its own socket unit, and a socket whose port is taken by another program is not passed:
/// the others are still served. If systemd has passed none, or nothing at all could be served, the process ends: the
/// service manager restarts it, and an administrator sees why.
pub(super) fn bind(
    config: &Config,
    roles: &Roles,
    certificates: &Certificates,
    nodes: Option<&TlsContext>,
    inherited: &mut Inherited,
) -> Result<BoundListeners, Error> {
    let activated = inherited.names().next().is_some();
    let every: Vec<Bind> = config.listener.iter().flat_map(|listener| listener.bind.clone()).collect();
    let (mut bound, mut refused) = (Vec::new(), Vec::new());
    for settings in config.listener.iter().filter(|listener| roles.has(listener.role())) {
        let protocol = settings.protocol;
        if protocol == Protocol::Cluster && nodes.is_none() {
            // `check` has refused it; without keys nobody may log in.
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
            let failed = |source| Error::Listen { protocol: Some(protocol), bind: place.clone(), source };
            let listeners = match Listener::bind(place, &every, access, inherited, &options) {
                Ok(listeners) => listeners,
                Err(error) if activated => {
                    refused.push((protocol, place, error));
                    continue;
                }
                Err(error) => return Err(failed(error)),
            };
            for listener in listeners {
                let listening = Listening {
                    protocol,
                    bind: listener.local().map_err(failed)?,
                    counters: listener.counters(),
                    proxies: settings.proxies.clone(),
                };
                bound.push(Bound { listening, listener });
            }
        }
    }
    if bound.is_empty()
        && let Some((protocol, place, source)) = refused.pop()
    {
        return Err(Error::Listen { protocol: Some(protocol), bind: place.clone(), source });
    }
    Ok(BoundListeners { bound, unopened: refused.iter().map(tell_of).collect() })
}

fn tell_of((protocol, place, error): &(Protocol, &Bind, io::Error)) -> Unopened {
    let reason = match place {
        Bind::Systemd(_) => error.to_string(),
        _ => format!("systemd passed no socket for it, and this process cannot open it: {error}"),
    };
    let unopened = Unopened { protocol: protocol.to_string(), listener: place.to_string(), reason };
    log::error!(
        protocol = unopened.protocol, listener = unopened.listener, error = unopened.reason, remedy = unopened.remedy();
        "{} on {} is not served, but the other listeners are: {}", unopened.protocol, unopened.listener, unopened.reason
    );
    unopened
}

/// What a protocol needs for its handshakes if it begins with one.
fn implicit_tls(protocol: Protocol, certificates: &Certificates) -> Option<TlsContext> {
    match protocol {
        Protocol::Https => certificates.web_context(),
        protocol if protocol.has_implicit_tls() => certificates.context(),
        _ => None,
    }
}

/// Why an address cannot be listened on, and what to do about it. Without a protocol it is a control socket.
pub(super) fn complaint(protocol: Option<Protocol>, bind: &Bind, error: &io::Error) -> String {
    let what = protocol
        .map_or_else(|| "the control socket".to_owned(), |protocol| format!("the listener `{}`", protocol.word()));
    let remedy = remedy(protocol, bind, error.kind());
    format!("{what} cannot listen on {bind}: {error}{}{remedy}", if remedy.is_empty() { "" } else { ". " })
}

fn remedy(protocol: Option<Protocol>, bind: &Bind, kind: io::ErrorKind) -> String {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    let word = protocol.map_or("control", Protocol::word);
    match (bind, kind) {
        (Bind::Tcp(address), AddrInUse) => format!(
            "Another program uses this port: as root, `ss -ltnp 'sport = :{}'` shows it. Stop it, or set another port in \
             `bind` of the `[[listener]]` with `protocol = \"{word}\"`",
            address.port()
        ),
        (Bind::Tcp(address), PermissionDenied) if address.port() < PRIVILEGED => format!(
            "Opening ports below {PRIVILEGED} requires root or a capability: set \
             `AmbientCapabilities=CAP_NET_BIND_SERVICE` in the unit (docs/without-nixos.md), or let a systemd socket unit \
             with `FileDescriptorName={word}` open the port, and set `bind = \"systemd:{word}\"`"
        ),
        (Bind::Tcp(address), AddrNotAvailable) => format!(
            "No interface of this machine has this address now: `ip address` lists the existing ones. Set one of them in \
             `bind`, or \"[::]:{}\" for all; if it is assigned late, start the server after `network-online.target`",
            address.port()
        ),
        (Bind::Unix(path), AddrInUse) => format!(
            "A process already listens there: as root, `ss -lxp src {}` shows it. It may be this server, already running: stop \
             it, or set another {}",
            path.display(),
            if protocol.is_some() { "path in `bind`" } else { "`server.control_directory`" }
        ),
        (Bind::Unix(path), NotFound | NotADirectory | PermissionDenied | ReadOnlyFilesystem) => format!(
            "The directory `{}` must exist, and the user this process runs as must be allowed to write in it",
            path.parent().unwrap_or(path).display()
        ),
        _ => String::new(),
    }
}

/// The first port that everybody may open by default on Linux.
const PRIVILEGED: u16 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_cannot_be_had_is_told_with_what_to_do() {
        use io::ErrorKind::{AddrInUse, AddrNotAvailable, NotFound, Other, PermissionDenied};
        for (protocol, bind, kind, wanted) in [
            (
                Some(Protocol::Smtp),
                "0.0.0.0:25",
                AddrInUse,
                &["the listener `smtp`", "0.0.0.0:25", "ss -ltnp 'sport = :25'"] as &[&str],
            ),
            (
                Some(Protocol::Imaps),
                "[::]:993",
                PermissionDenied,
                &["`imaps`", "[::]:993", "CAP_NET_BIND_SERVICE", "systemd:imaps"],
            ),
            (Some(Protocol::Smtp), "192.0.2.1:25", AddrNotAvailable, &["192.0.2.1:25", "`ip address`", "\"[::]:25\""]),
            (Some(Protocol::Lmtp), "unix:/nowhere/l.sock", NotFound, &["`lmtp`", "`/nowhere` must exist"]),
            (None, "unix:/run/postrider/mta.sock", AddrInUse, &["the control socket", "`server.control_directory`"]),
        ] {
            let told = complaint(protocol, &bind.parse().unwrap(), &kind.into());
            assert!(wanted.iter().all(|words| told.contains(words)), "{told}");
            assert!(told.contains(&io::Error::from(kind).to_string()), "{told}");
        }
        let unknown = complaint(Some(Protocol::Smtp), &"[::]:25".parse().unwrap(), &Other.into());
        assert!(unknown.ends_with("other error"), "{unknown}");
    }
}
