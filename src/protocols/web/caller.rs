//! The client of a request.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

use crate::foundations::mail::Peer;

/// How a connection itself is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Not at all.
    Http,
    /// By TLS.
    Https,
}

/// The client, as far as it can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    /// The client; behind a trusted proxy, the one it names.
    pub(super) client: Peer,
    /// Whether the connection itself comes from this machine.
    pub(super) is_local: bool,
    /// Whether nobody on the way can read along.
    pub(super) is_private: bool,
    /// Whether the browser itself speaks TLS, to us or to the proxy before us.
    pub(super) is_encrypted: bool,
}

impl Caller {
    /// The client of a connection from `peer`; `proxies` are trusted about others.
    pub(super) fn of(peer: Peer, headers: &HeaderMap, proxies: &[IpNet], scheme: Scheme) -> Self {
        let is_loopback = |peer: &Peer| peer.ip().is_none_or(|ip| ip.is_loopback());
        let is_proxy = peer.is_local_or_in(proxies);
        let text = |name: &str| headers.get_all(name).iter().next_back().and_then(|value| value.to_str().ok());
        let last = |name: &str| text(name).and_then(|list| list.rsplit(',').next()).map(str::trim);
        // Everything left of the last entry was written by whoever came before the proxy.
        let client = match last("x-forwarded-for").filter(|_| is_proxy) {
            Some(entry) => Peer::Tcp(SocketAddr::new(forwarded(entry), 0)),
            None => peer,
        };
        let by_tls = is_proxy && last("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        let is_encrypted = scheme == Scheme::Https || by_tls;
        Self { client, is_local: is_loopback(&peer), is_private: is_encrypted || is_loopback(&client), is_encrypted }
    }
}

/// The address in an entry of X-Forwarded-For, with or without a port. What cannot be read is some stranger's.
fn forwarded(entry: &str) -> IpAddr {
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().or_else(|_| entry.parse().map(|address: SocketAddr| address.ip()));
    address.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    fn peer(text: &str) -> Peer {
        Peer::Tcp(text.parse().unwrap())
    }

    #[test]
    fn believes_only_proxies() {
        let proxies = crate::services::guard::loopback();
        let said = headers(&[("x-forwarded-for", "203.0.113.9, 192.0.2.7"), ("x-forwarded-proto", "https")]);
        let behind = Caller::of(peer("127.0.0.1:9"), &said, &proxies, Scheme::Http);
        assert_eq!(
            behind,
            Caller { client: peer("192.0.2.7:0"), is_local: true, is_private: true, is_encrypted: true }
        );
        let liar = Caller::of(peer("198.51.100.1:9"), &said, &proxies, Scheme::Http);
        assert_eq!(
            liar,
            Caller { client: peer("198.51.100.1:9"), is_local: false, is_private: false, is_encrypted: false }
        );
        let plain =
            Caller::of(peer("127.0.0.1:9"), &headers(&[("x-forwarded-for", "192.0.2.7")]), &proxies, Scheme::Http);
        assert!(!plain.is_private, "the client reaches the proxy without TLS");
        assert!(Caller::of(peer("[::1]:9"), &headers(&[]), &proxies, Scheme::Http).is_private);
    }

    #[test]
    fn entries_come_in_many_forms() {
        for (entry, wanted) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7:1234", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:1234", "2001:db8::7"),
            ("unknown", "0.0.0.0"),
        ] {
            assert_eq!(forwarded(entry).to_string(), wanted);
        }
    }
}
