//! Networks in their written form.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// `192.0.2.0/24`, `2001:db8::/32`, or the network of a single address; `None` if it is none. An IPv4 network written as IPv6
/// (`::ffff:192.0.2.0/120`) is taken as the IPv4 network it is: no client shows such an address.
pub fn parse_network(text: &str) -> Option<IpNet> {
    let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    Some(match network {
        IpNet::V6(v6) if v6.prefix_len() >= MAPPED => v6
            .addr()
            .to_ipv4_mapped()
            .and_then(|address| Ipv4Net::new(address, v6.prefix_len() - MAPPED).ok())
            .map_or(network, IpNet::V4),
        _ => network,
    })
}

/// Length of the prefix before an IPv4 address (RFC 4291 §2.5.5.2).
const MAPPED: u8 = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_networks_are_known_in_any_clothes() {
        for (text, wanted) in [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("::ffff:0.0.0.0/96", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:db8::7", "2001:db8::7/128"),
        ] {
            assert_eq!(parse_network(text), wanted.parse().ok(), "{text}");
        }
        for text in ["", "mail.example.com", "192.0.2.0/33", "192.0.2"] {
            assert_eq!(parse_network(text), None, "{text}");
        }
    }
}
