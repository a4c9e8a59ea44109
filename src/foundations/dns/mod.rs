//! Questions to the DNS, behind a trait so that tests can answer them from a table.
//!
//! Promises: an answer says how long it may be kept and whether DNSSEC vouches for it; a failure is one of "there is no
//! such name", "the name has no such record", "no answer now" and "the answer is forged". Names are given and returned
//! in ASCII, lower case, without a final dot; the system's search list is never applied. Waiting is bounded by
//! `timeout` times `attempts`, memory by `cache_size`.
//!
//! Called by the SMTP rooms, the filter and outbound delivery. Takes no locks of its own. A failure is returned, never
//! logged here.

mod answer;
mod hickory;
mod names;
mod proof;
mod settings;
mod stub;
mod weight;
mod zone;

pub use answer::{Answer, Caa, Error, ErrorKind, Mx, Security, Srv, Tlsa, addresses};
pub use hickory::SystemResolver;
pub use settings::{DnsSettings, Dnssec};
pub use zone::ZoneResolver;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::sync::Arc;

/// A pending question.
pub type Lookup<'a, T> = Pin<Box<dyn Future<Output = Result<Answer<T>, Error>> + Send + 'a>>;

/// A resolver. The daemon uses [`SystemResolver`]; tests bring a [`ZoneResolver`].
///
/// Every method fails as [`Error`] says; an [`Answer`] holds at least one record.
pub trait Resolver: Send + Sync + 'static {
    /// The mail exchangers of a domain, in the order they came.
    fn mx<'a>(&'a self, name: &'a str) -> Lookup<'a, Mx>;
    /// The IPv4 addresses of a host.
    fn a<'a>(&'a self, name: &'a str) -> Lookup<'a, Ipv4Addr>;
    /// The IPv6 addresses of a host.
    fn aaaa<'a>(&'a self, name: &'a str) -> Lookup<'a, Ipv6Addr>;
    /// The texts of a name; the strings of one record are joined without a space (RFC 7208 §3.3).
    fn txt<'a>(&'a self, name: &'a str) -> Lookup<'a, String>;
    /// The names of an address.
    fn ptr(&self, address: IpAddr) -> Lookup<'_, String>;
    /// The TLSA records of a name such as `_25._tcp.mail.example.com` (RFC 6698).
    fn tlsa<'a>(&'a self, name: &'a str) -> Lookup<'a, Tlsa>;
    /// The hosts of a service such as `_imaps._tcp.example.com`.
    fn srv<'a>(&'a self, name: &'a str) -> Lookup<'a, Srv>;
    /// The name that a name is an alias of (CNAME); not followed further.
    fn cname<'a>(&'a self, name: &'a str) -> Lookup<'a, String>;
    /// Who may issue certificates for a name. The names above it are not asked.
    fn caa<'a>(&'a self, name: &'a str) -> Lookup<'a, Caa>;
}

/// A shared resolver.
pub type SharedResolver = Arc<dyn Resolver>;
