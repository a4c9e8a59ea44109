//! What the DNS says about a domain whose mail is ours.

use std::net::IpAddr;

use futures_util::future::{LocalBoxFuture, join_all};

use super::tags::Tags;
use super::{Doctor, Finding, Health, dmarc, spf, tlsa};
use crate::foundations::address::Domain;
use crate::foundations::dns;
use crate::services::records::{DkimRecord, KeyState, Service};

pub(super) async fn check(doctor: &Doctor<'_>, domain: &Domain, addresses: &[IpAddr]) -> Vec<Finding> {
    let name = domain.as_str();
    let (mta_sts, tls_rpt) = (format!("_mta-sts.{name}"), format!("_smtp._tls.{name}"));
    let services = doctor.wanted.services.iter().map(|one| service(doctor, name, one));
    let names = doctor.wanted.autoconfig.iter().map(|label| autoconfig(doctor, format!("{label}.{name}"), addresses));
    // Asked at once: where the DNS does not answer, each question takes as long as it may.
    let checks: Vec<LocalBoxFuture<'_, Vec<Finding>>> = vec![
        Box::pin(mx(doctor, name, addresses)),
        Box::pin(spf::of_domain(doctor, name, addresses)),
        Box::pin(dkim(doctor, domain)),
        Box::pin(async { vec![dmarc::check(doctor, name).await] }),
        Box::pin(async { vec![text(doctor, "mta-sts", name, &mta_sts, ("STSv1", "id")).await] }),
        Box::pin(policy(doctor, domain)),
        Box::pin(async { vec![text(doctor, "tls-rpt", name, &tls_rpt, ("TLSRPTv1", "rua")).await] }),
        Box::pin(join_all(services)),
        Box::pin(join_all(names)),
    ];
    join_all(checks).await.into_iter().flatten().collect()
}

async fn mx(doctor: &Doctor<'_>, domain: &str, addresses: &[IpAddr]) -> Vec<Finding> {
    let host = doctor.wanted.hostname.as_str();
    let remedy = format!("Publish `{domain}. MX 10 {host}.`");
    let mut records = match doctor.resolver.mx(domain).await {
        Ok(answer) => answer.records,
        Err(error) if error.is_absence() => {
            // RFC 5321 §5.1: then a domain is its own exchanger.
            let (health, found) = match leads_here(doctor, domain, addresses).await {
                true => (Health::Warning, "no MX record: mail finds this server only by the domain's own address"),
                false => (Health::Wrong, "no MX record: mail cannot find this server"),
            };
            return vec![Finding::ill("mx", domain, health, found, remedy)];
        }
        Err(error) => return vec![Finding::unanswered("mx", domain, &error)],
    };
    records.sort();
    let names: Vec<String> = records.iter().map(|mx| mx.exchange.clone()).collect();
    let first = records.first().map_or(0, |mx| mx.preference);
    let ours = records.iter().find(|mx| mx.exchange == host);
    // RFC 5321 §5.1: the lowest preference is tried first.
    let mut findings = vec![match ours {
        Some(mx) if mx.preference == first => Finding::well("mx", domain, names.join(", ")),
        Some(mx) => {
            let found = format!(
                "mail goes to {} first, and to {host} (preference {}) only when that does not answer",
                names[0], mx.preference
            );
            let remedy = format!("Give {host} the lowest preference, or remove the other records.");
            Finding::ill("mx", domain, Health::Wrong, found, remedy)
        }
        // RFC 7505.
        None if names.iter().all(String::is_empty) => {
            let found = "its MX record says that it takes no mail: others send none";
            Finding::ill("mx", domain, Health::Wrong, found, remedy)
        }
        None if leads_here(doctor, &names[0], addresses).await => {
            let found = format!("mail comes by {}, another name of this server than {host}", names.join(", "));
            let remedy = format!("Publish `{domain}. MX 10 {host}.`, or get a certificate for the other name too.");
            Finding::ill("mx", domain, Health::Warning, found, remedy)
        }
        None => {
            let found = format!("mail goes to {}, not to {host}", names.join(", "));
            Finding::ill("mx", domain, Health::Wrong, found, remedy)
        }
    }];
    for exchange in names.iter().filter(|name| !name.is_empty()) {
        findings.extend(exchanger(doctor, domain, exchange).await);
        if exchange != host
            && let Ok(name) = exchange.parse::<Domain>()
            && leads_here(doctor, exchange, addresses).await
        {
            findings.extend(tlsa::of_other_name(doctor, &name).await);
        }
    }
    findings
}

/// Whether a name has an address of this server.
async fn leads_here(doctor: &Doctor<'_>, name: &str, addresses: &[IpAddr]) -> bool {
    let found = dns::addresses(doctor.resolver, name).await;
    found.is_ok_and(|found| found.records.iter().any(|address| addresses.contains(address)))
}

