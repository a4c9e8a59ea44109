//! What the charts show.

use std::time::Duration;

use serde::Serialize;

use super::flows::{Flow, KINDS};
use super::{Overviewer, Shared};
use crate::foundations::clock::Timestamp;
use crate::storage::spool::Sample;

crate::words! {
    /// How far back a chart goes.
    pub enum Range {
        /// Six hours, in steps of 5 minutes.
        Hours = "6h",
        /// A day, in steps of 15 minutes.
        Day = "24h",
        /// A week, in steps of 2 hours.
        Week = "7d",
        /// Thirty days, in steps of 8 hours.
        Month = "30d",
    }
}

impl Range {
    /// Its length.
    pub const fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Hours => 6 * 3_600,
            Self::Day => 24 * 3_600,
            Self::Week => 7 * 86_400,
            Self::Month => 30 * 86_400,
        })
    }

    /// The length of one step.
    pub const fn step(self) -> Duration {
        Duration::from_secs(match self {
            Self::Hours => 300,
            Self::Day => 900,
            Self::Week => 7_200,
            Self::Month => 28_800,
        })
    }
}

/// Mail and queue over time. Steps in which nothing happened are there too, with zeros; samples of the queue only where
/// some were taken.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timeline {
    /// When the first step begins.
    pub from: Timestamp,
    /// When it was read.
    pub to: Timestamp,
    /// Length of a step in seconds.
    pub step_seconds: u64,
    /// What could not be read, in sentences.
    pub problems: Vec<String>,
    /// The mail of each step.
    pub flow: Vec<FlowAt>,
    /// The queue.
    pub queue: Vec<Sample>,
}

/// The mail of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FlowAt {
    /// When the step began.
    pub at: Timestamp,
    /// How much there was.
    #[serde(flatten)]
    pub flow: Flow,
}

impl Overviewer {
    /// Mail and queue over the recent past.
    pub async fn timeline(&self, range: Range) -> std::sync::Arc<Timeline> {
        let place: &Shared<Timeline> = match range {
            Range::Hours => &self.timelines[0],
            Range::Day => &self.timelines[1],
            Range::Week => &self.timelines[2],
            Range::Month => &self.timelines[3],
        };
        // A chart of days does not change by the second.
        let fresh_for = self.fresh_for.max(range.step() / 60);
        place.get(fresh_for, self.read_timeline(range)).await
    }

    async fn read_timeline(&self, range: Range) -> Timeline {
        let (to, step) = (self.sources.clock.now(), range.step());
        let from = begin(to - range.length(), step);
        let mut problems = Vec::new();
        let counted = self.sources.journal.counted(KINDS, from, step).await.unwrap_or_else(|error| {
            problems.push(format!("the events cannot be counted: {error}"));
            Vec::new()
        });
        let queue = self.sources.spool.samples(from, step).await.unwrap_or_else(|error| {
            problems.push(format!("the queue's history cannot be read: {error}"));
            Vec::new()
        });
        let mut flow = Vec::new();
        let mut at = from;
        while at <= to {
            flow.push(FlowAt { at, flow: Flow::default() });
            at = at + step;
        }
        for count in &counted {
            if let Ok(place) = flow.binary_search_by_key(&count.at, |step| step.at) {
                flow[place].flow.add(count);
            }
        }
        Timeline { from, to, step_seconds: step.as_secs(), problems, flow, queue }
    }
}

/// When the step began that a time belongs to.
fn begin(at: Timestamp, step: Duration) -> Timestamp {
    let step = i64::try_from(step.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_unix_micros(at.unix_micros() - at.unix_micros().rem_euclid(step))
}
