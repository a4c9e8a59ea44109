//! The evaluation (RFC 7208 §4).

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use super::SpfResult;
use super::macros::{Context, MacroString, Values};
use super::record::{Directive, Mechanism, Prefixes, Record};
use crate::foundations::address::is_within;
use crate::foundations::dns::{Answer, Error, ErrorKind, Resolver};

/// The facts to evaluate.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// The client's address; IPv4-mapped IPv6 addresses count as IPv4.
    pub address: IpAddr,
    /// The reverse-path without brackets; empty when it is null, and then the name the client gave is checked.
    pub sender: &'q str,
    /// The name the client gave.
    pub hello: &'q str,
    /// Our own name, for explanations.
    pub receiver: &'q str,
    /// Seconds since 1970, for explanations.
    pub time: i64,
}

/// The result of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The result.
    pub result: SpfResult,
    /// The domain that was checked, in lower case.
    pub domain: String,
    /// The domain's own explanation of a failure.
    pub explanation: Option<String>,
}

/// One evaluation with its budget of look-ups.
pub struct Checker<'c> {
    resolver: &'c dyn Resolver,
    question: Question<'c>,
    sender: String,
    lookups: u32,
    voids: u32,
    name: Option<String>,
}

/// Terms that cause look-ups (RFC 7208 §4.6.4).
const MAX_LOOKUPS: u32 = 10;
/// Look-ups without an answer.
const MAX_VOIDS: u32 = 2;
/// Names of an MX or PTR answer.
const MAX_NAMES: usize = 10;

/// Why an evaluation ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Temporary,
    Permanent,
}

type Evaluation<'a> = Pin<Box<dyn Future<Output = Result<(SpfResult, Option<String>), Stop>> + Send + 'a>>;

impl<'c> Checker<'c> {
    /// Evaluates the record of the sender's domain; of the client's name when the reverse-path is null (§2.4).
    pub async fn check(resolver: &'c dyn Resolver, question: Question<'c>) -> Outcome {
        let (local, domain) = match question.sender.rsplit_once('@') {
            Some((local, domain)) => (if local.is_empty() { "postmaster" } else { local }, domain),
            None if question.sender.is_empty() => ("postmaster", question.hello),
            None => ("postmaster", question.sender),
        };
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        let question = Question { address: question.address.to_canonical(), ..question };
        let sender = format!("{local}@{domain}");
        let mut checker = Self { resolver, question, sender, lookups: 0, voids: 0, name: None };
        // §4.3: an invalid domain gives `none`.
        if !is_domain(&domain) || !domain.contains('.') {
            return Outcome { result: SpfResult::None, domain, explanation: None };
        }
        let (result, explanation) = match checker.evaluate(domain.clone()).await {
            Ok(outcome) => outcome,
            Err(Stop::Temporary) => (SpfResult::TempError, None),
            Err(Stop::Permanent) => (SpfResult::PermError, None),
        };
        Outcome { result, domain, explanation }
    }

