//! The client's name (RFC 8601 §3: `iprev`).

use std::net::IpAddr;

use crate::foundations::dns::Resolver;

/// Whether the client's address has a name that leads back to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Iprev {
    /// It has this one, in lower case.
    Pass(String),
    /// It has none, or those it has lead elsewhere.
    Fail,
    /// The DNS did not answer.
    TempError,
}

/// Most names of one address that are looked up.
const MAX_NAMES: usize = 5;

/// Looks up the names of the address, and the addresses of those names.
pub async fn iprev(resolver: &dyn Resolver, address: IpAddr) -> Iprev {
    let names = match resolver.ptr(address).await {
        Ok(answer) => answer.records,
        Err(error) if error.is_absence() => return Iprev::Fail,
        Err(_) => return Iprev::TempError,
    };
    let mut unsure = false;
    for name in names.into_iter().take(MAX_NAMES) {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let found = match address {
            IpAddr::V4(v4) => resolver.a(&name).await.map(|a| a.records.contains(&v4)),
            IpAddr::V6(v6) => resolver.aaaa(&name).await.map(|a| a.records.contains(&v6)),
        };
        match found {
            Ok(true) => return Iprev::Pass(name),
            Ok(false) => {}
            Err(error) => unsure |= !error.is_absence(),
        }
    }
    if unsure { Iprev::TempError } else { Iprev::Fail }
}
