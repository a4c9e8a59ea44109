//! The host's own name and addresses.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::{join, join_all};

use super::finding::failure;
use super::{Doctor, Finding, Health, spf};
use crate::foundations::dns::{self, Caa, Tlsa};
use crate::services::certificates::vouches;
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
    findings.push(tlsa(doctor, host).await);
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

/// A TLSA record that does not fit the certificate keeps careful senders from delivering at all (RFC 7672 §2.2).
async fn tlsa(doctor: &Doctor<'_>, host: &str) -> Finding {
    let name = format!("_25._tcp.{host}");
    match doctor.resolver.tlsa(&name).await {
        Ok(answer) => compared(name, answer.records, &doctor.chains),
        Err(error) if error.is_absence() => {
            Finding::well("tlsa", name, "none; that is right unless the zone is signed with DNSSEC")
        }
        Err(error) => Finding::unanswered("tlsa", name, &error),
    }
}

/// The records of a name beside the chains of the host's certificates.
fn compared(name: String, records: Vec<Tlsa>, chains: &[Vec<Vec<u8>>]) -> Finding {
    // RFC 7672 §3.1.3: no mail server uses the others, which are about authorities that browsers trust.
    let of_mail = |tlsa: &Tlsa| matches!((tlsa.usage, tlsa.selector, tlsa.matching), (2 | 3, 0 | 1, 0..=2));
    let usable: Vec<Tlsa> = records.into_iter().filter(of_mail).collect();
    if usable.is_empty() {
        let found = "none of the records is of a kind that mail servers use";
        return Finding::ill("tlsa", name, Health::Warning, found, "Use `3 1 1`; see `postrider dns`.");
    }
    if chains.is_empty() {
        let found = "there are records, but no certificate here to compare them with";
        return Finding::ill("tlsa", name, Health::Unknown, found, "Use `3 1 1`; see `postrider dns`.");
    }
    if chains.iter().any(|chain| vouches(&usable, chain.iter().map(Vec::as_slice))) {
        return Finding::well("tlsa", name, "matches the certificate");
    }
    let found = "no record matches the certificate: DANE senders hold mail back";
    let remedy = "Publish the record that `postrider dns` prints, or remove the old one.";
    Finding::ill("tlsa", name, Health::Wrong, found, remedy)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, SHA512, digest};
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    use super::*;
    use crate::foundations::clock::{Clock as _, SystemClock};
    use crate::services::certificates::{SelfSigned, read_chain};

    #[test]
    fn keys_in_the_dns_are_compared_in_every_form() {
        let directory = tempfile::tempdir().unwrap();
        let pair = SelfSigned::keep_in(directory.path(), &["mail.example.test"], SystemClock.now()).unwrap();
        let chain: Vec<Vec<u8>> =
            read_chain(&pair.cert).unwrap().iter().map(|certificate| certificate.to_vec()).collect();
        let key = X509Certificate::from_der(&chain[0]).unwrap().1.public_key().raw.to_vec();
        let health = |usage, selector, matching, data: Vec<u8>, chains: &[Vec<Vec<u8>>]| {
            compared("x".to_owned(), vec![Tlsa { usage, selector, matching, data }], chains).health
        };
        for (selector, whole) in [(0, &chain[0]), (1, &key)] {
            let forms =
                [whole.clone(), digest(&SHA256, whole).as_ref().to_vec(), digest(&SHA512, whole).as_ref().to_vec()];
            for (matching, data) in (0..).zip(forms) {
                let form = format!("3 {selector} {matching}");
                let chains = std::slice::from_ref(&chain);
                assert_eq!(health(3, selector, matching, data.clone(), chains), Health::Well, "{form}");
                assert_eq!(health(3, selector, matching, data[1..].to_vec(), chains), Health::Wrong, "{form}");
                assert_eq!(health(1, selector, matching, data.clone(), chains), Health::Warning, "{form}");
                assert_eq!(health(3, selector, matching, data, &[]), Health::Unknown, "{form}");
            }
        }
    }

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
