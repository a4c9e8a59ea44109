//! DMARC failure reports (RFC 7489 §7.3, RFC 6591).

use std::borrow::Cow;
use std::collections::HashMap;

use mail_auth::report::{AuthFailureType, DeliveryResult, Feedback, FeedbackType, IdentityAlignment};
use parking_lot::Mutex;

use super::ReportSettings;
use super::dmarc::addressees;
use super::send::{Letter, Sender};
use crate::foundations::dns::Resolver;
use crate::storage::reports::Failure;

/// The number sent today, by domain.
#[derive(Debug, Default)]
pub(super) struct SentToday(Mutex<(i64, u32, HashMap<String, u32>)>);

/// Most addresses one report goes to.
const MOST_ADDRESSES: usize = 2;

impl SentToday {
    /// Takes one of today's places, and returns whether there was one left.
    pub(super) fn take_place(&self, domain: &str, settings: &ReportSettings, today: i64) -> bool {
        let mut sent = self.0.lock();
        if sent.0 != today {
            *sent = (today, 0, HashMap::new());
        }
        if sent.1 >= settings.failures_per_day {
            return false;
        }
        // There are never more domains than reports.
        let own = sent.2.entry(domain.to_owned()).or_default();
        if *own >= settings.failures_per_domain {
            return false;
        }
        *own += 1;
        sent.1 += 1;
        true
    }
}

/// A failure report as a mail; `None` when nobody should get it.
pub(super) async fn letter(resolver: &dyn Resolver, sender: &Sender, failure: &Failure) -> Option<Letter> {
    // Such a report is worth little later: it is not kept until a zone answers.
    let to = addressees(resolver, &failure.domain, &failure.to, MOST_ADDRESSES).await.unwrap_or_default();
    if to.is_empty() {
        return None;
    }
    let hostname = sender.hostname.as_str();
    let mut feedback = Feedback::new(FeedbackType::AuthFailure)
        .with_version(1)
        .with_user_agent(concat!("postrider/", env!("CARGO_PKG_VERSION")))
        .with_reporting_mta(hostname)
        .with_arrival_date(failure.at.unix_seconds())
        .with_original_mail_from(failure.reverse_path.as_str())
        .with_reported_domain(failure.domain.as_str())
        .with_authentication_results(failure.results.as_str())
        .with_auth_failure(AuthFailureType::Dmarc)
        .with_identity_alignment(match (failure.dkim_aligned, failure.spf_aligned) {
            (true, true) => IdentityAlignment::DkimSpf,
            (true, false) => IdentityAlignment::Dkim,
            (false, true) => IdentityAlignment::Spf,
            (false, false) => IdentityAlignment::None,
        })
        .with_delivery_result(match failure.decision {
            "accept" => DeliveryResult::Delivered,
            "junk" | "quarantine" => DeliveryResult::Spam,
            "refuse" => DeliveryResult::Reject,
            _ => DeliveryResult::Other,
        })
        .with_headers(Cow::Borrowed(failure.header.as_str()));
    if let Some(client) = failure.client {
        feedback = feedback.with_source_ip(client);
    }
    let addresses = to.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let from = sender.from.to_string();
    let subject = format!("Report of a message that failed DMARC: {}", failure.domain);
    let mut octets = Vec::new();
    // Writing into memory does not fail.
    feedback.write_rfc5322(from.as_str(), &addresses, &subject, &mut octets).ok()?;
    Some(Letter { to, octets, id: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_day_and_no_more() {
        let settings = ReportSettings { failures_per_domain: 3, failures_per_day: 5, ..ReportSettings::default() };
        let sent = SentToday::default();
        let count = |domain: &str, day| (0..10).filter(|_| sent.take_place(domain, &settings, day)).count();
        assert_eq!([count("a.test", 1), count("b.test", 1), count("c.test", 1)], [3, 2, 0]);
        assert_eq!([count("c.test", 2), count("a.test", 2)], [3, 2]);
    }
}
