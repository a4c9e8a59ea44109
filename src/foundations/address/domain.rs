//! The part after the `@`: a host name or an address literal.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::foundations::said::{Said, said};

/// The text is not a domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.said().text)]
pub enum InvalidDomain {
    /// Nothing after the `@`.
    Empty,
    /// Longer than RFC 5321 §4.5.3.1.2 and RFC 1035 §2.3.4 allow.
    TooLong(String),
    /// Not letters, digits, hyphens and dots, nor a name that IDNA can turn into them.
    Syntax(String),
    /// `[...]` around something that is not an IP address.
    Literal(String),
}

impl InvalidDomain {
    /// As a part of a sentence.
    pub fn said(&self) -> Said {
        match self {
            Self::Empty => said!("domain-empty", "the domain is empty"),
            Self::TooLong(domain) => said!(
                "domain-long",
                "the domain `{domain}` is too long: at most 253 octets in all and 63 between two dots are allowed",
                domain
            ),
            Self::Syntax(domain) => said!(
                "domain-syntax",
                "`{domain}` is not a domain: letters, digits and inner hyphens between single dots are allowed",
                domain
            ),
            Self::Literal(text) => said!(
                "domain-literal",
                "`{text}` is not an address literal such as [192.0.2.1] or [IPv6:2001:db8::1]",
                text
            ),
        }
    }
}

/// A domain in canonical form: lower case A-labels without a final dot, or an address literal in brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(String);

impl Domain {
    /// The canonical text, as it goes on the wire and into DNS queries.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name for people: U-labels where IDNA knows them.
    pub fn unicode(&self) -> String {
        idna::domain_to_unicode(&self.0).0
    }

    /// The address inside `[...]`, when this is an address literal (RFC 5321 §4.1.3).
    pub fn literal(&self) -> Option<IpAddr> {
        let inner = self.0.strip_prefix('[')?.strip_suffix(']')?;
        match inner.strip_prefix("ipv6:") {
            Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => inner.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        }
    }

    /// The domain one label up, when there is one with a label left.
    pub fn parent(&self) -> Option<Self> {
        if self.0.starts_with('[') {
            return None;
        }
        self.0.split_once('.').map(|(_, rest)| Self(rest.to_owned()))
    }

    fn parse_literal(text: &str) -> Result<Self, InvalidDomain> {
        let domain = Self(text.to_ascii_lowercase());
        if domain.literal().is_some() { Ok(domain) } else { Err(InvalidDomain::Literal(text.to_owned())) }
    }
}

fn is_label(label: &str) -> bool {
    let edges_fine = !label.starts_with('-') && !label.ends_with('-');
    // The underscore is not allowed in host names, but real mail hosts use it.
    !label.is_empty() && edges_fine && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl FromStr for Domain {
    type Err = InvalidDomain;

    fn from_str(text: &str) -> Result<Self, InvalidDomain> {
        if text.starts_with('[') {
            return Self::parse_literal(text);
        }
        let shown = || text.chars().take(80).collect::<String>();
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii(text).map_err(|_| InvalidDomain::Syntax(shown()))?
        };
        let name = ascii.strip_suffix('.').unwrap_or(&ascii);
        if name.is_empty() {
            return Err(InvalidDomain::Empty);
        }
        if name.len() > 253 || name.split('.').any(|label| label.len() > 63) {
            return Err(InvalidDomain::TooLong(shown()));
        }
        if !name.split('.').all(is_label) {
            return Err(InvalidDomain::Syntax(shown()));
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.strip_prefix("[ipv6:") {
            Some(rest) => write!(f, "[IPv6:{rest}"),
            None => f.write_str(&self.0),
        }
    }
}

impl serde::Serialize for Domain {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Domain {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether a name is a domain or a subdomain of it. Both must be in the form of [`Domain::as_str`].
pub fn is_within(name: &str, domain: &str) -> bool {
    name == domain || name.strip_suffix(domain).is_some_and(|head| head.ends_with('.'))
}
