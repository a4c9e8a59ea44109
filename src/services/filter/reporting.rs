//! Counting DMARC results for the reports that domains ask for (RFC 7489 §7.2).

use mail_auth::report::{
    ActionDisposition, Alignment, AuthResult, DKIMAuthResult, Discovery, Disposition, DkimResult as ReportedDkim,
    DmarcResult as ReportedDmarc, Identifier, PolicyEvaluated, PolicyOverride, PolicyOverrideReason, PolicyPublished,
    Record, Row, SPFAuthResult, SPFDomainScope, SpfResult as ReportedSpf,
};
use serde::{Deserialize, Serialize};

use super::authentication::dkim::DkimResult;
use super::authentication::spf::SpfResult;
use super::authentication::{Authentication, DmarcResult, Policy, Published};
use super::{DmarcAction, FilterSettings, decide};
use crate::foundations::mail::Mail;
use crate::storage::reports::{Kind, Outcome, Reports};

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

/// Counts what was found out about a message, if the owner of the author's domain wants to know.
pub(super) fn count(reports: &Reports, settings: &FilterSettings, mail: &Mail, found: &Authentication) {
    let Some(published) = &found.dmarc.published else { return };
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
    // Plain structs of texts and numbers always have a JSON form.
    let (Ok(policy), Ok(record)) = (serde_json::to_string(&policy), serde_json::to_string(&record)) else { return };
    reports.note(Kind::Dmarc, &found.dmarc.record_domain, policy, record, outcome);
}

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

/// What was done with the message for its policy's sake, and why if it was something else.
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

/// What a stranger has written, no longer than a name in the DNS.
fn short(text: &str) -> String {
    text.chars().take(253).collect()
}
