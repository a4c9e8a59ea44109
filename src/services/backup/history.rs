//! The results of backups, as people want to know them: the last run of each kind and what it reported.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::runs::{Run, RunKind, last_runs};
use crate::foundations::clock::Timestamp;
use crate::foundations::event::{Event, EventKind};
use crate::storage::database::Database;
use crate::storage::journal::{self, Journal, Query};

/// The last run of a kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunReport {
    /// The kind.
    pub what: RunKind,
    /// When it ended.
    pub at: Timestamp,
    /// When one last succeeded.
    pub succeeded_at: Option<Timestamp>,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// How long a drill took until the first user was logged in, in milliseconds.
    pub recovery_milliseconds: Option<u64>,
    /// Why it failed; `None` when it did not.
    pub problem: Option<String>,
    /// The backup it was about; `None`, like everything below, when its event has expired (`journal.keep_for`).
    pub backup: Option<String>,
    /// Messages in the backup, or those that a drill compared.
    pub messages: Option<u64>,
    /// Octets of those messages.
    pub octets: Option<u64>,
    /// Octets by which the backups grew.
    pub stored: Option<u64>,
    /// Users who logged in during a drill.
    pub users: Option<u64>,
    /// How many differences a drill has found between its server and the backup; `None` when no drill came that far.
    pub different: Option<u64>,
    /// The differences; only the first ones if there are many.
    pub differences: Vec<String>,
}

/// The history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The runs cannot be read.
    #[error(transparent)]
    Runs(#[from] super::Error),
    /// Their events cannot be read.
    #[error(transparent)]
    Events(#[from] journal::Error),
}

/// The last run of each kind, sorted by kind.
///
/// # Errors
/// The database fails.
pub async fn history(database: &Database, journal: &Journal) -> Result<Vec<RunReport>, HistoryError> {
    let mut reports = Vec::new();
    for run in last_runs(database).await? {
        // A run is recorded with the time of its event.
        let query = Query {
            kinds: vec![EventKind::Backup],
            since: Some(run.at),
            until: Some(run.at + Duration::from_micros(1)),
            limit: 10,
            ..Query::default()
        };
        let events = journal.query(&query).await?;
        let event =
            events.into_iter().find(|event| event.details.get("what").and_then(Value::as_str) == Some(run.what.word()));
        reports.push(report(run, event.as_ref()));
    }
    Ok(reports)
}

fn report(run: Run, event: Option<&Event>) -> RunReport {
    let details = |name: &str| event.and_then(|event| event.details.get(name));
    let about = details("totals").or_else(|| details("drill"));
    let number = |name: &str| about.and_then(|about| about.get(name)).and_then(Value::as_u64);
    let named = about.and_then(|about| about.get("backup")).or_else(|| details("backup"));
    let differences = about.and_then(|about| about.get("differences")).and_then(Value::as_array);
    RunReport {
        backup: named.and_then(Value::as_str).map(str::to_owned),
        messages: number("messages"),
        octets: number("octets"),
        stored: number("stored"),
        users: number("users"),
        differences: differences.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
        what: run.what,
        at: run.at,
        succeeded_at: run.succeeded_at,
        milliseconds: run.milliseconds,
        recovery_milliseconds: run.recovery_milliseconds,
        problem: run.problem,
        different: run.differences,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_the_event_tells() {
        let run = Run {
            what: RunKind::Drill,
            at: Timestamp::EPOCH,
            succeeded_at: None,
            milliseconds: 7,
            recovery_milliseconds: Some(5),
            differences: Some(1),
            problem: Some("INBOX differs".to_owned()),
        };
        let drilled =
            serde_json::json!({ "backup": "b1", "users": 2, "messages": 9, "differences": ["INBOX differs"] });
        let event = Event::new(Timestamp::EPOCH, EventKind::Backup).with("what", "drill").with("drill", drilled);
        let told = report(run.clone(), Some(&event));
        assert_eq!((told.backup.as_deref(), told.users, told.messages), (Some("b1"), Some(2), Some(9)));
        assert_eq!((&told.differences[..], told.different), (&["INBOX differs".to_owned()][..], Some(1)));
        let forgotten = report(run, None);
        assert_eq!((forgotten.backup, forgotten.messages, forgotten.milliseconds), (None, None, 7));
    }
}
