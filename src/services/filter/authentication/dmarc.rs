//! DMARC (RFC 9989, which replaces RFC 7489): does the author's domain stand behind the message?
//!
//! The organizational domain is found by walking up the DNS, not by a list of public suffixes, which would be as old as
//! this program.

use crate::foundations::address::is_within;
use crate::foundations::dns::Resolver;

/// What a domain's owner wants done with mail that is not from the domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// Nothing.
    None,
    /// Treat it with suspicion.
    Quarantine,
    /// Refuse it.
    Reject,
}

impl Policy {
    /// The word for it in records and results.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        match word {
            "reject" => Some(Self::Reject),
            "quarantine" => Some(Self::Quarantine),
            "none" => Some(Self::None),
            _ => None,
        }
    }

    /// One step milder, for domains that are testing (§4.7: `t=y`).
    const fn milder(self) -> Self {
        match self {
            Self::Reject => Self::Quarantine,
            Self::Quarantine | Self::None => Self::None,
        }
    }
}

/// The results of RFC 8601 §2.7 for DMARC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DmarcResult {
    /// The author's domain is authenticated.
    Pass,
    /// It is not.
    Fail,
    /// It has no policy.
    None,
    /// The DNS did not answer.
    TempError,
    /// The message has no author's domain, or several.
    PermError,
}

impl DmarcResult {
    /// The word for it in Authentication-Results.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::None => "none",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// The outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dmarc {
    /// The result.
    pub result: DmarcResult,
    /// What the owner of the domain wants done on failure.
    pub policy: Policy,
    /// The author's domain.
    pub domain: String,
    /// The domain whose record applies.
    pub record_domain: String,
    /// What the record says, if its owner wants reports.
    pub published: Option<Published>,
}

impl Dmarc {
    /// A result without a record.
    pub fn without_record(result: DmarcResult, author: &str) -> Self {
        let (domain, record_domain) = (author.to_owned(), String::new());
        Self { result, policy: Policy::None, domain, record_domain, published: None }
    }
}

/// A record whose owner wants reports, as reports quote it, and the results under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// `p=`.
    pub policy: Policy,
    /// `sp=`.
    pub subdomain: Option<Policy>,
    /// `np=`.
    pub missing: Option<Policy>,
    /// `adkim=s`.
    pub strict_dkim: bool,
    /// `aspf=s`.
    pub strict_spf: bool,
    /// `t=y`.
    pub testing: bool,
    /// `rua=`: where reports go.
    pub reports: Vec<String>,
    /// `ruf=`: where reports of single messages go.
    pub failures: Vec<String>,
    /// `fo=`: which messages are to be reported.
    pub failing: Failing,
    /// Whether a signature is of the author's domain or of one that may speak for it.
    pub dkim_aligned: bool,
    /// The same for the domain for which SPF has passed.
    pub spf_aligned: bool,
}

/// `fo=`: which messages a domain's owner wants to hear of (RFC 7489 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Failing {
    /// `1`: those of which anything has failed; otherwise those of which everything has.
    pub any: bool,
    /// `d`: those with a signature that is not valid.
    pub dkim: bool,
    /// `s`: those for which SPF has failed.
    pub spf: bool,
}

/// Authenticated domains, in lower case.
#[derive(Debug, Clone, Copy)]
pub struct Identities<'i> {
    /// For which SPF has passed.
    pub spf: Option<&'i str>,
    /// For which a DKIM signature has passed.
    pub dkim: &'i [&'i str],
}

impl Identities<'_> {
    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.spf.is_none() && self.dkim.is_empty()
    }
}

/// A valid record (§4.7).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    policy: Policy,
    subdomain: Option<Policy>,
    missing: Option<Policy>,
    /// Whether its policies are ones that exist; otherwise it has none.
    is_readable: bool,
    strict_dkim: bool,
    strict_spf: bool,
    testing: bool,
    suffix: Suffix,
    reports: Vec<String>,
    failures: Vec<String>,
    failing: Failing,
}

/// `psd=` (§4.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suffix {
    Yes,
    No,
    Unsaid,
}

/// Most steps of a walk (§4.10).
const MAX_STEPS: usize = 8;
/// Most addresses for reports that are used.
const MAX_REPORTS: usize = 5;

/// A temporary DNS error.
struct Unanswered;

