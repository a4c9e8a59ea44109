//! The records.

use std::net::IpAddr;

use serde::Serialize;

use super::Senders;
use crate::foundations::address::Domain;
use crate::services::mta_sts::Announcement;

/// What the records are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// This server's name.
    pub hostname: Domain,
    /// Its addresses as others reach it; without any, its address records are left out.
    pub addresses: Vec<IpAddr>,
    /// The domains whose mail is ours.
    pub domains: Vec<Domain>,
    /// By which hosts their mail leaves.
    pub senders: Senders,
    /// What mail programs find here.
    pub services: Vec<Service>,
    /// Where mail programs that look for their settings are answered, before the domain: `autoconfig`, `autodiscover`.
    pub autoconfig: Vec<&'static str>,
    /// Our policies on TLS, for those who send to us.
    pub policies: Vec<Announcement>,
    /// Keys that sign outgoing mail, are about to, or did a while ago.
    pub dkim: Vec<DkimRecord>,
    /// SHA-256 of the public keys of the host's certificates, in hexadecimal.
    pub public_keys: Vec<String>,
    /// The authorities that may issue certificates for the host, as CAA records name them: `letsencrypt.org`.
    pub authorities: Vec<String>,
}

/// A service for mail programs (RFC 6186, RFC 8314 §5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// `imaps`, `submissions`, `submission`, `pop3s`, `sieve` (RFC 5804 §1.8), `caldavs` and `carddavs` (RFC 6764 §3).
    pub label: &'static str,
    /// Its port.
    pub port: u16,
}

/// A key's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimRecord {
    /// The domain it signs for.
    pub domain: Domain,
    /// Its selector.
    pub selector: String,
    /// The text of its record.
    pub text: String,
    /// Where it is in its life.
    pub state: KeyState,
}

/// What a key is for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It signs.
    Signs,
    /// It is to sign once its record is published.
    Announced,
    /// It signs no more; mail that it has signed is under way.
    Retired,
}

/// One record to publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Its name, with the final dot.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its data as in a zone file; TXT without quotes.
    pub value: String,
    /// When it is to be published, where that depends on something; else always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<&'static str>,
}

const SIGNED: &str = "the zone is signed with DNSSEC; publish it before the key is used";
const POLICY: &str =
    "a policy is served at https://mta-sts.DOMAIN/.well-known/mta-sts.txt: see `mta_sts.policies` of the configuration";
const PROVIDER: &str = "you set it at your provider, in whose zone the address is";

impl Wanted {
    /// All of them: those of the host, then those of each domain.
    pub fn records(&self) -> Vec<Record> {
        let host = self.of_host();
        let domains = self.domains.iter().flat_map(|domain| self.of_domain(domain));
        let keys = self.dkim.iter().map(|key| {
            record(format!("{}._domainkey.{}.", key.selector, key.domain.as_str()), "TXT", key.text.clone())
        });
        host.into_iter().chain(domains).chain(keys).collect()
    }

    fn of_host(&self) -> Vec<Record> {
        let host = format!("{}.", self.hostname.as_str());
        let mut records = Vec::new();
        for address in &self.addresses {
            let kind = if address.is_ipv4() { "A" } else { "AAAA" };
            records.push(record(host.clone(), kind, address.to_string()));
        }
        for address in &self.addresses {
            records.push(Record { when: Some(PROVIDER), ..record(reverse(*address), "PTR", host.clone()) });
        }
        for authority in &self.authorities {
            // RFC 8659 §4.2.
            records.push(record(host.clone(), "CAA", format!("0 issue \"{authority}\"")));
        }
        // The name this server greets with, and the domain of rewritten senders and of reports unless they have others
        // (RFC 7208 §2.3). A host that is a domain for mail has that one's record.
        if !self.domains.contains(&self.hostname) {
            records.push(record(host.clone(), "TXT", self.senders.record("a")));
        }
        for key in &self.public_keys {
            let tlsa = record(format!("_25._tcp.{host}"), "TLSA", format!("3 1 1 {key}"));
            records.push(Record { when: Some(SIGNED), ..tlsa });
        }
        records
    }

    fn of_domain(&self, domain: &Domain) -> Vec<Record> {
        let (host, domain) = (self.hostname.as_str(), domain.as_str());
        let mut records = vec![
            record(format!("{domain}."), "MX", format!("10 {host}.")),
            record(format!("{domain}."), "TXT", self.senders.record("mx")),
            record(
                format!("_dmarc.{domain}."),
                "TXT",
                format!("v=DMARC1; p=quarantine; rua=mailto:postmaster@{domain}"),
            ),
            // RFC 8460 §3.
            record(format!("_smtp._tls.{domain}."), "TXT", format!("v=TLSRPTv1; rua=mailto:postmaster@{domain}")),
        ];
        for Service { label, port } in &self.services {
            records.push(record(format!("_{label}._tcp.{domain}."), "SRV", format!("0 1 {port} {host}.")));
        }
        for label in &self.autoconfig {
            records.push(record(format!("{label}.{domain}."), "CNAME", format!("{host}.")));
        }
        // RFC 8461 §3.1.
        let ours = self.policies.iter().find(|policy| policy.domain.as_str() == domain);
        if ours.is_some() {
            records.push(record(format!("mta-sts.{domain}."), "CNAME", format!("{host}.")));
        }
        let text = ours.map_or("v=STSv1; id=1", |policy| policy.record.as_str());
        let policy = record(format!("_mta-sts.{domain}."), "TXT", text.to_owned());
        records.push(Record { when: ours.is_none().then_some(POLICY), ..policy });
        records
    }
}

fn record(name: String, kind: &'static str, value: String) -> Record {
    Record { name, kind, value, when: None }
}

/// The name under which an address's own name is found (RFC 1035 §3.5, RFC 3596 §2.5).
fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_addresses() {
        assert_eq!(reverse("192.0.2.1".parse().unwrap()), "1.2.0.192.in-addr.arpa.");
        let v6 = reverse("2001:db8::1".parse().unwrap());
        assert!(v6.starts_with("1.0.0.0.") && v6.ends_with("8.b.d.0.1.0.0.2.ip6.arpa."), "{v6}");
    }
}
