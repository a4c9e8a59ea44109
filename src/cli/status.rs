use serde::Serialize;

use super::context::Context;
use super::exit::{Exit, Outcome};
use super::output::Shown;
use crate::config::Role;
use crate::daemon::control::{Request, RequestError, Status, ask};

/// A role and the process that runs it.
#[derive(Debug, Serialize)]
struct Running {
    role: &'static str,
    #[serde(flatten)]
    status: Option<Status>,
}

impl Shown for Running {
    const COLUMNS: &'static [&'static str] = &["ROLE", "PROCESS", "SINCE", "VERSION", "NOT SERVED"];

    fn cells(&self) -> Vec<String> {
        let of = |show: fn(&Status) -> String| self.status.as_ref().map_or_else(|| "-".to_owned(), show);
        let (process, version) = (of(|status| status.process.to_string()), of(|status| status.version.clone()));
        let unopened = of(|status| {
            let places = status.unopened.iter().map(|place| format!("{} on {}", place.protocol, place.listener));
            places.collect::<Vec<_>>().join(", ")
        });
        vec![self.role.to_owned(), process, of(|status| status.since.to_string()), version, unopened]
    }
}

/// Shows which roles are running; a temporary failure if none is.
pub(super) async fn run(context: &Context) -> Outcome {
    let config = context.config()?;
    let mut running = Vec::new();
    for role in Role::ALL {
        let status = match ask(&config.server, *role, &Request::Status).await {
            Ok(status) => Some(status),
            Err(RequestError::NotRunning { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        running.push(Running { role: role.word(), status });
    }
    context.output.list(&running);
    Ok(if running.iter().any(|role| role.status.is_some()) { Exit::Done } else { Exit::Temporary })
}