/// Evaluates the policy of the author's domain, given in lower case.
pub async fn evaluate(resolver: &dyn Resolver, domain: &str, identities: Identities<'_>) -> Dmarc {
    let outcome = |result, policy, record_domain: &str| Dmarc {
        result,
        policy,
        domain: domain.to_owned(),
        record_domain: record_domain.to_owned(),
        published: None,
    };
    if domain.is_empty() || !domain.contains('.') {
        return outcome(DmarcResult::PermError, Policy::None, "");
    }
    let Ok(found) = walk(resolver, domain).await else { return outcome(DmarcResult::TempError, Policy::None, "") };
    let organization = organizational(domain, &found).to_owned();
    // §4.10.1: the author's own record, else that of its organization, else that of the public suffix.
    let Some((record_domain, record)) = found
        .iter()
        .find(|(name, _)| name == domain)
        .or_else(|| found.iter().find(|(name, _)| *name == organization))
        .or_else(|| found.last())
    else {
        return outcome(DmarcResult::None, Policy::None, "");
    };
    // §4.10.1: without a policy that can be read, only reports are left to be made.
    if !record.is_readable && !record.reports.iter().any(|uri| is_uri(uri)) {
        return outcome(DmarcResult::None, Policy::None, "");
    }
    let policy = record.policy_for(domain, record_domain, resolver).await;
    let mut alignment = Alignment { resolver, domain, organization: &organization, unanswered: false };
    let wanted = !record.reports.is_empty() || !record.failures.is_empty();
    let dkim = alignment.any(identities.dkim, record.strict_dkim).await;
    // Without reports, the other half is not needed.
    let spf = (wanted || !dkim) && alignment.any(identities.spf.as_slice(), record.strict_spf).await;
    let result = match (dkim || spf, alignment.unanswered) {
        (true, _) => DmarcResult::Pass,
        (false, true) => DmarcResult::TempError,
        (false, false) => DmarcResult::Fail,
    };
    let published = wanted.then(|| record.published(dkim, spf));
    Dmarc { published, ..outcome(result, policy, record_domain) }
}

/// Whether domains may speak for the author's (§4.10.2).
struct Alignment<'a> {
    resolver: &'a dyn Resolver,
    domain: &'a str,
    organization: &'a str,
    /// Whether the DNS left a question open.
    unanswered: bool,
}

impl Alignment<'_> {
    async fn any(&mut self, identities: &[&str], strict: bool) -> bool {
        if identities.contains(&self.domain) {
            return true;
        }
        for identity in identities.iter().filter(|identity| !strict && is_within(identity, self.organization)) {
            match walk(self.resolver, identity).await {
                Ok(walked) if organizational(identity, &walked) == self.organization => return true,
                Ok(_) => {}
                Err(Unanswered) => self.unanswered = true,
            }
        }
        false
    }
}

/// The organizational domain of a name (§4.10.2), given in lower case; `None` when the DNS does not answer.
pub async fn organization_of(resolver: &dyn Resolver, domain: &str) -> Option<String> {
    let found = walk(resolver, domain).await.ok()?;
    Some(organizational(domain, &found).to_owned())
}

/// §4.10: the records of the domain and of those above it, the longest name first.
async fn walk(resolver: &dyn Resolver, domain: &str) -> Result<Vec<(String, Record)>, Unanswered> {
    let labels: Vec<&str> = domain.split('.').collect();
    let mut names = vec![domain.to_owned()];
    let from = if labels.len() > MAX_STEPS { labels.len() - (MAX_STEPS - 1) } else { 1 };
    names.extend((from..labels.len()).map(|n| labels[n..].join(".")));
    let mut found = Vec::new();
    for name in names.into_iter().take(MAX_STEPS) {
        let texts = match resolver.txt(&format!("_dmarc.{name}")).await {
            Ok(answer) => answer.records,
            Err(error) if error.is_absence() || error.kind == crate::foundations::dns::ErrorKind::InvalidName => {
                continue;
            }
            Err(_) => return Err(Unanswered),
        };
        let mut records = texts.iter().filter_map(|t| Record::parse(t));
        // Several records are none (§4.10).
        if let (Some(record), None) = (records.next(), records.next()) {
            let is_last = record.suffix != Suffix::Unsaid;
            found.push((name, record));
            if is_last {
                break;
            }
        }
    }
    Ok(found)
}

/// Whether an address for reports is a URI, roughly: whom it belongs to and whether it can be used is asked later.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && !rest.is_empty()
}

/// §4.10.2: the organizational domain, given the records of a walk.
fn organizational<'d>(domain: &'d str, found: &'d [(String, Record)]) -> &'d str {
    for (name, record) in found {
        match record.suffix {
            Suffix::No => return name,
            Suffix::Yes if name != domain => {
                let above = name.split('.').count();
                let labels = domain.split('.').count();
                let skip = labels.saturating_sub(above + 1);
                let mut rest = domain;
                for _ in 0..skip {
                    rest = rest.split_once('.').map_or(rest, |(_, r)| r);
                }
                return rest;
            }
            Suffix::Yes | Suffix::Unsaid => {}
        }
    }
    found.last().map_or(domain, |(name, _)| name)
}

