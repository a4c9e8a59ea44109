//! From everything that is known to one decision. Pure.

use std::collections::HashSet;

use super::addressee::Addressee;
use super::authentication::dkim::Findings;
use super::authentication::spf::SpfResult;
use super::authentication::{Authentication, DmarcResult, Policy};
use super::helpers::Helpers;
use super::milter::Change;
use super::pipeline::Weighed;
use super::settings::DmarcAction;
use super::waiting::Wait;
use super::{Decision, EnvelopeChanges, FilterSettings, Folder, Thresholds, Verdict};
use crate::foundations::address::ReversePath;
use crate::foundations::failure::{Kind, Refusal};

/// The facts for a decision.
pub struct Evidence<'e> {
    /// The results of scanner and milters.
    pub helpers: Helpers,
    /// The score.
    pub weighed: Weighed,
    /// The sender.
    pub authentication: Option<&'e Authentication>,
    /// The recipients.
    pub addressees: &'e [Addressee],
    /// The fields to be put in front.
    pub header: String,
    /// What a seal may say.
    pub findings: Option<Findings>,
    /// Lines of the message that claim to be ours.
    pub strip: Vec<std::ops::Range<usize>>,
    /// Whether the sender must come back later, and why.
    pub wait: Option<Wait>,
}

/// For mail of our own users: only what scanner and milters say.
pub fn outgoing(helpers: Helpers, strip: Vec<std::ops::Range<usize>>) -> Verdict {
    let mut verdict = Verdict { judged: helpers.asked, ..Verdict::accept() };
    verdict.signals.clone_from(&helpers.signals);
    let decision = match (helpers.refusal, helpers.held) {
        (Some(refusal), _) => refused(refusal),
        (None, Some(_)) => Decision::Quarantine,
        (None, None) => Decision::Accept,
    };
    verdict.decision = decision;
    // A milter that rewrote the message saw it without these lines.
    if helpers.rewritten.is_none() {
        verdict.strip = strip;
    }
    verdict.rewritten = helpers.rewritten;
    verdict.envelope = changes(helpers.envelope);
    verdict.refused = helpers.refused;
    verdict
}

/// For mail from elsewhere.
pub fn incoming(settings: &FilterSettings, evidence: Evidence<'_>) -> Verdict {
    let Evidence { mut helpers, mut weighed, authentication, addressees, header, findings, strip, wait } = evidence;
    let score = weighed.assessment.score;
    let mut verdict = Verdict { judged: true, ..Verdict::accept() };
    verdict.score = score;
    verdict.signals = std::mem::take(&mut weighed.assessment.signals);
    verdict.signals.append(&mut helpers.signals);
    verdict.headers = header.into_bytes();
    verdict.findings = findings;
    // A milter that rewrote the message saw it without these lines.
    if helpers.rewritten.is_none() {
        verdict.strip = strip;
    }
    verdict.rewritten = helpers.rewritten;
    verdict.envelope = changes(helpers.envelope);
    verdict.refused = helpers.refused;
    verdict.genuine = authentication.and_then(|a| a.spf.as_ref()).is_some_and(|spf| spf.result == SpfResult::Pass);
    let owner_wish = authentication.map_or(Policy::None, |a| wish(settings, a));
    verdict.decision = if let Some(refusal) = helpers.refusal {
        refused(refusal)
    } else if owner_wish == Policy::Reject {
        let text = "The domain in the From field does not allow this message (DMARC)";
        Decision::Refuse(Refusal::new(Kind::NoPermission, text).smtp(550, "5.7.1"))
    } else if everybody_refuses(settings, addressees, &weighed) {
        Decision::Refuse(Refusal::new(Kind::Invalid, "The message looks like unwanted mail").smtp(550, "5.7.1"))
    } else if let Some(wait) = wait {
        verdict.signals.push(wait.signal());
        Decision::Later(wait.refusal())
    } else if helpers.held.is_some() || settings.quarantine.is_some_and(|q| score >= q) {
        Decision::Quarantine
    } else if score >= settings.threshold || owner_wish == Policy::Quarantine {
        Decision::Junk
    } else {
        Decision::Accept
    };
    let general = match verdict.decision {
        Decision::Accept => Folder::Inbox,
        Decision::Junk => Folder::Junk,
        Decision::Quarantine if helpers.held.is_none() => Folder::Quarantine,
        Decision::Quarantine | Decision::Refuse(_) | Decision::Later(_) => return verdict,
    };
    // Mailboxes are identified by account: the recipient with its address decides, else the first one that leads there.
    let written: HashSet<&str> = addressees.iter().map(|addressee| addressee.written.as_str()).collect();
    let mut decided: HashSet<&str> = HashSet::new();
    for addressee in addressees {
        let folder = folder(&settings.thresholds(&addressee.names()), weighed.score_for(addressee), owner_wish);
        for key in addressee.names() {
            let speaks = key == addressee.written || !written.contains(key);
            if speaks && decided.insert(key) && folder != general {
                verdict.personal.insert(key.to_owned(), folder);
            }
        }
    }
    verdict
}

