//! What a host must show before it gets mail.

use mail_auth::report::tlsrpt::ResultType;

use super::hosts::{Addresses, Host};
use super::mta_sts::{Certainty, Mode, Policy};
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
    /// Whether that is known.
    pub(super) certainty: Certainty,
    pub(super) wish: SenderWish,
}

/// What is demanded of a host. DANE goes before MTA-STS (RFC 8461 §2). Fails when the host must not be used.
pub(super) async fn demand(
    parts: &OutboundParts,
    settings: &OutboundSettings,
    candidate: &Candidate<'_>,
) -> Result<Demand, Unopened> {
    let &Candidate { destination, way, host, addresses, sts, certainty, wish } = candidate;
    let enforced = sts.filter(|policy| policy.mode == Mode::Enforce);
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
    let Some(enforced) = enforced else {
        let is_enough = wish != SenderWish::Required || is_vouched(destination, host, sts);
        return if is_enough { Ok(demand) } else { Err(unvouched(host, certainty).into()) };
    };
    if !enforced.allows(&host.name) {
        let text = format!("The MTA-STS policy of the domain does not list {}", host.name);
        let trouble = Trouble::ours(EnhancedStatus::new(4, 7, 0), text, Scope::Destination);
        return Err(Unopened::for_lack_of_tls(trouble, ResultType::ValidationFailure));
    }
    Ok(Demand { policy: TlsPolicy::Verify { names: vec![host.name.clone()] }, by: "mta-sts" })
}

/// Whether a host is known to serve the destination by more than an unsigned answer, which could lead a message to a host with a good
/// certificate of its own (RFC 8689 §4.2.1, §8.2).
fn is_vouched(destination: &Destination, host: &Host, sts: Option<&Policy>) -> bool {
    let is_domain_itself = matches!(destination, Destination::Exchangers(domain) if domain.as_str() == host.name);
    let is_listed = || sts.is_some_and(|policy| policy.mode != Mode::None && policy.allows(&host.name));
    is_domain_itself || host.vouched == Security::Secure || is_listed()
}

fn unvouched(host: &Host, certainty: Certainty) -> Trouble {
    let (class, end) = match certainty {
        Certainty::Sure => (5, ""),
        Certainty::Unsure => (4, "; whether there is such a policy cannot be found out now"),
    };
    let text = format!(
        "The sender requires TLS all the way (REQUIRETLS), and neither DNSSEC nor an MTA-STS policy vouches for {}{end}",
        host.name
    );
    Trouble::ours(EnhancedStatus::new(class, 7, 10), text, Scope::Message)
}

/// The names whose records count for a host, in the order in which they are looked for (RFC 7672 §2.2.2).
async fn bases<'n>(
    resolver: &dyn Resolver,
    host: &'n Host,
    addresses: &'n Addresses,
) -> Result<Vec<&'n str>, Unopened> {
    let own = host.name.as_str();
    if addresses.security == Security::Secure {
        return Ok(addresses.canonical.as_deref().into_iter().chain([own]).collect());
    }
    // A signed alias of a name that is not signed is itself beyond doubt, and may have records.
    let is_alias = addresses.canonical.is_some();
    Ok(if is_alias && dane::is_signed_alias(resolver, own).await? { vec![own] } else { Vec::new() })
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
