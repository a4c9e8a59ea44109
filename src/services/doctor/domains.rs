//! What the DNS says about a domain whose mail is ours.

use std::net::IpAddr;

use super::{Doctor, Finding, Health};
use crate::foundations::address::Domain;
use crate::foundations::dns;
use crate::services::filter::authentication::spf::{Checker, Question, SpfResult};
use crate::services::records::{DkimRecord, KeyState};

pub(super) async fn check(doctor: &Doctor<'_>, domain: &Domain, addresses: &[IpAddr]) -> Vec<Finding> {
    let name = domain.as_str();
    let mut findings = vec![mx(doctor, name).await];
    findings.extend(spf(doctor, name, addresses).await);
    findings.extend(dkim(doctor, domain).await);
    findings.push(dmarc(doctor, name).await);
    findings.push(text(doctor, "mta-sts", name, &format!("_mta-sts.{name}"), "v=STSv1").await);
    findings.extend(policy(doctor, domain).await);
    findings.push(text(doctor, "tls-rpt", name, &format!("_smtp._tls.{name}"), "v=TLSRPTv1").await);
    findings.extend(services(doctor, name).await);
    for label in &doctor.wanted.autoconfig {
        findings.push(autoconfig(doctor, &format!("{label}.{name}"), addresses).await);
    }
    findings
}

async fn mx(doctor: &Doctor<'_>, domain: &str) -> Finding {
    let host = doctor.wanted.hostname.as_str();
    let remedy = format!("Publish `{domain}. MX 10 {host}.`");
    match doctor.resolver.mx(domain).await {
        Ok(answer) => {
            let names: Vec<String> = answer.records.iter().map(|mx| mx.exchange.clone()).collect();
            if names.iter().any(|name| name == host) {
                return Finding::well("mx", domain, names.join(", "));
            }
            let found = format!("mail goes to {}, not to {host}", names.join(", "));
            Finding::ill("mx", domain, Health::Wrong, found, remedy)
        }
        Err(error) => missing("mx", domain, &error, "no MX record: mail does not find this server", remedy),
    }
}

/// The record is evaluated as receivers do, for each of our addresses.
async fn spf(doctor: &Doctor<'_>, domain: &str, addresses: &[IpAddr]) -> Vec<Finding> {
    let host = doctor.wanted.hostname.as_str();
    let remedy = format!("Publish `{domain}. TXT \"v=spf1 mx -all\"`, and no other text that begins with v=spf1.");
    let sender = format!("postmaster@{domain}");
    let mut findings = Vec::new();
    for address in addresses {
        let time = doctor.clock.now().unix_seconds();
        let question = Question { address: *address, sender: &sender, hello: host, receiver: host, time };
        let outcome = Checker::check(doctor.resolver, question).await;
        let found = format!("{} for mail from {address}", outcome.result.word());
        findings.push(match outcome.result {
            SpfResult::Pass => Finding::well("spf", domain, found),
            SpfResult::TempError => Finding::ill("spf", domain, Health::Unknown, found, "Look again later."),
            _ => Finding::ill("spf", domain, Health::Wrong, found, remedy.clone()),
        });
    }
    if findings.is_empty() {
        let found = "this server's addresses are not known, so no record can be tried";
        findings.push(Finding::ill("spf", domain, Health::Unknown, found, remedy));
    }
    findings
}

async fn dkim(doctor: &Doctor<'_>, domain: &Domain) -> Vec<Finding> {
    let name = domain.as_str();
    let is_for = |of: &Domain| *of == *domain || name.ends_with(&format!(".{}", of.as_str()));
    let keys: Vec<&DkimRecord> = doctor.wanted.dkim.iter().filter(|key| is_for(&key.domain)).collect();
    let mut findings = Vec::new();
    if !keys.iter().any(|key| key.state == KeyState::Signs) {
        let remedy = if keys.iter().any(|key| key.state == KeyState::Announced) {
            "Publish the records of its keys that `postrider dns` prints; once they are there, the keys sign."
                .to_owned()
        } else if doctor.rotated.iter().any(is_for) {
            format!("Start the server, which makes its keys, or make them with `postrider dkim rotate {name}`.")
        } else {
            format!(
                "Make a key with `postrider dkim generate {name} --selector mail --out FILE`, name it in \
                 [[spam.dkim.keys]] and publish its record."
            )
        };
        let found = "no key signs its mail: large providers take it for spam";
        findings.push(Finding::ill("dkim", name, Health::Warning, found, remedy));
    }
    for key in keys {
        findings.push(published(doctor, name, key).await);
    }
    findings
}

