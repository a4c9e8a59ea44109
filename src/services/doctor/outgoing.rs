//! Whether mail can leave: many networks let no machine connect to port 25 elsewhere until their operator is asked.

use std::time::Duration;

use futures_util::future::join_all;

use super::{Doctor, Finding, Health};
use crate::foundations::wire::smtp::EnhancedStatus;
use crate::services::outbound::{Met, Tried, Trouble};
use crate::storage::spool::Destination;

const CHECK: &str = "outgoing";
/// How long a host may take to be reached, and to greet.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn check(doctor: &Doctor<'_>) -> Vec<Finding> {
    let Some(domains) = doctor.reach else { return Vec::new() };
    let ways = doctor.outbound.ways_out(domains);
    let results = join_all(ways.iter().map(|way| doctor.outbound.try_out(way, PATIENCE))).await;
    let (mut findings, mut of_exchangers) = (Vec::new(), Vec::new());
    for (way, result) in ways.into_iter().zip(results) {
        match way {
            Destination::Host(host, port) => findings.push(by_route(&format!("{host}:{port}"), result)),
            Destination::Exchangers(_) | Destination::Local => of_exchangers.push(result),
        }
    }
    findings.extend(by_exchangers(of_exchangers));
    findings
}

/// What is found of the host of a route.
fn by_route(about: &str, result: Result<Vec<Tried>, Trouble>) -> Finding {
    let ill = |health, found: String, remedy: &str| Finding::ill(CHECK, about, health, found, remedy);
    let tried = match result {
        Ok(tried) => tried,
        Err(trouble) => {
            let remedy = "Correct `host` of the route in [[outbound.routes]], or the DNS: its mail waits until then.";
            let is_silent = trouble.status == EnhancedStatus::new(4, 4, 3);
            return ill(if is_silent { Health::Unknown } else { Health::Wrong }, trouble.reply, remedy);
        }
    };
    if tried.iter().any(|one| one.met == Met::Ready) {
        return Finding::well(CHECK, about, "the host of the route answers");
    }
    let remedy = if tried.iter().any(|one| matches!(one.met, Met::Refused(_))) {
        "Ask the operator of the host: mail by this route waits until it accepts this server."
    } else {
        "Check `host` and `port` of the route, and whether the firewall of this machine and your provider allow connections \
         to that port. Most relays also accept ports 587 and 465, which are rarely blocked."
    };
    ill(Health::Wrong, reasons(&tried), remedy)
}

/// What is found of the mail exchangers of others.
fn by_exchangers(results: Vec<Result<Vec<Tried>, Trouble>>) -> Vec<Finding> {
    let (mut tried, mut trouble) = (Vec::new(), None);
    for result in results {
        match result {
            Ok(of_one) => tried.extend(of_one),
            Err(because) => trouble = Some(because.reply),
        }
    }
    if let (true, Some(because)) = (tried.is_empty(), trouble) {
        let remedy =
            "Check the name servers that this machine asks, or name other domains in `outbound.doctor_domains`.";
        return vec![Finding::ill(CHECK, "mail to others", Health::Unknown, because, remedy)];
    }
    let (over_ipv4, over_ipv6): (Vec<Tried>, Vec<Tried>) = tried.into_iter().partition(|one| one.address.is_ipv4());
    let mut findings = over(Family::Ipv4, &over_ipv4);
    // Almost every host has an IPv4 address.
    let family = if over_ipv4.iter().any(is_reached) { Family::SpareIpv6 } else { Family::Ipv6 };
    findings.extend(over(family, &over_ipv6));
    findings
}

/// What hosts were tried over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Ipv4,
    Ipv6,
    /// IPv6 where IPv4 works.
    SpareIpv6,
}

fn is_reached(one: &Tried) -> bool {
    matches!(one.met, Met::Ready | Met::Refused(_))
}

fn over(family: Family, tried: &[Tried]) -> Vec<Finding> {
    let Some(first) = tried.first() else { return Vec::new() };
    let name = if family == Family::Ipv4 { "IPv4" } else { "IPv6" };
    let about = format!("port {} over {name}", first.address.port());
    let is_without_route = tried.iter().all(|one| matches!(one.met, Met::NoRoute(_)));
    if family == Family::SpareIpv6 && is_without_route {
        // Then nobody is waited for either.
        return Vec::new();
    }
    if !tried.iter().any(is_reached) {
        let health = if family == Family::SpareIpv6 { Health::Warning } else { Health::Wrong };
        let remedy = if is_without_route { ROUTELESS } else { blocked(family) };
        return vec![Finding::ill(CHECK, about, health, reasons(tried), remedy)];
    }
    let ready: Vec<&str> = tried.iter().filter(|one| one.met == Met::Ready).map(|one| one.host.as_str()).collect();
    let mut findings = Vec::new();
    if !ready.is_empty() {
        findings.push(Finding::well(CHECK, &about, format!("answered by {}", ready.join(", "))));
    }
    let refusals = tried.iter().filter(|one| matches!(one.met, Met::Refused(_)));
    findings.extend(refusals.map(|one| Finding::ill(CHECK, &about, Health::Warning, reason(one), REFUSED)));
    findings
}

