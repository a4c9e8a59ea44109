mod database;
mod nodes;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Listening, Parts, Unopened, other_roles};
use crate::foundations::event::EventKind;
use crate::protocols::metrics::{Figure, FigureKind, Gather, Room, Sample};
use crate::services::backup::{Run, RunKind, last_runs};
use crate::services::certificates::{Standing, State};
use crate::services::overview::{Disk, Flow, flows};
use crate::services::served::{Inspection, Report};

pub(super) use self::database::readiness;

/// Builds the figures' room, with this process's sources.
pub(super) fn room(parts: &Arc<Parts>) -> Room {
    Room {
        http: parts.live.http.clone(),
        sources: vec![
            processes(parts),
            database::reachable(parts),
            disks(parts),
            rises(parts),
            logins(parts),
            stored(parts),
            flow(parts),
            backups(parts),
            certificates(parts),
            nodes::all(parts),
            nodes::lost(parts),
        ],
        readiness: readiness(parts),
    }
}

/// Figures that only the process itself knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessFigures {
    pub(super) roles: String,
    started: i64,
    bans: usize,
    recorded: u64,
    written: u64,
    dropped: u64,
    places: Vec<PlaceFigures>,
    /// A process of another version may not report it.
    #[serde(default)]
    unopened: Vec<Unopened>,
    /// Whether it has no lease on mailboxes although it needs one; unset if it does not.
    #[serde(default)]
    lease_missing: Option<bool>,
    /// Why it cannot write to the database, if it is meant to.
    #[serde(default)]
    unwritable: Option<String>,
}

impl ProcessFigures {
    /// What keeps this process from its work, in sentences.
    pub(super) fn troubles(self) -> impl Iterator<Item = String> {
        let lease = "this node has no lease, so it serves no mailboxes; see `postrider cluster status`";
        let lease = self.lease_missing.unwrap_or(false).then(|| lease.to_owned());
        self.unwritable.into_iter().chain(lease)
    }
}

/// The figures of a listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PlaceFigures {
    protocol: String,
    listener: String,
    open: u64,
    accepted: u64,
    failed: u64,
}

/// The figures of this process.
pub(super) async fn own(parts: &Parts) -> ProcessFigures {
    let unwritable = if parts.roles.may_change() { database::unwritable(parts).await } else { None };
    let counts = parts.journal.counts();
    let place = |place: &Listening| PlaceFigures {
        protocol: place.protocol.to_string(),
        listener: place.bind.to_string(),
        open: u64::try_from(place.counters.open.load(Ordering::Relaxed)).unwrap_or(u64::MAX),
        accepted: place.counters.accepted.load(Ordering::Relaxed),
        failed: place.counters.failed.load(Ordering::Relaxed),
    };
    ProcessFigures {
        roles: parts.roles.to_string(),
        started: parts.since.unix_seconds(),
        bans: parts.guard.bans().len(),
        recorded: counts.recorded,
        written: counts.written,
        dropped: counts.dropped,
        places: parts.listening.iter().map(place).collect(),
        unopened: parts.unopened.clone(),
        lease_missing: parts.keeper.as_ref().map(|keeper| !keeper.has_lease()),
        unwritable,
    }
}

