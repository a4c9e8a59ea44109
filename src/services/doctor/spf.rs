//! Whether SPF lets our mail pass (RFC 7208): records are evaluated as receivers do.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Doctor, Finding, Health};
use crate::foundations::dns;
use crate::services::filter::authentication::spf::{Checker, Question, Record, SpfResult};

/// Records read: the first, and as many as evaluation looks up (RFC 7208 §4.6.4).
const LOOK_UPS: usize = 11;

/// Addresses of nobody (RFC 5737, RFC 3849), so that `+all` is found under every name it may have.
const STRANGERS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// Whose mail is looked at.
struct Subject<'s> {
    doctor: &'s Doctor<'s>,
    name: &'s str,
    /// Its sender; empty for the host's own notifications.
    sender: String,
    /// The mechanism that means its own servers.
    own: &'static str,
    /// What is sent, in words.
    what: &'static str,
    /// How bad it is to have no record at all.
    without: Health,
}

/// Notifications come from the host itself (RFC 7208 §2.4), and so do rewritten senders and reports unless told otherwise.
pub(super) async fn of_host(doctor: &Doctor<'_>, addresses: &[IpAddr]) -> Vec<Finding> {
    let name = doctor.wanted.hostname.as_str();
    let what = "mail of the host itself";
    Subject { doctor, name, sender: String::new(), own: "a", what, without: Health::Warning }.examine(addresses).await
}

pub(super) async fn of_domain(doctor: &Doctor<'_>, name: &str, addresses: &[IpAddr]) -> Vec<Finding> {
    let sender = format!("postmaster@{name}");
    let subject = Subject { doctor, name, sender, own: "mx", what: "mail", without: Health::Wrong };
    let mut findings = subject.examine(addresses).await;
    if findings.is_empty() {
        let found = "this server's addresses are not known, so no record can be evaluated";
        let remedy = format!("See the findings about the address of {}; then run this again.", doctor.wanted.hostname);
        findings.push(subject.ill(Health::Unknown, found, remedy));
    }
    findings
}

/// What a record says, with those that it leads to.
#[derive(Debug, Default)]
struct Reached {
    /// In small letters, and without `+`.
    terms: Vec<String>,
    /// Whether it ends with `-all`.
    refuses_others: bool,
}

/// How a record is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It is the one asked for, or stands in its place.
    InPlace,
    Included,
}

impl Subject<'_> {
    async fn examine(&self, addresses: &[IpAddr]) -> Vec<Finding> {
        let senders = &self.doctor.wanted.senders;
        let mut findings = Vec::new();
        // Nobody receives from our own addresses where a relay takes everything.
        if senders.relay.is_none() {
            for address in addresses {
                findings.push(self.from(*address).await);
            }
        }
        if senders.relay.is_some() || !senders.mechanisms.is_empty() {
            findings.push(self.by_relays().await);
        }
        findings
    }

    async fn from(&self, address: IpAddr) -> Finding {
        let result = self.result(address).await;
        let found = format!("{} for {} from {address}", result.word(), self.what);
        match result {
            SpfResult::Pass if self.passes_strangers().await => self.for_anybody(),
            SpfResult::Pass => Finding::well("spf", self.name, found),
            SpfResult::TempError => self.ill(Health::Unknown, found, "Check again later."),
            SpfResult::None => self.ill(self.without, found, self.remedy()),
            _ => self.ill(Health::Wrong, found, self.remedy()),
        }
    }

    /// Whether the record names the hosts that pass mail on. Their addresses are their own affair, so the mechanisms
    /// themselves are looked for.
    async fn by_relays(&self) -> Finding {
        let senders = &self.doctor.wanted.senders;
        let reached = match self.reached().await {
            Ok(reached) if reached.terms.is_empty() => {
                return self.ill(self.without, "there is no record", self.remedy());
            }
            Ok(reached) => reached,
            Err(error) => return Finding::unanswered("spf", self.name, &error),
        };
        if self.passes_strangers().await {
            return self.for_anybody();
        }
        let is_there = |wanted: &str| reached.terms.iter().any(|term| term.eq_ignore_ascii_case(wanted));
        let missing: Vec<&str> = senders.mechanisms.iter().map(String::as_str).filter(|one| !is_there(one)).collect();
        if !missing.is_empty() {
            let health = if reached.refuses_others { Health::Wrong } else { Health::Warning };
            let found = format!("the record lacks `{}`, the hosts through which mail leaves", missing.join(" "));
            return self.ill(health, found, self.remedy());
        }
        if let Some(relay) = senders.unnamed() {
            let found = format!("mail leaves through {relay}, but the SPF mechanism that covers it is not configured");
            let remedy = "Ask its operator, and set it as `spf` of its route in [[outbound.routes]] (NixOS: \
                          `services.postrider.smarthost.spf`), such as \"include:_spf.example.net\".";
            return self.ill(Health::Unknown, found, remedy);
        }
        Finding::well(
            "spf",
            self.name,
            format!("names `{}`, the hosts through which mail leaves", senders.mechanisms.join(" ")),
        )
    }

    /// The terms of its record and of all that it leads to (RFC 7208 §5.2, §6.1); none if there is no record.
    async fn reached(&self) -> Result<Reached, dns::Error> {
        let mut reached = Reached::default();
        let mut names = VecDeque::from([(self.name.to_owned(), Way::InPlace)]);
        for _ in 0..LOOK_UPS {
            let Some((name, way)) = names.pop_front() else { break };
            let texts = match self.doctor.resolver.txt(&name).await {
                Ok(answer) => answer.records,
                Err(error) if error.is_absence() => continue,
                Err(error) => return Err(error),
            };
            let Some(record) = texts.iter().find(|text| Record::is_one(text)) else { continue };
            for term in record.split_whitespace() {
                let term = term.trim_start_matches('+').to_ascii_lowercase();
                if let Some(name) = term.strip_prefix("redirect=") {
                    names.push_back((name.to_owned(), way));
                } else if let Some(name) = term.strip_prefix("include:") {
                    names.push_back((name.to_owned(), Way::Included));
                }
                reached.refuses_others |= way == Way::InPlace && term == "-all";
                reached.terms.push(term);
            }
        }
        Ok(reached)
    }

    async fn result(&self, address: IpAddr) -> SpfResult {
        let (host, time) = (self.doctor.wanted.hostname.as_str(), self.doctor.clock.now().unix_seconds());
        let question = Question { address, sender: &self.sender, hello: host, receiver: host, time };
        Checker::check(self.doctor.resolver, question).await.result
    }

    async fn passes_strangers(&self) -> bool {
        for address in STRANGERS {
            if self.result(address).await == SpfResult::Pass {
                return true;
            }
        }
        false
    }

    fn for_anybody(&self) -> Finding {
        let remedy = "End it with `-all`, and name only your own servers.";
        self.ill(Health::Wrong, "the record lets anybody send in its name", remedy)
    }

    fn remedy(&self) -> String {
        let record = self.doctor.wanted.senders.record(self.own);
        format!("Publish `{}. TXT \"{record}\"`, and no other text that begins with v=spf1.", self.name)
    }

    fn ill(&self, health: Health, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding::ill("spf", self.name, health, found, remedy)
    }
}
