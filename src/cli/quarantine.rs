use anyhow::bail;

use super::context::Context;
use super::exit::{Exit, Outcome};
use super::output::{Output, print};
use super::queue::{asked, every, show_message, told};
use crate::config::Config;
use crate::daemon::administration::{EntryShown, QueueCommand};
use crate::foundations::clock::SystemClock;
use crate::foundations::ids::QueueId;
use crate::foundations::tasks::Tasks;
use crate::services::filter::classifier::{Class, Owner};
use crate::services::trace::{Asked, Period, Trace};
use crate::storage::journal::Journal;
use crate::storage::spool::Spool;

/// Messages that the filter keeps back until somebody has looked at them.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Quarantine {
    /// List them, the oldest first.
    List,
    /// Show one: for whom it is, and why it is kept back.
    Show {
        /// Its queue id.
        id: QueueId,
        /// Show the message itself instead, header and body.
        #[arg(long)]
        message: bool,
    },
    /// Let one go on to its recipients. What is marked as unwanted arrives in their folder for that.
    Release {
        /// Its queue id.
        id: QueueId,
        /// Also teach the filter that it is wanted.
        #[arg(long)]
        ham: bool,
    },
    /// Delete one. Nobody is told.
    Delete {
        /// Its queue id.
        id: QueueId,
    },
}

pub(super) async fn run(command: Quarantine, context: &Context) -> Outcome {
    let config = context.config()?;
    let output = context.output;
    match command {
        Quarantine::List => {
            let mut entries = every(context, &config, "held").await?;
            entries.retain(EntryShown::is_quarantined);
            output.list(&entries);
        }
        Quarantine::Show { id, message: true } => {
            quarantined(context, &config, id).await?;
            show_message(context, &config, id).await?;
        }
        Quarantine::Show { id, message: false } => show(context, &config, id).await?,
        Quarantine::Release { id, ham } => {
            quarantined(context, &config, id).await?;
            if ham {
                teach(&config, id).await?;
            }
            let count = asked(context, &config, QueueCommand::Release { which: id.to_string() }).await?;
            return Ok(told(output, "are released", count));
        }
        Quarantine::Delete { id } => {
            quarantined(context, &config, id).await?;
            asked::<u64>(context, &config, QueueCommand::Delete { id }).await?;
            output.done(&format!("{id} is deleted"), &serde_json::json!({ "id": id }));
        }
    }
    Ok(Exit::Done)
}

/// An entry that is in quarantine; what waits for other reasons is the business of `postrider queue`.
async fn quarantined(context: &Context, config: &Config, id: QueueId) -> anyhow::Result<EntryShown> {
    let entry: EntryShown = asked(context, config, QueueCommand::Show { id }).await?;
    if !entry.is_quarantined() {
        bail!("{id} is in the queue, but not in quarantine; see `postrider queue show {id}`");
    }
    Ok(entry)
}

async fn show(context: &Context, config: &Config, id: QueueId) -> anyhow::Result<()> {
    let entry = quarantined(context, config, id).await?;
    let accounts = context.accounts().await?;
    let asked: Asked = id.to_string().parse()?;
    let traced = Trace::new(Journal::read_only(accounts.database.clone())).find(&asked, Period::default()).await?;
    accounts.database.close().await;
    if matches!(context.output, Output::Json) {
        context.output.done("", &serde_json::json!({ "entry": entry, "journey": traced }));
        return Ok(());
    }
    context.output.one(&entry);
    print("\n");
    context.output.list(&entry.recipients);
    for step in traced.journeys.iter().flat_map(|journey| &journey.steps) {
        print(&format!("  {}  {}\n", step.event.at, step.words));
    }
    Ok(())
}

/// Teaches the filter for everybody that a message is wanted.
async fn teach(config: &Config, id: QueueId) -> anyhow::Result<()> {
    let (filter, database) = super::spam::filter(config).await?;
    let tasks = Tasks::new();
    let spool = Spool::open(database.clone(), &config.spool, std::sync::Arc::new(SystemClock), &tasks)?;
    let message = spool.message(id).await?;
    filter.learn(&Owner::Site, Class::Ham, &message.bytes()).await?;
    tasks.stop(std::time::Duration::from_secs(5)).await;
    database.close().await;
    Ok(())
}
