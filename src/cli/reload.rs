use std::collections::BTreeSet;

use super::context::Context;
use super::exit::{Ended, Exit, Outcome};
use crate::config::Role;
use crate::daemon::control::{Request, RequestError, Status, ask};

/// Asks every running process once to reload, even if another one failed to.
pub(super) async fn run(context: &Context) -> Outcome {
    let config = context.config()?;
    let (mut asked, mut reloaded, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let mut waiting = BTreeSet::new();
    for role in Role::ALL {
        let status: Status = match ask(&config.server, *role, &Request::Status).await {
            Ok(status) => status,
            Err(RequestError::NotRunning { .. }) => continue,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        if asked.contains(&status.process) {
            continue;
        }
        asked.push(status.process);
        // Processes of an older version do not report what needs a restart.
        match ask::<Option<Vec<String>>>(&config.server, *role, &Request::Reload).await {
            Ok(keys) => {
                waiting.extend(keys.unwrap_or_default());
                reloaded.push(status.process);
            }
            Err(error) => errors.push(error),
        }
    }
    if let Some(error) = together(errors) {
        return Err(error);
    }
    if reloaded.is_empty() {
        let socket = config.server.control_directory;
        return Err(RequestError::NotRunning { role: Role::Mta, socket }.into());
    }
    let text = match waiting.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "Reloaded".to_owned(),
        some => format!("Reloaded; changes to {some} take effect at the next restart"),
    };
    context.output.done(&text, &serde_json::json!({ "processes": reloaded, "needs_restart": waiting }));
    Ok(Exit::Done)
}

/// The answers of several processes, with the exit code of the first.
fn together(errors: Vec<RequestError>) -> Option<anyhow::Error> {
    let texts: BTreeSet<String> = errors.iter().map(ToString::to_string).collect();
    let first = anyhow::Error::from(errors.into_iter().next()?);
    if texts.len() == 1 {
        return Some(first);
    }
    Some(Ended::with(Exit::of(&first), texts.into_iter().collect::<Vec<_>>().join("; ")))
}
