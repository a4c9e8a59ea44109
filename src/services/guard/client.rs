//! Whom the guard counts: clients, their networks, and accounts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::foundations::mail::Peer;

/// Longest account name that is counted as given, in octets; a longer one is counted by its beginning.
const LONGEST_NAME: usize = 254;

/// IPv4 addresses as translators show them to hosts that have IPv6 only (RFC 6052 §2.1).
const TRANSLATED: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);

/// A client: one IPv4 address, or the /64 that one IPv6 site's host can choose its address from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Client {
    address: IpAddr,
    host: IpNet,
    network: IpNet,
    site: Option<IpNet>,
}

impl Client {
    pub(super) fn of(ip: IpAddr) -> Self {
        let address = ip.to_canonical();
        match address {
            IpAddr::V4(ip) => Self { address, host: v4(ip, 32), network: v4(ip, 24), site: None },
            // Here the /64 would be all of IPv4.
            IpAddr::V6(ip) if ip.octets().starts_with(&TRANSLATED.octets()[..12]) => {
                Self { address, host: v6(ip, 128), network: v6(ip, 120), site: None }
            }
            IpAddr::V6(ip) => Self { address, host: v6(ip, 64), network: v6(ip, 56), site: Some(v6(ip, 48)) },
        }
    }

    /// The address it connects from, for bans that are narrower than what is counted.
    pub(super) const fn address(&self) -> IpAddr {
        self.address
    }

    /// What is counted as one client.
    pub(super) const fn host(&self) -> IpNet {
        self.host
    }

    /// The network around it: IPv4 /24, IPv6 /56.
    pub(super) const fn network(&self) -> IpNet {
        self.network
    }

    /// The most that one customer is usually given, where that is more: IPv6 /48.
    pub(super) const fn site(&self) -> Option<IpNet> {
        self.site
    }
}

/// The network with which a client is counted, IPv4 /24 or IPv6 /56; `None` for one on this machine's own socket.
pub fn network(peer: &Peer) -> Option<IpNet> {
    peer.ip().map(|ip| Client::of(ip).network())
}

fn v4(ip: Ipv4Addr, prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new(ip, prefix).map_or_else(|_| Ipv4Net::from(ip), |net| net.trunc()))
}

fn v6(ip: Ipv6Addr, prefix: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new(ip, prefix).map_or_else(|_| Ipv6Net::from(ip), |net| net.trunc()))
}

/// The name under which an account is counted, whether it exists or not.
pub(super) fn account_key(name: &str) -> String {
    let mut end = name.len().min(LONGEST_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_what_one_host_can_choose_from() {
        for (address, host, network, site) in [
            ("192.0.2.7", "192.0.2.7/32", "192.0.2.0/24", None),
            ("::ffff:192.0.2.7", "192.0.2.7/32", "192.0.2.0/24", None),
            ("2001:db8:1:2ff::7", "2001:db8:1:2ff::/64", "2001:db8:1:200::/56", Some("2001:db8:1::/48")),
            ("64:ff9b::192.0.2.7", "64:ff9b::192.0.2.7/128", "64:ff9b::192.0.2.0/120", None),
            ("64:ff9b:1::192.0.2.7", "64:ff9b:1::/64", "64:ff9b:1::/56", Some("64:ff9b:1::/48")),
        ] {
            let client = Client::of(address.parse().unwrap());
            let wanted: (IpNet, IpNet) = (host.parse().unwrap(), network.parse().unwrap());
            assert_eq!((client.host(), client.network()), wanted, "{address}");
            assert_eq!(client.site(), site.map(|site| site.parse().unwrap()), "{address}");
        }
    }
}
