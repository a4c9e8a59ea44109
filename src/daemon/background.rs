use std::sync::Arc;

use tokio::sync::Mutex;

use super::Parts;
use super::build::Stages;
use crate::foundations::dns::SharedResolver;
use crate::services::digest::{Digest, DigestParts};
use crate::services::filter::rotation::{Rotation, RotationParts};
use crate::services::guard::{Sharing, SharingParts};
use crate::services::reports::{Reporter, ReporterParts};
use crate::services::tidying::{Tidying, TidyingParts};
use crate::storage::quarantine::QuarantineNotes;

/// Starts the background tasks besides the queue. Every role that may change something shares bans, counts results and
/// ends sessions whose logins are no longer valid; the role with the mailboxes removes old trash and junk, and the one with the
/// queue also sends reports and letters and rotates keys.
pub(super) fn start(parts: &Parts, resolver: SharedResolver, stages: &Stages) {
    let (live, tasks) = (&parts.live, &stages.services);
    let clock = || Arc::clone(&parts.clock);
    if parts.roles.may_change() {
        parts.reports.start(&stages.storage);
        let sharing = Sharing::new(SharingParts {
            guard: parts.guard.clone(),
            settings: live.guard.clone(),
            database: parts.database.clone(),
            journal: parts.journal.clone(),
            clock: clock(),
        });
        let (sharing, running) = (Arc::new(Mutex::new(sharing)), tasks.clone());
        tasks.keep("the sharing of bans", move || {
            let (sharing, running) = (Arc::clone(&sharing), running.clone());
            async move { sharing.lock().await.run(running).await }
        });
        let (filter, running) = (Arc::clone(&parts.filter), stages.storage.clone());
        stages.storage.keep("the record of what the filter learns", move || Arc::clone(&filter).run(running.clone()));
    }
    let (login, running) = (parts.login.clone(), tasks.clone());
    tasks.keep("the watch over logins", move || login.clone().watch_over(running.clone()));
    if let Some(mailboxes) = &parts.mailboxes {
        let tidying = Arc::new(Tidying::new(TidyingParts {
            settings: live.mailbox.clone(),
            directory: parts.directory.clone(),
            mailboxes: mailboxes.clone(),
            journal: parts.journal.clone(),
            clock: clock(),
        }));
        let running = tasks.clone();
        tasks.keep("the removal of old trash and junk", move || Arc::clone(&tidying).run(running.clone()));
    }
    let Some(queue) = &parts.queue else { return };
    let filter = Arc::clone(&parts.filter);
    tasks.spawn(async move { filter.read_rules().await });
    let rotation = Arc::new(Rotation::new(RotationParts {
        settings: live.spam.clone(),
        resolver: Arc::clone(&resolver),
        journal: parts.journal.clone(),
        clock: clock(),
    }));
    let (filter, running) = (Arc::clone(&parts.filter), tasks.clone());
    tasks.keep("the rotation of DKIM keys", move || Arc::clone(&rotation).run(Arc::clone(&filter), running.clone()));
    let reporter = Arc::new(Reporter::new(ReporterParts {
        settings: live.reports.clone(),
        hostname: live.hostname.clone(),
        reports: parts.reports.clone(),
        resolver,
        filter: Arc::clone(&parts.filter),
        routing: parts.routing.clone(),
        queue: Arc::new(queue.clone()),
        outbound: parts.outbound.clone(),
        journal: parts.journal.clone(),
        clock: clock(),
    }));
    let running = tasks.clone();
    tasks.keep("the sending of reports", move || Arc::clone(&reporter).run(running.clone()));
    let digest = Arc::new(Digest::new(DigestParts {
        settings: live.intake.clone(),
        delivery: live.delivery.clone(),
        queueing: live.queue.clone(),
        hostname: live.hostname.clone(),
        notes: QuarantineNotes::new(parts.database.clone()),
        spool: parts.spool.clone(),
        queue: Arc::new(queue.clone()),
        clock: clock(),
    }));
    let running = tasks.clone();
    tasks.keep("the letters about quarantine", move || Arc::clone(&digest).run(running.clone()));
}
