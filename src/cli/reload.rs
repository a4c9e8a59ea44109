use super::context::Context;
use super::exit::{Exit, Outcome};
use crate::config::Role;
use crate::daemon::control::{Request, RequestError, Status, ask};

/// Asks every running process once to reload.
pub(super) async fn run(context: &Context) -> Outcome {
    let config = context.config()?;
    let mut reloaded = Vec::new();
    for role in Role::ALL {
        let status: Status = match ask(&config.server, *role, &Request::Status).await {
            Ok(status) => status,
            Err(RequestError::NotRunning { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        if !reloaded.contains(&status.process) {
            ask::<()>(&config.server, *role, &Request::Reload).await?;
            reloaded.push(status.process);
        }
    }
    if reloaded.is_empty() {
        let socket = config.server.control_directory;
        return Err(RequestError::NotRunning { role: Role::Mta, socket }.into());
    }
    context.output.done("Reloaded", &serde_json::json!({ "processes": reloaded }));
    Ok(Exit::Done)
}