fn reasons(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return "there is no host to connect to".to_owned();
    }
    tried.iter().map(reason).collect::<Vec<_>>().join("; ")
}

fn reason(one: &Tried) -> String {
    let Tried { host, address, met } = one;
    match met {
        Met::Ready => format!("{host} at {address} answers"),
        Met::Refused(said) => format!("{host} at {address} says `{said}`"),
        Met::NoRoute(because) | Met::Nobody(because) => format!("{host} at {address} cannot be reached: {because}"),
    }
}

/// What to do where nobody is reached.
fn blocked(family: Family) -> &'static str {
    match family {
        Family::SpareIpv6 => {
            "Ask your provider to open the port for IPv6 too, or set `outbound.families = \"ipv4\"`: until then every message \
             first tries these addresses in vain."
        }
        Family::Ipv4 | Family::Ipv6 => {
            "Many providers block outgoing port 25 until they are asked: ask yours to open it, and check the firewall of \
             this machine. Until then mail leaves only through a relay: [[outbound.routes]] with `domains = [\"*\"]`, on \
             NixOS `smarthost`."
        }
    }
}

const ROUTELESS: &str = "This machine has no route there: give it an address of this kind and a route.";
const REFUSED: &str =
    "Follow what the reply says: often the address of this server is on a block list, or has no proper PTR record.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::outbound::Scope;

    fn tried(address: &str, met: Met) -> Tried {
        Tried { host: "mx.far.test".to_owned(), address: address.parse().unwrap(), met }
    }

    fn nobody() -> Met {
        Met::Nobody("no answer within 10 seconds".to_owned())
    }

    #[test]
    fn a_port_is_open_where_anybody_is_reached() {
        const FOUR: &str = "192.0.2.1:25";
        const SIX: &str = "[2001:db8::1]:25";
        let (refused, no_route) = (Met::Refused("554 5.7.1 Blocked".to_owned()), Met::NoRoute("no route".to_owned()));
        for (found, wanted) in [
            (vec![(FOUR, Met::Ready)], vec![(Health::Well, "mx.far.test")]),
            (vec![(FOUR, nobody()), (FOUR, Met::Ready)], vec![(Health::Well, "mx.far.test")]),
            (vec![(FOUR, nobody()), (FOUR, nobody())], vec![(Health::Wrong, "providers block")]),
            (vec![(FOUR, refused.clone())], vec![(Health::Warning, "554 5.7.1 Blocked")]),
            (
                vec![(FOUR, refused.clone()), (FOUR, Met::Ready)],
                vec![(Health::Well, "mx.far.test"), (Health::Warning, "block list")],
            ),
            (vec![(FOUR, Met::Ready), (SIX, no_route.clone())], vec![(Health::Well, "IPv4")]),
            (
                vec![(FOUR, Met::Ready), (SIX, nobody())],
                vec![(Health::Well, "IPv4"), (Health::Warning, "outbound.families")],
            ),
            (vec![(FOUR, no_route), (SIX, Met::Ready)], vec![(Health::Wrong, "no route"), (Health::Well, "IPv6")]),
            (
                vec![(FOUR, nobody()), (SIX, nobody())],
                vec![(Health::Wrong, "providers block"), (Health::Wrong, "providers block")],
            ),
        ] {
            let findings = by_exchangers(vec![Ok(found.iter().map(|(at, met)| tried(at, met.clone())).collect())]);
            assert_eq!(findings.len(), wanted.len(), "{found:?}: {findings:?}");
            for (finding, (health, words)) in findings.iter().zip(wanted) {
                assert!(finding.health == health && format!("{finding:?}").contains(words), "{finding:?}: {words}");
            }
        }
    }

    #[test]
    fn what_cannot_be_looked_up_is_no_blocked_port() {
        let trouble = |class, subject, detail| {
            Trouble::ours(EnhancedStatus::new(class, subject, detail), "No such domain", Scope::Destination)
        };
        let findings = by_exchangers(vec![Err(trouble(5, 1, 2))]);
        assert!(matches!(&findings[..], [one] if one.health == Health::Unknown), "{findings:?}");
        assert!(by_exchangers(vec![]).is_empty());
        for (result, health) in [
            (Ok(vec![tried("192.0.2.1:587", Met::Ready)]), Health::Well),
            (Ok(vec![tried("192.0.2.1:587", nobody())]), Health::Wrong),
            (Ok(vec![]), Health::Wrong),
            (Err(trouble(4, 3, 5)), Health::Wrong),
            (Err(trouble(4, 4, 3)), Health::Unknown),
        ] {
            let finding = by_route("relay.test:587", result);
            assert_eq!(finding.health, health, "{finding:?}");
        }
    }
}
