use std::collections::BTreeSet;

use super::context::Context;
use super::exit::{Exit, Outcome};
use crate::config::Role;
use crate::daemon::control::{Request, RequestError, Status, ask};

/// Asks every running process once to reload.
pub(super) async fn run(context: &Context) -> Outcome {
    let config = context.config()?;
    let mut reloaded = Vec::new();
    let mut waiting = BTreeSet::new();
    for role in Role::ALL {
        let status: Status = match ask(&config.server, *role, &Request::Status).await {
            Ok(status) => status,
            Err(RequestError::NotRunning { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        if !reloaded.contains(&status.process) {
            // Processes of an older program do not say what waits for a restart.
            let keys: Option<Vec<String>> = ask(&config.server, *role, &Request::Reload).await?;
            waiting.extend(keys.unwrap_or_default());
            reloaded.push(status.process);
        }
    }
    if reloaded.is_empty() {
        let socket = config.server.control_directory;
        return Err(RequestError::NotRunning { role: Role::Mta, socket }.into());
    }
    let text = match waiting.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "Reloaded".to_owned(),
        some => format!("Reloaded; what has changed in {some} takes effect at the next restart"),
    };
    context.output.done(&text, &serde_json::json!({ "processes": reloaded, "needs_restart": waiting }));
    Ok(Exit::Done)
}
