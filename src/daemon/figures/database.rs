//! Whether the database does its work: for figures, probes and the monitoring page.

use std::sync::Arc;
use std::time::Duration;

use super::{Parts, ProcessFigures};
use crate::daemon::Roles;
use crate::protocols::metrics::{Figure, FigureKind, Gather, Readiness};

/// A process is ready if it can reach the database; everything else was there before the first connection was accepted.
pub(in crate::daemon) fn readiness(parts: &Arc<Parts>) -> Readiness {
    let parts = Arc::clone(parts);
    Arc::new(move || {
        let parts = Arc::clone(&parts);
        Box::pin(async move { is_ready(READY_WITHIN, parts.database.check()).await })
    })
}

/// How long the database may take until the process counts as not ready. Who asks waits for a second (Kubernetes) or two
/// (HAProxy), and would not learn why; a database that hangs lets its clients wait for much longer.
const READY_WITHIN: Duration = Duration::from_millis(900);

async fn is_ready<E: std::fmt::Display>(
    patience: Duration,
    database: impl Future<Output = Result<(), E>>,
) -> Result<(), String> {
    match tokio::time::timeout(patience, database).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the database has not answered within {patience:?}")),
    }
}

/// Whether the database answers: while it does not, the figures read from it are missing, and no rule about them fires.
pub(super) fn reachable(parts: &Arc<Parts>) -> Gather {
    let database = parts.database.clone();
    Arc::new(move || {
        let database = database.clone();
        Box::pin(async move {
            let answer = tokio::time::timeout(DATABASE_PATIENCE, database.check()).await;
            let up = f64::from(u8::from(answer.is_ok_and(|answer| answer.is_ok())));
            vec![Figure::gauge("database_up", "1 if the database answers, 0 if not", up)]
        })
    })
}

/// How long the database may take to answer that it is there: less than a scrape waits, so that the answer is part of it.
const DATABASE_PATIENCE: Duration = Duration::from_secs(3);

/// How long the right to write to the database is waited for: less than other roles wait for these figures.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// Why this process cannot write to the database. Everything can be read on a read-only file system, or if the file belongs to
/// another user.
pub(super) async fn unwritable(parts: &Parts) -> Option<String> {
    match tokio::time::timeout(WRITTEN_WITHIN, parts.database.check_writing()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("the database cannot be written to: {error}")),
        Err(_) => Some(format!(
            "the database could not be written to within {WRITTEN_WITHIN:?}: it hangs, or another program has locked it"
        )),
    }
}

/// Whether the processes can write to the database, without those that are not meant to.
pub(super) fn writable(processes: &[ProcessFigures]) -> Figure {
    let writing =
        processes.iter().filter(|process| process.roles.parse::<Roles>().is_ok_and(|roles| roles.may_change()));
    let values = writing.map(|process| (process.roles.clone(), f64::from(u8::from(process.unwritable.is_none()))));
    let help = "1 if the process can write to the database, 0 if not";
    Figure::labelled("database_writable", help, FigureKind::Gauge, "role", values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_database_that_hangs_is_not_waited_for() {
        let hangs = is_ready(Duration::from_millis(20), std::future::pending::<Result<(), String>>());
        assert_eq!(hangs.await.unwrap_err(), "the database has not answered within 20ms");
        let long = Duration::from_secs(60);
        assert_eq!(is_ready(long, async { Err("gone") }).await.unwrap_err(), "gone");
        is_ready(long, async { Ok::<_, String>(()) }).await.unwrap();
    }
}
