//! Information from the processes of other roles, over their read-only sockets.

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

/// The answers of other roles. One that does not answer in time is left out, and does not delay the others.
async fn asked<T, F>(others: &[Role], ask: impl Fn(Role) -> F) -> Vec<T>
where
    F: Future<Output = Result<T, RequestError>>,
{
    let answers = join_all(others.iter().map(|role| tokio::time::timeout(PATIENCE, ask(*role)))).await;
    answers.into_iter().flatten().flatten().collect()
}

/// The bans of other processes; those that do not answer are left out.
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

/// The certificates of other processes; those that do not answer are left out.
pub(super) async fn certificates_elsewhere(parts: &Parts) -> Vec<Report> {
    let (server, others) = others(parts);
    asked(&others, |role| look_at_certificates(&server, role)).await
}

/// The certificates of all processes, those of this one first. Processes without certificates and without listeners that
/// serve some are left out.
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
                // A process with several roles answers once for each.
                if !report.certificates.is_empty() && !reports.iter().any(|known| known.roles == report.roles) {
                    reports.push(report);
                }
            }
            reports
        })
    })
}

/// The figures of all processes, this one first. One that does not answer in time is left out.
pub(super) fn figures(parts: &Arc<Parts>) -> dashboard::Asking<ProcessFigures> {
    let (server, others) = others(parts);
    let own = Arc::downgrade(parts);
    Box::new(move || {
        let (server, others, own) = (server.clone(), others.clone(), own.upgrade());
        Box::pin(async move {
            let own = async {
                match &own {
                    Some(parts) => Some(figures::own(parts).await),
                    None => None,
                }
            };
            let (own, answers) = tokio::join!(own, asked(&others, |role| look_at_figures(&server, role)));
            let mut processes: Vec<ProcessFigures> = own.into_iter().collect();
            for answer in answers {
                // A process with several roles answers once for each.
                if !processes.iter().any(|known| known.roles == answer.roles) {
                    processes.push(answer);
                }
            }
            processes
        })
    })
}

/// What keeps processes from their work, in sentences.
pub(super) fn troubles(parts: &Arc<Parts>) -> dashboard::Asking<String> {
    let ask = Arc::new(figures(parts));
    Box::new(move || {
        let ask = Arc::clone(&ask);
        Box::pin(async move {
            let mut told: Vec<String> = ask().await.into_iter().flat_map(ProcessFigures::troubles).collect();
            told.sort_unstable();
            told.dedup();
            told
        })
    })
}

/// The time within which roles on this machine must answer.
const PATIENCE: Duration = Duration::from_secs(2);
