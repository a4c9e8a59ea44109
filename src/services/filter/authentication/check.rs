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

/// How a message came, as far as its authentication is concerned.
#[derive(Debug, Clone, Copy)]
pub struct Client<'c> {
    /// The client's address; `None` when it did not come over the Internet.
    pub address: Option<IpAddr>,
    /// The name it gave.
    pub hello: &'c str,
    /// The reverse-path without brackets; empty when it is null.
    pub reverse_path: &'c str,
    /// The domains of the authors in lower case, each once.
    pub authors: &'c [String],
    /// When it came.
    pub at: Timestamp,
}

/// What was found out about the sender of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// The client's name; `None` when it was not looked at.
    pub iprev: Option<Iprev>,
    /// SPF for the name the client gave.
    pub spf_hello: Option<Outcome>,
    /// SPF for the reverse-path.
    pub spf: Option<Outcome>,
    /// DKIM and ARC.
    pub signatures: Signatures,
    /// DMARC.
    pub dmarc: Dmarc,
    /// Whether the chain of seals is whole and one of its sealers, which says that the author was real, is trusted.
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
    /// Asks this resolver; `receiver` is our own name, for explanations.
    pub const fn new(resolver: SharedResolver, receiver: String) -> Self {
        Self { resolver, receiver }
    }

    /// Checks a message, given as it came. What has no answer after `patience` counts as a passing failure.
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
        let signatures = async {
            let none = Signatures { dkim: Vec::new(), ignored: 0, arc: Chain::None };
            tokio::time::timeout(patience, dkim::verify(resolver, bytes)).await.unwrap_or(none)
        };
        let (iprev, spf_hello, spf, signatures) = tokio::join!(name, spf_hello, spf, signatures);
        let dmarc = self.dmarc(client.authors, spf.as_ref().or(spf_hello.as_ref()), &signatures, patience).await;
        let vouched = vouched(&signatures.arc, trusted, client.authors);
        Authentication { iprev, spf_hello, spf, signatures, dmarc, vouched }
    }

    async fn evaluate(&self, author: &str, identities: Identities<'_>, patience: Duration) -> Dmarc {
        let evaluation = dmarc::evaluate(&*self.resolver, author, identities);
        let late = |_| Dmarc::without_record(DmarcResult::TempError, author);
        tokio::time::timeout(patience, evaluation).await.unwrap_or_else(late)
    }

    /// Of several authors the one whose policy is broken most counts, so that nobody gets past a policy by naming another author
    /// beside the one he pretends to be (RFC 9989 §11.5).
    async fn dmarc(
        &self,
        authors: &[String],
        spf: Option<&Outcome>,
        signatures: &Signatures,
        patience: Duration,
    ) -> Dmarc {
        let dkim: Vec<&str> =
            signatures.dkim.iter().filter(|s| s.result == DkimResult::Pass).map(|s| s.domain.as_str()).collect();
        let spf = spf.filter(|s| s.result == SpfResult::Pass).map(|s| s.domain.as_str());
        let identities = Identities { spf, dkim: &dkim };
        let evaluate = |author| self.evaluate(author, identities, patience);
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

/// Domains of authors that are asked about. A message in the name of more is none of anybody's.
const MOST_AUTHORS: usize = 10;

fn unanswered(domain: &str) -> Outcome {
    Outcome { result: SpfResult::TempError, domain: domain.to_ascii_lowercase(), explanation: None }
}

/// The trusted sealer of a whole chain that says DMARC, or SPF and DKIM, had passed when the message reached it.
fn vouched(arc: &Chain, trusted: &[String], authors: &[String]) -> Option<String> {
    let Chain::Pass { sealers, results } = arc else { return None };
    // The newest sealer must be trusted: it is the one whose results are read.
    let sealer = sealers.last().filter(|s| trusted.iter().any(|t| t == *s))?;
    let results = results.to_ascii_lowercase();
    // Not anywhere in the text: the sender of the envelope stands in it, too.
    let mut passed = results_in(&results).filter(|result| result.starts_with("dmarc=pass"));
    let is_of_author = |result: &str| {
        let from = result.split_whitespace().find_map(|word| word.strip_prefix("header.from="));
        from.is_none_or(|from| authors.iter().any(|author| author == from))
    };
    passed.any(is_of_author).then(|| sealer.clone())
}

impl Authentication {
    /// Whether the author's domain is shown to be real.
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

    /// The signals of what was found; their weights stand in the rules.
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
        } else if let Some(broken) = dkim.iter().find(|s| s.result != DkimResult::TempError) {
            add("DKIM_INVALID", broken.reason.clone().unwrap_or_default());
        }
        match (&self.vouched, &self.signatures.arc) {
            (Some(sealer), _) => add("ARC_TRUSTED", sealer.clone()),
            (None, Chain::Fail(reason)) => add("ARC_BROKEN", reason.clone()),
            _ => {}
        }
    }
}
