use std::sync::Arc;

use anyhow::Context as _;

use super::context::Context;
use super::exit::{Exit, Outcome};
use super::output::{Output, print};
use crate::config::declaration_mistakes;
use crate::foundations::clock::SystemClock;
use crate::foundations::settings::Live;
use crate::services::accounts::{Accounts, Declaration, Secrets};
use crate::storage::journal::Journal;

/// Says what the declared accounts would change, and changes nothing.
pub(super) async fn run(context: &Context, secrets: Secrets) -> Outcome {
    let accounts = context.accounts().await?;
    let path = accounts.config.accounts.declared.as_deref();
    let path = path.context("no accounts are declared: `accounts.declared` names no file")?;
    let credentials = context.source().credentials;
    let declaration = match Declaration::load(path, secrets, credentials.as_deref()) {
        Ok(declaration) => Arc::new(declaration),
        Err(error) => return Err(declaration_mistakes(error).into()),
    };
    let login = Live::new(accounts.config.login.clone());
    let declared = Accounts::new(accounts.directory.clone(), Journal::lines_only(), login, Arc::new(SystemClock));
    let plan = declared.plan(&declaration).await?;
    match context.output {
        Output::Json => context.output.done("", &plan),
        Output::People if plan.changes.is_empty() && plan.warnings.is_empty() => print("Nothing would change\n"),
        Output::People => print(&plan.to_string()),
    }
    Ok(Exit::Done)
}
