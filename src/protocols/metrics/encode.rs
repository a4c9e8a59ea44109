//! Figures as text, in the OpenMetrics format or in Prometheus' older one.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::{Figure, FigureKind};

/// The figures of one scrape.
#[derive(Debug)]
struct Snapshot(Vec<Figure>);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for figure in &self.0 {
            let kind = match figure.kind {
                FigureKind::Counter => MetricType::Counter,
                FigureKind::Gauge => MetricType::Gauge,
            };
            let mut metric = encoder.encode_descriptor(figure.name, figure.help, None, kind)?;
            for sample in &figure.samples {
                if sample.labels.is_empty() {
                    put(&mut metric, figure.kind, sample.value)?;
                } else {
                    put(&mut metric.encode_family(&sample.labels)?, figure.kind, sample.value)?;
                }
            }
        }
        Ok(())
    }
}

fn put(metric: &mut MetricEncoder<'_>, kind: FigureKind, value: f64) -> fmt::Result {
    match kind {
        FigureKind::Counter => metric.encode_counter::<NoLabelSet, f64, u64>(&value, None),
        FigureKind::Gauge => metric.encode_gauge(&value),
    }
}

/// How figures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics 1.0, for programs that accept it.
    OpenMetrics,
    /// Prometheus' text format 0.0.4, for all others: it names counters with their `_total` everywhere, and a reader that
    /// knows only this format would not find out that they are counters.
    Text,
}

impl Format {
    /// The one for a client with this Accept field.
    pub(super) fn for_client(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }

    /// Its name in HTTP.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The text of a scrape.
pub(super) fn encode(figures: Vec<Figure>, format: Format) -> Result<String, fmt::Error> {
    let counters: Vec<String> = figures
        .iter()
        .filter(|figure| figure.kind == FigureKind::Counter)
        .map(|figure| format!("{PREFIX}_{}", figure.name))
        .collect();
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Snapshot(figures)));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(match format {
        Format::OpenMetrics => out,
        Format::Text => older(&out, &counters),
    })
}

/// OpenMetrics as the text format 0.0.4.
fn older(text: &str, counters: &[String]) -> String {
    let mut out = String::with_capacity(text.len() + 64 * counters.len());
    for line in text.lines().filter(|line| *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what @ ("HELP" | "TYPE")), Some(name), Some(rest))
                if counters.iter().any(|counter| counter == name) =>
            {
                out.extend(["# ", what, " ", name, "_total ", rest]);
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

const PREFIX: &str = "postrider";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_openmetrics() {
        let figures = vec![
            Figure::gauge("queue_entries", "Messages in the queue", 3.0),
            Figure::labelled(
                "events",
                "Events since the start",
                FigureKind::Counter,
                "kind",
                [("delivered".to_owned(), 7.0), ("odd \"one\"".to_owned(), 1.0)],
            ),
        ];
        let wanted = "# HELP postrider_queue_entries Messages in the queue\n\
            # TYPE postrider_queue_entries gauge\n\
            postrider_queue_entries 3.0\n\
            # HELP postrider_events Events since the start\n\
            # TYPE postrider_events counter\n\
            postrider_events_total{kind=\"delivered\"} 7.0\n\
            postrider_events_total{kind=\"odd \\\"one\\\"\"} 1.0\n\
            # EOF\n";
        assert_eq!(encode(figures.clone(), Format::OpenMetrics).unwrap(), wanted);
        let older = wanted.replace("postrider_events Ev", "postrider_events_total Ev");
        let older = older.replace("postrider_events counter", "postrider_events_total counter").replace("# EOF\n", "");
        assert_eq!(encode(figures, Format::Text).unwrap(), older);
    }

    #[test]
    fn openmetrics_is_for_those_who_accept_it() {
        for (accept, wanted) in [
            ("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5", Format::OpenMetrics),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Format::Text),
            ("*/*", Format::Text),
            ("", Format::Text),
        ] {
            assert_eq!(Format::for_client(accept), wanted, "{accept}");
        }
    }
}
