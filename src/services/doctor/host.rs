//! The host's own name and addresses.

use std::net::IpAddr;

use super::{Doctor, Finding, Health};
use crate::foundations::dns::{self, Tlsa};
use crate::services::filter::authentication::spf::{Checker, Question, SpfResult};
use crate::services::filter::view::is_public;
use crate::services::filter::{ListSubject, dns_lists};
use crate::services::records::SPF_OF_HOST;

pub(super) async fn check(doctor: &Doctor<'_>, addresses: &Result<Vec<IpAddr>, dns::Error>) -> Vec<Finding> {
    let host = doctor.wanted.hostname.as_str();
    let mut findings = Vec::new();
    match addresses {
        Ok(addresses) => {
            findings.extend(addresses.iter().map(|address| of_address(host, *address)));
            for address in addresses {
                findings.push(reverse(doctor, host, *address).await);
                findings.extend(listed(doctor, *address).await);
            }
        }
        Err(error) => findings.push(Finding::ill(
            "address",
            host,
            if error.is_absence() { Health::Wrong } else { Health::Unknown },
            error.to_string(),
            format!("Publish A and AAAA records for {host} with this server's public addresses."),
        )),
    }
    // A host that is a domain for mail is looked at as one.
    if !doctor.wanted.domains.contains(&doctor.wanted.hostname) {
        findings.extend(spf(doctor, addresses.as_deref().unwrap_or_default()).await);
    }
    findings.push(caa(doctor, host).await);
    findings.push(tlsa(doctor, host).await);
    findings
}

fn of_address(host: &str, address: IpAddr) -> Finding {
    if is_public(address) {
        return Finding::well("address", host, address.to_string());
    }
    let remedy = format!("Let {host} lead to the address by which the internet reaches this server.");
    Finding::ill("address", host, Health::Warning, format!("{address} is no public address"), remedy)
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
        Err(error) => Finding::ill("ptr", about, Health::Unknown, error.to_string(), remedy),
    }
}

async fn listed(doctor: &Doctor<'_>, address: IpAddr) -> Vec<Finding> {
    let lists = doctor.lists.iter().filter(|list| list.about == ListSubject::Client && list.weight > 0.0);
    let mut findings = Vec::new();
    for list in lists {
        let hits = dns_lists::ask(doctor.resolver, std::slice::from_ref(list), Some(address), &[]).await;
        let silence = match hits.first() {
            None => dns_lists::silence(doctor.resolver, list, address).await,
            Some(_) => None,
        };
        findings.push(match (hits.first(), silence) {
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
        });
    }
    findings
}

/// Notifications come from the host itself (RFC 7208 §2.4), and so do rewritten senders and reports unless told otherwise.
async fn spf(doctor: &Doctor<'_>, addresses: &[IpAddr]) -> Vec<Finding> {
    let host = doctor.wanted.hostname.as_str();
    let mut findings = Vec::new();
    for address in addresses {
        let time = doctor.clock.now().unix_seconds();
        let question = Question { address: *address, sender: "", hello: host, receiver: host, time };
        let result = Checker::check(doctor.resolver, question).await.result;
        let found = format!("{} for mail of the host itself from {address}", result.word());
        findings.push(match result {
            SpfResult::Pass => Finding::well("spf", host, found),
            SpfResult::TempError => Finding::ill("spf", host, Health::Unknown, found, "Look again later."),
            result => {
                let remedy =
                    format!("Publish `{host}. TXT \"{SPF_OF_HOST}\"`, and no other text that begins with v=spf1.");
                let health = if result == SpfResult::None { Health::Warning } else { Health::Wrong };
                Finding::ill("spf", host, health, found, remedy)
            }
        });
    }
    findings
}

/// RFC 8659 §3: the nearest name above that has records decides.
async fn caa(doctor: &Doctor<'_>, host: &str) -> Finding {
    let mut name = Some(host);
    while let Some(at) = name.filter(|name| name.contains('.')) {
        match doctor.resolver.caa(at).await {
            Ok(answer) => {
                let issuers: Vec<String> =
                    answer.records.into_iter().filter(|caa| caa.tag == "issue").map(|caa| caa.value).collect();
                return Finding::well("caa", host, format!("{at} allows {}", issuers.join(", ")));
            }
            Err(error) if error.is_absence() => name = at.split_once('.').map(|(_, above)| above),
            Err(error) => {
                return Finding::ill("caa", host, Health::Unknown, error.to_string(), "Look again later.");
            }
        }
    }
    let remedy = format!("Publish `{host}. CAA 0 issue \"letsencrypt.org\"` with the name of your authority.");
    Finding::ill("caa", host, Health::Warning, "any authority may issue certificates for it", remedy)
}

/// A TLSA record that does not fit the certificate keeps careful senders from delivering at all (RFC 7672 §2.2).
async fn tlsa(doctor: &Doctor<'_>, host: &str) -> Finding {
    let name = format!("_25._tcp.{host}");
    let keys = &doctor.wanted.public_keys;
    match doctor.resolver.tlsa(&name).await {
        Ok(answer) => {
            let fits = |tlsa: &Tlsa| {
                let data: String = tlsa.data.iter().map(|octet| format!("{octet:02x}")).collect();
                (tlsa.usage, tlsa.selector, tlsa.matching) == (3, 1, 1) && keys.contains(&data)
            };
            if answer.records.iter().any(fits) {
                return Finding::well("tlsa", name, "fits the certificate");
            }
            if keys.is_empty() || answer.records.iter().any(|tlsa| (tlsa.usage, tlsa.selector) != (3, 1)) {
                let found = "there are records that cannot be compared from here";
                return Finding::ill("tlsa", name, Health::Unknown, found, "Use `3 1 1`; see `postrider dns`.");
            }
            let remedy = "Publish the record that `postrider dns` prints, or take the old one away.";
            Finding::ill(
                "tlsa",
                name,
                Health::Wrong,
                "no record fits the certificate: DANE senders hold mail back",
                remedy,
            )
        }
        Err(error) if error.is_absence() => {
            Finding::well("tlsa", name, "none; that is right unless the zone is signed with DNSSEC")
        }
        Err(error) => Finding::ill("tlsa", name, Health::Unknown, error.to_string(), "Look again later."),
    }
}
