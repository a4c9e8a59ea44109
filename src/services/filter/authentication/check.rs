//! All checks of one message, at the same time.

use std::net::IpAddr;
use std::time::Duration;

use super::dkim::{self, Chain, DkimResult, Signatures};
use super::dmarc::{self, Dmarc, DmarcResult, Identities};
use super::hello::{Iprev, iprev};
use super::spf::{Checker, Outcome, Question, SpfResult};
use crate::foundations::clock::Timestamp;
use crate::foundations::dns::SharedResolver;
use crate::foundations::mail::results_in;
use crate::services::filter::Signal;

/// How a message arrived, as far as authentication is concerned.
#[derive(Debug, Clone, Copy)]
pub struct Client<'c> {
    /// The client's address; `None` when the message did not come over the Internet.
    pub address: Option<IpAddr>,
    /// The name it gave.
    pub hello: &'c str,
    /// The reverse-path without brackets; empty when it is null.
    pub reverse_path: &'c str,
    /// The authors' domains in lower case, each once.
    pub authors: &'c [String],
    /// When it arrived.
    pub at: Timestamp,
}

/// The authentication results of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// The client's name; `None` when it was not checked.
    pub iprev: Option<Iprev>,
    /// SPF for the name the client gave.
    pub spf_hello: Option<Outcome>,
    /// SPF for the reverse-path.
    pub spf: Option<Outcome>,
    /// DKIM and ARC.
    pub signatures: Signatures,
    /// DMARC.
    pub dmarc: Dmarc,
    /// Whether the chain of seals is intact and a trusted sealer in it says that the author was real.
    pub vouched: Option<String>,
}

/// Checks who sent messages.
pub struct Authenticator {
    resolver: SharedResolver,
    receiver: String,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}

impl Authenticator {
    /// Uses this resolver; `receiver` is our own name, for explanations.
    pub const fn new(resolver: SharedResolver, receiver: String) -> Self {
        Self { resolver, receiver }
    }

    /// Checks a message as received. A look-up without an answer after `patience` counts as a temporary error.
    pub async fn check(
        &self,
        bytes: &[u8],
        client: Client<'_>,
        trusted: &[String],
        patience: Duration,
    ) -> Authentication {
        let resolver = &*self.resolver;
        let ask = |sender| Question {
            address: client.address.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
            sender,
            hello: client.hello,
            receiver: &self.receiver,
            time: client.at.unix_seconds(),
        };
        let spf_hello = async {
            client.address?;
            Some(
                tokio::time::timeout(patience, Checker::check(resolver, ask("")))
                    .await
                    .unwrap_or_else(|_| unanswered(client.hello)),
            )
        };
        let spf = async {
            client.address?;
            if client.reverse_path.is_empty() {
                return None;
            }
            let domain = client.reverse_path.rsplit_once('@').map_or(client.reverse_path, |(_, d)| d);
            Some(
                tokio::time::timeout(patience, Checker::check(resolver, ask(client.reverse_path)))
                    .await
                    .unwrap_or_else(|_| unanswered(domain)),
            )
        };
        let name = async {
            let address = client.address?;
            Some(tokio::time::timeout(patience, iprev(resolver, address)).await.unwrap_or(Iprev::TempError))
        };
        let signatures = dkim::verify(resolver, bytes, patience);
        let (iprev, spf_hello, spf, signatures) = tokio::join!(name, spf_hello, spf, signatures);
        let dmarc = self.dmarc(client.authors, spf.as_ref().or(spf_hello.as_ref()), &signatures, patience).await;
        let vouched = vouched(&signatures.arc, trusted, client.authors);
        Authentication { iprev, spf_hello, spf, signatures, dmarc, vouched }
    }

    /// `open` are those that only the DNS has kept from passing. If one of them could have passed the message, it has not failed: the
    /// same message might pass a minute later, but a rejection would be permanent.
    async fn evaluate(&self, author: &str, passed: Identities<'_>, open: Identities<'_>, patience: Duration) -> Dmarc {
        let evaluation = async {
            let found = dmarc::evaluate(&*self.resolver, author, passed).await;
            if found.result != DmarcResult::Fail || open.is_empty() {
                return found;
            }
            match dmarc::evaluate(&*self.resolver, author, open).await.result {
                DmarcResult::Pass | DmarcResult::TempError => Dmarc { result: DmarcResult::TempError, ..found },
                DmarcResult::Fail | DmarcResult::None | DmarcResult::PermError => found,
            }
        };
        let late = |_| Dmarc::without_record(DmarcResult::TempError, author);
        tokio::time::timeout(patience, evaluation).await.unwrap_or_else(late)
    }

