//! Counting DMARC results for the reports that domains ask for (RFC 7489 §7.2).

use mail_auth::report::{
    ActionDisposition, Alignment, AuthResult, DKIMAuthResult, Discovery, Disposition, DkimResult as ReportedDkim,
    DmarcResult as ReportedDmarc, Identifier, PolicyEvaluated, PolicyOverride, PolicyOverrideReason, PolicyPublished,
    Record, Row, SPFAuthResult, SPFDomainScope, SpfResult as ReportedSpf,
};
use serde::{Deserialize, Serialize};

use super::authentication::dkim::DkimResult;
use super::authentication::spf::SpfResult;
use super::authentication::{Authentication, DmarcResult, Failing, Policy, Published};
use super::{DmarcAction, FilterSettings, decide};
use crate::foundations::mail::{HeaderSection, Mail};
use crate::storage::reports::{Failure, Kind, Outcome, Reports};

/// The policy under which results were counted, and where its owner wants them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CountedPolicy {
    /// As reports quote it.
    pub published: PolicyPublished,
    /// The URIs of `rua=`.
    pub to: Vec<String>,
}

/// Most signatures that a report names for one message.
const MOST_SIGNATURES: usize = 10;

/// Counts the results for a message, if the owner of the author's domain wants reports.
pub(super) fn count(reports: &Reports, settings: &FilterSettings, mail: &Mail, found: &Authentication) {
    let Some(published) = found.dmarc.published.as_ref().filter(|p| !p.reports.is_empty()) else { return };
    let outcome = match found.dmarc.result {
        DmarcResult::Pass => Outcome::Good,
        DmarcResult::Fail => Outcome::Bad,
        // What is not known is not reported.
        DmarcResult::None | DmarcResult::TempError | DmarcResult::PermError => return,
    };
    let policy =
        CountedPolicy { published: quoted(&found.dmarc.record_domain, published), to: published.reports.clone() };
    let record = Record {
        row: Row {
            source_ip: mail.origin.peer.ip(),
            count: 0,
            policy_evaluated: evaluated(settings, found, published),
        },
        identifiers: Identifier {
            envelope_to: None,
            envelope_from: mail
                .envelope
                .reverse_path
                .address()
                .map_or_else(String::new, |address| address.domain().as_str().to_owned()),
            header_from: found.dmarc.domain.clone(),
        },
        auth_results: AuthResult { dkim: signatures(found), spf: spf(found) },
        extensions: Vec::new(),
    };
    // Plain structs of strings and numbers can always be written as JSON.
    let (Ok(policy), Ok(record)) = (serde_json::to_string(&policy), serde_json::to_string(&record)) else { return };
    reports.note(Kind::Dmarc, &found.dmarc.record_domain, policy, record, outcome);
}

/// The failure to report to the owner of the author's domain, if the message is one. The caller adds what became of
/// the message.
pub(super) fn failure(mail: &Mail, found: &Authentication, results: &str) -> Option<Failure> {
    let published = found.dmarc.published.as_ref().filter(|published| !published.failures.is_empty())?;
    // A report about a report, or about a notification, could cause a loop.
    let reverse_path = mail.envelope.reverse_path.address()?;
    let Failing { any, dkim, spf } = published.failing;
    let broken = || found.signatures.dkim.iter().any(|s| matches!(s.result, DkimResult::Fail | DkimResult::PermError));
    let spf_failed = || found.spf.as_ref().is_some_and(|s| matches!(s.result, SpfResult::Fail | SpfResult::SoftFail));
    let is_wanted = found.dmarc.result == DmarcResult::Fail
        || (any && !(published.dkim_aligned && published.spf_aligned) && found.dmarc.result == DmarcResult::Pass)
        || (dkim && broken())
        || (spf && spf_failed());
    if !is_wanted {
        return None;
    }
    let original = mail.message.original();
    let mut header = String::new();
    for field in HeaderSection::of(original).fields().filter(|field| TOLD.iter().any(|name| field.is(name))) {
        let lines = String::from_utf8_lossy(&original[field.range.clone()]);
        if header.len() + lines.len() <= LONGEST_HEADER {
            header.push_str(&lines);
        }
    }
    Some(Failure {
        domain: found.dmarc.record_domain.clone(),
        to: published.failures.clone(),
        at: mail.origin.at,
        client: mail.origin.peer.ip(),
        reverse_path: reverse_path.to_string(),
        results: results.trim_start_matches("Authentication-Results:").trim().to_owned(),
        header,
        decision: "",
        dkim_aligned: published.dkim_aligned,
        spf_aligned: published.spf_aligned,
    })
}

