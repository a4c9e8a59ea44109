//! Receiving reports about our own domains.

use std::time::Duration;

use futures_util::future::BoxFuture;
use mail_auth::report::tlsrpt::TlsReport;
use mail_auth::report::{DmarcResult, Feedback, Report};
use tokio::sync::Semaphore;

use super::ReportSettings;
use super::unpack::{Found, unpack};
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::mail::Mail;
use crate::foundations::settings::Live;
use crate::services::handover::ReportReading;
use crate::storage::journal::Journal;
use crate::storage::reports::{Kind, Received, Reports};

/// What a receiver needs.
pub struct ReceiverParts {
    /// Its settings.
    pub settings: Live<ReportSettings>,
    /// Where reports are kept.
    pub reports: Reports,
    /// Where received reports are recorded.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
}

/// Reads reports from mail to the configured addresses.
pub struct Receiver(ReceiverParts, Semaphore);

/// Messages that are unpacked at once: one may take a hundred megabytes.
const AT_ONCE: usize = 1;
/// How long a message waits for its turn. Its sender waits too, and would send it again.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

impl Receiver {
    /// Puts the parts together.
    pub const fn new(parts: ReceiverParts) -> Self {
        Self(parts, Semaphore::const_new(AT_ONCE))
    }

    async fn take(&self, mail: &Mail) {
        let settings = self.0.settings.get();
        let is_for_reports =
            mail.envelope.recipients.iter().any(|to| settings.addresses.iter().any(|a| a.key() == to.address.key()));
        if !is_for_reports || mail.message.len() as u64 > settings.largest.len() as u64 {
            return;
        }
        let (octets, limit) = (mail.message.bytes(), settings.unpacked.len() as u64);
        let Ok(_turn) = tokio::time::timeout(LONGEST_WAIT, self.1.acquire()).await else {
            let why = "too many reports arrived at once to read this one; it is still in the mail it came with";
            return self.0.journal.record(self.unreadable(mail, &Found::Unreadable(why.to_owned())));
        };
        // Unpacking megabytes takes its time.
        let found = tokio::task::spawn_blocking(move || unpack(&octets, limit)).await.unwrap_or_default();
        for found in found {
            let Some(received) = self.received(mail, &found) else {
                self.0.journal.record(self.unreadable(mail, &found));
                continue;
            };
            match self.0.reports.keep(&received).await {
                Ok(true) => self.0.journal.record(self.event(mail, &received)),
                Ok(false) => {}
                Err(error) => {
                    log::warn!(mail:% = mail.id, cause:% = error; "reports: a report cannot be kept; it is still in the mail it came with");
                }
            }
        }
    }

    fn event(&self, mail: &Mail, received: &Received) -> Event {
        Event::new(self.0.clock.now(), EventKind::ReportReceived)
            .mail(mail.id)
            .subject(received.domain.clone())
            .with("report", received.kind.word())
            .with("organization", received.organization.clone())
            .with("id", received.report_id.clone())
            .with("passed", received.passed)
            .with("failed", received.failed)
    }

    fn unreadable(&self, mail: &Mail, found: &Found) -> Event {
        let event = Event::new(self.0.clock.now(), EventKind::ReportReceived).mail(mail.id);
        let event = match mail.envelope.reverse_path.address() {
            Some(sender) => event.subject(sender.to_string()),
            None => event,
        };
        match found {
            Found::Unreadable(why) => event.with("problem", why.as_str()),
            Found::Dmarc(_) | Found::Tls(_) | Found::Failure(_) => event,
        }
    }

    /// What is kept of a report; nothing if it cannot be read.
    fn received(&self, mail: &Mail, found: &Found) -> Option<Received> {
        let sender = mail.envelope.reverse_path.bare();
        let received_at = self.0.clock.now();
        Some(match found {
            Found::Dmarc(report) => of_dmarc(report, sender, received_at),
            Found::Tls(report) => of_tls(report, sender, received_at),
            Found::Failure(report) => of_failure(report, sender, received_at),
            Found::Unreadable(_) => return None,
        })
    }
}

impl ReportReading for Receiver {
    fn read<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, ()> {
        Box::pin(self.take(mail))
    }
}

/// Seconds as written by a stranger, limited to what a clock can represent.
fn seconds(at: u64) -> Timestamp {
    Timestamp::from_unix_seconds(i64::try_from(at).unwrap_or(0).min(253_402_300_799))
}

fn of_dmarc(report: &Report, sender: String, received_at: Timestamp) -> Received {
    let (mut passed, mut failed) = (0, 0);
    for record in &report.record {
        let evaluated = &record.row.policy_evaluated;
        let count = u64::from(record.row.count);
        if evaluated.dkim == DmarcResult::Pass || evaluated.spf == DmarcResult::Pass {
            passed += count;
        } else {
            failed += count;
        }
    }
    Received {
        kind: Kind::Dmarc,
        domain: report.policy_published.domain.to_ascii_lowercase(),
        organization: report.report_metadata.org_name.clone(),
        report_id: report.report_metadata.report_id.clone(),
        sender,
        begins_at: seconds(report.report_metadata.date_range.begin),
        ends_at: seconds(report.report_metadata.date_range.end),
        received_at,
        passed,
        failed,
        // A struct that was read from text always has a JSON form.
        content: serde_json::to_string(report).unwrap_or_default(),
    }
}

fn of_failure(report: &Feedback<'_>, sender: String, received_at: Timestamp) -> Received {
    let at = report.arrival_date().map_or(received_at, |at| seconds(u64::try_from(at).unwrap_or(0)));
    let domain = report.reported_domain().first().map(|domain| domain.to_ascii_lowercase()).unwrap_or_default();
    // What distinguishes it from others: the format has no id.
    let source = report.source_ip().map(|address| address.to_string()).unwrap_or_default();
    let report_id = format!("{} {source} {}", at.unix_seconds(), report.original_mail_from().unwrap_or_default());
    Received {
        kind: Kind::Failure,
        domain,
        organization: report.reporting_mta().unwrap_or_default().to_owned(),
        report_id,
        sender,
        begins_at: at,
        ends_at: at,
        received_at,
        passed: 0,
        failed: u64::from(report.incidents().max(1)),
        // A struct that was read from text always has a JSON form.
        content: serde_json::to_string(report).unwrap_or_default(),
    }
}

fn of_tls(report: &TlsReport, sender: String, received_at: Timestamp) -> Received {
    let sum = |part: fn(&mail_auth::report::tlsrpt::Summary) -> u32| {
        report.policies.iter().map(|policy| u64::from(part(&policy.summary))).sum()
    };
    let domain = report.policies.first().map(|policy| policy.policy.policy_domain.to_ascii_lowercase());
    let at = |time: &mail_parser::DateTime| Timestamp::from_unix_seconds(time.to_timestamp().clamp(0, 253_402_300_799));
    Received {
        kind: Kind::Tls,
        domain: domain.unwrap_or_default(),
        organization: report.organization_name.clone().unwrap_or_default(),
        report_id: report.report_id.clone(),
        sender,
        begins_at: at(&report.date_range.start_datetime),
        ends_at: at(&report.date_range.end_datetime),
        received_at,
        passed: sum(|summary| summary.total_success),
        failed: sum(|summary| summary.total_failure),
        content: report.to_json(),
    }
}
