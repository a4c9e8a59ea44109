//! What happens to mail that others send in the name of a domain.

use super::tags::Tags;
use super::{Doctor, Finding, Health};
use crate::services::filter::authentication::{DmarcResult, Identities, Policy, evaluate_dmarc};

const CHECK: &str = "dmarc";
const ABSENT: &str = "no DMARC record: anybody can send mail in its name";

pub(super) async fn check(doctor: &Doctor<'_>, domain: &str) -> Finding {
    let at = format!("_dmarc.{domain}");
    let remedy = format!("Publish `{at}. TXT \"v=DMARC1; p=quarantine; rua=mailto:postmaster@{domain}\"`.");
    let texts = match doctor.resolver.txt(&at).await {
        Ok(answer) => answer.records,
        Err(error) if error.is_absence() => Vec::new(),
        Err(error) => return Finding::unanswered(CHECK, domain, &error),
    };
    let records: Vec<Tags<'_>> =
        texts.iter().map(|text| Tags::read(text)).filter(|tags| tags.begins("DMARC1")).collect();
    match records.as_slice() {
        [record] => match judged(record) {
            Ok(policy) => Finding::well(CHECK, domain, format!("p={policy}")),
            Err((health, found)) => Finding::ill(CHECK, domain, health, found, remedy_for(health, remedy)),
        },
        [] => by_organization(doctor, domain, remedy).await,
        several => {
            let found = format!("{} DMARC records where there must be one", several.len());
            Finding::ill(CHECK, domain, Health::Wrong, found, remedy)
        }
    }
}

fn remedy_for(health: Health, remedy: String) -> String {
    match health {
        Health::Warning => "Once the reports are clean, use p=quarantine.".to_owned(),
        _ => remedy,
    }
}

/// What a record tells receivers to do. Its words may be in any case (RFC 9989 §4.7).
fn judged(record: &Tags<'_>) -> Result<&'static str, (Health, &'static str)> {
    let policy = match record.word("p").as_deref() {
        Some("quarantine") => "quarantine",
        Some("reject") => "reject",
        Some("none") => return Err((Health::Warning, "p=none: forged mail in its name is only reported")),
        _ => return Err((Health::Wrong, "the record has no valid policy")),
    };
    let tests = record.word("t").is_some_and(|value| value == "y");
    // RFC 7489 §6.6.4, which many receivers still follow: the share of mail that the policy is for.
    let share = record.word("pct").and_then(|value| value.parse::<u32>().ok());
    match (tests, share) {
        (true, _) => Err((Health::Warning, "t=y: its policy is only being tested")),
        (false, Some(0)) => Err((Health::Warning, "pct=0: its policy applies to no mail at all")),
        (false, _) => Ok(policy),
    }
}

/// A domain without a record: that of a domain above may hold for it (RFC 9989 §4.10.1).
async fn by_organization(doctor: &Doctor<'_>, domain: &str, remedy: String) -> Finding {
    let found = evaluate_dmarc(doctor.resolver, domain, Identities { spf: None, dkim: &[] }).await;
    let above = &found.record_domain;
    let (health, text) = match (found.result, found.policy) {
        (DmarcResult::TempError, _) => (Health::Unknown, "the DNS does not answer for the domains above it".to_owned()),
        _ if above.is_empty() => (Health::Warning, ABSENT.to_owned()),
        (_, Policy::None) => {
            (Health::Warning, format!("by the record of {above}, forged mail in its name is only reported"))
        }
        (_, policy) => return Finding::well(CHECK, domain, format!("{}, by the record of {above}", policy.word())),
    };
    Finding::ill(CHECK, domain, health, text, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_judged_as_receivers_do() {
        for (record, wanted) in [
            ("v=DMARC1; p=reject", Ok("reject")),
            ("v=DMARC1; P=Quarantine; pct=50", Ok("quarantine")),
            ("v=DMARC1; p=none", Err(Health::Warning)),
            ("v=DMARC1; p=reject; pct=0", Err(Health::Warning)),
            ("v=DMARC1; p=reject; t=y", Err(Health::Warning)),
            ("v=DMARC1; p=ban", Err(Health::Wrong)),
            ("v=DMARC1", Err(Health::Wrong)),
        ] {
            assert_eq!(judged(&Tags::read(record)).map_err(|(health, _)| health), wanted, "{record}");
        }
    }
}