/// What keeps mail from an exchanger, whose name must have addresses and be no alias (RFC 5321 §5.1, RFC 2181 §10.3).
async fn exchanger(doctor: &Doctor<'_>, domain: &str, exchange: &str) -> Option<Finding> {
    let ill = |health, found, remedy| Some(Finding::ill("mx", domain, health, found, remedy));
    match dns::addresses(doctor.resolver, exchange).await {
        Ok(answer) => answer.canonical.and_then(|canonical| {
            let found = format!("{exchange} is an alias (CNAME) of {canonical}: some servers send nothing there");
            ill(Health::Warning, found, format!("Give {exchange} address records of its own, or name {canonical}."))
        }),
        Err(error) if error.is_absence() => {
            let found = format!("{exchange} has no address");
            ill(Health::Warning, found, "Publish A and AAAA records for it, or remove it.".to_owned())
        }
        Err(error) => Some(Finding::unanswered("mx", domain, &error)),
    }
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
                "Set `spam.dkim.rotation.directory` and name {name} in `spam.dkim.rotation.domains`: then the server makes keys, \
                 and `postrider dns` prints their records. Or make one with `postrider dkim generate {name} --selector mail --out \
                 FILE`, let only the server read it, name it in [[spam.dkim.keys]] and publish its record."
            )
        };
        let found = "no key signs its mail: large providers treat it as spam";
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
        KeyState::Announced => (Health::Warning, "the key that will sign", "it does not sign until that is fixed"),
        KeyState::Retired => (Health::Warning, "the key that has signed", "signatures on mail in transit fail"),
    };
    match doctor.resolver.txt(&at).await {
        Ok(answer) => match compared(&answer.records, &key.text) {
            Ok(()) => Finding::well("dkim", name, format!("{at} holds {holds}")),
            Err(Unfit::Wrong(found)) => Finding::ill("dkim", name, health, format!("{at} {found}: {without}"), remedy),
            Err(Unfit::Testing) => {
                let found = format!("{at} is marked as a test (`t=y`): receivers may ignore the signatures");
                Finding::ill("dkim", name, Health::Warning, found, remedy)
            }
        },
        Err(error) if error.is_absence() => {
            Finding::ill("dkim", name, health, format!("{at} is not published: {without}"), remedy)
        }
        Err(error) => Finding::unanswered("dkim", name, &error),
    }
}

/// What keeps receivers from using a key record.
#[derive(Debug, PartialEq, Eq)]
enum Unfit {
    Wrong(String),
    Testing,
}

/// Compares the key records of a name with the intended one (RFC 6376 §3.6.1).
fn compared(published: &[String], meant: &str) -> Result<(), Unfit> {
    let wrong = |found: &str| Err(Unfit::Wrong(found.to_owned()));
    // RFC 6376 §3.6.2.2: of several, receivers take any.
    let [published] = published else { return wrong("holds several records where there must be one") };
    let (published, meant) = (Tags::read(published), Tags::read(meant));
    if published.without_space("p") != meant.without_space("p") {
        return wrong("holds another key");
    }
    if published.get("v").is_some_and(|version| version != "DKIM1" || published.first() != Some("v")) {
        return wrong("does not begin with `v=DKIM1`");
    }
    let kind = |tags: &Tags<'_>| tags.get("k").unwrap_or("rsa").to_owned();
    if kind(&published) != kind(&meant) {
        return wrong(&format!("says `k={}` where the key is `{}`", kind(&published), kind(&meant)));
    }
    // Both are lists; without them everything is meant.
    let has = |tag: &str, wanted: &[&str]| {
        published.get(tag).is_none_or(|list| list.split(':').any(|one| wanted.contains(&one.trim())))
    };
    if !has("h", &["sha256"]) {
        return wrong("allows no SHA-256 (`h=`)");
    }
    if !has("s", &["*", "email"]) {
        return wrong("is not for mail (`s=`)");
    }
    if published.get("t").is_some_and(|flags| flags.split(':').any(|flag| flag.trim() == "y")) {
        return Err(Unfit::Testing);
    }
    Ok(())
}