/// The decision for a message that is judged after the fact, in a word.
pub fn word(
    settings: &FilterSettings,
    thresholds: &Thresholds,
    score: f64,
    authentication: Option<&Authentication>,
) -> &'static str {
    let wish = authentication.map_or(Policy::None, |a| wish(settings, a));
    if wish == Policy::Reject || score >= thresholds.refuse {
        return "refuse";
    }
    match folder(thresholds, score, wish) {
        Folder::Inbox => "accept",
        Folder::Junk => "junk",
        Folder::Quarantine => "quarantine",
    }
}

fn folder(thresholds: &Thresholds, score: f64, owner_wish: Policy) -> Folder {
    if thresholds.quarantine.is_some_and(|q| score >= q) {
        Folder::Quarantine
    } else if score >= thresholds.threshold || owner_wish == Policy::Quarantine {
        Folder::Junk
    } else {
        Folder::Inbox
    }
}

fn refused(refusal: Refusal) -> Decision {
    if refusal.is_temporary() { Decision::Later(refusal) } else { Decision::Refuse(refusal) }
}

/// A message is refused only when no recipient would accept it.
fn everybody_refuses(settings: &FilterSettings, addressees: &[Addressee], weighed: &Weighed) -> bool {
    let would = |addressee: &Addressee| weighed.score_for(addressee) >= settings.thresholds(&addressee.names()).refuse;
    match addressees {
        [] => weighed.assessment.score >= settings.refuse,
        some => some.iter().all(would),
    }
}

/// What the owner of the author's domain wants done, unless somebody we trust vouches for the message.
pub fn wish(settings: &FilterSettings, authentication: &Authentication) -> Policy {
    let dmarc = &authentication.dmarc;
    if settings.authentication.dmarc == DmarcAction::Score || dmarc.result != DmarcResult::Fail {
        return Policy::None;
    }
    if authentication.vouched.is_some() || authentication.is_by(&settings.authentication.mailing_lists) {
        return Policy::None;
    }
    dmarc.policy
}

/// A sender as given by a milter, without angle brackets.
fn reverse_path(text: &str) -> Option<ReversePath> {
    if text.is_empty() { Some(ReversePath::Null) } else { text.parse().ok().map(ReversePath::Address) }
}

fn changes(wishes: Vec<Change>) -> EnvelopeChanges {
    let mut changes = EnvelopeChanges::default();
    for wish in wishes {
        match wish {
            Change::AddRecipient(address) => changes.added.extend(address.parse().ok()),
            Change::RemoveRecipient(address) => changes.removed.extend(address.parse().ok()),
            Change::Sender(text) => match reverse_path(&text) {
                Some(path) => changes.sender = Some(path),
                None => {
                    log::warn!(
                        "filter: a milter wants `{text}` as the sender, which is not an address; the sender stays as it is"
                    )
                }
            },
            Change::Add(..) | Change::Insert(..) | Change::Replace(..) | Change::Body(_) => {}
        }
    }
    changes
}
