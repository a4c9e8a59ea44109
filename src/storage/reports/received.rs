//! Reports received from others.

use serde::Serialize;

use super::counting::{digest, int};
use super::{Kind, Reports};
use crate::foundations::clock::Timestamp;
use crate::storage::database::{Error, Row, Sql, Val};

/// A report about one of our domains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Received {
    /// What it is about.
    pub kind: Kind,
    /// Our domain.
    pub domain: String,
    /// The organization that made it.
    pub organization: String,
    /// Its id, unique among that organization's reports.
    pub report_id: String,
    /// The reverse-path it came with.
    pub sender: String,
    /// The beginning of the period it covers.
    pub begins_at: Timestamp,
    /// The end of the period.
    pub ends_at: Timestamp,
    /// When it came.
    pub received_at: Timestamp,
    /// Number of good results it counts.
    pub passed: u64,
    /// Number of bad ones.
    pub failed: u64,
    /// The whole report, as JSON.
    pub content: String,
}

/// Which reports are wanted.
#[derive(Debug, Clone)]
pub struct ReceivedQuery {
    /// What they are about.
    pub kind: Kind,
    /// Only those of this domain.
    pub domain: Option<String>,
    /// Only those whose period ends after this.
    pub since: Timestamp,
    /// Most reports, the newest first.
    pub most: u32,
}

const COLUMNS: &str =
    "kind, domain, organization, report_id, sender, begins_at, ends_at, received_at, passed, failed, content";

impl Reports {
    /// Stores a report. One already there, by its organization and id, is not stored again; returns whether it was new.
    ///
    /// # Errors
    /// The database fails.
    pub async fn keep(&self, report: &Received) -> Result<bool, Error> {
        let digest = digest(&[&report.organization, &report.report_id, &report.domain]);
        let database = &self.0.database;
        let known = "SELECT 1 FROM reports_received WHERE kind = ? AND digest = ?";
        let key = [report.kind.word().into(), digest.as_str().into()];
        if database.fetch_optional(known, &key).await?.is_some() {
            return Ok(false);
        }
        let others = COLUMNS.split(", ").skip(1).collect::<Vec<_>>();
        let sql = database.dialect().upsert("reports_received", &["kind", "digest"], &others);
        let mut values: Vec<Val> = key.into();
        values.extend([
            cut(&report.domain).into(),
            cut(&report.organization).into(),
            cut(&report.report_id).into(),
            cut(&report.sender).into(),
            report.begins_at.into(),
            report.ends_at.into(),
            report.received_at.into(),
            int(report.passed).into(),
            int(report.failed).into(),
            report.content.as_str().into(),
        ]);
        database.execute(sql, &values).await?;
        Ok(true)
    }

    /// Stored reports, those about the latest periods first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn kept(&self, query: &ReceivedQuery) -> Result<Vec<Received>, Error> {
        let mut sql = format!("SELECT {COLUMNS} FROM reports_received WHERE kind = ? AND ends_at > ?");
        let mut values: Vec<Val> = vec![query.kind.word().into(), query.since.into()];
        if let Some(domain) = &query.domain {
            sql.push_str(" AND domain = ?");
            values.push(domain.to_ascii_lowercase().into());
        }
        sql.push_str(" ORDER BY begins_at DESC, organization, report_id LIMIT ?");
        values.push(query.most.into());
        let rows = self.0.database.fetch_all(Sql::assembled(sql), &values).await?;
        rows.iter().map(|row| received(query.kind, row)).collect()
    }

    /// Deletes reports received before a moment; returns their number.
    ///
    /// # Errors
    /// The database fails.
    pub async fn forget_received(&self, before: Timestamp) -> Result<u64, Error> {
        self.0.database.execute("DELETE FROM reports_received WHERE received_at < ?", &[before.into()]).await
    }
}

fn received(kind: Kind, row: &Row) -> Result<Received, Error> {
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    Ok(Received {
        kind,
        domain: row.text(1)?,
        organization: row.text(2)?,
        report_id: row.text(3)?,
        sender: row.text(4)?,
        begins_at: row.time(5)?,
        ends_at: row.time(6)?,
        received_at: row.time(7)?,
        passed: count(row.int(8)?),
        failed: count(row.int(9)?),
        content: row.text(10)?,
    })
}

/// Foreign texts are cut to the length of the column.
fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(190).collect()
}