/// A TXT record that is an improvement; mail flows without it too.
async fn text(
    doctor: &Doctor<'_>,
    check: &'static str,
    domain: &str,
    at: &str,
    (version, needed): (&str, &str),
) -> Finding {
    let begins = format!("v={version}");
    match doctor.resolver.txt(at).await {
        Ok(answer) => match announced(&answer.records, version, needed) {
            Ok(()) => Finding::well(check, domain, "published"),
            Err(found) => {
                let found = format!("{at} {found}");
                Finding::ill(check, domain, Health::Wrong, found, "Publish what `postrider dns` prints.")
            }
        },
        Err(error) if error.is_absence() && check == "mta-sts" => {
            let found = "not used: senders without DANE may be directed to an impostor";
            let ours = doctor.wanted.policies.iter().find(|policy| policy.domain.as_str() == domain);
            let remedy = match ours {
                Some(policy) => format!("Publish `{at}. TXT \"{}\"`.", policy.record),
                None => format!(
                    "Name {domain} in [[mta_sts.policies]], get a certificate for mta-sts.{domain}, then publish mta-sts.{domain} \
                     and {at} as `postrider dns` prints them (RFC 8461)."
                ),
            };
            Finding::ill(check, domain, Health::Warning, found, remedy)
        }
        Err(error) if error.is_absence() => {
            let found = format!("no {begins} record: nobody tells you when mail cannot be sent to you over TLS");
            Finding::ill(check, domain, Health::Warning, found, "Publish what `postrider dns` prints.")
        }
        Err(error) => Finding::unanswered(check, domain, &error),
    }
}

/// Whether there is exactly one record of a version, with a tag that it must have (RFC 8461 §3.1, RFC 8460 §3): with
/// several or without it, senders take it for none.
fn announced(texts: &[String], version: &str, needed: &str) -> Result<(), String> {
    let ours: Vec<Tags<'_>> = texts.iter().map(|text| Tags::read(text)).filter(|tags| tags.begins(version)).collect();
    match ours.as_slice() {
        [] => Err(format!("holds a text that is not a v={version} record")),
        [record] if record.get(needed).is_some_and(|value| !value.is_empty()) => Ok(()),
        [_] => Err(format!("has no `{needed}=`")),
        several => Err(format!("holds {} records of v={version} where there must be one", several.len())),
    }
}

/// Compares the policy as another server gets it with the intended one. Says nothing if there is no policy, intended or
/// announced.
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
            format!("{} announces another policy: senders that know that one do not fetch the new one", meant.name);
        let remedy = format!("Publish `{}. TXT \"{}\"`.", meant.name, meant.record);
        findings.push(Finding::ill(CHECK, name, Health::Wrong, found, remedy));
    }
    let at = format!("https://mta-sts.{name}/.well-known/mta-sts.txt");
    findings.push(match doctor.outbound.policy_of(domain).await {
        Err(error) => {
            let remedy = format!(
                "Point mta-sts.{name} to this server, give it an `https` listener on port 443 and a certificate \
                 for the name; {at} must answer."
            );
            Finding::ill(CHECK, name, Health::Wrong, format!("{at}: {error}"), remedy)
        }
        Ok(served) => compare(doctor, name, &served, meant.map(|meant| meant.policy.as_str())),
    });
    findings
}

/// Compares the policy that is served with the intended one; if none is intended, this host must be among its hosts.
fn compare(doctor: &Doctor<'_>, domain: &str, served: &[String], meant: Option<&str>) -> Finding {
    const CHECK: &str = "mta-sts-policy";
    let said = served.join(", ");
    let host = doctor.wanted.hostname.as_str();
    let is_meant = match meant {
        Some(meant) => meant.lines().eq(served.iter().map(String::as_str)),
        None => served
            .iter()
            .any(|line| line == "mode: none" || line.strip_prefix("mx: ").is_some_and(|pattern| covers(pattern, host))),
    };
    if is_meant {
        return Finding::well(CHECK, domain, format!("served: {said}"));
    }
    let (found, remedy) = match meant {
        Some(meant) => (
            format!("`{said}` is served where `{}` is meant", meant.lines().collect::<Vec<_>>().join(", ")),
            "Reload the server's configuration (`postrider reload`), or find out which server answers in its place.",
        ),
        None => (
            format!("`{said}` is served, without {host}: senders that obey it send nothing here"),
            "Name this host in the policy, where it is served; or serve it from here, with [[mta_sts.policies]].",
        ),
    };
    Finding::ill(CHECK, domain, Health::Wrong, found, remedy)
}

/// Whether a name in a policy means a host: `*.` stands for one label (RFC 8461 §4.1).
fn covers(pattern: &str, host: &str) -> bool {
    let parent = host.split_once('.').map(|(_, parent)| parent);
    pattern == host || parent.is_some_and(|parent| pattern.strip_prefix("*.") == Some(parent))
}

/// The id in a record that announces a policy (RFC 8461 §3.1).
fn id(record: &str) -> Option<&str> {
    record.split(';').find_map(|field| field.trim().strip_prefix("id=")).map(str::trim)
}