/// RFC 9989 §4.8: a domain that has neither addresses nor mail exchangers.
async fn exists(resolver: &dyn Resolver, domain: &str) -> bool {
    use crate::foundations::dns::ErrorKind;
    let (a, aaaa, mx) = tokio::join!(resolver.a(domain), resolver.aaaa(domain), resolver.mx(domain));
    let absent = |kind: Option<ErrorKind>| matches!(kind, Some(ErrorKind::NoSuchName | ErrorKind::NoData));
    !(absent(a.err().map(|e| e.kind)) && absent(aaaa.err().map(|e| e.kind)) && absent(mx.err().map(|e| e.kind)))
}

impl Record {
    /// The policy for mail in the name of `domain` by the record of `record_domain`, which is the domain itself or one above.
    async fn policy_for(&self, domain: &str, record_domain: &str, resolver: &dyn Resolver) -> Policy {
        let mut policy = self.policy;
        if record_domain != domain {
            policy = self.subdomain.unwrap_or(policy);
            if let Some(missing) = self.missing
                && !exists(resolver, domain).await
            {
                policy = missing;
            }
        }
        if self.testing { policy.milder() } else { policy }
    }

    /// What reports say about the record, and whether signatures and SPF were aligned.
    fn published(&self, dkim_aligned: bool, spf_aligned: bool) -> Published {
        Published {
            policy: self.policy,
            subdomain: self.subdomain,
            missing: self.missing,
            strict_dkim: self.strict_dkim,
            strict_spf: self.strict_spf,
            testing: self.testing,
            reports: self.reports.clone(),
            failures: self.failures.clone(),
            failing: self.failing,
            dkim_aligned,
            spf_aligned,
        }
    }

    /// §4.7; `None` when the text is not a DMARC record.
    fn parse(text: &str) -> Option<Self> {
        let mut tags = text.split(';').map(str::trim);
        let (name, version) = tags.next()?.split_once('=')?;
        if name.trim() != "v" || version.trim() != "DMARC1" {
            return None;
        }
        let mut record = Self {
            policy: Policy::None,
            subdomain: None,
            missing: None,
            is_readable: true,
            strict_dkim: false,
            strict_spf: false,
            testing: false,
            suffix: Suffix::Unsaid,
            reports: Vec::new(),
            failures: Vec::new(),
            failing: Failing::default(),
        };
        for tag in tags.take(50) {
            if let Some((name, value)) = tag.split_once('=') {
                record.set(&name.trim().to_ascii_lowercase(), value.trim());
            }
        }
        // §4.10.1: one wrong policy leaves none of the others in force.
        if !record.is_readable {
            (record.policy, record.subdomain, record.missing) = (Policy::None, None, None);
        }
        Some(record)
    }

    /// Reads a policy.
    fn policy_of(&mut self, word: &str) -> Option<Policy> {
        let policy = Policy::parse(word);
        self.is_readable &= policy.is_some();
        policy
    }

