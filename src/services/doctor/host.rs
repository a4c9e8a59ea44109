//! The host's own name and addresses.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::{join, join_all};

use super::finding::failure;
use super::{Doctor, Finding, Health, spf, tlsa};
use crate::foundations::dns::{self, Caa};
use crate::services::filter::view::is_public;
use crate::services::filter::{DnsListSettings, ListSubject, dns_lists};

/// How long a DNS list is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn check(doctor: &Doctor<'_>, addresses: &Result<Vec<IpAddr>, dns::Error>) -> Vec<Finding> {
    let host = doctor.wanted.hostname.as_str();
    let mut findings = Vec::new();
    match addresses {
        Ok(addresses) => {
            findings.extend(addresses.iter().map(|address| of_address(host, *address)));
            let asked = addresses.iter().map(|address| join(reverse(doctor, host, *address), listed(doctor, *address)));
            for (reverse, listed) in join_all(asked).await {
                findings.push(reverse);
                findings.extend(listed);
            }
        }
        Err(error) if error.is_absence() => {
            let remedy = format!("Publish A and AAAA records for {host} with this server's public addresses.");
            findings.push(Finding::ill("address", host, Health::Wrong, failure(host, error), remedy));
        }
        Err(error) => findings.push(Finding::unanswered("address", host, error)),
    }
    // A host that is a domain for mail is looked at as one.
    if !doctor.wanted.domains.contains(&doctor.wanted.hostname) {
        findings.extend(spf::of_host(doctor, addresses.as_deref().unwrap_or_default()).await);
    }
    findings.push(caa(doctor, host).await);
    findings.push(tlsa::of_host(doctor).await);
    findings
}

fn of_address(host: &str, address: IpAddr) -> Finding {
    if is_public(address) {
        return Finding::well("address", host, address.to_string());
    }
    let remedy = format!("Point {host} to the address at which the internet reaches this server.");
    Finding::ill("address", host, Health::Warning, format!("{address} is not a public address"), remedy)
}

/// Many refuse mail from an address whose name does not lead back to it, or is not the one the server greets with.
async fn reverse(doctor: &Doctor<'_>, host: &str, address: IpAddr) -> Finding {
    let remedy = format!("Ask your provider to set the PTR record of {address} to {host}.");
    let about = address.to_string();
    match doctor.resolver.ptr(address).await {
        Ok(answer) if answer.records.iter().any(|name| name == host) => {
            Finding::well("ptr", about, format!("{host}, the name this server greets with"))
        }
        Ok(answer) => {
            let names = answer.records.join(", ");
            Finding::ill("ptr", about, Health::Wrong, format!("{names}, but this server greets as {host}"), remedy)
        }
        Err(error) if error.is_absence() => {
            Finding::ill("ptr", about, Health::Wrong, "no PTR record: large providers refuse mail from it", remedy)
        }
        Err(error) => Finding::unanswered("ptr", about, &error),
    }
}

async fn listed(doctor: &Doctor<'_>, address: IpAddr) -> Vec<Finding> {
    let lists = doctor.lists.iter().filter(|list| list.about == ListSubject::Client && list.weight > 0.0);
    join_all(lists.map(|list| listed_by(doctor, list, address))).await
}

async fn listed_by(doctor: &Doctor<'_>, list: &DnsListSettings, address: IpAddr) -> Finding {
    let one = std::slice::from_ref(list);
    let hits = dns_lists::ask(doctor.resolver, one, Some(address), &[], PATIENCE).await;
    let silence = match hits.first() {
        None => dns_lists::silence(doctor.resolver, list, address).await,
        Some(_) => None,
    };
    match (hits.first(), silence) {
        (None, None) => Finding::well("dns-list", address.to_string(), format!("not listed by {}", list.zone)),
        (None, Some(because)) => Finding::ill(
            "dns-list",
            address.to_string(),
            Health::Unknown,
            format!("{} does not say whether it lists this: {because}", list.zone),
            "Ask the list through a name server of your own.",
        ),
        (Some(_), _) => Finding::ill(
            "dns-list",
            address.to_string(),
            Health::Wrong,
            format!("listed by {}", list.zone),
            format!("Find out why on the website of {}, stop the cause, then ask to be removed.", list.zone),
        ),
    }
}

