//! The content of received reports, row by row and added up.

use std::collections::BTreeMap;

use mail_auth::report::tlsrpt::TlsReport;
use mail_auth::report::{DmarcResult, Feedback, Record, Report};
use serde::Serialize;
use serde_json::Value;

use crate::storage::reports::{Kind, Received};

/// One row of a report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ReportRow {
    /// Our domain.
    pub domain: String,
    /// Where the mail came from (DMARC), or the host of ours it went to, as far as the report says (TLS).
    pub source: String,
    /// The policy that was applied.
    pub policy: String,
    /// Whether it passed.
    pub passed: bool,
    /// What was found.
    pub result: String,
    /// How many messages or sessions.
    pub count: u64,
}

/// The rows of a report; none if it can no longer be read.
pub fn rows(report: &Received) -> Vec<ReportRow> {
    match report.kind {
        Kind::Dmarc => dmarc(report),
        Kind::Failure => failure(report),
        Kind::Tls => tls(report),
    }
}

fn dmarc(report: &Received) -> Vec<ReportRow> {
    let Ok(content) = serde_json::from_str::<Report>(&report.content) else { return Vec::new() };
    let policy = format!("p={}", content.policy_published.p);
    let word = |passed: bool| if passed { "pass" } else { "fail" };
    let of = |record: &Record| {
        let evaluated = &record.row.policy_evaluated;
        let (dkim, spf) = (evaluated.dkim == DmarcResult::Pass, evaluated.spf == DmarcResult::Pass);
        ReportRow {
            domain: report.domain.clone(),
            source: record.row.source_ip.map(|address| address.to_string()).unwrap_or_default(),
            policy: policy.clone(),
            // RFC 7489 §4.2: one of the two is enough.
            passed: dkim || spf,
            result: format!("dkim {}, spf {}, done: {}", word(dkim), word(spf), evaluated.disposition),
            count: record.row.count.into(),
        }
    };
    content.record.iter().map(of).collect()
}

/// A report about a single message (RFC 6591).
fn failure(report: &Received) -> Vec<ReportRow> {
    let Ok(content) = serde_json::from_str::<Feedback<'_>>(&report.content) else { return Vec::new() };
    vec![ReportRow {
        domain: report.domain.clone(),
        source: content.source_ip().map(|address| address.to_string()).unwrap_or_default(),
        policy: String::new(),
        passed: false,
        result: format!("dmarc fail, from {}", content.original_mail_from().unwrap_or_default()),
        count: report.failed,
    }]
}

fn tls(report: &Received) -> Vec<ReportRow> {
    let Ok(content) = TlsReport::parse_json(report.content.as_bytes()) else { return Vec::new() };
    let mut rows = Vec::new();
    for policy in &content.policies {
        let kind = word_of(&policy.policy.policy_type);
        let row = |source: String, passed: bool, result: String, count: u64| ReportRow {
            domain: report.domain.clone(),
            source,
            policy: kind.clone(),
            passed,
            result,
            count,
        };
        rows.push(row(String::new(), true, "success".to_owned(), policy.summary.total_success.into()));
        for failure in &policy.failure_details {
            let source = failure.receiving_mx_hostname.clone().unwrap_or_default();
            rows.push(row(source, false, word_of(&failure.result_type), failure.failed_session_count.into()));
        }
    }
    rows
}

/// Rows of several reports that differ only in their count, added up: failures first, then the most frequent ones. Rows
/// beyond `most` are left out.
pub fn added_up(rows: impl IntoIterator<Item = ReportRow>, most: usize) -> Vec<ReportRow> {
    let mut counts: BTreeMap<ReportRow, u64> = BTreeMap::new();
    for row in rows.into_iter().filter(|row| row.count > 0) {
        *counts.entry(ReportRow { count: 0, ..row.clone() }).or_default() += row.count;
    }
    let mut rows: Vec<ReportRow> = counts.into_iter().map(|(row, count)| ReportRow { count, ..row }).collect();
    rows.sort_by_key(|row| (row.passed, std::cmp::Reverse(row.count)));
    rows.truncate(most);
    rows
}

/// The word a report uses for something.
fn word_of(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_become_one_and_failures_stand_first() {
        let row = |source: &str, passed, count| ReportRow {
            domain: "example.test".to_owned(),
            source: source.to_owned(),
            policy: "p=none".to_owned(),
            passed,
            result: String::new(),
            count,
        };
        let rows =
            vec![row("a", true, 5), row("b", false, 1), row("a", true, 7), row("c", false, 3), row("d", true, 0)];
        assert_eq!(added_up(rows.clone(), 9), [row("c", false, 3), row("b", false, 1), row("a", true, 12)]);
        assert_eq!(added_up(rows, 1), [row("c", false, 3)]);
    }
}