/// Whether the DNS has a key's record.
async fn published(doctor: &Doctor<'_>, name: &str, key: &DkimRecord) -> Finding {
    let at = format!("{}._domainkey.{}", key.selector, key.domain.as_str());
    let remedy = format!("Publish the TXT record of {at} that `postrider dns` prints.");
    let (health, holds, without) = match key.state {
        KeyState::Signs => (Health::Wrong, "the key that signs", "signatures fail"),
        KeyState::Announced => (Health::Warning, "the key that will sign", "it does not sign before that"),
        KeyState::Retired => (Health::Warning, "the key that has signed", "signatures of mail under way fail"),
    };
    match doctor.resolver.txt(&at).await {
        Ok(answer) if answer.records.iter().any(|text| public_key(text) == public_key(&key.text)) => {
            Finding::well("dkim", name, format!("{at} holds {holds}"))
        }
        Ok(_) => Finding::ill("dkim", name, health, format!("{at} holds another key: {without}"), remedy),
        Err(error) if error.is_absence() => {
            Finding::ill("dkim", name, health, format!("{at} is not published: {without}"), remedy)
        }
        Err(error) => Finding::ill("dkim", name, Health::Unknown, error.to_string(), remedy),
    }
}

/// The `p=` of a key record (RFC 6376 §3.6.1), without the white space that zone files bring in.
fn public_key(record: &str) -> Option<String> {
    let tags = record.split(';').filter_map(|tag| tag.split_once('='));
    let key = tags.into_iter().find(|(name, _)| name.trim() == "p").map(|(_, value)| value);
    key.map(|value| value.chars().filter(|c| !c.is_whitespace()).collect())
}

async fn dmarc(doctor: &Doctor<'_>, domain: &str) -> Finding {
    let at = format!("_dmarc.{domain}");
    let remedy = format!("Publish `{at}. TXT \"v=DMARC1; p=quarantine; rua=mailto:postmaster@{domain}\"`.");
    let records = match doctor.resolver.txt(&at).await {
        Ok(answer) => answer.records,
        Err(error) => {
            let mut finding =
                missing("dmarc", domain, &error, "no DMARC record: anybody may write in its name", remedy);
            if error.is_absence() {
                finding.health = Health::Warning;
            }
            return finding;
        }
    };
    let ours: Vec<&String> = records.iter().filter(|text| text.trim_start().starts_with("v=DMARC1")).collect();
    let [record] = ours.as_slice() else {
        let found = format!("{} DMARC records where there must be one", ours.len());
        return Finding::ill("dmarc", domain, Health::Wrong, found, remedy);
    };
    let policy = record.split(';').filter_map(|tag| tag.split_once('=')).find(|(name, _)| name.trim() == "p");
    match policy.map(|(_, policy)| policy.trim()) {
        Some(policy @ ("quarantine" | "reject")) => Finding::well("dmarc", domain, format!("p={policy}")),
        Some("none") => {
            let found = "p=none: forged mail in its name is only reported";
            Finding::ill("dmarc", domain, Health::Warning, found, "Once the reports are clean, use p=quarantine.")
        }
        _ => Finding::ill("dmarc", domain, Health::Wrong, "the record has no policy that anybody understands", remedy),
    }
}

/// A TXT record that makes things better, and without which mail flows too.
async fn text(doctor: &Doctor<'_>, check: &'static str, domain: &str, at: &str, begins: &str) -> Finding {
    match doctor.resolver.txt(at).await {
        Ok(answer) if answer.records.iter().any(|text| text.trim_start().starts_with(begins)) => {
            Finding::well(check, domain, "published")
        }
        Ok(_) => {
            let found = format!("{at} holds a text that is none of {begins}");
            Finding::ill(check, domain, Health::Wrong, found, "Publish what `postrider dns` prints.")
        }
        Err(error) if error.is_absence() && check == "mta-sts" => {
            let found = "not used: senders without DANE may be led to an impostor";
            let remedy = format!(
                "Serve a policy at https://mta-sts.{domain}/.well-known/mta-sts.txt, then publish {at} (RFC 8461)."
            );
            Finding::ill(check, domain, Health::Warning, found, remedy)
        }
        Err(error) if error.is_absence() => {
            let found = format!("no {begins}: nobody tells you when mail cannot be sent to you over TLS");
            Finding::ill(check, domain, Health::Warning, found, "Publish what `postrider dns` prints.")
        }
        Err(error) => Finding::ill(check, domain, Health::Unknown, error.to_string(), "Look again later."),
    }
}

