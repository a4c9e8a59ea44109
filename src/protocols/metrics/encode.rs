//! Figures as text in the OpenMetrics format.

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

/// The text of a scrape.
pub(super) fn encode(figures: Vec<Figure>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("postrider");
    registry.register_collector(Box::new(Snapshot(figures)));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

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
        assert_eq!(encode(figures).unwrap(), wanted);
    }
}
