use mail_auth::report::tlsrpt::TlsReport;
use serde::Serialize;

use super::super::context::Context;
use super::super::exit::{Exit, Outcome};
use super::super::output::{Output, Shown};
use crate::foundations::address::Domain;
use crate::foundations::clock::{Clock as _, SystemClock};
use crate::foundations::settings::Span;
use crate::storage::reports::{Kind, Received, ReceivedQuery, Reports};

/// Which reports are shown.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Which {
    /// Only those about this domain.
    #[arg(long)]
    domain: Option<Domain>,
    /// How far back.
    #[arg(long, value_name = "SPAN", default_value = "30d", value_parser = |text: &str| Span::parse(text).ok_or("a span such as 12h or 30d is wanted"))]
    since: Span,
    /// Show the rows of each report: who sent how much and how it was judged.
    #[arg(long)]
    rows: bool,
    /// Most reports, the newest first.
    #[arg(long, default_value_t = 500)]
    most: u32,
}

/// A report in one line.
#[derive(Serialize)]
struct Line {
    domain: String,
    organization: String,
    begins_at: String,
    ends_at: String,
    passed: u64,
    failed: u64,
    report_id: String,
    sender: String,
    content: serde_json::Value,
}

/// One row of a report.
#[derive(Serialize)]
struct Row {
    domain: String,
    organization: String,
    day: String,
    source: String,
    count: u64,
    result: String,
}

impl Shown for Line {
    const COLUMNS: &'static [&'static str] = &["DOMAIN", "FROM", "BEGINS", "PASSED", "FAILED"];

    fn cells(&self) -> Vec<String> {
        let counts = [self.passed.to_string(), self.failed.to_string()];
        let [passed, failed] = counts;
        vec![self.domain.clone(), self.organization.clone(), self.begins_at.clone(), passed, failed]
    }
}

impl Shown for Row {
    const COLUMNS: &'static [&'static str] = &["DOMAIN", "FROM", "DAY", "SOURCE", "COUNT", "RESULT"];

    fn cells(&self) -> Vec<String> {
        let (count, result) = (self.count.to_string(), self.result.clone());
        vec![self.domain.clone(), self.organization.clone(), self.day.clone(), self.source.clone(), count, result]
    }
}

/// Shows reports of one kind.
pub(super) async fn run(kind: Kind, which: &Which, context: &Context) -> Outcome {
    let accounts = context.accounts().await?;
    let clock = std::sync::Arc::new(SystemClock);
    let query = ReceivedQuery {
        kind,
        domain: which.domain.as_ref().map(ToString::to_string),
        since: clock.now() - which.since.duration(),
        most: which.most,
    };
    let found = Reports::new(accounts.database.clone(), clock).kept(&query).await?;
    accounts.database.close().await;
    if which.rows && matches!(context.output, Output::People) {
        context.output.list(&found.iter().flat_map(rows).collect::<Vec<_>>());
    } else {
        context.output.list(&found.iter().map(line).collect::<Vec<_>>());
    }
    Ok(Exit::Done)
}

fn line(report: &Received) -> Line {
    Line {
        domain: report.domain.clone(),
        organization: report.organization.clone(),
        begins_at: report.begins_at.to_string(),
        ends_at: report.ends_at.to_string(),
        passed: report.passed,
        failed: report.failed,
        report_id: report.report_id.clone(),
        sender: report.sender.clone(),
        content: serde_json::from_str(&report.content).unwrap_or_default(),
    }
}

fn rows(report: &Received) -> Vec<Row> {
    let row = |source: String, count: u64, result: String| Row {
        domain: report.domain.clone(),
        organization: report.organization.clone(),
        day: report.begins_at.utc().format("%Y-%m-%d").to_string(),
        source,
        count,
        result,
    };
    match report.kind {
        Kind::Dmarc => {
            let Ok(content) = serde_json::from_str::<mail_auth::report::Report>(&report.content) else {
                return Vec::new();
            };
            let word = |passed: bool| if passed { "pass" } else { "fail" };
            let pass = mail_auth::report::DmarcResult::Pass;
            let of = |record: &mail_auth::report::Record| {
                let evaluated = &record.row.policy_evaluated;
                let result = format!(
                    "dkim {}, spf {}, done: {}",
                    word(evaluated.dkim == pass),
                    word(evaluated.spf == pass),
                    evaluated.disposition
                );
                let source = record.row.source_ip.map(|address| address.to_string()).unwrap_or_default();
                row(source, record.row.count.into(), result)
            };
            content.record.iter().map(of).collect()
        }
        Kind::Failure => {
            let Ok(content) = serde_json::from_str::<mail_auth::report::Feedback<'_>>(&report.content) else {
                return Vec::new();
            };
            let source = content.source_ip().map(|address| address.to_string()).unwrap_or_default();
            let from = content.original_mail_from().unwrap_or_default();
            vec![row(source, report.failed, format!("dmarc fail, from {from}"))]
        }
        Kind::Tls => {
            let Ok(content) = TlsReport::parse_json(report.content.as_bytes()) else { return Vec::new() };
            let mut rows = Vec::new();
            for policy in &content.policies {
                let kind = word_of(&policy.policy.policy_type);
                rows.push(row(String::new(), policy.summary.total_success.into(), format!("{kind}: success")));
                for failure in &policy.failure_details {
                    let source = failure.receiving_mx_hostname.clone().unwrap_or_default();
                    let result = format!("{kind}: {}", word_of(&failure.result_type));
                    rows.push(row(source, failure.failed_session_count.into(), result));
                }
            }
            rows
        }
    }
}

/// The word by which a report names something.
fn word_of(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
