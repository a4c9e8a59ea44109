use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::Check;
use crate::foundations::address::Domain;
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::services::certificates::{Certificates, State, TlsSettings};
use crate::services::probe::{Encryption, Probe, Prober};
use crate::storage::journal::Journal;

/// What the inspector needs.
pub struct InspectorParts {
    /// The settings.
    pub settings: Live<TlsSettings>,
    /// The name this server greets with.
    pub hostname: Domain,
    /// What is meant to be served.
    pub certificates: Arc<Certificates>,
    /// The listeners of this process.
    pub own: Vec<Probe>,
    /// Those of other processes with the same certificates, which may exchange them a moment later.
    pub elsewhere: Vec<Probe>,
    /// Where the outcome is recorded.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
}

/// Asks listeners for their certificates.
pub struct Inspector {
    parts: InspectorParts,
    last: ArcSwapOption<Inspection>,
    one: Mutex<()>,
}

/// What all listeners have served at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// When.
    pub at: Timestamp,
    /// Each listener with each name.
    pub checks: Vec<Check>,
}

impl Inspection {
    /// How many did not serve what is meant.
    pub fn problems(&self) -> usize {
        self.checks.iter().filter(|check| check.problem.is_some()).count()
    }
}

/// The certificates of a process, and how they were served last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The roles of the process, with commas.
    pub roles: String,
    /// The certificates.
    pub certificates: Vec<State>,
    /// The last check; `None` before the first.
    pub inspection: Option<Inspection>,
}

impl Inspector {
    /// Over the listeners of this process.
    pub fn new(parts: InspectorParts) -> Self {
        Self { parts, last: ArcSwapOption::empty(), one: Mutex::new(()) }
    }

    /// What the last check has found.
    pub fn last(&self) -> Option<Arc<Inspection>> {
        self.last.load_full()
    }

    /// Everything about the certificates of this process, whose roles are these.
    pub fn report(&self, roles: &str) -> Report {
        Report {
            roles: roles.to_owned(),
            certificates: self.parts.certificates.states(),
            inspection: self.last().as_deref().cloned(),
        }
    }

    /// Asks every listener by every name, and remembers the answers.
    pub async fn inspect(&self) -> Arc<Inspection> {
        let _one = self.one.lock().await;
        let parts = &self.parts;
        let settings = parts.settings.get();
        let all = parts.own.iter().chain(&parts.elsewhere);
        let probes: Vec<Probe> = all.filter(|probe| probe.encryption != Encryption::None).cloned().collect();
        let prober = Prober::new(parts.hostname.clone(), settings.check_timeout.duration());
        let mut checks = Vec::new();
        for name in self.names().into_iter().take(settings.check_names as usize) {
            let probed = prober.clone().asking_for(name.clone()).try_all(&probes).await;
            let (meant, now) = (parts.certificates.meant(name.as_str()), parts.clock.now());
            checks.extend(probed.into_iter().map(|probed| Check::of(probed, name.as_str(), &meant, now)));
        }
        let inspection = Arc::new(Inspection { at: parts.clock.now(), checks });
        self.last.store(Some(Arc::clone(&inspection)));
        inspection
    }

    /// As [`Inspector::inspect`], but gives other processes time to follow before they are blamed.
    async fn inspect_settled(&self) -> Arc<Inspection> {
        let first = self.inspect().await;
        if first.problems() == 0 || self.parts.elsewhere.is_empty() {
            return first;
        }
        self.parts.clock.sleep_until(self.parts.clock.now() + OTHERS_FOLLOW).await;
        self.inspect().await
    }

    /// The names that clients may ask for: our own, then those of all certificates. Of a wildcard one name is asked for.
    fn names(&self) -> Vec<Domain> {
        let loaded = self.parts.certificates.loaded();
        let others: BTreeSet<String> =
            loaded.iter().flat_map(|one| &one.names).map(|name| name.replacen('*', "any", 1)).collect();
        let mut names = vec![self.parts.hostname.clone()];
        names.extend(others.iter().filter_map(|name| name.parse().ok()).filter(|name| *name != self.parts.hostname));
        names
    }

    /// Inspects soon after the start, after every change of certificates, and now and then, until `tasks` stop, which are
    /// those that accept connections: what is found of listeners that close is not told.
    pub async fn run(self: Arc<Self>, tasks: Tasks) {
        let mut changes = self.parts.certificates.changes();
        let mut known = BTreeSet::new();
        let mut next = self.parts.clock.now() + AFTER_START;
        loop {
            let changed = tokio::select! {
                () = tasks.stopping() => return,
                changed = changes.changed() => changed.is_ok(),
                () = self.parts.clock.sleep_until(next) => false,
            };
            let inspection = tokio::select! {
                biased;
                () = tasks.stopping() => return,
                inspection = self.inspect_settled() => inspection,
            };
            let found: BTreeSet<String> = inspection.checks.iter().filter_map(trouble).collect();
            if changed || found != known {
                self.record(&inspection, &found);
            }
            known = found;
            next = self.parts.clock.now() + self.parts.settings.get().check_every.duration();
        }
    }

    fn record(&self, inspection: &Inspection, troubles: &BTreeSet<String>) {
        let event = Event::new(inspection.at, EventKind::Certificate);
        let listeners: BTreeSet<_> = inspection.checks.iter().map(|check| &check.address).collect();
        let names: BTreeSet<_> = inspection.checks.iter().map(|check| check.name.clone()).collect();
        let event = event.with("listeners", listeners.len()).with("names", names.into_iter().collect::<Vec<_>>());
        self.parts.journal.record(if troubles.is_empty() {
            event.with("result", "served")
        } else {
            let told: Vec<&str> = troubles.iter().take(MOST_TOLD).map(String::as_str).collect();
            let problem =
                format!("{} of {} not as meant: {}", troubles.len(), inspection.checks.len(), told.join("; "));
            event.with("result", "not-served").with("problem", problem)
        });
    }
}

/// What is wrong, and where.
fn trouble(check: &Check) -> Option<String> {
    check.problem.as_ref().map(|problem| format!("{}: {problem}", check.place()))
}

/// When listeners are asked for the first time.
const AFTER_START: Duration = Duration::from_mins(1);

/// How much later another process may take a changed certificate, or open its listeners.
const OTHERS_FOLLOW: Duration = Duration::from_secs(20);

/// Most problems that one event reports.
const MOST_TOLD: usize = 5;
