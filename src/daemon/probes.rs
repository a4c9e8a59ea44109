use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use ipnet::IpNet;

use super::{Listening, Roles};
use crate::config::{Config, Protocol, Role};
use crate::foundations::net::Bind;
use crate::services::probe::{Encryption, Probe, Speech, Target};

/// The listeners to try, as a client on this machine reaches them: those of this process where it really listens, the
/// others where the configuration says.
pub fn probes(config: &Config, roles: &Roles, listening: &[Listening]) -> Vec<Probe> {
    let mut probes = own_probes(listening);
    probes.extend(probes_elsewhere(config, roles, listening));
    probes
}

/// The listeners whose certificates this process looks at: its own, and those of other processes.
///
/// The sandbox of a role may leave it nothing but the sockets it was handed, so that it cannot knock at its own door. The role
/// that speaks to other hosts in any case looks at all listeners therefore.
pub(super) fn inspected(config: &Config, roles: &Roles, listening: &[Listening]) -> (Vec<Probe>, Vec<Probe>) {
    if !has_network() {
        return (Vec::new(), Vec::new());
    }
    let elsewhere =
        if roles.has(Role::Mta) { probes_elsewhere(config, roles, listening).collect() } else { Vec::new() };
    (own_probes(listening), elsewhere)
}

/// Whether this process may open sockets of the internet protocols at all.
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
        // Whoever may open it can put mail into mailboxes, and that is not for a process that only looks.
        .filter(|(listener, bind)| {
            listener.protocol != Protocol::Lmtp || !matches!(bind, Bind::Unix(_)) || roles.may_change()
        })
        .filter_map(|(listener, bind)| probe(listener.protocol, bind, &listener.proxies))
}

fn probe(protocol: Protocol, bind: Bind, proxies: &[IpNet]) -> Option<Probe> {
    let target = match bind {
        Bind::Tcp(address) => Target::Tcp(reachable(address)),
        Bind::Unix(path) => Target::Unix(path),
        // Where systemd listens is its own affair.
        Bind::Systemd(_) => return None,
    };
    let (speech, encryption) = manner(protocol)?;
    Some(Probe { protocol: protocol.word(), target, speech, encryption, proxies: proxies.to_vec() })
}

/// How a listener is spoken to; `None` for the page itself, which is seen to work.
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
        // Only other nodes are let in.
        Protocol::Dashboard | Protocol::Cluster => return None,
    })
}

/// Where a listener of all addresses is reached from this machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}