    /// Of several authors, the one with the worst violation counts, so that nobody evades a policy by naming another author
    /// in addition to the forged one (RFC 9989 §11.5).
    async fn dmarc(
        &self,
        authors: &[String],
        spf: Option<&Outcome>,
        signatures: &Signatures,
        patience: Duration,
    ) -> Dmarc {
        let dkim = |result| -> Vec<&str> {
            signatures.dkim.iter().filter(|s| s.result == result).map(|s| s.domain.as_str()).collect()
        };
        let spf = |result| spf.filter(|s| s.result == result).map(|s| s.domain.as_str());
        let (dkim_passed, dkim_open) = (dkim(DkimResult::Pass), dkim(DkimResult::TempError));
        let passed = Identities { spf: spf(SpfResult::Pass), dkim: &dkim_passed };
        let open = Identities { spf: spf(SpfResult::TempError), dkim: &dkim_open };
        let evaluate = |author| self.evaluate(author, passed, open, patience);
        match authors {
            [] => evaluate("").await,
            [one] => evaluate(one).await,
            [first, ..] if authors.len() > MOST_AUTHORS => {
                let policy = dmarc::Policy::Quarantine;
                Dmarc { policy, ..Dmarc::without_record(DmarcResult::Fail, first) }
            }
            several => {
                let all = futures_util::future::join_all(several.iter().map(|author| evaluate(author.as_str()))).await;
                let failed = all.into_iter().filter(|found| found.result == DmarcResult::Fail);
                let worst = failed.max_by_key(|found| found.policy);
                worst.unwrap_or_else(|| Dmarc::without_record(DmarcResult::PermError, ""))
            }
        }
    }
}

/// Most author domains that are checked. A message in the name of more has no author domain.
const MOST_AUTHORS: usize = 10;

fn unanswered(domain: &str) -> Outcome {
    Outcome { result: SpfResult::TempError, domain: domain.to_ascii_lowercase(), explanation: None }
}

/// The trusted sealer of an intact chain who says that DMARC, or SPF and DKIM, had passed when the message reached them. Of several
/// authors (RFC 9989 §11.5) all must be named: whoever is vouched for must not bring somebody else along.
fn vouched(arc: &Chain, trusted: &[String], authors: &[String]) -> Option<String> {
    let Chain::Pass { sealers, results } = arc else { return None };
    // The newest sealer must be trusted: it is the one whose results are read.
    let sealer = sealers.last().filter(|s| trusted.iter().any(|t| t == *s))?;
    let results = results.to_ascii_lowercase();
    // Not anywhere in the text: the envelope sender is in it, too.
    let passed = results_in(&results).filter(|result| result.starts_with("dmarc=pass"));
    let named: Vec<Option<&str>> =
        passed.map(|result| result.split_whitespace().find_map(|word| word.strip_prefix("header.from="))).collect();
    let is_alone = authors.len() == 1;
    let is_named = |author: &String| named.iter().any(|from| from.map_or(is_alone, |from| from == author.as_str()));
    (!authors.is_empty() && authors.iter().all(is_named)).then(|| sealer.clone())
}

impl Authentication {
    /// Whether the author's domain is authenticated.
    pub fn is_authentic(&self) -> bool {
        let author = self.dmarc.domain.as_str();
        let signed = self.signatures.dkim.iter().any(|s| s.result == DkimResult::Pass && s.domain == author);
        self.dmarc.result == DmarcResult::Pass || (!author.is_empty() && signed)
    }

    /// Whether one of these domains is shown to have sent it, by SPF or a signature.
    pub fn is_by(&self, domains: &[String]) -> bool {
        let spf = self.spf.iter().filter(|s| s.result == SpfResult::Pass).map(|s| s.domain.as_str());
        let signed = self.signatures.dkim.iter().filter(|s| s.result == DkimResult::Pass).map(|s| s.domain.as_str());
        spf.chain(signed).any(|d| domains.iter().any(|known| known.eq_ignore_ascii_case(d)))
    }

    /// The signals for the results; their weights are in the rules.
    pub fn signals(&self) -> Vec<Signal> {
        let mut signals = Vec::new();
        let mut add = |name: &'static str, because: String| signals.push(Signal::new(name, 0.0, because));
        if let Some(outcome) = &self.spf {
            let name = match outcome.result {
                SpfResult::Pass => Some("SPF_PASS"),
                SpfResult::Fail => Some("SPF_FAIL"),
                SpfResult::SoftFail => Some("SPF_SOFTFAIL"),
                SpfResult::PermError => Some("SPF_PERMERROR"),
                SpfResult::None => Some("SPF_NONE"),
                SpfResult::Neutral | SpfResult::TempError => None,
            };
            if let Some(name) = name {
                add(name, outcome.domain.clone());
            }
        }
        match &self.spf_hello {
            Some(o) if o.result == SpfResult::Pass => add("SPF_HELO_PASS", o.domain.clone()),
            Some(o) if o.result == SpfResult::Fail => add("SPF_HELO_FAIL", o.domain.clone()),
            _ => {}
        }
        self.signature_signals(&mut add);
        let dmarc = match (self.dmarc.result, self.dmarc.policy) {
            (DmarcResult::Pass, _) => Some("DMARC_PASS"),
            (DmarcResult::None, _) => Some("DMARC_NONE"),
            (DmarcResult::Fail, dmarc::Policy::None) => Some("DMARC_FAIL"),
            (DmarcResult::Fail, dmarc::Policy::Quarantine) => Some("DMARC_QUARANTINE"),
            (DmarcResult::Fail, dmarc::Policy::Reject) => Some("DMARC_REJECT"),
            (DmarcResult::TempError | DmarcResult::PermError, _) => None,
        };
        if let Some(name) = dmarc {
            add(name, self.dmarc.domain.clone());
        }
        if let Some(Iprev::Pass(name)) = &self.iprev {
            add("IPREV_PASS", name.clone());
        }
        signals
    }

