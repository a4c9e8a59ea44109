//! Which hosts take the mail of a destination, in which order.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use super::{Families, Scope, Trouble};
use crate::foundations::address::Domain;
use crate::foundations::clock::Timestamp;
use crate::foundations::dns::{Answer, Error, ErrorKind, Mx, Resolver, Security, addresses};
use crate::foundations::ids::QueueId;
use crate::foundations::wire::smtp::EnhancedStatus;
use crate::storage::spool::Destination;

/// A host to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    /// Its name, or an address literal.
    pub(super) name: String,
    /// Whether the name is known by more than an unsigned answer of the DNS.
    pub(super) vouched: Security,
    /// Whether the administrator has named it, and not the recipient's domain.
    pub(super) is_set: bool,
}

/// How hosts of equal preference, and the addresses of each, are shuffled, so that they share the load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shuffle {
    id: QueueId,
    period: u64,
}

/// How long a message finds the same order, so that a second attempt goes to the host that has greylisted the first. After that it finds
/// another: among more addresses than are tried in one attempt, those that answer come first some time.
const SAME_ORDER: Duration = Duration::from_secs(3 * 3_600);

impl Shuffle {
    /// For an attempt with this message at this time.
    pub(super) fn of(id: QueueId, now: Timestamp) -> Self {
        Self { id, period: now.since(id.made_at()).as_secs() / SAME_ORDER.as_secs() }
    }

    /// A random rank.
    fn rank(self, what: &impl Hash) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        (self.id, self.period, what).hash(&mut hasher);
        hasher.finish()
    }
}

/// The hosts for a destination: by preference, shuffled among equals (RFC 5321 §5.1).
pub(super) async fn hosts(
    resolver: &dyn Resolver,
    destination: &Destination,
    own: &Domain,
    shuffle: Shuffle,
) -> Result<Vec<Host>, Trouble> {
    let domain = match destination {
        Destination::Host(host, _) => {
            return Ok(vec![Host { name: host.as_str().to_owned(), vouched: Security::Secure, is_set: true }]);
        }
        Destination::Exchangers(domain) => domain,
        Destination::Local => return Err(trouble(5, 3, 5, "Mail for this server itself is not sent over the network")),
    };
    if domain.literal().is_some() {
        return Ok(vec![Host { name: domain.as_str().to_owned(), vouched: Security::Secure, is_set: false }]);
    }
    match resolver.mx(domain.as_str()).await {
        Ok(answer) => Ok(exchangers(answer.records, domain, own, shuffle)?
            .into_iter()
            .map(|name| Host { name, vouched: answer.security, is_set: false })
            .collect()),
        // RFC 5321 §5.1: without MX records the domain itself is the host. RFC 7672 §2.2.2: DANE needs a signed proof that there
        // are none.
        Err(Error { kind: ErrorKind::NoData, security, .. }) => {
            Ok(vec![Host { name: domain.as_str().to_owned(), vouched: security, is_set: false }])
        }
        Err(Error { kind: ErrorKind::NoSuchName | ErrorKind::InvalidName, .. }) => {
            Err(trouble(5, 1, 2, format!("The domain {domain} does not exist")))
        }
        Err(error @ Error { kind: ErrorKind::Temporary | ErrorKind::Bogus, .. }) => {
            Err(trouble(4, 4, 3, format!("The mail exchangers of {domain} cannot be looked up now: {}", error.kind)))
        }
    }
}

fn exchangers(mut records: Vec<Mx>, domain: &Domain, own: &Domain, shuffle: Shuffle) -> Result<Vec<String>, Trouble> {
    // RFC 7505 §3: a single "." says that the domain takes no mail.
    if records.iter().all(|mx| mx.exchange.is_empty()) {
        return Err(trouble(5, 1, 10, format!("The domain {domain} accepts no mail (null MX)")));
    }
    records.retain(|mx| !mx.exchange.is_empty());
    records.sort_by_cached_key(|mx| (mx.preference, shuffle.rank(&mx.exchange)));
    records.dedup_by(|a, b| a.exchange == b.exchange);
    // RFC 5321 §5.1: hosts that are no nearer to the goal than we are would send it back.
    if let Some(ours) = records.iter().find(|mx| mx.exchange == own.as_str()).map(|mx| mx.preference) {
        records.retain(|mx| mx.preference < ours);
        if records.is_empty() {
            let text = format!("Mail for {domain} loops back to this server, which does not know the domain");
            return Err(trouble(5, 4, 6, text));
        }
    }
    Ok(records.into_iter().map(|mx| mx.exchange).collect())
}

/// The addresses of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Addresses {
    /// Families in turn, IPv6 first, shuffled within each.
    pub(super) all: Vec<IpAddr>,
    /// Whether they are genuine.
    pub(super) security: Security,
    /// The name that has them, where the host's own is an alias of it.
    pub(super) canonical: Option<String>,
}

