//! Mail addresses, parsed once and then carried as values.
//!
//! Promises: an [`Address`] is syntactically valid (RFC 5321 §4.1.2, RFC 6531 §3.3 for non-ASCII), within the length
//! limits of RFC 5321 §4.5.3.1, and its domain is in one canonical form (lower case, A-labels).
//! This room does no look-up: whether an address exists is the directory's business.

mod domain;
mod local_part;
mod path;

pub use domain::{Domain, InvalidDomain, is_within};
pub use local_part::{InvalidLocalPart, LocalPart};
pub use path::{ForwardPath, ReversePath};

use std::fmt;
use std::str::FromStr;

use crate::foundations::said::{Said, said};

/// The text is not a mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.said().text)]
pub enum InvalidAddress {
    /// No `@` outside quotes.
    NoAt(String),
    /// The part before the `@`.
    #[error(transparent)]
    LocalPart(#[from] InvalidLocalPart),
    /// The part after the `@`.
    #[error(transparent)]
    Domain(#[from] InvalidDomain),
    /// Longer than RFC 5321 §4.5.3.1.3 allows for a path.
    TooLong(usize),
}

impl InvalidAddress {
    /// As a part of a sentence.
    pub fn said(&self) -> Said {
        match self {
            Self::NoAt(text) => {
                said!("address-no-at", "`{text}` has no @: an address looks like name@example.com", text)
            }
            Self::LocalPart(error) => error.said(),
            Self::Domain(error) => error.said(),
            Self::TooLong(count) => {
                said!("address-long", "the address has {count} octets; at most 254 are allowed", count)
            }
        }
    }
}

/// `local-part@domain`.
///
/// Two addresses are equal when their domains are and their local parts are, octet by octet; use
/// [`Address::key`] for the comparison the directory makes (local parts of our users ignore case).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    local: LocalPart,
    domain: Domain,
}

impl Address {
    /// Longest address in octets: a path of 256 octets less the angle brackets (RFC 5321 §4.5.3.1.3).
    pub const MAX_LENGTH: usize = 254;

    /// Joins two valid parts; fails only when both together are too long.
    pub fn new(local: LocalPart, domain: Domain) -> Result<Self, InvalidAddress> {
        let address = Self { local, domain };
        let length = address.to_string().len();
        if length > Self::MAX_LENGTH { Err(InvalidAddress::TooLong(length)) } else { Ok(address) }
    }

    /// The part before the `@`.
    pub const fn local(&self) -> &LocalPart {
        &self.local
    }

    /// The part after the `@`.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The form under which the directory knows an address: unquoted local part in lower case, `@`, domain.
    pub fn key(&self) -> String {
        format!("{}@{}", self.local.value().to_lowercase(), self.domain.as_str())
    }

    /// The address without its `+tag` (RFC 5233), and the tag, when there is one.
    pub fn split_tag(&self, separator: char) -> (Self, Option<String>) {
        match self.local.split_tag(separator) {
            Some((base, tag)) => (Self { local: base, domain: self.domain.clone() }, Some(tag)),
            None => (self.clone(), None),
        }
    }

    /// Whether every server must accept it, as far as the length of its local part goes (RFC 5321 §4.5.3.1.1). Our
    /// users' addresses should be like that.
    pub fn is_taken_everywhere(&self) -> bool {
        self.local.value().len() <= LocalPart::TAKEN_EVERYWHERE
    }

    /// Whether sending it needs SMTPUTF8 (RFC 6531): the local part is not ASCII.
    pub fn needs_smtputf8(&self) -> bool {
        !self.local.value().is_ascii()
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        // The last @ separates: a quoted local part may hold others, a domain never.
        let (local, domain) =
            text.rsplit_once('@').ok_or_else(|| InvalidAddress::NoAt(text.chars().take(80).collect()))?;
        Self::new(local.parse()?, domain.parse()?)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl serde::Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts() {
        for (text, key) in [
            ("Ann@Example.TEST", "ann@example.test"),
            ("\"a b\"@example.test", "a b@example.test"),
            ("\"a@b\"@example.test", "a@b@example.test"),
            ("\"ann\"@example.test", "ann@example.test"),
            ("o'hara+list@sub.example.test", "o'hara+list@sub.example.test"),
            ("josé@example.test", "josé@example.test"),
            ("ann@[127.0.0.1]", "ann@[127.0.0.1]"),
            ("ann@[IPv6:::1]", "ann@[ipv6:::1]"),
            ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.key(), key, "{text}");
            assert_eq!(address.to_string().parse::<Address>().unwrap(), address, "{text}");
        }
    }

    #[test]
    fn names_are_within_a_domain_by_whole_labels() {
        for (name, domain, is) in [
            ("example.test", "example.test", true),
            ("a.b.example.test", "example.test", true),
            ("badexample.test", "example.test", false),
            ("test", "example.test", false),
        ] {
            assert_eq!(is_within(name, domain), is, "{name} {domain}");
        }
    }

    #[test]
    fn refuses() {
        for text in [
            "",
            "ann",
            "@example.test",
            "ann@",
            "a b@example.test",
            ".a@example.test",
            "a.@example.test",
            "a..b@example.test",
            "ann@-x.test",
            "ann@x-.test",
            "ann@ex ample.test",
            "ann@[300.1.1.1]",
            "ann@example..test",
            "\"a@example.test",
            "a\r\nb@example.test",
            "\"a\nb\"@example.test",
            "ann@[IPv6:zz]",
            "<ann@example.test>",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            // Chains of causes are told whole, and this text has said it all.
            assert!(std::error::Error::source(&error).is_none(), "{text:?}: {error}");
        }
        let long = format!("{}@{}.test", "a".repeat(60), "b.".repeat(100) + "c");
        assert!(long.parse::<Address>().is_err());
    }

    #[test]
    fn a_local_part_may_fill_the_path() {
        let taken = |length: usize| format!("{}@fwd.test", "x".repeat(length)).parse::<Address>().is_ok();
        assert!(taken(64) && taken(65) && taken(245));
        assert!(!taken(246));
    }

    #[test]
    fn splits_the_tag() {
        let (base, tag) = "ann+lists+a@example.test".parse::<Address>().unwrap().split_tag('+');
        assert_eq!((base.to_string().as_str(), tag.as_deref()), ("ann@example.test", Some("lists+a")));
        let (base, tag) = "+a@example.test".parse::<Address>().unwrap().split_tag('+');
        assert_eq!((base.to_string().as_str(), tag), ("+a@example.test", None));
    }
}
