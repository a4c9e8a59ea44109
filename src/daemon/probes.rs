use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Listening, Roles};
use crate::config::{Config, Protocol};
use crate::foundations::net::Bind;
use crate::services::probe::{Encryption, Probe, Speech, Target};

/// The listeners to try, as a client on this machine reaches them: those of this process where it really listens, the
/// others where the configuration says.
pub fn probes(config: &Config, roles: &Roles, listening: &[Listening]) -> Vec<Probe> {
    let elsewhere = config
        .listener
        .iter()
        .filter(|listener| listening.is_empty() || !roles.has(listener.role()))
        .flat_map(|listener| listener.bind.iter().map(|bind| (listener.protocol, bind.clone())))
        // Whoever may open it can put mail into mailboxes, and that is not for a process that only looks.
        .filter(|(protocol, bind)| *protocol != Protocol::Lmtp || !matches!(bind, Bind::Unix(_)) || roles.may_change());
    own_probes(listening).into_iter().chain(elsewhere.filter_map(|(protocol, bind)| probe(protocol, bind))).collect()
}

/// The listeners of this process.
pub(super) fn own_probes(listening: &[Listening]) -> Vec<Probe> {
    listening.iter().filter_map(|place| probe(place.protocol, place.bind.clone())).collect()
}

fn probe(protocol: Protocol, bind: Bind) -> Option<Probe> {
    let target = match bind {
        Bind::Tcp(address) => Target::Tcp(reachable(address)),
        Bind::Unix(path) => Target::Unix(path),
        // Where systemd listens is its own affair.
        Bind::Systemd(_) => return None,
    };
    let (speech, encryption) = manner(protocol)?;
    Some(Probe { protocol: protocol.word(), target, speech, encryption })
}

/// How a listener is spoken to; `None` for the page itself, which is seen to work.
const fn manner(protocol: Protocol) -> Option<(Speech, Encryption)> {
    Some(match protocol {
        Protocol::Smtp | Protocol::Submission => (Speech::Smtp, Encryption::OnRequest),
        Protocol::Submissions => (Speech::Smtp, Encryption::Immediate),
        Protocol::Lmtp => (Speech::Lmtp, Encryption::None),
        Protocol::Imap => (Speech::Imap, Encryption::OnRequest),
        Protocol::Imaps => (Speech::Imap, Encryption::Immediate),
        Protocol::Pop3 => (Speech::Pop3, Encryption::OnRequest),
        Protocol::Pop3s => (Speech::Pop3, Encryption::Immediate),
        Protocol::ManageSieve => (Speech::ManageSieve, Encryption::OnRequest),
        Protocol::Metrics | Protocol::Http | Protocol::Webmail => (Speech::Http, Encryption::None),
        Protocol::Https => (Speech::Http, Encryption::Immediate),
        Protocol::Dashboard => return None,
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