/// Looks up the addresses of a host.
pub(super) async fn host_addresses(
    resolver: &dyn Resolver,
    host: &Host,
    families: Families,
    shuffle: Shuffle,
) -> Result<Addresses, Trouble> {
    let literal = host.name.parse::<Domain>().ok().and_then(|domain| domain.literal());
    let what = if families == Families::Both { "no address" } else { "no address of a kind that this server uses" };
    let (mut all, security, canonical) = match literal {
        Some(address) => (vec![address], Security::Secure, None),
        None => match used_addresses(resolver, &host.name, families).await {
            Ok(answer) => (answer.records, answer.security, answer.canonical),
            Err(error) if error.is_absence() || error.kind == ErrorKind::InvalidName => {
                return Err(without_address(host, what));
            }
            Err(error) => {
                let text = format!("The addresses of {} cannot be looked up now: {}", host.name, error.kind);
                return Err(trouble(4, 4, 3, text));
            }
        },
    };
    all.retain(|address| match families {
        Families::Both => true,
        Families::Ipv4 => address.is_ipv4(),
        Families::Ipv6 => address.is_ipv6(),
    });
    if all.is_empty() {
        return Err(without_address(host, what));
    }
    all.sort_by_cached_key(|address| shuffle.rank(address));
    let (v6, v4): (Vec<_>, Vec<_>) = all.into_iter().partition(IpAddr::is_ipv6);
    let mut ordered = Vec::with_capacity(v6.len() + v4.len());
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    loop {
        let (six, four) = (v6.next(), v4.next());
        if six.is_none() && four.is_none() {
            return Ok(Addresses { all: ordered, security, canonical });
        }
        ordered.extend(six);
        ordered.extend(four);
    }
}

/// The addresses of a name that are of use. Others are not asked for: they do not mean that there is none of use, when that cannot be
/// found out now.
async fn used_addresses(resolver: &dyn Resolver, name: &str, families: Families) -> Result<Answer<IpAddr>, Error> {
    match families {
        Families::Both => addresses(resolver, name).await,
        Families::Ipv4 => Ok(resolver.a(name).await?.map(IpAddr::V4)),
        Families::Ipv6 => Ok(resolver.aaaa(name).await?.map(IpAddr::V6)),
    }
}

/// What it means for mail that a host has no address. If a route names the host, the administrator must correct that,
/// and the mail waits: it is not the fault of its senders or recipients.
fn without_address(host: &Host, what: &str) -> Trouble {
    if host.is_set {
        log::error!(host = host.name; "The host of a route has {what}; mail waits until `outbound.routes` or the DNS is corrected");
        return trouble(4, 3, 5, format!("The host {}, which a route of this server names, has {what}", host.name));
    }
    trouble(5, 4, 4, format!("The host {} has {what}", host.name))
}

/// Whether one of these addresses is this server's own, as far as the DNS knows it by its name. Loopback addresses, which
/// many a hosts file gives it, say nothing.
pub(super) async fn are_ours(resolver: &dyn Resolver, own: &Domain, found: &[IpAddr]) -> bool {
    // If the DNS does not tell, this server is still recognised by its greeting.
    let Ok(ours) = addresses(resolver, own.as_str()).await else { return false };
    found.iter().any(|address| !address.is_loopback() && ours.records.contains(address))
}

/// What it means for mail when a host of its destination turns out to be this server.
pub(super) fn loops(host: &str) -> Trouble {
    let text =
        format!("The mail loops back to this server: {host} is one of its names, but it does not know the domain");
    trouble(5, 4, 6, text)
}

