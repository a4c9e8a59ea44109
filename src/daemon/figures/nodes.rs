//! Figures of several nodes.

use std::sync::Arc;

use super::{HOUR, Parts, ProcessFigures};
use crate::foundations::event::EventKind;
use crate::protocols::metrics::{Figure, FigureKind, Gather, Sample};
use crate::storage::cluster::{Node, Nodes};

/// The nodes, if there are several.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only floating point numbers")]
pub(super) fn all(parts: &Arc<Parts>) -> Gather {
    let nodes = parts.config.cluster.is_on().then(|| Nodes::new(parts.database.clone()));
    Arc::new(move || {
        let nodes = nodes.clone();
        Box::pin(async move {
            let Some(nodes) = nodes else { return Vec::new() };
            // Other figures report that the database is unavailable.
            let Ok(list) = nodes.list().await else { return Vec::new() };
            let figure = |name, help, value: fn(&Node) -> f64| {
                let sample = |node: &Node| Sample { labels: vec![("node", node.name.clone())], value: value(node) };
                Figure { name, help, kind: FigureKind::Gauge, samples: list.iter().map(sample).collect() }
            };
            vec![
                figure("cluster_lease_seconds", "Remaining time of a node's lease; 0 if it has none", |node| {
                    node.lease_left as f64 / 1_000.0
                }),
                figure("cluster_users", "Users whose mailboxes a node owns", |node| node.users as f64),
            ]
        })
    })
}

/// How often nodes have lost their lease, which may take less time than there is between two scrapes.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only floating point numbers")]
pub(super) fn lost(parts: &Arc<Parts>) -> Gather {
    let (is_on, journal, clock) = (parts.config.cluster.is_on(), parts.journal.clone(), Arc::clone(&parts.clock));
    Arc::new(move || {
        let (journal, clock) = (journal.clone(), Arc::clone(&clock));
        Box::pin(async move {
            if !is_on {
                return Vec::new();
            }
            let Ok(counts) = journal.counted(&[EventKind::Cluster], clock.now() - HOUR, HOUR).await else {
                return Vec::new();
            };
            let lost: u64 = counts.iter().filter(|count| count.outcome == "lost").map(|count| count.number).sum();
            vec![Figure::gauge("cluster_leases_lost", "How often in the last hour nodes lost their lease", lost as f64)]
        })
    })
}

/// The processes that need a lease, and whether they have none: the table of nodes does not show it if another machine has
/// the same name.
pub(super) fn without_lease(processes: &[ProcessFigures]) -> Option<Figure> {
    let needing = processes.iter().filter_map(|process| Some((process.roles.clone(), process.lease_missing?)));
    let values: Vec<_> = needing.map(|(roles, is_missing)| (roles, f64::from(u8::from(is_missing)))).collect();
    let help = "1 for a process that has no lease on mailboxes, so that it serves none";
    (!values.is_empty()).then(|| Figure::labelled("cluster_lease_missing", help, FigureKind::Gauge, "role", values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_needs_no_lease_misses_none() {
        let process = |roles: &str, lease_missing: Option<bool>| -> ProcessFigures {
            let mut value = serde_json::json!({
                "roles": roles, "started": 0, "bans": 0, "recorded": 0, "written": 0, "dropped": 0, "places": []
            });
            if let Some(is_missing) = lease_missing {
                value["lease_missing"] = is_missing.into();
            }
            serde_json::from_value(value).unwrap()
        };
        assert!(without_lease(&[process("mta", None)]).is_none());
        let figure = without_lease(&[process("mta", None), process("access", Some(true))]).unwrap();
        let samples: Vec<_> = figure.samples.iter().map(|sample| (sample.labels[0].1.as_str(), sample.value)).collect();
        assert_eq!(samples, [("access", 1.0)]);
        assert_eq!(without_lease(&[process("access", Some(false))]).unwrap().samples[0].value, 0.0);
        for (lease_missing, troubles) in [(None, 0), (Some(false), 0), (Some(true), 1)] {
            assert_eq!(process("access", lease_missing).troubles().count(), troubles, "{lease_missing:?}");
        }
    }
}
