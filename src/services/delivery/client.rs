//! The client that handed a message over to this server.

use std::net::IpAddr;

use crate::foundations::address::Domain;
use crate::foundations::mail::{HeaderSection, Mail, Message, results_of};

/// A client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    /// The name that the DNS gives the address and the address gives back; `None` when there is none or nobody has looked.
    pub(super) name: Option<String>,
}

impl Client {
    /// The client that the filter, here or in the process that took the message in, has noted; otherwise the other end of the
    /// connection.
    pub(super) fn of(mail: &Mail, message: &Message, hostname: &Domain) -> Option<Self> {
        let of_connection = || Some(Self { address: mail.origin.peer.ip()?, name: None });
        Self::noted(message, hostname).or_else(of_connection)
    }

    /// The client according to the field that only the filter may write in our name (RFC 8601 §5).
    pub(super) fn noted(message: &Message, hostname: &Domain) -> Option<Self> {
        let bytes = message.bytes();
        let header = HeaderSection::of(&bytes);
        header.all("Authentication-Results").find_map(|field| Self::read(&field.text(), hostname.as_str()))
    }

    /// Reads `iprev=pass (name) policy.iprev=address` (RFC 8601 §2.7.3).
    fn read(field: &str, hostname: &str) -> Option<Self> {
        let results = results_of(field, hostname)?;
        let result = results.into_iter().find_map(|result| result.strip_prefix("iprev="))?;
        // The last one: a name may look like anything.
        let (before, address) = result.rsplit_once("policy.iprev=")?;
        let address = address.trim().trim_matches('"').parse().ok()?;
        let name = before.strip_prefix("pass (").and_then(|name| name.split_once(')'));
        Some(Self { address, name: name.map(|(name, _)| name.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_has_noted_the_client() {
        let host: Domain = "mail.example.test".parse().unwrap();
        let noted = |results: &str| {
            let message = format!("Authentication-Results: {results}\r\nSubject: x\r\n\r\n");
            Client::noted(&Message::new(message.into_bytes()), &host)
                .map(|client| (client.address.to_string(), client.name))
        };
        let named = |name: &str| Some(name.to_owned());
        for (results, wanted) in [
            (
                "mail.example.test;\r\n\tiprev=pass (mx.far.test) policy.iprev=192.0.2.9;\r\n\tspf=none smtp.helo=x",
                Some(("192.0.2.9".to_owned(), named("mx.far.test"))),
            ),
            (
                "mail.example.test; iprev=pass (mx.far.test)\r\n\tpolicy.iprev=\"2001:db8::1\"; dkim=none",
                Some(("2001:db8::1".to_owned(), named("mx.far.test"))),
            ),
            ("mail.example.test; iprev=fail policy.iprev=192.0.2.9", Some(("192.0.2.9".to_owned(), None))),
            (
                "mail.example.test; iprev=pass (policy.iprev=203.0.113.9) policy.iprev=192.0.2.9",
                Some(("192.0.2.9".to_owned(), named("policy.iprev=203.0.113.9"))),
            ),
            ("mail.example.test; dkim=none", None),
            ("mx.elsewhere.test; iprev=pass (mx.far.test) policy.iprev=192.0.2.9", None),
        ] {
            assert_eq!(noted(results), wanted, "{results}");
        }
    }
}
