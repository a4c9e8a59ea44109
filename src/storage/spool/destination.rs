//! The next hop for a recipient's mail.

use std::fmt;
use std::str::FromStr;

use crate::foundations::address::Domain;

/// The next hop of a recipient: the unit that shares connections, limits and pauses. Its text is a column of the queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// Mailboxes of this server: `local`.
    Local,
    /// The mail exchangers of a domain, or an address literal: `mx:example.com`.
    Exchangers(Domain),
    /// A host named by a route, without asking for its mail exchangers: `host:relay.example.com:587`.
    Host(Domain, u16),
}

/// The text is not a destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a destination such as local, mx:example.com or host:relay.example.com:587")]
pub struct InvalidDestination(String);

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Exchangers(domain) => write!(f, "mx:{domain}"),
            Self::Host(host, port) => write!(f, "host:{host}:{port}"),
        }
    }
}

impl FromStr for Destination {
    type Err = InvalidDestination;

    fn from_str(text: &str) -> Result<Self, InvalidDestination> {
        let invalid = || InvalidDestination(text.chars().take(300).collect());
        if text == "local" {
            return Ok(Self::Local);
        }
        if let Some(domain) = text.strip_prefix("mx:") {
            return domain.parse().map(Self::Exchangers).map_err(|_| invalid());
        }
        let (host, port) = text.strip_prefix("host:").and_then(|rest| rest.rsplit_once(':')).ok_or_else(invalid)?;
        Ok(Self::Host(host.parse().map_err(|_| invalid())?, port.parse().map_err(|_| invalid())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_read_back_from_its_text() {
        for text in ["local", "mx:example.com", "mx:[192.0.2.1]", "host:[IPv6:2001:db8::1]:2525", "host:r.example:25"] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        for text in ["", "mx:", "host:a", "host:a:99999", "example.com"] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }
}