/// RFC 8659 §3: the nearest name above that has records decides.
async fn caa(doctor: &Doctor<'_>, host: &str) -> Finding {
    let mut name = Some(host);
    while let Some(at) = name.filter(|name| name.contains('.')) {
        match doctor.resolver.caa(at).await {
            Ok(answer) => {
                // RFC 8659 §4.1: tags in any case, parameters behind a semicolon.
                let issue = answer.records.iter().filter(|caa| caa.tag.eq_ignore_ascii_case("issue"));
                let name = |caa: &Caa| caa.value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
                let issuers: Vec<String> = issue.map(name).collect();
                // RFC 8659 §4.2: records about other things restrict nobody.
                if issuers.is_empty() {
                    break;
                }
                return allowed(&doctor.authorities, host, at, &issuers);
            }
            Err(error) if error.is_absence() => name = at.split_once('.').map(|(_, above)| above),
            Err(error) => return Finding::unanswered("caa", host, &error),
        }
    }
    let remedy = format!("Publish `{host}. CAA 0 issue \"letsencrypt.org\"` with the name of your authority.");
    Finding::ill("caa", host, Health::Warning, "any authority may issue its certificates", remedy)
}

/// What the authorities that a record names mean for the one that issues our certificates.
fn allowed(authorities: &[String], host: &str, at: &str, issuers: &[String]) -> Finding {
    let named: Vec<&str> = issuers.iter().map(String::as_str).filter(|issuer| !issuer.is_empty()).collect();
    if named.is_empty() {
        let found = format!("{at} lets no authority issue certificates for it: the next renewal fails");
        let remedy = format!("Publish `{host}. CAA 0 issue \"letsencrypt.org\"` with the name of your authority.");
        return Finding::ill("caa", host, Health::Wrong, found, remedy);
    }
    let list = named.join(", ");
    for authority in authorities {
        let is_of = |name: &str| authority == name || authority.ends_with(&format!(".{name}"));
        let known = AUTHORITIES.iter().find(|(of_host, _)| is_of(of_host)).map(|(_, name)| *name);
        if named.iter().any(|issuer| is_of(issuer) || known == Some(issuer)) {
            continue;
        }
        let (health, found, name) = match known {
            Some(name) => (Health::Wrong, format!("{at} allows {list}, not {name}: the next renewal fails"), name),
            None => {
                let found = format!("{at} allows {list}; only its operator can say whether {authority} is one of them");
                (Health::Unknown, found, "NAME")
            }
        };
        let remedy = format!("Publish `{host}. CAA 0 issue \"{name}\"`, with the name that the authority documents.");
        return Finding::ill("caa", host, health, found, remedy);
    }
    Finding::well("caa", host, format!("{at} allows {list}"))
}

/// Hosts of ACME services, and the names by which CAA records mean them.
const AUTHORITIES: [(&str, &str); 5] = [
    ("letsencrypt.org", "letsencrypt.org"),
    ("pki.goog", "pki.goog"),
    ("zerossl.com", "sectigo.com"),
    ("ssl.com", "ssl.com"),
    ("buypass.com", "buypass.com"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_known_by_what_records_call_them() {
        for (authorities, issuers, wanted) in [
            (&[][..], &["ca.test"][..], Health::Well),
            (&["acme-v02.api.letsencrypt.org"], &["letsencrypt.org"], Health::Well),
            (&["acme-v02.api.letsencrypt.org"], &["digicert.com", "letsencrypt.org"], Health::Well),
            (&["acme-v02.api.letsencrypt.org"], &["digicert.com"], Health::Wrong),
            (&["acme.zerossl.com"], &["sectigo.com"], Health::Well),
            (&["acme.zerossl.com"], &["letsencrypt.org"], Health::Wrong),
            (&["acme.house.test"], &["house.test"], Health::Well),
            (&["acme.house.test"], &["other.test"], Health::Unknown),
            (&["acme.house.test"], &[""], Health::Wrong),
        ] {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            let found = allowed(&owned(authorities), "mail.example.test", "example.test", &owned(issuers));
            assert_eq!(found.health, wanted, "{authorities:?} {issuers:?}: {}", found.found);
        }
    }
}
