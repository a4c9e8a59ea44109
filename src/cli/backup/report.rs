use std::time::Duration;

use serde::Serialize;

use crate::cli::context::Accounts;
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::event::{Event, EventKind};
use crate::services::backup::{Run, RunKind, note_run};

/// The result of a run, for the journal and the metrics.
pub(super) struct Report {
    what: RunKind,
    begun: Timestamp,
    problem: Option<String>,
    recovery: Option<Duration>,
    differences: Option<u64>,
    details: Vec<(&'static str, serde_json::Value)>,
}

/// The longest reason that is recorded.
const LONGEST: usize = 1000;

impl Report {
    /// A successful run.
    pub(super) const fn done(what: RunKind, begun: Timestamp) -> Self {
        Self { what, begun, problem: None, recovery: None, differences: None, details: Vec::new() }
    }

    /// A failed run.
    pub(super) fn failed(what: RunKind, begun: Timestamp, because: &str) -> Self {
        let because = because.chars().take(LONGEST).collect();
        Self { problem: Some(because), ..Self::done(what, begun) }
    }

    /// Adds a detail.
    pub(super) fn with(mut self, name: &'static str, value: impl Serialize) -> Self {
        self.details.push((name, serde_json::to_value(value).unwrap_or_default()));
        self
    }

    /// Adds the time until a user could log in again.
    pub(super) const fn recovered_within(mut self, recovery: Option<Duration>) -> Self {
        self.recovery = recovery;
        self
    }

    /// Adds the number of differences that a drill found.
    pub(super) const fn differing(mut self, differences: u64) -> Self {
        self.differences = Some(differences);
        self
    }

    /// Records it. A failure to record does not affect the run itself.
    pub(super) async fn write(self, accounts: &Accounts, clock: &SharedClock) {
        let now = clock.now();
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let run = Run {
            what: self.what,
            at: now,
            succeeded_at: None,
            milliseconds: millis(now.since(self.begun)),
            recovery_milliseconds: self.recovery.map(millis),
            differences: self.differences,
            problem: self.problem.clone(),
        };
        if let Err(error) = note_run(&accounts.database, &run).await {
            eprintln!("postrider: the result cannot be recorded: {error}");
        }
        let result = if self.problem.is_none() { "ok" } else { "failed" };
        let event = Event::new(now, EventKind::Backup).with("what", self.what.word()).with("result", result);
        let mut event = event.with("milliseconds", run.milliseconds);
        if let Some(problem) = self.problem {
            event = event.with("problem", problem);
        }
        if let Some(recovery) = run.recovery_milliseconds {
            event = event.with("recovery_milliseconds", recovery);
        }
        let event = self.details.into_iter().fold(event, |event, (name, value)| event.with(name, value));
        accounts.journal.record(event);
        accounts.journal.flush().await;
    }
}
