use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Error, Parts};
use crate::config::Config;
use crate::foundations::event::{Event, EventKind};
use crate::services::accounts::{Accounts, Declaration, DeclarationError, Secrets, UnusablePassword};

/// Applies the declared accounts, if there are any. Each change is an event. Returns the passwords that could not be
/// used; everything else is applied.
pub(super) async fn reconcile(parts: &Parts, config: &Config) -> Result<Vec<UnusablePassword>, Error> {
    let Some(path) = config.accounts.declared.clone() else { return Ok(Vec::new()) };
    let declaration = read(path, parts.credentials.clone()).await?;
    let (login, routing) = (parts.live.login.clone(), parts.live.routing.clone());
    let accounts =
        Accounts::new(parts.directory.clone(), parts.journal.clone(), login, routing, Arc::clone(&parts.clock));
    let plan = accounts.reconcile(&declaration).await?;
    if !plan.changes.is_empty() {
        log::info!(changes = plan.changes.len(); "Declared accounts were applied");
    }
    Ok(declaration.unusable.clone())
}

/// Reports passwords that could not be used when the server started, each in the log and as an event.
pub(super) fn tell(parts: &Parts, unusable: &[UnusablePassword]) {
    for password in unusable {
        let event = Event::new(parts.clock.now(), EventKind::Configuration);
        parts.journal.record(event.with("result", "incomplete").with("problem", password.to_string()));
    }
}

/// Reads the declaration outside the async threads.
async fn read(path: PathBuf, credentials: Option<PathBuf>) -> Result<Arc<Declaration>, DeclarationError> {
    let load = move |path: &Path| Declaration::load(path, Secrets::Usable, credentials.as_deref());
    let shown = path.clone();
    let interrupted = |_| DeclarationError::File { path: shown, because: "reading it was interrupted".to_owned() };
    let declaration = tokio::task::spawn_blocking(move || load(&path)).await.map_err(interrupted)??;
    Ok(Arc::new(declaration))
}