fn trouble(class: u16, subject: u16, detail: u16, text: impl Into<String>) -> Trouble {
    Trouble::ours(EnhancedStatus::new(class, subject, detail), text, Scope::Destination)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::dns::ZoneResolver;

    /// That of a message that has just come.
    fn as_it_comes() -> Shuffle {
        Shuffle::of(QueueId::generate(Timestamp::EPOCH), Timestamp::EPOCH)
    }

    async fn find(zone: &str, domain: &str) -> Result<Vec<String>, String> {
        let resolver = ZoneResolver::new();
        resolver.add(zone).unwrap();
        let destination = Destination::Exchangers(domain.parse().unwrap());
        let own = "mail.example.test".parse().unwrap();
        let found = hosts(&resolver, &destination, &own, as_it_comes()).await;
        found.map(|hosts| hosts.into_iter().map(|host| host.name).collect()).map_err(|t| t.status.to_string())
    }

    #[tokio::test]
    async fn exchangers_come_by_preference_up_to_this_server() {
        for (zone, wanted) in [
            ("a.test MX 20 two.test\na.test MX 10 one.test", Ok(vec!["one.test", "two.test"])),
            ("a.test A 192.0.2.1", Ok(vec!["a.test"])),
            ("a.test MX 0 .", Err("5.1.10")),
            ("a.test MX 0 .\na.test MX 5 one.test", Ok(vec!["one.test"])),
            ("b.test A 192.0.2.1", Err("5.1.2")),
            ("a.test FAIL", Err("4.4.3")),
            ("a.test BOGUS", Err("4.4.3")),
            ("a.test MX 10 mail.example.test", Err("5.4.6")),
            ("a.test MX 10 mail.example.test\na.test MX 10 x.test", Err("5.4.6")),
            ("a.test MX 10 one.test\na.test MX 20 Mail.example.test\na.test MX 30 three.test", Ok(vec!["one.test"])),
        ] {
            let wanted = wanted.map(|names| names.into_iter().map(str::to_owned).collect()).map_err(str::to_owned);
            assert_eq!(find(zone, "a.test").await, wanted, "{zone}");
        }
        assert_eq!(find("", "[192.0.2.7]").await, Ok(vec!["[192.0.2.7]".to_owned()]));
    }

    #[tokio::test]
    async fn addresses_take_turns() {
        let resolver = ZoneResolver::new();
        resolver.add("h.test A 192.0.2.1\nh.test A 192.0.2.2\nh.test AAAA 2001:db8::1").unwrap();
        let host = Host { name: "h.test".to_owned(), vouched: Security::Insecure, is_set: false };
        let shuffle = as_it_comes();
        let Addresses { all, security, .. } = host_addresses(&resolver, &host, Families::Both, shuffle).await.unwrap();
        assert_eq!(security, Security::Insecure);
        assert_eq!(all.iter().map(IpAddr::is_ipv6).collect::<Vec<_>>(), [true, false, false]);
        let only = host_addresses(&resolver, &host, Families::Ipv6, shuffle).await.unwrap().all;
        assert_eq!(only.len(), 1);
        let literal = Host { name: "[ipv6:::1]".to_owned(), vouched: Security::Secure, is_set: false };
        assert_eq!(
            host_addresses(&resolver, &literal, Families::Both, shuffle).await.unwrap().all,
            [IpAddr::from([0u16, 0, 0, 0, 0, 0, 0, 1])]
        );
    }

    /// If only those of the other kind were found, a failure to find these was final, and the message was returned.
    #[tokio::test]
    async fn only_addresses_of_use_are_asked_for() {
        for (families, wanted) in [(Families::Both, 2), (Families::Ipv4, 1), (Families::Ipv6, 1)] {
            let resolver = ZoneResolver::new();
            resolver.add("h.test A 192.0.2.1\nh.test AAAA 2001:db8::1").unwrap();
            let host = Host { name: "h.test".to_owned(), vouched: Security::Insecure, is_set: false };
            host_addresses(&resolver, &host, families, as_it_comes()).await.unwrap();
            assert_eq!(resolver.questions(), wanted, "{families}");
        }
    }

    #[tokio::test]
    async fn the_order_stays_for_a_while_and_not_for_ever() {
        let resolver = ZoneResolver::new();
        let lines: Vec<String> = (1..=9).map(|n| format!("h.test A 192.0.2.{n}")).collect();
        resolver.add(&lines.join("\n")).unwrap();
        let host = Host { name: "h.test".to_owned(), vouched: Security::Insecure, is_set: false };
        let id = QueueId::generate(Timestamp::EPOCH);
        let mut orders = Vec::new();
        for hours in [0, 2, 3, 9, 50] {
            let shuffle = Shuffle::of(id, Timestamp::EPOCH + Duration::from_secs(hours * 3_600));
            orders.push(host_addresses(&resolver, &host, Families::Both, shuffle).await.unwrap().all);
        }
        assert_eq!(orders[0], orders[1]);
        orders.sort();
        orders.dedup();
        // By chance, two periods may have the same order.
        assert!(orders.len() > 1, "{orders:?}");
    }

    #[tokio::test]
    async fn who_has_no_address_gets_no_mail_unless_a_route_names_it() {
        let resolver = ZoneResolver::new();
        resolver.add("six.test AAAA 2001:db8::1").unwrap();
        for (name, is_set, status) in [
            ("none.test", false, "5.4.4"),
            ("none.test", true, "4.3.5"),
            ("six.test", false, "5.4.4"),
            ("six.test", true, "4.3.5"),
        ] {
            let host = Host { name: name.to_owned(), vouched: Security::Insecure, is_set };
            let trouble = host_addresses(&resolver, &host, Families::Ipv4, as_it_comes()).await.unwrap_err();
            assert_eq!(trouble.status.to_string(), status, "{name}");
        }
    }
}
