//! The names under which a sender is remembered.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::foundations::address::is_within;
use crate::foundations::mail::results_of;
use crate::services::filter::authentication::dkim::DkimResult;
use crate::services::filter::authentication::spf::SpfResult;
use crate::services::filter::authentication::{Authentication, DmarcResult};
use crate::services::filter::view::{View, hop, is_public};

crate::words! {
    /// Kinds of names.
    pub enum PartyKind {
        /// An author's verified address.
        Author = "author",
        /// An author's unverified address, with the network it came from.
        Address = "address",
        /// The domain of a valid DKIM signature.
        Signer = "signer",
        /// The domain of an author's verified address.
        Domain = "domain",
        /// The client's network: IPv4 /24, IPv6 /56.
        Network = "network",
        /// Somebody our users have written to.
        Correspondent = "correspondent",
    }
}

/// One name under which a sender is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Party {
    /// Its kind.
    pub kind: PartyKind,
    /// The name, in lower case.
    pub name: String,
}

/// Longest name in octets; a longer one is not remembered.
const LONGEST: usize = 300;
/// Signatures that count.
const MOST_SIGNERS: usize = 3;

impl Party {
    /// A party; `None` when its name is empty or too long to be kept.
    pub fn new(kind: PartyKind, name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        (!name.is_empty() && name.len() <= LONGEST).then_some(Self { kind, name })
    }

    /// Its form in the table.
    pub fn key(&self) -> String {
        format!("{} {}", self.kind.word(), self.name)
    }
}

/// Who a message claims to be from, and which of the claims are verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// The one address in From, in lower case; empty when there is none or several.
    pub author: String,
    /// Whether a DMARC policy says that it is not the author's.
    pub is_forged: bool,
    /// Domains for which SPF has passed or a signature is valid.
    pub shown: Vec<String>,
    /// The domains of valid signatures among them.
    pub signers: Vec<String>,
    /// The client, when it is a public address.
    pub client: Option<IpAddr>,
}

impl Claims {
    /// The claims as checked when the message arrived.
    pub fn of(author: &str, found: Option<&Authentication>, client: Option<IpAddr>) -> Self {
        let mut claims = Self { author: author.to_owned(), client, ..Self::default() };
        if let Some(found) = found {
            let valid = found.signatures.dkim.iter().filter(|s| s.result == DkimResult::Pass);
            claims.signers = valid.map(|s| s.domain.to_ascii_lowercase()).take(MOST_SIGNERS).collect();
            claims.shown.clone_from(&claims.signers);
            let spf = found.spf.iter().filter(|s| s.result == SpfResult::Pass);
            claims.shown.extend(spf.map(|s| s.domain.to_ascii_lowercase()));
            claims.is_forged = found.dmarc.result == DmarcResult::Fail;
            if found.dmarc.result == DmarcResult::Pass {
                claims.shown.push(found.dmarc.domain.clone());
            }
        }
        claims.tidied()
    }

    /// The claims according to the Authentication-Results field that this server added to a message it has delivered.
    pub fn of_delivered(view: &View<'_>, hostname: &str) -> Self {
        let mut authors = view.all("From").flat_map(|f| f.addresses());
        let author = match (authors.next(), authors.next()) {
            (Some(one), None) => one,
            _ => String::new(),
        };
        let mut claims = Self { author, client: hop(view).map(|h| h.address), ..Self::default() };
        let ours = view.all("Authentication-Results").find_map(|field| {
            let results = results_of(field.decoded(), hostname)?;
            Some(results.into_iter().map(str::to_ascii_lowercase).collect::<Vec<_>>())
        });
        for result in ours.iter().flatten().map(String::as_str) {
            let of = |name: &str| property(result, name);
            if result.starts_with("iprev=") {
                claims.client = of("policy.iprev").and_then(|a| a.parse().ok()).or(claims.client);
            } else if result.starts_with("dkim=pass") && claims.signers.len() < MOST_SIGNERS {
                claims.signers.extend(of("header.d"));
            } else if result.starts_with("spf=pass") {
                let domain = of("smtp.mailfrom").and_then(|a| a.rsplit_once('@').map(|(_, d)| d.to_owned()));
                claims.shown.extend(domain);
            } else if result.starts_with("dmarc=pass") {
                claims.shown.extend(of("header.from"));
            } else if result.starts_with("dmarc=fail") {
                claims.is_forged = true;
            }
        }
        claims.shown.extend(claims.signers.iter().cloned());
        claims.tidied()
    }

    fn tidied(mut self) -> Self {
        self.client = self.client.filter(|c| is_public(*c));
        if let Some((local, domain)) = self.author.rsplit_once('@') {
            let domain = idna::domain_to_ascii(domain).unwrap_or_default();
            self.author = if domain.is_empty() { String::new() } else { format!("{}@{domain}", local.to_lowercase()) };
        }
        self
    }