    /// Takes one tag of the record; unknown ones say nothing (§4.7). Words are read in any case, URIs as they are.
    fn set(&mut self, name: &str, value: &str) {
        let uris = || value.split(',').map(|uri| uri.trim().to_owned()).take(MAX_REPORTS).collect();
        let word = value.to_ascii_lowercase();
        match name {
            "p" => self.policy = self.policy_of(&word).unwrap_or(Policy::None),
            "sp" => self.subdomain = self.policy_of(&word),
            "np" => self.missing = self.policy_of(&word),
            "adkim" => self.strict_dkim = word == "s",
            "aspf" => self.strict_spf = word == "s",
            "fo" => {
                let has = |option: &str| word.split(':').any(|o| o.trim() == option);
                self.failing = Failing { any: has("1"), dkim: has("d"), spf: has("s") };
            }
            "t" => self.testing = word == "y",
            "psd" => {
                self.suffix = match word.as_str() {
                    "y" => Suffix::Yes,
                    "n" => Suffix::No,
                    _ => Suffix::Unsaid,
                }
            }
            "rua" => self.reports = uris(),
            "ruf" => self.failures = uris(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::dns::ZoneResolver;

    async fn run(zone: &str, domain: &str, spf: Option<&str>, dkim: &[&str]) -> (DmarcResult, Policy, String) {
        let resolver = ZoneResolver::new();
        resolver.add(zone).unwrap();
        let outcome = evaluate(&resolver, domain, Identities { spf, dkim }).await;
        (outcome.result, outcome.policy, outcome.record_domain)
    }

    #[tokio::test]
    async fn policies_and_alignment() {
        use DmarcResult::{Fail, None as Nothing, Pass, TempError};
        let zone = "_dmarc.example.test TXT v=DMARC1; p=reject; sp=quarantine; np=none\nsub.example.test A 192.0.2.1\n_dmarc.strict.test TXT v=DMARC1;p=quarantine;adkim=s;aspf=s\n_dmarc.try.test TXT v=DMARC1; p=reject; t=y\n_dmarc.down.test FAIL\n_dmarc.psd.test TXT v=DMARC1; p=reject; psd=y\n_dmarc.two.test TXT v=DMARC1; p=reject\n_dmarc.two.test TXT v=DMARC1; p=none\n_dmarc.wrong.test TXT v=spf1; p=reject\n_dmarc.own.example.test TXT v=DMARC1; p=none; psd=n";
        for (domain, spf, dkim, wanted) in [
            ("example.test", Some("example.test"), &[][..], (Pass, Policy::Reject, "example.test")),
            ("example.test", Some("mail.example.test"), &[], (Pass, Policy::Reject, "example.test")),
            ("example.test", Some("other.test"), &["evil.test"], (Fail, Policy::Reject, "example.test")),
            ("example.test", None, &["x.evil.test", "news.example.test"], (Pass, Policy::Reject, "example.test")),
            ("example.test", Some("notexample.test"), &[], (Fail, Policy::Reject, "example.test")),
            ("sub.example.test", None, &[], (Fail, Policy::Quarantine, "example.test")),
            ("gone.example.test", None, &[], (Fail, Policy::None, "example.test")),
            ("sub.example.test", Some("example.test"), &[], (Pass, Policy::Quarantine, "example.test")),
            ("strict.test", Some("a.strict.test"), &["b.strict.test"], (Fail, Policy::Quarantine, "strict.test")),
            ("strict.test", None, &["strict.test"], (Pass, Policy::Quarantine, "strict.test")),
            ("try.test", None, &[], (Fail, Policy::Quarantine, "try.test")),
            ("down.test", None, &["down.test"], (TempError, Policy::None, "")),
            ("nothing.test", Some("nothing.test"), &[], (Nothing, Policy::None, "")),
            ("a.b.psd.test", Some("b.psd.test"), &[], (Pass, Policy::Reject, "psd.test")),
            ("a.b.psd.test", Some("c.psd.test"), &[], (Fail, Policy::Reject, "psd.test")),
            ("two.test", None, &[], (Nothing, Policy::None, "")),
            ("wrong.test", None, &[], (Nothing, Policy::None, "")),
            ("own.example.test", Some("example.test"), &[], (Fail, Policy::None, "own.example.test")),
            ("a.b.c.d.e.f.g.h.i.j.example.test", None, &["example.test"], (Pass, Policy::None, "example.test")),
        ] {
            let got = run(zone, domain, spf, dkim).await;
            assert_eq!(got, (wanted.0, wanted.1, wanted.2.to_owned()), "{domain} {spf:?} {dkim:?}");
        }
    }

    /// RFC 9989 §4.10.1
    #[tokio::test]
    async fn a_policy_that_does_not_exist_leaves_none_in_force() {
        use DmarcResult::{Fail, None as Nothing};
        for (record, wanted) in [
            ("p=reject; sp=none", (Fail, Policy::Reject)),
            ("p=reject; sp=", (Nothing, Policy::None)),
            ("p=reject; sp=; rua=mailto:a@example.test", (Fail, Policy::None)),
            ("p=reject; np=refuse; rua=mailto:a@example.test", (Fail, Policy::None)),
            ("p=rejekt; rua=mailto:a@example.test", (Fail, Policy::None)),
            ("p=rejekt; rua=a@example.test", (Nothing, Policy::None)),
            ("rua=mailto:a@example.test", (Fail, Policy::None)),
            ("p=Quarantine; x=y", (Fail, Policy::Quarantine)),
        ] {
            let zone = format!("_dmarc.example.test TXT v=DMARC1; {record}");
            let (result, policy, _) = run(&zone, "example.test", None, &[]).await;
            assert_eq!((result, policy), wanted, "{record}");
        }
    }

    /// RFC 9989 §4.10: what stands above a public suffix is not asked.
    #[tokio::test]
    async fn a_walk_ends_at_a_public_suffix_even_if_it_begins_there() {
        let zone = "_dmarc.psd.test TXT v=DMARC1; p=reject; psd=y\n_dmarc.test TXT v=DMARC1; p=none";
        let (result, policy, record) = run(zone, "psd.test", Some("other.test"), &[]).await;
        assert_eq!((result, policy, record.as_str()), (DmarcResult::Fail, Policy::Reject, "psd.test"));
    }
}
