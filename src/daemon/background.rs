use std::sync::Arc;

use super::Parts;
use super::build::Stages;
use crate::foundations::dns::SharedResolver;
use crate::services::digest::{Digest, DigestParts};
use crate::services::filter::rotation::{Rotation, RotationParts};
use crate::services::guard::{Sharing, SharingParts};
use crate::services::reports::{Reporter, ReporterParts};
use crate::storage::quarantine::QuarantineNotes;

/// Starts the background tasks besides the queue. Every role that may change something shares bans, counts results and
/// ends sessions whose logins are no longer valid; the role with the queue also sends reports and letters and rotates keys.
pub(super) fn start(parts: &Parts, resolver: SharedResolver, stages: &Stages) {
    let (lives, tasks) = (&parts.lives, &stages.services);
    let clock = || Arc::clone(&parts.clock);
    if parts.roles.may_change() {
        parts.reports.start(&stages.storage);
        let sharing = Sharing::new(SharingParts {
            guard: parts.guard.clone(),
            settings: lives.guard.clone(),
            database: parts.database.clone(),
            journal: parts.journal.clone(),
            clock: clock(),
        });
        tasks.spawn(sharing.run(tasks.clone()));
        stages.storage.spawn(Arc::clone(&parts.filter).run(stages.storage.clone()));
    }
    tasks.spawn(parts.login.clone().watch_over(tasks.clone()));
    let Some(queue) = &parts.queue else { return };
    let filter = Arc::clone(&parts.filter);
    tasks.spawn(async move { filter.read_rules().await });
    let rotation = Rotation::new(RotationParts {
        settings: lives.spam.clone(),
        resolver: Arc::clone(&resolver),
        journal: parts.journal.clone(),
        clock: clock(),
    });
    tasks.spawn(rotation.run(Arc::clone(&parts.filter), tasks.clone()));
    let reporter = Reporter::new(ReporterParts {
        settings: lives.reports.clone(),
        hostname: lives.hostname.clone(),
        reports: parts.reports.clone(),
        resolver,
        filter: Arc::clone(&parts.filter),
        routing: parts.routing.clone(),
        queue: Arc::new(queue.clone()),
        outbound: parts.outbound.clone(),
        journal: parts.journal.clone(),
        clock: clock(),
    });
    tasks.spawn(reporter.run(tasks.clone()));
    let digest = Digest::new(DigestParts {
        settings: lives.intake.clone(),
        delivery: lives.delivery.clone(),
        queueing: lives.queue.clone(),
        hostname: lives.hostname.clone(),
        notes: QuarantineNotes::new(parts.database.clone()),
        spool: parts.spool.clone(),
        queue: Arc::new(queue.clone()),
        clock: clock(),
    });
    tasks.spawn(digest.run(tasks.clone()));
}
