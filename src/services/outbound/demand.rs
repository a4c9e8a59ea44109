//! What a host must show before it gets mail.

use mail_auth::report::tlsrpt::ResultType;

use super::hosts::{Addresses, Host};
use super::mta_sts::{Mode, Policy};
use super::opening::Unopened;
use super::route::{OutboundParts, Way};
use super::{Group, OutboundSettings, Scope, TlsLevel, TlsPolicy, Trouble, dane};
use crate::foundations::address::{Domain, ReversePath};
use crate::foundations::dns::{Resolver, Security, Tlsa};
use crate::foundations::mail::{Envelope, HeaderSection};
use crate::foundations::wire::smtp::EnhancedStatus;
use crate::storage::spool::Destination;

/// What is demanded, and who demands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Demand {
    pub(super) policy: TlsPolicy,
    /// For the journal: `opportunistic`, `route`, `requiretls`, `mta-sts` or `dane`.
    pub(super) by: &'static str,
}

/// Who demands it where the sender does.
pub(super) const REQUIRETLS: &str = "requiretls";

/// What the sender of a message wants of TLS (RFC 8689).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SenderWish {
    /// Nothing particular: what the settings and the recipient's domain demand counts.
    None,
    /// TLS all the way (REQUIRETLS).
    Required,
    /// That the message arrives, whatever the recipient's domain demands (`TLS-Required: No`).
    Waived,
}

impl SenderWish {
    pub(super) fn of(group: &Group<'_>) -> Self {
        // RFC 8689 §3: the field says nothing beside the parameter.
        if group.envelope.require_tls {
            return if requires_tls(group.envelope) { Self::Required } else { Self::None };
        }
        let waives = |piece: &[u8]| {
            let field = HeaderSection::of(piece).first("TLS-Required");
            field.is_some_and(|field| field.value().eq_ignore_ascii_case(b"no"))
        };
        match group.message.message() {
            Some(message) if message.pieces().into_iter().any(waives) => Self::Waived,
            _ => Self::None,
        }
    }
}

/// Whether a message must not travel without TLS. A notification, which can be returned to nobody, rather goes on without than not
/// at all (RFC 8689 §5).
pub(super) fn requires_tls(envelope: &Envelope) -> bool {
    envelope.require_tls && envelope.reverse_path != ReversePath::Null
}

/// A host of a destination, and what is known that decides what it must show.
pub(super) struct Candidate<'a> {
    pub(super) destination: &'a Destination,
    pub(super) way: &'a Way,
    pub(super) host: &'a Host,
    pub(super) addresses: &'a Addresses,
    /// The policy of the destination.
    pub(super) sts: Option<&'a Policy>,
    pub(super) wish: SenderWish,
}

/// What is demanded of a host. DANE goes before MTA-STS (RFC 8461 §2). Fails when the host must not be used.
pub(super) async fn demand(
    parts: &OutboundParts,
    settings: &OutboundSettings,
    candidate: &Candidate<'_>,
) -> Result<Demand, Unopened> {
    let &Candidate { destination, way, host, addresses, sts, wish } = candidate;
    let sts = sts.filter(|policy| policy.mode == Mode::Enforce);
    let mut demand = configured(way, host, wish);
    if wish == SenderWish::Waived {
        return Ok(demand);
    }
    let is_name = host.name.parse::<Domain>().is_ok_and(|name| name.literal().is_none());
    if settings.dane && is_name && host.vouched == Security::Secure {
        let bases = bases(&*parts.resolver, host, addresses).await?;
        match vouching(parts, way, &bases).await? {
            Some((base, records)) if !records.is_empty() => {
                let mut names = vec![base.to_owned()];
                names.extend(bases.iter().rev().map(|name| (*name).to_owned()));
                if let Destination::Exchangers(domain) = destination {
                    names.push(domain.as_str().to_owned());
                }
                return Ok(Demand { policy: TlsPolicy::Dane { records, names }, by: "dane" });
            }
            // RFC 7672 §2.2: records that cannot be used still say that the host speaks TLS.
            Some(_) if demand.policy == TlsPolicy::May => {
                demand = Demand { policy: TlsPolicy::Encrypt, by: "dane" };
            }
            _ => {}
        }
    }
    let Some(sts) = sts else { return Ok(demand) };
    if !sts.allows(&host.name) {
        let text = format!("The MTA-STS policy of the domain does not list {}", host.name);
        let trouble = Trouble::ours(EnhancedStatus::new(4, 7, 0), text, Scope::Destination);
        return Err(Unopened { trouble, tls: Some(ResultType::ValidationFailure) });
    }
    Ok(Demand { policy: TlsPolicy::Verify { names: vec![host.name.clone()] }, by: "mta-sts" })
}

/// The names whose records count for a host, in the order in which they are looked for (RFC 7672 §2.2.2).
async fn bases<'n>(
    resolver: &dyn Resolver,
    host: &'n Host,
    addresses: &'n Addresses,
) -> Result<Vec<&'n str>, Unopened> {
    let own = host.name.as_str();
    Ok(match (addresses.security, addresses.canonical.as_deref()) {
        (Security::Secure, Some(canonical)) => vec![canonical, own],
        (Security::Secure, None) => vec![own],
        // A signed alias of a name that is not signed is itself beyond doubt, and may have records.
        (Security::Insecure, Some(_)) if dane::is_signed_alias(resolver, own).await? => vec![own],
        (Security::Insecure, _) => Vec::new(),
    })
}

/// The records for a host, and the one of these names that has them.
async fn vouching<'n>(
    parts: &OutboundParts,
    way: &Way,
    bases: &[&'n str],
) -> Result<Option<(&'n str, Vec<Tlsa>)>, Unopened> {
    for &base in bases {
        if let Some(records) = dane::records(&*parts.resolver, base, way.port).await? {
            return Ok(Some((base, records)));
        }
    }
    Ok(None)
}

/// By the settings, and by the sender.
fn configured(way: &Way, host: &Host, wish: SenderWish) -> Demand {
    if wish == SenderWish::Required {
        // RFC 8689 §4.2.1: the certificate must be for the host that the MX record, or the domain, names.
        return Demand { policy: TlsPolicy::Verify { names: vec![host.name.clone()] }, by: REQUIRETLS };
    }
    let by = if way.tls == TlsLevel::May { "opportunistic" } else { "route" };
    Demand { policy: TlsPolicy::of(way.tls, &host.name), by }
}
