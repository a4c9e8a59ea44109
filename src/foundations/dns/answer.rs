//! Answers of a resolver.

use std::net::IpAddr;
use std::time::Duration;

use super::Resolver;

/// The records of one name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// At least one record.
    pub records: Vec<T>,
    /// How long they may be kept.
    pub ttl: Duration,
    /// Whether DNSSEC vouches for them.
    pub security: Security,
    /// The name that holds the records, if the one asked for is an alias of it (CNAME).
    pub canonical: Option<String>,
}

/// The DNSSEC state of an answer (RFC 4035 §4.3). A forged one is an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Security {
    /// Not signed, or not checked.
    Insecure,
    /// Signed, with every signature up to the root valid.
    Secure,
}

/// One mail exchanger (RFC 5321 §5.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mx {
    /// Lower is tried first.
    pub preference: u16,
    /// The host; empty for the root, which means "no mail here" (RFC 7505).
    pub exchange: String,
}

/// One TLSA record (RFC 6698 §2.1), numbers as they came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tlsa {
    /// Certificate usage: 2 is DANE-TA, 3 is DANE-EE.
    pub usage: u8,
    /// What is matched: 0 the certificate, 1 its public key.
    pub selector: u8,
    /// How: 0 in full, 1 by SHA-256, 2 by SHA-512.
    pub matching: u8,
    /// The association data.
    pub data: Vec<u8>,
}

/// One service (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Srv {
    /// Lower is tried first.
    pub priority: u16,
    /// The share among those of one priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; empty for the root, which means "no such service".
    pub target: String,
}

/// Who may issue certificates (RFC 8659 §4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caa {
    /// `issue`, `issuewild`, `iodef`.
    pub tag: String,
    /// For `issue`: the authority's name, perhaps with parameters behind a semicolon.
    pub value: String,
}

/// Why there are no records.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {kind}")]
pub struct Error {
    /// The name that was asked for.
    pub name: String,
    /// The kind of failure.
    pub kind: ErrorKind,
    /// Whether DNSSEC proves that there is nothing.
    pub security: Security,
    /// The resolver's own words.
    #[source]
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The kinds of failure that matter to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ErrorKind {
    /// The answer is forged, or the zone's signatures are broken. Treat like [`ErrorKind::Temporary`], except that it
    /// does not pass by itself.
    #[error("the answer does not match its DNSSEC signature")]
    Bogus,
    /// The name cannot exist in the DNS; a mistake of the caller.
    #[error("not a name the DNS can hold")]
    InvalidName,
    /// The name exists, but has no record of this type.
    #[error("no record of this type")]
    NoData,
    /// The name does not exist.
    #[error("no such name")]
    NoSuchName,
    /// No server answered, or one had a temporary problem.
    #[error("no answer from the name servers at the moment")]
    Temporary,
}

impl Error {
    /// A failure without a message from the resolver.
    pub fn new(name: impl Into<String>, kind: ErrorKind) -> Self {
        Self { name: name.into(), kind, security: Security::Insecure, cause: None }
    }

    /// Whether the DNS has said definitively that there is nothing.
    pub const fn is_absence(&self) -> bool {
        matches!(self.kind, ErrorKind::NoData | ErrorKind::NoSuchName)
    }
}

/// The addresses of a host, of both families, asked for at the same time; those of one family when the other has none.
///
/// Fails like [`Resolver`]'s methods when there is no address at all: a temporary failure of either family outweighs
/// the other's definite "no", because addresses might exist.
pub async fn addresses(resolver: &dyn Resolver, name: &str) -> Result<Answer<IpAddr>, Error> {
    let (v4, v6) = tokio::join!(resolver.a(name), resolver.aaaa(name));
    match (v4, v6) {
        (Ok(v4), Ok(v6)) => Ok(Answer {
            ttl: v4.ttl.min(v6.ttl),
            security: v4.security.min(v6.security),
            canonical: v6.canonical.or(v4.canonical),
            records: v6.records.into_iter().map(IpAddr::V6).chain(v4.records.into_iter().map(IpAddr::V4)).collect(),
        }),
        (Ok(v4), Err(_)) => Ok(v4.map(IpAddr::V4)),
        (Err(_), Ok(v6)) => Ok(v6.map(IpAddr::V6)),
        (Err(v4), Err(v6)) if v4.is_absence() => Err(v6),
        (Err(v4), Err(_)) => Err(v4),
    }
}

impl<T> Answer<T> {
    /// The same answer with other records.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Answer<U> {
        Answer {
            records: self.records.into_iter().map(change).collect(),
            ttl: self.ttl,
            security: self.security,
            canonical: self.canonical,
        }
    }
}