/// Fields that say where a message is from. Those that say for whom it is are not reported (RFC 7489 §9.5).
const TOLD: &[&str] = &["From", "Sender", "Reply-To", "Date", "Message-ID", "Subject", "DKIM-Signature"];
/// Octets of header in a report.
const LONGEST_HEADER: usize = 8_192;

fn quoted(domain: &str, published: &Published) -> PolicyPublished {
    let disposition = |policy: Policy| match policy {
        Policy::None => Disposition::None,
        Policy::Quarantine => Disposition::Quarantine,
        Policy::Reject => Disposition::Reject,
    };
    let alignment = |strict: bool| if strict { Alignment::Strict } else { Alignment::Relaxed };
    PolicyPublished {
        domain: domain.to_owned(),
        version_published: None,
        adkim: alignment(published.strict_dkim),
        aspf: alignment(published.strict_spf),
        p: disposition(published.policy),
        sp: published.subdomain.map_or(Disposition::Unspecified, disposition),
        np: published.missing.map_or(Disposition::Unspecified, disposition),
        testing: published.testing,
        discovery_method: Discovery::Treewalk,
        fo: None,
    }
}

/// What was done with the message because of its policy, or why something else was done.
fn evaluated(settings: &FilterSettings, found: &Authentication, published: &Published) -> PolicyEvaluated {
    let result = |aligned: bool| if aligned { ReportedDmarc::Pass } else { ReportedDmarc::Fail };
    let done = decide::wish(settings, found);
    let failed = found.dmarc.result == DmarcResult::Fail;
    let overridden = failed && done != found.dmarc.policy;
    let reason = if overridden && settings.authentication.dmarc == DmarcAction::Score {
        Some((PolicyOverride::LocalPolicy, None))
    } else if overridden && let Some(sealer) = &found.vouched {
        Some((PolicyOverride::TrustedForwarder, Some(format!("arc=pass as[1].d={sealer}"))))
    } else if overridden {
        Some((PolicyOverride::MailingList, None))
    } else if failed && published.testing {
        Some((PolicyOverride::PolicyTestMode, None))
    } else {
        None
    };
    PolicyEvaluated {
        disposition: match done {
            Policy::None => ActionDisposition::None,
            Policy::Quarantine => ActionDisposition::Quarantine,
            Policy::Reject => ActionDisposition::Reject,
        },
        dkim: result(published.dkim_aligned),
        spf: result(published.spf_aligned),
        reason: reason.into_iter().map(|(type_, comment)| PolicyOverrideReason { type_, comment }).collect(),
    }
}

fn signatures(found: &Authentication) -> Vec<DKIMAuthResult> {
    let reported = |result: DkimResult| match result {
        DkimResult::Pass => ReportedDkim::Pass,
        DkimResult::Fail => ReportedDkim::Fail,
        DkimResult::Neutral => ReportedDkim::Neutral,
        DkimResult::TempError => ReportedDkim::TempError,
        DkimResult::PermError => ReportedDkim::PermError,
    };
    let named = found.signatures.dkim.iter().filter(|signature| !signature.domain.is_empty());
    named
        .take(MOST_SIGNATURES)
        .map(|signature| DKIMAuthResult {
            domain: short(&signature.domain),
            selector: short(&signature.selector),
            result: reported(signature.result),
            human_result: None,
        })
        .collect()
}

fn spf(found: &Authentication) -> Vec<SPFAuthResult> {
    let reported = |result: SpfResult| match result {
        SpfResult::None => ReportedSpf::None,
        SpfResult::Neutral => ReportedSpf::Neutral,
        SpfResult::Pass => ReportedSpf::Pass,
        SpfResult::Fail => ReportedSpf::Fail,
        SpfResult::SoftFail => ReportedSpf::SoftFail,
        SpfResult::TempError => ReportedSpf::TempError,
        SpfResult::PermError => ReportedSpf::PermError,
    };
    // With the null reverse-path it is the name in the greeting that counts (RFC 7208 §2.4).
    let outcome = found.spf.as_ref().or(found.spf_hello.as_ref());
    let one = |outcome: &super::authentication::spf::Outcome| SPFAuthResult {
        domain: short(&outcome.domain),
        scope: SPFDomainScope::MailFrom,
        result: reported(outcome.result),
        human_result: None,
    };
    outcome.map(one).into_iter().collect()
}

/// A string written by a stranger, cut to the length of a DNS name.
fn short(text: &str) -> String {
    text.chars().take(253).collect()
}
