use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use ipnet::IpNet;

use super::{Listening, Roles};
use crate::config::{Config, Protocol, Role};
use crate::foundations::net::Bind;
use crate::services::probe::{Encryption, Probe, Speech, Target};

/// The listeners to check, as a client on this machine reaches them: those of this process at their actual addresses,
/// the others as configured.
pub fn probes(config: &Config, roles: &Roles, listening: &[Listening]) -> Vec<Probe> {
    let mut probes = own_probes(listening);
    probes.extend(probes_elsewhere(config, roles, listening));
    probes
}

/// The listeners whose certificates this process checks: its own, and those of other processes.
///
/// A role's sandbox may allow only the sockets it was passed, so that it cannot connect to its own listeners. Therefore
/// the role that connects to other hosts anyway checks all listeners.
pub(super) fn inspected(config: &Config, roles: &Roles, listening: &[Listening]) -> (Vec<Probe>, Vec<Probe>) {
    if !has_network() {
        return (Vec::new(), Vec::new());
    }
    let elsewhere =
        if roles.has(Role::Mta) { probes_elsewhere(config, roles, listening).collect() } else { Vec::new() };
    (own_probes(listening), elsewhere)
}

/// Whether this process may open internet sockets at all.
fn has_network() -> bool {
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    loopback.into_iter().any(|address| UdpSocket::bind((address, 0)).is_ok())
}

fn own_probes(listening: &[Listening]) -> Vec<Probe> {
    listening.iter().filter_map(|place| probe(place.protocol, place.bind.clone(), &place.proxies)).collect()
}

fn probes_elsewhere<'a>(
    config: &'a Config,
    roles: &'a Roles,
    listening: &'a [Listening],
) -> impl Iterator<Item = Probe> + 'a {
    config
        .listener
        .iter()
        .filter(|listener| listening.is_empty() || !roles.has(listener.role()))
        .flat_map(|listener| listener.bind.iter().map(move |bind| (listener, bind.clone())))
        // Opening it allows writing to mailboxes, which a process that only checks must not have.
        .filter(|(listener, bind)| {
            listener.protocol != Protocol::Lmtp || !matches!(bind, Bind::Unix(_)) || roles.may_change()
        })
        .filter_map(|(listener, bind)| probe(listener.protocol, bind, &listener.proxies))
}

fn probe(protocol: Protocol, bind: Bind, proxies: &[IpNet]) -> Option<Probe> {
    let target = match bind {
        Bind::Tcp(address) => Target::Tcp(reachable(address)),
        Bind::Unix(path) => Target::Unix(path),
        // Only systemd knows where it listens.
        Bind::Systemd(_) => return None,
    };
    let (speech, encryption) = manner(protocol)?;
    Some(Probe { protocol: protocol.word(), target, speech, encryption, proxies: proxies.to_vec() })
}

/// How to talk to a listener; `None` for the monitoring page itself, which evidently works.
const fn manner(protocol: Protocol) -> Option<(Speech, Encryption)> {
    Some(match protocol {
        Protocol::Smtp | Protocol::Submission => (Speech::Smtp, Encryption::OnRequest),
        Protocol::Submissions => (Speech::Smtp, Encryption::Immediate),
        Protocol::Sendmail => (Speech::Smtp, Encryption::None),
        Protocol::Lmtp => (Speech::Lmtp, Encryption::None),
        Protocol::Imap => (Speech::Imap, Encryption::OnRequest),
        Protocol::Imaps => (Speech::Imap, Encryption::Immediate),
        Protocol::Pop3 => (Speech::Pop3, Encryption::OnRequest),
        Protocol::Pop3s => (Speech::Pop3, Encryption::Immediate),
        Protocol::ManageSieve => (Speech::ManageSieve, Encryption::OnRequest),
        Protocol::Metrics | Protocol::Http | Protocol::Webmail => (Speech::Http, Encryption::None),
        Protocol::Https => (Speech::Http, Encryption::Immediate),
        // Only other nodes are accepted.
        Protocol::Dashboard | Protocol::Cluster => return None,
    })
}

/// Where a listener on all addresses is reached from this machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}
