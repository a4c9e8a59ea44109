//! What is shown.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Whether a figure only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FigureKind {
    /// Counts since the start.
    Counter,
    /// A state of now.
    Gauge,
}

/// One figure with its samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Name without the `postrider_` in front, and without `_total` behind counters.
    pub name: &'static str,
    /// What it says, with its unit.
    pub help: &'static str,
    /// Counter or gauge.
    pub kind: FigureKind,
    /// Its values.
    pub samples: Vec<Sample>,
}

/// One value of a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What distinguishes it from the figure's other values.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: f64,
}

impl Figure {
    /// A gauge without labels.
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, kind: FigureKind::Gauge, samples: vec![Sample { labels: Vec::new(), value }] }
    }

    /// A figure whose values differ in one label.
    pub fn labelled(
        name: &'static str,
        help: &'static str,
        kind: FigureKind,
        label: &'static str,
        values: impl IntoIterator<Item = (String, f64)>,
    ) -> Self {
        let samples = values.into_iter().map(|(word, value)| Sample { labels: vec![(label, word)], value }).collect();
        Self { name, help, kind, samples }
    }
}

/// Reads the figures of one source now.
pub type Gather = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Vec<Figure>> + Send>> + Send + Sync>;
