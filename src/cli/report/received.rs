use serde::Serialize;

use super::super::context::Context;
use super::super::exit::{Exit, Outcome};
use super::super::moment::{Moment, past};
use super::super::output::{Output, Shown};
use crate::foundations::address::Domain;
use crate::foundations::clock::SystemClock;
use crate::services::reports::{self, ReportRow};
use crate::storage::reports::{Kind, Received, ReceivedQuery, Reports};

/// Which reports to show.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ReceivedOptions {
    /// Only reports on this domain.
    #[arg(long)]
    domain: Option<Domain>,
    /// Not before this time: `2026-11-26`, `2026-11-26 14:30` (local), RFC 3339, or how long ago (`7d`).
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = past)]
    since: Moment,
    /// Show at most this many reports, newest first.
    #[arg(long, value_name = "NUMBER", alias = "most", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// How much of each report is shown to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One line.
    Summed,
    /// Its rows.
    Rows,
}

impl Shape {
    pub(super) const fn of(rows: bool) -> Self {
        if rows { Self::Rows } else { Self::Summed }
    }
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
pub(super) async fn run(kind: Kind, which: &ReceivedOptions, shape: Shape, context: &Context) -> Outcome {
    let accounts = context.accounts().await?;
    let clock = std::sync::Arc::new(SystemClock);
    let query = ReceivedQuery {
        kind,
        domain: which.domain.as_ref().map(ToString::to_string),
        since: which.since.timestamp(),
        most: which.limit,
    };
    let found = Reports::new(accounts.database.clone(), clock).kept(&query).await?;
    accounts.database.close().await;
    let nothing = if found.is_empty() { "no such reports were received" } else { "these reports have no rows" };
    if shape == Shape::Rows && matches!(context.output, Output::People) {
        context.output.list_or(&found.iter().flat_map(rows).collect::<Vec<_>>(), nothing);
    } else {
        context.output.list_or(&found.iter().map(line).collect::<Vec<_>>(), nothing);
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
    let row = |row: ReportRow| Row {
        domain: row.domain,
        organization: report.organization.clone(),
        day: report.begins_at.utc().format("%Y-%m-%d").to_string(),
        source: row.source,
        count: row.count,
        result: format!("{}: {}", row.policy, row.result),
    };
    reports::rows(report).into_iter().map(row).collect()
}