/// Names by which mail programs look for their settings.
async fn autoconfig(doctor: &Doctor<'_>, at: String, addresses: &[IpAddr]) -> Finding {
    let host = doctor.wanted.hostname.as_str();
    let remedy = format!("Publish `{at}. CNAME {host}.`, and get a certificate for the name.");
    match dns::addresses(doctor.resolver, &at).await {
        Ok(found) if found.records.iter().any(|address| addresses.contains(address)) => {
            Finding::well("autoconfig", at, format!("points to {host}"))
        }
        Ok(found) => {
            let places: Vec<String> = found.records.iter().map(ToString::to_string).collect();
            let found = format!("points to {}, which is not {host}", places.join(", "));
            Finding::ill("autoconfig", at, Health::Warning, found, remedy)
        }
        Err(error) if error.is_absence() => {
            let found = "not published: mail programs that look there ask their users for names and ports";
            let domain = at.split_once('.').map_or(at.as_str(), |(_, domain)| domain);
            let remedy = format!(
                "Publish the names autoconfig and autodiscover that `postrider dns {domain}` prints, and get a certificate for them."
            );
            Finding::ill("autoconfig", at, Health::Warning, found, remedy)
        }
        Err(error) => Finding::unanswered("autoconfig", at, &error),
    }
}

/// Where mail programs find a server by themselves.
async fn service(doctor: &Doctor<'_>, domain: &str, service: &Service) -> Finding {
    let host = doctor.wanted.hostname.as_str();
    let at = format!("_{}._tcp.{domain}", service.label);
    let remedy = format!("Publish `{at}. SRV 0 1 {} {host}.`", service.port);
    match doctor.resolver.srv(&at).await {
        Ok(answer) if answer.records.iter().any(|srv| srv.target == host && srv.port == service.port) => {
            Finding::well("srv", at, format!("{host}:{}", service.port))
        }
        Ok(answer) => {
            let places: Vec<String> = answer.records.iter().map(|srv| format!("{}:{}", srv.target, srv.port)).collect();
            Finding::ill("srv", at, Health::Warning, format!("points to {}", places.join(", ")), remedy)
        }
        Err(error) if error.is_absence() => {
            let found = "not published: mail programs ask their users for names and ports";
            // The same for all that a domain lacks, so that they are one finding.
            let remedy = format!("Publish the SRV records that `postrider dns {domain}` prints.");
            Finding::ill("srv", at, Health::Warning, found, remedy)
        }
        Err(error) => Finding::unanswered("srv", at, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_with_all_they_say() {
        let wrong = |found: &str| Err(Unfit::Wrong(found.to_owned()));
        for (published, wanted) in [
            (&["v=DKIM1; k=rsa; p=AB C\t D"][..], Ok(())),
            (&["p=ABCD"], Ok(())),
            (&["v=DKIM1; h=sha1:sha256; s=email; p=ABCD"], Ok(())),
            (&["v=DKIM1; p=ABCE"], wrong("holds another key")),
            (&["v=DKIM1"], wrong("holds another key")),
            (&["v=DKIM1; p=ABCD", "v=DKIM1; p=ABCD"], wrong("holds several records where there must be one")),
            (&["k=rsa; v=DKIM1; p=ABCD"], wrong("does not begin with `v=DKIM1`")),
            (&["v=DKIM2; p=ABCD"], wrong("does not begin with `v=DKIM1`")),
            (&["v=DKIM1; k=ed25519; p=ABCD"], wrong("says `k=ed25519` where the key is `rsa`")),
            (&["v=DKIM1; h=sha1; p=ABCD"], wrong("allows no SHA-256 (`h=`)")),
            (&["v=DKIM1; s=tlsrpt; p=ABCD"], wrong("is not for mail (`s=`)")),
            (&["v=DKIM1; t=s:y; p=ABCD"], Err(Unfit::Testing)),
        ] {
            let texts: Vec<String> = published.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(compared(&texts, "v=DKIM1; k=rsa; p=ABCD"), wanted, "{published:?}");
        }
    }

    #[test]
    fn policies_name_hosts_by_one_label_at_most() {
        for (pattern, is_ours) in [
            ("mail.example.test", true),
            ("*.example.test", true),
            ("*.test", false),
            ("*.other.test", false),
            ("mx.example.test", false),
        ] {
            assert_eq!(covers(pattern, "mail.example.test"), is_ours, "{pattern}");
        }
    }

    #[test]
    fn what_is_announced_is_one_record_with_what_it_needs() {
        for (texts, is_well) in [
            (&["v=STSv1; id=20260101;"][..], true),
            (&["hello", "v=STSv1;id=1"], true),
            (&["v=STSv1; id=1", "v=STSv1; id=2"], false),
            (&["v=STSv1;"], false),
            (&["v=STSv1; id="], false),
            (&["v=STSv10; id=1"], false),
            (&["hello"], false),
        ] {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(announced(&texts, "STSv1", "id").is_ok(), is_well, "{texts:?}");
        }
    }
}