/// The policy as another server gets it, beside what is meant. Nothing is said where none is meant and none announced.
async fn policy(doctor: &Doctor<'_>, domain: &Domain) -> Vec<Finding> {
    const CHECK: &str = "mta-sts-policy";
    let name = domain.as_str();
    let meant = doctor.wanted.policies.iter().find(|policy| policy.domain == *domain);
    let announced = doctor.resolver.txt(&format!("_mta-sts.{name}")).await.map(|answer| answer.records);
    let is_announced = announced.as_ref().is_ok_and(|texts| texts.iter().any(|text| text.starts_with("v=STSv1")));
    if meant.is_none() && !is_announced {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if let (Some(meant), true, Ok(texts)) = (meant, is_announced, &announced)
        && !texts.iter().any(|text| id(text) == id(&meant.record))
    {
        let found =
            format!("{} announces another policy: who knows that one does not look for the new one", meant.name);
        let remedy = format!("Publish `{}. TXT \"{}\"`.", meant.name, meant.record);
        findings.push(Finding::ill(CHECK, name, Health::Wrong, found, remedy));
    }
    let at = format!("https://mta-sts.{name}/.well-known/mta-sts.txt");
    findings.push(match doctor.outbound.policy_of(domain).await {
        Err(error) => {
            let remedy = format!(
                "Let mta-sts.{name} lead to this server, a listener of the protocol `https` have port 443, and a certificate hold \
                 the name; {at} must answer."
            );
            Finding::ill(CHECK, name, Health::Wrong, format!("{at}: {error}"), remedy)
        }
        Ok(served) => compare(doctor, name, &served, meant.map(|meant| meant.policy.as_str())),
    });
    findings
}

/// The policy that is served, beside the one that is meant; without one that is meant, this host must be among its hosts.
fn compare(doctor: &Doctor<'_>, domain: &str, served: &[String], meant: Option<&str>) -> Finding {
    const CHECK: &str = "mta-sts-policy";
    let said = served.join(", ");
    let host = doctor.wanted.hostname.as_str();
    let is_meant = match meant {
        Some(meant) => meant.lines().eq(served.iter().map(String::as_str)),
        None => served
            .iter()
            .any(|line| *line == format!("mx: {host}") || line == "mode: none" || line.starts_with("mx: *.")),
    };
    if is_meant {
        return Finding::well(CHECK, domain, format!("served: {said}"));
    }
    let (found, remedy) = match meant {
        Some(meant) => (
            format!("served is `{said}`, meant is `{}`", meant.lines().collect::<Vec<_>>().join(", ")),
            "Let the server load its configuration (`postrider reload`), or find out which server answers in its place.",
        ),
        None => (
            format!("served is `{said}`, without {host}: who obeys it sends nothing here"),
            "Name this host in the policy, where it is served; or serve it from here, with [[mta_sts.policies]].",
        ),
    };
    Finding::ill(CHECK, domain, Health::Wrong, found, remedy)
}

/// The id in a record that announces a policy (RFC 8461 §3.1).
fn id(record: &str) -> Option<&str> {
    record.split(';').find_map(|field| field.trim().strip_prefix("id=")).map(str::trim)
}

/// Names by which mail programs look for their settings.
async fn autoconfig(doctor: &Doctor<'_>, at: &str, addresses: &[IpAddr]) -> Finding {
    let host = doctor.wanted.hostname.as_str();
    let remedy = format!("Publish `{at}. CNAME {host}.`, and let a certificate hold the name.");
    match dns::addresses(doctor.resolver, at).await {
        Ok(found) if found.records.iter().any(|address| addresses.contains(address)) => {
            Finding::well("autoconfig", at, format!("leads to {host}"))
        }
        Ok(found) => {
            let places: Vec<String> = found.records.iter().map(ToString::to_string).collect();
            let found = format!("leads to {}, which is not {host}", places.join(", "));
            Finding::ill("autoconfig", at, Health::Warning, found, remedy)
        }
        Err(error) if error.is_absence() => {
            let found = "not published: mail programs that look there ask their users for names and ports";
            Finding::ill("autoconfig", at, Health::Warning, found, remedy)
        }
        Err(error) => Finding::ill("autoconfig", at, Health::Unknown, error.to_string(), remedy),
    }
}

/// Where mail programs find the servers by themselves.
async fn services(doctor: &Doctor<'_>, domain: &str) -> Vec<Finding> {
    let host = doctor.wanted.hostname.as_str();
    let mut findings = Vec::new();
    for service in &doctor.wanted.services {
        let at = format!("_{}._tcp.{domain}", service.label);
        let remedy = format!("Publish `{at}. SRV 0 1 {} {host}.`", service.port);
        findings.push(match doctor.resolver.srv(&at).await {
            Ok(answer) if answer.records.iter().any(|srv| srv.target == host && srv.port == service.port) => {
                Finding::well("srv", at, format!("{host}:{}", service.port))
            }
            Ok(answer) => {
                let places: Vec<String> =
                    answer.records.iter().map(|srv| format!("{}:{}", srv.target, srv.port)).collect();
                Finding::ill("srv", at, Health::Warning, format!("leads to {}", places.join(", ")), remedy)
            }
            Err(error) if error.is_absence() => {
                let found = "not published: mail programs ask their users for names and ports";
                Finding::ill("srv", at, Health::Warning, found, remedy)
            }
            Err(error) => Finding::ill("srv", at, Health::Unknown, error.to_string(), remedy),
        });
    }
    findings
}

/// What is not there, or not known to be.
fn missing(check: &'static str, about: &str, error: &dns::Error, absent: &str, remedy: String) -> Finding {
    match error.is_absence() {
        true => Finding::ill(check, about, Health::Wrong, absent, remedy),
        false => Finding::ill(check, about, Health::Unknown, error.to_string(), remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_without_white_space() {
        assert_eq!(public_key("v=DKIM1; k=rsa; p=AB C\t D"), Some("ABCD".to_owned()));
        assert_eq!(public_key("v=DKIM1"), None);
    }
}