/// The figures of each process, by its roles.
fn processes(parts: &Arc<Parts>) -> Gather {
    let ask = Arc::new(other_roles::figures(parts));
    Arc::new(move || {
        let ask = Arc::clone(&ask);
        Box::pin(async move {
            let processes = ask().await;
            let mut figures = connections(&processes);
            figures.push(unopened(&processes));
            figures.extend(counted(&processes));
            figures.extend(nodes::without_lease(&processes));
            figures.push(database::writable(&processes));
            figures
        })
    })
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only floating point numbers")]
fn connections(processes: &[ProcessFigures]) -> Vec<Figure> {
    let figure = |name, help, kind, read: fn(&PlaceFigures) -> u64| {
        let sample = move |process: &ProcessFigures, place: &PlaceFigures| Sample {
            labels: vec![
                ("protocol", place.protocol.clone()),
                ("listener", place.listener.clone()),
                ("role", process.roles.clone()),
            ],
            value: read(place) as f64,
        };
        let mut samples = Vec::new();
        for process in processes {
            samples.extend(process.places.iter().map(|place| sample(process, place)));
        }
        Figure { name, help, kind, samples }
    };
    vec![
        figure("connections_open", "Connections now open", FigureKind::Gauge, |place| place.open),
        figure("connections", "Connections accepted since the start", FigureKind::Counter, |place| place.accepted),
        figure(
            "connections_failed",
            "Connections that ended before a protocol took over: failed TLS handshakes and bad PROXY headers",
            FigureKind::Counter,
            |place| place.failed,
        ),
    ]
}

/// Each listener, with 0 if it is served and 1 if not, so that an alert rule sees the change.
fn unopened(processes: &[ProcessFigures]) -> Figure {
    let mut samples = Vec::new();
    for process in processes {
        let mut sample = |protocol: &str, listener: &str, value| {
            let labels = vec![
                ("protocol", protocol.to_owned()),
                ("listener", listener.to_owned()),
                ("role", process.roles.clone()),
            ];
            samples.push(Sample { labels, value });
        };
        process.places.iter().for_each(|place| sample(&place.protocol, &place.listener, 0.0));
        process.unopened.iter().for_each(|place| sample(&place.protocol, &place.listener, 1.0));
    }
    let help = "1 for a listener that is not served because systemd has not passed its socket";
    Figure { name: "listener_unopened", help, kind: FigureKind::Gauge, samples }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only floating point numbers")]
fn counted(processes: &[ProcessFigures]) -> Vec<Figure> {
    let figure = |name, help, kind, read: fn(&ProcessFigures) -> f64| {
        let values = processes.iter().map(|process| (process.roles.clone(), read(process)));
        Figure::labelled(name, help, kind, "role", values)
    };
    let counter = FigureKind::Counter;
    vec![
        figure("events_recorded", "Decisions recorded since the start", counter, |process| process.recorded as f64),
        figure("events_written", "Decisions written to the database since the start", counter, |process| {
            process.written as f64
        }),
        figure("events_dropped", "Decisions lost because the database was unavailable", counter, |process| {
            process.dropped as f64
        }),
        figure("bans", "Networks that may not connect", FigureKind::Gauge, |process| process.bans as f64),
        figure("start_seconds", "When the process was started, in seconds since 1970", FigureKind::Gauge, |process| {
            process.started as f64
        }),
    ]
}

/// The room on file systems: when it is used up, mail is refused and events cannot be written.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only floating point numbers")]
fn disks(parts: &Arc<Parts>) -> Gather {
    let disks = parts.disks.clone();
    Arc::new(move || {
        let disks = disks.clone();
        Box::pin(async move {
            let answers = disks.read().await;
            let figure = |name, help, value: fn(&Disk) -> f64| {
                let values = answers.disks.iter().map(|disk| (disk.purpose.to_owned(), value(disk)));
                Figure::labelled(name, help, FigureKind::Gauge, "purpose", values)
            };
            vec![
                figure("disk_free_bytes", "Free space that this server may use on a file system, in octets", |disk| {
                    disk.free as f64
                }),
                figure("disk_size_bytes", "Size of a file system, in octets", |disk| disk.size as f64),
                Figure::gauge("disks_silent", "File systems that do not answer", answers.problems.len() as f64),
            ]
        })
    })
}

/// Logins to all services, the monitoring page among them.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only floating point numbers")]
fn logins(parts: &Arc<Parts>) -> Gather {
    let (journal, clock) = (parts.journal.clone(), Arc::clone(&parts.clock));
    Arc::new(move || {
        let (journal, clock) = (journal.clone(), Arc::clone(&clock));
        Box::pin(async move {
            let kinds = [("accepted", EventKind::LoginAccepted), ("refused", EventKind::LoginRefused)];
            let counts = match journal.counted(&kinds.map(|(_, kind)| kind), clock.now() - HOUR, HOUR).await {
                Ok(counts) => counts,
                Err(error) => {
                    log::warn!(error:% = error; "Logins cannot be counted for the figures");
                    return Vec::new();
                }
            };
            let number = |kind: EventKind| {
                counts.iter().filter(|count| count.kind == kind).map(|count| count.number).sum::<u64>()
            };
            let values = kinds.map(|(result, kind)| (result.to_owned(), number(kind) as f64));
            let help = "Logins in the last hour";
            vec![Figure::labelled("logins_last_hour", help, FigureKind::Gauge, "result", values)]
        })
    })
}

/// Accounts whose password may have been stolen, as noticed by any process.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only floating point numbers")]
fn rises(parts: &Arc<Parts>) -> Gather {
    let (journal, clock) = (parts.journal.clone(), Arc::clone(&parts.clock));
    Arc::new(move || {
        let (journal, clock) = (journal.clone(), Arc::clone(&clock));
        Box::pin(async move {
            let help = "How often in the last hour an account suddenly sent much more than it used to";
            match journal.counted(&[EventKind::SendingRise], clock.now() - HOUR, HOUR).await {
                Ok(counts) => {
                    let count: u64 = counts.iter().map(|count| count.number).sum();
                    vec![Figure::gauge("sending_rises", help, count as f64)]
                }
                Err(error) => {
                    log::warn!(error:% = error; "Sudden rises cannot be counted for the figures");
                    Vec::new()
                }
            }
        })
    })
}

/// The fates of messages, as the monitoring page counts them.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only floating point numbers")]
fn flow(parts: &Arc<Parts>) -> Gather {
    let (journal, clock) = (parts.journal.clone(), Arc::clone(&parts.clock));
    Arc::new(move || {
        let (journal, clock) = (journal.clone(), Arc::clone(&clock));
        Box::pin(async move {
            let counts = match journal.counted(flows::KINDS, clock.now() - HOUR, HOUR).await {
                Ok(counts) => counts,
                Err(error) => {
                    log::warn!(error:% = error; "Mail cannot be counted for the figures");
                    return Vec::new();
                }
            };
            let flow = Flow::of(&counts);
            let fates = [
                ("received", flow.received),
                ("delivered", flow.delivered),
                ("relayed", flow.relayed),
                ("deferred", flow.deferred),
                ("failed", flow.failed),
                ("refused", flow.refused),
                ("junk", flow.junk),
                ("spam", flow.spam),
            ];
            let values = fates.map(|(fate, number)| (fate.to_owned(), number as f64));
            let help = "What became of mail in the last hour";
            vec![Figure::labelled("mail_last_hour", help, FigureKind::Gauge, "fate", values)]
        })
    })
}

const HOUR: Duration = Duration::from_secs(3_600);

/// Figures from the database: accounts, mailboxes, the queue.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only floating point numbers")]
fn stored(parts: &Arc<Parts>) -> Gather {
    let (directory, spool, clock) = (parts.directory.clone(), parts.spool.clone(), Arc::clone(&parts.clock));
    Arc::new(move || {
        let (directory, spool, clock) = (directory.clone(), spool.clone(), Arc::clone(&clock));
        Box::pin(async move {
            let mut figures = Vec::new();
            match directory.totals().await {
                Ok(totals) => figures.extend([
                    Figure::gauge("domains", "Domains in use", totals.domains as f64),
                    Figure::gauge("users", "Users", totals.users as f64),
                    Figure::gauge("users_disabled", "Users who may not log in", totals.disabled as f64),
                    Figure::gauge("aliases", "Alias addresses", totals.aliases as f64),
                    Figure::gauge("mailbox_bytes", "Octets in all mailboxes", totals.usage.bytes as f64),
                    Figure::gauge("mailbox_messages", "Messages in all mailboxes", totals.usage.messages as f64),
                ]),
                Err(error) => log::warn!(error:% = error; "The accounts cannot be counted for the figures"),
            }
            match spool.counts().await {
                Ok(counts) => figures.extend([
                    Figure::gauge("queue_entries", "Messages in the queue", counts.entries as f64),
                    Figure::gauge("queue_waiting", "Recipients that wait for an attempt", counts.waiting as f64),
                    Figure::gauge(
                        "queue_held",
                        "Recipients that wait for an administrator, without those in quarantine",
                        counts.held as f64,
                    ),
                    Figure::gauge("queue_quarantined", "Recipients in quarantine", counts.quarantined as f64),
                    Figure::gauge(
                        "queue_oldest_seconds",
                        "Age of the oldest message in the queue that is not in quarantine, in seconds",
                        counts.oldest.map_or(0.0, |oldest| clock.now().since(oldest).as_secs_f64()),
                    ),
                ]),
                Err(error) => log::warn!(error:% = error; "The queue cannot be counted for the figures"),
            }
            figures
        })
    })
}

/// The results of the last backups and drills. Those that never ran are included with zeros, for alerts.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only floating point numbers")]
fn backups(parts: &Arc<Parts>) -> Gather {
    let database = parts.database.clone();
    Arc::new(move || {
        let database = database.clone();
        Box::pin(async move {
            let runs = match last_runs(&database).await {
                Ok(runs) => runs,
                Err(error) => {
                    log::warn!(error:% = error; "The backups cannot be counted for the figures");
                    return Vec::new();
                }
            };
            let of = |what: RunKind| runs.iter().find(|run| run.what == what);
            let figure = |name, help, read: &dyn Fn(&Run) -> f64| {
                let value = |what: &RunKind| (what.word().to_owned(), of(*what).map_or(0.0, read));
                Figure::labelled(name, help, FigureKind::Gauge, "run", KINDS.iter().map(value))
            };
            let succeeded = |run: &Run| run.succeeded_at.map_or(0.0, |at| at.unix_seconds() as f64);
            let failed = |run: &Run| f64::from(u8::from(run.problem.is_some()));
            let differences = of(RunKind::Drill).and_then(|run| run.differences).unwrap_or(0);
            let recovery = of(RunKind::Drill).and_then(|run| run.recovery_milliseconds).unwrap_or(0);
            vec![
                figure(
                    "backup_succeeded_seconds",
                    "When it last succeeded, in seconds since 1970; 0 for never",
                    &succeeded,
                ),
                figure("backup_failed", "1 when the last one failed", &failed),
                figure("backup_took_seconds", "How long the last one took, in seconds", &|run| {
                    run.milliseconds as f64 / 1e3
                }),
                Figure::gauge(
                    "backup_recovery_seconds",
                    "How long the last drill took from the backup to the first login, in seconds",
                    recovery as f64 / 1e3,
                ),
                Figure::gauge(
                    "backup_drill_differences",
                    "Number of differences the last drill found between the restored server and the backup",
                    differences as f64,
                ),
            ]
        })
    })
}

/// The certificates of all processes: the one that serves the figures may have none.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only floating point numbers")]
fn certificates(parts: &Arc<Parts>) -> Gather {
    let (reports, clock) = (Arc::new(other_roles::certificates(parts)), Arc::clone(&parts.clock));
    Arc::new(move || {
        let (reports, clock) = (Arc::clone(&reports), Arc::clone(&clock));
        Box::pin(async move {
            let (reports, now) = (reports().await, clock.now());
            let states = || reports.iter().flat_map(|report| &report.certificates);
            let waiting = |state: &&State| state.standing == Standing::HeldBack;
            let problems = reports.iter().filter_map(|report| report.inspection.as_ref()).map(Inspection::problems);
            let stands_in = |state: &&State| state.standing == Standing::StandingIn;
            // The expiry of an untrusted certificate is meaningless.
            let trusted = states().filter(|state| !waiting(state) && !stands_in(state));
            let earliest = trusted.map(|state| state.not_after).min();
            let mut figures = vec![
                Figure::gauge(
                    "certificates_held",
                    "Certificates held back until their keys are in the DNS",
                    states().filter(waiting).count() as f64,
                ),
                Figure::gauge(
                    "certificates_not_served",
                    "Listeners and names that did not serve the intended certificate at the last check",
                    problems.sum::<usize>() as f64,
                ),
                Figure::gauge(
                    "certificates_standing_in",
                    "Untrusted certificates that are served until others have been obtained",
                    states().filter(stands_in).count() as f64,
                ),
                failed(&reports),
            ];
            figures.extend(earliest.map(|end| {
                let left = end.since(now).as_secs_f64();
                Figure::gauge("certificate_seconds", "Time until the first certificate expires, in seconds", left)
            }));
            figures
        })
    })
}

/// Each certificate in use, with 1 if the intended one could not be read or obtained, so that an alert rule sees the
/// change.
fn failed(reports: &[Report]) -> Figure {
    let sample = |report: &Report, state: &State| Sample {
        labels: vec![
            ("certificate", state.names.join(" ")),
            ("file", state.file.clone()),
            ("role", report.roles.clone()),
        ],
        value: f64::from(u8::from(state.problem.is_some())),
    };
    let in_force = |report: &Report| {
        let states = report.certificates.iter().filter(|state| state.standing != Standing::HeldBack);
        states.map(|state| sample(report, state)).collect::<Vec<_>>()
    };
    let samples = reports.iter().flat_map(in_force).collect();
    let help = "1 for a certificate whose file cannot be used, or that could not be obtained or renewed";
    Figure { name: "certificate_failed", help, kind: FigureKind::Gauge, samples }
}

/// Runs that an administrator should have on a timer.
const KINDS: [RunKind; 5] = [RunKind::Created, RunKind::Verified, RunKind::Pruned, RunKind::Pushed, RunKind::Drill];