    /// The domain of the author's address.
    pub fn domain(&self) -> &str {
        self.author.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// Whether the author's domain, or one above it, is verified to have sent the message.
    pub fn is_shown(&self) -> bool {
        let domain = self.domain();
        // A top-level domain does not speak for all the domains below it.
        let speaks_for = |shown: &String| domain == shown || (shown.contains('.') && is_within(domain, shown));
        !self.is_forged && !domain.is_empty() && self.shown.iter().any(speaks_for)
    }

    /// The client's network.
    pub fn network(&self) -> Option<IpNet> {
        let client = self.client?.to_canonical();
        let length = if client.is_ipv4() { 24 } else { 56 };
        IpNet::new(client, length).ok().map(|network| network.trunc())
    }

    /// The names under which the sender is remembered, the most significant one first.
    pub fn parties(&self) -> Vec<Party> {
        let mut parties = Vec::with_capacity(6);
        let network = self.network();
        if self.is_shown() {
            parties.extend(Party::new(PartyKind::Author, &*self.author));
        } else if let Some(network) = network.filter(|_| !self.is_forged && !self.author.is_empty()) {
            parties.extend(Party::new(PartyKind::Address, format!("{} {network}", self.author)));
        }
        parties.extend(self.signers.iter().filter_map(|signer| Party::new(PartyKind::Signer, &**signer)));
        if self.is_shown() {
            parties.extend(Party::new(PartyKind::Domain, self.domain()));
        }
        parties.extend(network.and_then(|network| Party::new(PartyKind::Network, network.to_string())));
        parties
    }

    /// The author as a possible correspondent of our users.
    pub fn correspondent(&self) -> Option<Party> {
        if self.is_forged { None } else { Party::new(PartyKind::Correspondent, &*self.author) }
    }
}

/// The value of a property of a result, such as `header.d`.
fn property(result: &str, name: &str) -> Option<String> {
    let found = result.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
    Some(found.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::filter::LimitSettings;

    fn keys(message: &str) -> Vec<String> {
        let view = View::new(message.as_bytes(), &LimitSettings::default());
        Claims::of_delivered(&view, "mx.example.test").parties().iter().map(Party::key).collect()
    }

    #[test]
    fn a_delivered_message_tells_who_it_is_from() {
        let ours = "Authentication-Results: mx.example.test;\r\n\tiprev=fail policy.iprev=192.0.2.9;\r\n\t\
                    spf=pass smtp.mailfrom=bounce@far.test;\r\n\tdkim=pass header.d=news.test header.s=a;\r\n\t\
                    dkim=fail (bad) header.d=bad.test\r\n";
        assert_eq!(
            keys(&format!("{ours}From: Ann <Ann@mail.Far.test>\r\n\r\nx")),
            ["author ann@mail.far.test", "signer news.test", "domain mail.far.test", "network 192.0.2.0/24"]
        );
        // Neither another host's field nor a second one of ours is trusted.
        let theirs = ours.replace("mx.example.test", "mx.other.test");
        assert_eq!(keys(&format!("{theirs}From: ann@far.test\r\n\r\nx")), Vec::<String>::new());
        assert_eq!(
            keys(&format!("Received: from x (x [203.0.113.7]) by mx\r\n{theirs}From: ann@far.test\r\n\r\nx")),
            ["address ann@far.test 203.0.113.0/24", "network 203.0.113.0/24"]
        );
    }

    #[test]
    fn only_the_domain_itself_and_those_above_it_speak_for_an_author() {
        let claims = |author: &str, shown: &str| Claims {
            author: author.to_owned(),
            shown: vec![shown.to_owned()],
            ..Claims::default()
        };
        assert!(claims("a@far.test", "far.test").is_shown());
        assert!(claims("a@mail.far.test", "far.test").is_shown());
        assert!(!claims("a@far.test", "mail.far.test").is_shown());
        assert!(!claims("a@notfar.test", "far.test").is_shown());
        assert!(!claims("a@far.test", "test").is_shown());
        assert!(!Claims { is_forged: true, ..claims("a@far.test", "far.test") }.is_shown());
    }

    #[test]
    fn what_is_forged_is_remembered_against_nobody_but_its_network() {
        let claims = Claims {
            author: "ann@far.test".to_owned(),
            is_forged: true,
            client: Some("2001:db8:1:2ff::1".parse().unwrap()),
            ..Claims::default()
        };
        let keys: Vec<String> = claims.parties().iter().map(Party::key).collect();
        assert_eq!((keys, claims.correspondent()), (vec!["network 2001:db8:1:200::/56".to_owned()], None));
    }
}
