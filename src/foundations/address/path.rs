//! Envelope paths: what stands between the angle brackets of MAIL FROM and RCPT TO.

use std::fmt;

use super::Address;

/// The sender of an envelope (RFC 5321 §4.1.2): empty for notifications that must not be answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`.
    Null,
    /// `<local-part@domain>`.
    Address(Address),
}

impl ReversePath {
    /// The address, unless the path is null.
    pub const fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }

    /// The address without angle brackets, as in events and tables; empty for the null path.
    pub fn bare(&self) -> String {
        self.address().map(ToString::to_string).unwrap_or_default()
    }
}

impl fmt::Display for ReversePath {
    /// With the angle brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Address(address) => write!(f, "<{address}>"),
        }
    }
}

impl serde::Serialize for ReversePath {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => s.serialize_str(""),
            Self::Address(address) => s.collect_str(address),
        }
    }
}

impl<'de> serde::Deserialize<'de> for ReversePath {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        if text.is_empty() {
            return Ok(Self::Null);
        }
        text.parse().map(Self::Address).map_err(serde::de::Error::custom)
    }
}

/// A recipient of an envelope (RFC 5321 §4.1.2). Source routes are dropped when it is parsed (RFC 5321 appendix C).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain: the postmaster of this server (RFC 5321 §4.5.1).
    Postmaster,
    /// `<local-part@domain>`.
    Address(Address),
}

impl fmt::Display for ForwardPath {
    /// With the angle brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("<Postmaster>"),
            Self::Address(address) => write!(f, "<{address}>"),
        }
    }
}