    /// `check_host()`. Recursion is bounded by the number of look-ups.
    fn evaluate(&mut self, domain: String) -> Evaluation<'_> {
        Box::pin(async move {
            let Some(text) = self.record(&domain).await? else { return Ok((SpfResult::None, None)) };
            let record = Record::parse(&text).map_err(|_| Stop::Permanent)?;
            for Directive { result, mechanism } in &record.directives {
                if self.matches(mechanism, &domain).await? {
                    let explanation = match (&record.explanation, result) {
                        (Some(explanation), SpfResult::Fail) => self.explain(explanation, &domain).await,
                        _ => None,
                    };
                    return Ok((*result, explanation));
                }
            }
            // §6.1
            if let Some(redirect) = &record.redirect {
                self.count_lookup()?;
                let target = self.domain(redirect, &domain).await?;
                let (result, explanation) = self.evaluate(target).await?;
                return if result == SpfResult::None { Err(Stop::Permanent) } else { Ok((result, explanation)) };
            }
            Ok((SpfResult::Neutral, None))
        })
    }

    /// §4.4, §4.5: the one record of the domain.
    async fn record(&self, domain: &str) -> Result<Option<String>, Stop> {
        if !is_domain(domain) {
            return Ok(None);
        }
        let texts = match self.resolver.txt(domain).await {
            Ok(answer) => answer.records,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(_) => return Err(Stop::Temporary),
        };
        let mut records = texts.into_iter().filter(|t| Record::is_one(t));
        match (records.next(), records.next()) {
            (Some(_), Some(_)) => Err(Stop::Permanent),
            (one, _) => Ok(one),
        }
    }

    async fn matches(&mut self, mechanism: &Mechanism, domain: &str) -> Result<bool, Stop> {
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip4(network, prefix) => Ok(covers(IpAddr::V4(*network), *prefix, self.question.address)),
            Mechanism::Ip6(network, prefix) => Ok(covers(IpAddr::V6(*network), *prefix, self.question.address)),
            Mechanism::Include(target) => {
                self.count_lookup()?;
                let target = self.domain(target, domain).await?;
                // §5.2
                match self.evaluate(target).await?.0 {
                    SpfResult::Pass => Ok(true),
                    SpfResult::None => Err(Stop::Permanent),
                    _ => Ok(false),
                }
            }
            Mechanism::A(target, prefixes) => {
                self.count_lookup()?;
                let target = self.target(target.as_ref(), domain).await?;
                let addresses = self.addresses(&target).await;
                let addresses = self.counted(addresses)?;
                Ok(addresses.into_iter().any(|a| self.covered(a, *prefixes)))
            }
            Mechanism::Mx(target, prefixes) => {
                self.count_lookup()?;
                let target = self.target(target.as_ref(), domain).await?;
                self.exchanger(&target, *prefixes).await
            }
            Mechanism::Ptr(target) => {
                self.count_lookup()?;
                let target = self.target(target.as_ref(), domain).await?.to_ascii_lowercase();
                let names = self.validated_names().await?;
                Ok(names.iter().any(|n| is_within(n, &target)))
            }
            Mechanism::Exists(target) => {
                self.count_lookup()?;
                let target = self.domain(target, domain).await?;
                // §5.7: an A record even for IPv6 clients.
                let found =
                    if is_domain(&target) { self.resolver.a(&target).await.map(|a| a.records) } else { Ok(Vec::new()) };
                Ok(!self.counted(found)?.is_empty())
            }
        }
    }

    async fn exchanger(&mut self, target: &str, prefixes: Prefixes) -> Result<bool, Stop> {
        let found = if is_domain(target) { self.resolver.mx(target).await.map(|a| a.records) } else { Ok(Vec::new()) };
        let exchangers = self.counted(found)?;
        // §4.6.4: more than ten exchangers cannot be interpreted.
        if exchangers.len() > MAX_NAMES {
            return Err(Stop::Permanent);
        }
        for exchanger in exchangers {
            let addresses = match self.addresses(&exchanger.exchange).await {
                Ok(addresses) => addresses,
                Err(error) if is_absence(&error) => continue,
                Err(_) => return Err(Stop::Temporary),
            };
            if addresses.into_iter().any(|a| self.covered(a, prefixes)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Error> {
        if !is_domain(name) {
            return Ok(Vec::new());
        }
        match self.question.address {
            IpAddr::V4(_) => self.resolver.a(name).await.map(|a: Answer<_>| a.map(IpAddr::V4).records),
            IpAddr::V6(_) => self.resolver.aaaa(name).await.map(|a: Answer<_>| a.map(IpAddr::V6).records),
        }
    }

    fn covered(&self, network: IpAddr, prefixes: Prefixes) -> bool {
        let prefix = if network.is_ipv4() { prefixes.v4 } else { prefixes.v6 };
        covers(network, prefix, self.question.address)
    }

    /// §5.5: names of the client's address that lead back to it, at most ten.
    async fn validated_names(&mut self) -> Result<Vec<String>, Stop> {
        let found = self.resolver.ptr(self.question.address).await.map(|a| a.records);
        // A temporary error makes the mechanism not match.
        let names = match found {
            Err(error) if !is_absence(&error) => return Ok(Vec::new()),
            found => self.counted(found)?,
        };
        let mut valid = Vec::new();
        for name in names.into_iter().take(MAX_NAMES) {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            if self.addresses(&name).await.is_ok_and(|a| a.contains(&self.question.address)) {
                valid.push(name);
            }
        }
        Ok(valid)
    }

    const fn count_lookup(&mut self) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups > MAX_LOOKUPS { Err(Stop::Permanent) } else { Ok(()) }
    }

    /// The records of an answer; none when there are none, which is counted (§4.6.4).
    fn counted<T>(&mut self, found: Result<Vec<T>, Error>) -> Result<Vec<T>, Stop> {
        let records = match found {
            Ok(records) => records,
            Err(error) if is_absence(&error) => Vec::new(),
            Err(_) => return Err(Stop::Temporary),
        };
        if records.is_empty() {
            self.voids += 1;
            if self.voids > MAX_VOIDS {
                return Err(Stop::Permanent);
            }
        }
        Ok(records)
    }

    async fn target(&mut self, spec: Option<&MacroString>, domain: &str) -> Result<String, Stop> {
        match spec {
            Some(spec) => self.domain(spec, domain).await,
            None => Ok(domain.to_owned()),
        }
    }

    async fn domain(&mut self, spec: &MacroString, domain: &str) -> Result<String, Stop> {
        let name = self.client_name(spec, domain).await;
        Ok(spec.domain(&self.values(domain, &name)))
    }

    fn values<'v>(&'v self, domain: &'v str, name: &'v str) -> Values<'v> {
        Values {
            sender: &self.sender,
            domain,
            address: self.question.address,
            name,
            hello: self.question.hello,
            receiver: self.question.receiver,
            time: self.question.time,
        }
    }

    /// §7.3: the macro `p`, looked up only when it is used.
    async fn client_name(&mut self, spec: &MacroString, domain: &str) -> String {
        if !spec.needs_name() {
            return String::new();
        }
        if self.name.is_none() {
            let voids = self.voids;
            let names = self.validated_names().await.unwrap_or_default();
            self.voids = voids;
            let best = names
                .iter()
                .find(|n| *n == domain)
                .or_else(|| names.iter().find(|n| is_within(n, domain)))
                .or_else(|| names.first());
            self.name = Some(best.cloned().unwrap_or_else(|| "unknown".to_owned()));
        }
        self.name.clone().unwrap_or_default()
    }

    /// §6.2: any failure gives no explanation.
    async fn explain(&mut self, spec: &MacroString, domain: &str) -> Option<String> {
        let target = self.domain(spec, domain).await.ok()?;
        if !is_domain(&target) {
            return None;
        }
        let texts = self.resolver.txt(&target).await.ok()?.records;
        let [text] = texts.as_slice() else { return None };
        let text = MacroString::parse(text, Context::Explanation)?;
        let name = self.client_name(&text, domain).await;
        let explanation = text.expand(&self.values(domain, &name));
        (explanation.is_ascii() && explanation.len() <= 500).then_some(explanation)
    }
}

const fn is_absence(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::NoData | ErrorKind::NoSuchName | ErrorKind::InvalidName)
}

/// Whether a name can be asked for: labels of 1 to 63 octets, 253 in all.
fn is_domain(name: &str) -> bool {
    !name.is_empty() && name.len() <= 253 && name.split('.').all(|l| !l.is_empty() && l.len() <= 63)
}

fn covers(network: IpAddr, prefix: u8, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(n), IpAddr::V4(a)) => {
            let shift = 32 - u32::from(prefix.min(32));
            u64::from(n.to_bits()) >> shift == u64::from(a.to_bits()) >> shift
        }
        (IpAddr::V6(n), IpAddr::V6(a)) => {
            let shift = 128 - u32::from(prefix.min(128));
            shift == 128 || n.to_bits() >> shift == a.to_bits() >> shift
        }
        _ => false,
    }
}
