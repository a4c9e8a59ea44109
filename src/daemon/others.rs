//! What the processes of other roles say, asked over the sockets that change nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::control::{RequestError, look_at_bans, look_at_certificates, look_at_figures};
use super::figures::{self, ProcessFigures};
use super::{Parts, ServerSettings};
use crate::config::Role;
use crate::protocols::web::dashboard;
use crate::services::guard::Ban;
use crate::services::served::Report;

/// The roles that this process does not have.
fn others(parts: &Parts) -> (ServerSettings, Vec<Role>) {
    let others = Role::ALL.iter().copied().filter(|role| !parts.roles.has(*role)).collect();
    (parts.config.server.clone(), others)
}

/// What other roles answer. One that does not answer in time is left out, and keeps no other from being heard.
async fn asked<T, F>(others: &[Role], ask: impl Fn(Role) -> F) -> Vec<T>
where
    F: Future<Output = Result<T, RequestError>>,
{
    let answers = join_all(others.iter().map(|role| tokio::time::timeout(PATIENCE, ask(*role)))).await;
    answers.into_iter().flatten().flatten().collect()
}

/// Roles that other processes have, and that do not answer, have no bans to show.
pub(super) fn bans(parts: &Parts) -> dashboard::Asking<Ban> {
    let (server, others) = others(parts);
    Box::new(move || {
        let (server, others) = (server.clone(), others.clone());
        Box::pin(async move {
            let answers = asked(&others, |role| look_at_bans(&server, role)).await;
            answers.into_iter().flatten().collect()
        })
    })
}

/// The certificates of all processes, those of this one first. One that has neither certificates nor listeners that show
/// some has nothing to say.
pub(super) fn certificates(parts: &Arc<Parts>) -> dashboard::Asking<Report> {
    let (server, others) = others(parts);
    let own = Arc::downgrade(parts);
    Box::new(move || {
        let (server, others, own) = (server.clone(), others.clone(), own.upgrade());
        Box::pin(async move {
            let answers = asked(&others, |role| look_at_certificates(&server, role)).await;
            let own = own.map(|parts| parts.inspector.report(&parts.roles.to_string()));
            let mut reports: Vec<Report> = Vec::new();
            for report in own.into_iter().chain(answers) {
                // A process with several roles answers for each of them.
                if !report.certificates.is_empty() && !reports.iter().any(|known| known.roles == report.roles) {
                    reports.push(report);
                }
            }
            reports
        })
    })
}

/// What all processes count themselves, this one first. One that does not answer in time is left out.
pub(super) fn figures(parts: &Arc<Parts>) -> dashboard::Asking<ProcessFigures> {
    let (server, others) = others(parts);
    let own = Arc::downgrade(parts);
    Box::new(move || {
        let (server, others, own) = (server.clone(), others.clone(), own.upgrade());
        Box::pin(async move {
            let answers = asked(&others, |role| look_at_figures(&server, role)).await;
            let mut processes: Vec<ProcessFigures> = own.iter().map(|parts| figures::own(parts)).collect();
            for answer in answers {
                // A process with several roles answers for each of them.
                if !processes.iter().any(|known| known.roles == answer.roles) {
                    processes.push(answer);
                }
            }
            processes
        })
    })
}

/// Roles on this machine answer within this time.
const PATIENCE: Duration = Duration::from_secs(2);
