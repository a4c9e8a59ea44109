use std::sync::Arc;

use super::context::Context;
use super::exit::{Exit, Outcome};
use super::output::{Output, print};
use crate::config::{Config, declaration_mistakes};
use crate::daemon::database_url;
use crate::foundations::clock::SystemClock;
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::services::accounts::{Declaration, Plan, Secrets, plan};
use crate::storage::database::Database;
use crate::storage::directory::{Directory, Everything};

/// Shows what the declared accounts would change. Changes nothing, neither the accounts nor their tables.
pub(super) async fn run(context: &Context, secrets: Secrets) -> Outcome {
    let config = context.config()?;
    let Some(path) = config.accounts.declared.as_deref() else {
        context
            .output
            .done(NOTHING_DECLARED, &Plan { changes: Vec::new(), warnings: vec![NOTHING_DECLARED.to_owned()] });
        return Ok(Exit::Done);
    };
    let credentials = context.source().credentials;
    let declaration = match Declaration::load(path, secrets, credentials.as_deref()) {
        Ok(declaration) => Arc::new(declaration),
        Err(error) => return Err(declaration_mistakes(error).into()),
    };
    let (now, first) = present(&config).await?;
    let mut plan = plan(&declaration, now, &config.routing).await;
    plan.warnings.extend(first);
    match context.output {
        Output::Json => context.output.done("", &plan),
        Output::People if plan.changes.is_empty() && plan.warnings.is_empty() => print("Nothing would change\n"),
        Output::People => print(&plan.to_string()),
    }
    Ok(Exit::Done)
}

const NOTHING_DECLARED: &str = "No accounts are declared (`accounts.declared` names no file), so nothing would change";

/// The existing accounts, and what the server would do to the tables before it compares.
async fn present(config: &Config) -> anyhow::Result<(Everything, Option<String>)> {
    let Some(database) = Database::look(&database_url(config)?, &config.database).await? else {
        let made = "there is no database yet; the server creates it when it starts";
        return Ok((Everything::default(), Some(made.to_owned())));
    };
    let (pending, is_new) = (database.pending().await?, !database.has_table("virtual_domains").await?);
    let is_taken_over = !database.has_table("domain_state").await?;
    let first = match pending.as_slice() {
        [] => None,
        _ if is_new => Some("the database has no tables yet; the server creates them when it starts".to_owned()),
        _ if is_taken_over => Some(
            "the database has the tables of another mail server; when this server starts, it uses them as they are and \
             adds its own"
                .to_owned(),
        ),
        steps => Some(format!(
            "the database tables are older than this program; the server updates them when it starts ({})",
            steps.join(", ")
        )),
    };
    let tasks = Tasks::new();
    let directory =
        Directory::open(database.clone(), Live::new(config.directory.clone()), Arc::new(SystemClock), &tasks);
    let everything = if is_new { Everything::default() } else { directory.everything_before_migration().await? };
    tasks.stop(std::time::Duration::from_secs(2)).await;
    database.close().await;
    Ok((everything, first))
}
