//! How sessions with other hosts were protected, counted for the reports that domains ask for (RFC 8460).

use std::net::IpAddr;

use mail_auth::report::tlsrpt::{FailureDetails, PolicyDetails, PolicyType, ResultType};

use super::TlsPolicy;
use super::demand::Demand;
use super::mta_sts::{FetchError, Mode, Policy};
use super::opening::{Session, Unopened};
use super::route::OutboundParts;
use super::{OutboundSettings, Verified};
use crate::foundations::dns::Tlsa;
use crate::foundations::hexadecimal::hexadecimal;
use crate::storage::reports::{Kind, Outcome};

/// Counts for one domain.
pub(super) struct Observer<'a> {
    parts: &'a OutboundParts,
    settings: &'a OutboundSettings,
    domain: &'a str,
    sts: Option<&'a Policy>,
}

/// The other end of a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Far<'a> {
    pub(super) host: &'a str,
    pub(super) address: Option<IpAddr>,
}

impl<'a> Observer<'a> {
    pub(super) const fn new(
        parts: &'a OutboundParts,
        settings: &'a OutboundSettings,
        domain: &'a str,
        sts: Option<&'a Policy>,
    ) -> Self {
        Self { parts, settings, domain, sts }
    }

    /// A session was opened.
    pub(super) fn opened(&self, demand: &Demand, session: &Session, far: Far<'_>) {
        let failure = match (session.fell_back, &session.contact.tls) {
            (Some(failure), _) => Some(failure),
            (None, None) => Some(ResultType::StartTlsNotSupported),
            // A policy that is only tried must have been kept all the same (RFC 8461 §5).
            (None, Some(_)) => self.sts.filter(|_| !is_dane(demand)).and_then(|sts| {
                if sts.allows(far.host) {
                    (session.contact.verified == Verified::No).then_some(ResultType::CertificateNotTrusted)
                } else {
                    Some(ResultType::ValidationFailure)
                }
            }),
        };
        self.count(demand, failure, far);
    }

    /// A session was not opened, perhaps for lack of TLS; other troubles are not of interest.
    pub(super) fn not_opened(&self, demand: &Demand, why: &Unopened, far: Far<'_>) {
        if why.tls.is_some() {
            self.count(demand, why.tls, far);
        }
    }

    /// A host must not be used: the policy does not name it, or its records are forged.
    pub(super) fn excluded(&self, failure: ResultType, far: Far<'_>) {
        // RFC 8460 §4.3.2.1: that is a failure of DANE.
        let policy = match failure {
            ResultType::DnssecInvalid => dane_policy(self.domain, far.host, &[]),
            _ => sts_policy(self.domain, self.sts),
        };
        count(self.parts, self.domain, &policy, Some(self.details(failure, far)));
    }

    fn count(&self, demand: &Demand, failure: Option<ResultType>, far: Far<'_>) {
        let policy = match &demand.policy {
            TlsPolicy::Dane { records, .. } => dane_policy(self.domain, far.host, records),
            _ => sts_policy(self.domain, self.sts),
        };
        let failure = failure.map(|result_type| self.details(result_type, far));
        count(self.parts, self.domain, &policy, failure);
    }

    fn details(&self, result_type: ResultType, far: Far<'_>) -> FailureDetails {
        FailureDetails {
            result_type,
            sending_mta_ip: far.address.and_then(|address| match address {
                IpAddr::V4(_) => self.settings.source_ipv4,
                IpAddr::V6(_) => self.settings.source_ipv6,
            }),
            receiving_mx_hostname: Some(far.host.to_owned()),
            receiving_ip: far.address,
            ..FailureDetails::default()
        }
    }
}

/// A domain's policy could not be fetched.
pub(super) fn not_fetched(parts: &OutboundParts, domain: &str, error: &FetchError) {
    let policy = PolicyDetails { policy_type: PolicyType::Sts, policy_domain: domain.to_owned(), ..Default::default() };
    let result_type = match error {
        FetchError::Unreachable(_) => ResultType::StsPolicyFetchError,
        FetchError::Certificate(_) => ResultType::StsWebpkiInvalid,
        FetchError::Invalid(_) => ResultType::StsPolicyInvalid,
    };
    count(parts, domain, &policy, Some(FailureDetails { result_type, ..FailureDetails::default() }));
}

/// Counts one session, or one attempt to fetch a policy.
fn count(parts: &OutboundParts, domain: &str, policy: &PolicyDetails, failure: Option<FailureDetails>) {
    let Some(reports) = &parts.reports else { return };
    let outcome = if failure.is_some() { Outcome::Bad } else { Outcome::Good };
    // Plain structs of texts and numbers always have a JSON form.
    let Ok(policy) = serde_json::to_string(policy) else { return };
    let detail = failure.and_then(|failure| serde_json::to_string(&failure).ok()).unwrap_or_default();
    reports.note(Kind::Tls, domain, policy, detail, outcome);
}

fn is_dane(demand: &Demand) -> bool {
    matches!(demand.policy, TlsPolicy::Dane { .. })
}

fn sts_policy(domain: &str, sts: Option<&Policy>) -> PolicyDetails {
    let policy_domain = domain.to_owned();
    match sts.filter(|policy| policy.mode != Mode::None) {
        Some(policy) => PolicyDetails {
            policy_type: PolicyType::Sts,
            policy_string: policy.lines(),
            policy_domain,
            mx_host: policy.hosts().to_vec(),
        },
        None => PolicyDetails { policy_type: PolicyType::NoPolicyFound, policy_domain, ..PolicyDetails::default() },
    }
}

/// RFC 8460 §4.2: the records as they stand in the zone, and the host they are for.
fn dane_policy(domain: &str, host: &str, records: &[Tlsa]) -> PolicyDetails {
    let record = |record: &Tlsa| {
        let data = hexadecimal(&record.data);
        format!("{} {} {} {data}", record.usage, record.selector, record.matching)
    };
    PolicyDetails {
        policy_type: PolicyType::Tlsa,
        policy_string: records.iter().map(record).collect(),
        policy_domain: domain.to_owned(),
        mx_host: vec![host.to_owned()],
    }
}