    fn signature_signals(&self, add: &mut impl FnMut(&'static str, String)) {
        let dkim = &self.signatures.dkim;
        let passed: Vec<&str> =
            dkim.iter().filter(|s| s.result == DkimResult::Pass).map(|s| s.domain.as_str()).collect();
        if let Some(first) = passed.first() {
            add("DKIM_VALID", (*first).to_owned());
            if passed.contains(&self.dmarc.domain.as_str()) {
                add("DKIM_VALID_AU", self.dmarc.domain.clone());
            }
        } else if let Some(broken) = dkim.iter().find(|s| s.result != DkimResult::TempError && !s.is_test) {
            add("DKIM_INVALID", broken.reason.clone().unwrap_or_default());
        }
        match (&self.vouched, &self.signatures.arc) {
            (Some(sealer), _) => add("ARC_TRUSTED", sealer.clone()),
            (None, Chain::Fail(reason)) => add("ARC_BROKEN", reason.clone()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::foundations::dns::ZoneResolver;
    use crate::foundations::mail::Message;

    #[test]
    fn a_seal_vouches_only_for_those_it_names() {
        let trusted = ["list.test".to_owned()];
        for (results, authors, wanted) in [
            ("mx.list.test; dmarc=pass header.from=far.test", "far.test", true),
            ("mx.list.test; dmarc=pass", "far.test", true),
            ("mx.list.test; dmarc=pass header.from=far.test", "bank.test", false),
            ("mx.list.test; dmarc=pass header.from=far.test", "bank.test far.test", false),
            ("mx.list.test; dmarc=pass", "bank.test far.test", false),
            ("mx.list.test; dmarc=pass header.from=far.test", "", false),
        ] {
            let chain = Chain::Pass { sealers: vec!["list.test".to_owned()], results: results.to_owned() };
            let authors: Vec<String> = authors.split_whitespace().map(str::to_owned).collect();
            assert_eq!(vouched(&chain, &trusted, &authors).is_some(), wanted, "{results} {authors:?}");
        }
    }

    /// A message of ann@example.test, which `p=reject` protects, signed; and the record of its key.
    fn signed() -> (Vec<u8>, String) {
        let pair = dkim::generate(dkim::Algorithm::Ed25519).unwrap();
        let domain = "example.test".parse().unwrap();
        let signer = dkim::Signer::new(domain, "s1", &pair.private, std::path::Path::new("key.pem")).unwrap();
        let message = Message::new(b"From: ann@example.test\r\nSubject: Hi\r\n\r\nHello\r\n".to_vec());
        let field = signer.sign(&message).unwrap();
        (message.with_prefix(field.as_bytes()).bytes().to_vec(), pair.record)
    }

    /// A name server that does not answer now is no reason for a permanent rejection.
    #[tokio::test]
    async fn what_the_dns_leaves_open_has_not_failed() {
        use DmarcResult::{Fail, Pass, TempError};
        let (message, key) = signed();
        let key = format!("s1._domainkey.example.test TXT {key}");
        let elsewhere = "v=spf1 -all";
        for (key, spf, reverse_path, wanted) in [
            (key.as_str(), elsewhere, "ann@example.test", Pass),
            ("", elsewhere, "ann@example.test", Fail),
            ("s1._domainkey.example.test FAIL", elsewhere, "ann@example.test", TempError),
            ("s1._domainkey.example.test SILENT", elsewhere, "ann@example.test", TempError),
            ("", "v=spf1 include:down.test -all", "ann@example.test", TempError),
            ("", "v=spf1 include:slow.test -all", "ann@example.test", TempError),
            (key.as_str(), "v=spf1 include:slow.test -all", "ann@example.test", Pass),
            // What is open for somebody else could not have helped.
            ("", elsewhere, "x@other.test", Fail),
        ] {
            let zone = ZoneResolver::new();
            zone.add("_dmarc.example.test TXT v=DMARC1; p=reject\ndown.test FAIL\nslow.test SILENT").unwrap();
            zone.add("other.test TXT v=spf1 include:down.test -all").unwrap();
            zone.add(&format!("example.test TXT {spf}\n{key}")).unwrap();
            let client = Client {
                address: "192.0.2.7".parse().ok(),
                hello: "mx.other.test",
                reverse_path,
                authors: &["example.test".to_owned()],
                at: Timestamp::EPOCH,
            };
            let authenticator = Authenticator::new(Arc::new(zone), "mx.here.test".to_owned());
            let found = authenticator.check(&message, client, &[], Duration::from_millis(100)).await;
            assert_eq!(found.dmarc.result, wanted, "{key} {spf} {reverse_path}: {found:?}");
        }
    }
}
