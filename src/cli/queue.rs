use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::context::Context;
use super::exit::{Exit, Outcome};
use super::output::{Output, Shown, print};
use super::user::rounded;
use crate::config::{Config, Role};
use crate::daemon::administration::{self, EntryShown, Keeper, QueueCommand, RecipientShown};
use crate::daemon::control::{Request, RequestError, ask};
use crate::foundations::clock::SystemClock;
use crate::foundations::ids::QueueId;
use crate::foundations::tasks::Tasks;
use crate::storage::spool::Spool;

/// The queue. WHICH is `all`, `held`, a queue id, `from:ADDRESS`, `to:ADDRESS` or `domain:NAME`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Queue {
    /// List messages that wait.
    List {
        /// Only these.
        #[arg(default_value = "all", value_parser = which)]
        which: String,
    },
    /// Show one with its recipients.
    Show {
        /// Its queue id.
        id: QueueId,
    },
    /// Try messages now.
    Retry {
        /// Which.
        #[arg(value_parser = which)]
        which: String,
    },
    /// Keep messages back until they are released.
    Hold {
        /// Which.
        #[arg(value_parser = which)]
        which: String,
    },
    /// Let messages go that were held.
    Release {
        /// Which.
        #[arg(value_parser = which)]
        which: String,
    },
    /// Delete a message. Nobody is told.
    Delete {
        /// Its queue id.
        id: QueueId,
    },
    /// Give a message up now. Its sender is told.
    Bounce {
        /// Its queue id.
        id: QueueId,
    },
}

fn which(text: &str) -> Result<String, String> {
    administration::selection(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

impl Shown for EntryShown {
    const COLUMNS: &'static [&'static str] = &["ID", "RECEIVED", "SIZE", "SENDER", "RECIPIENTS", "STATE", "LAST REPLY"];

    fn cells(&self) -> Vec<String> {
        let recipients = match &self.recipients[..] {
            [] => String::new(),
            [one] => one.address.clone(),
            [first, rest @ ..] => format!("{} and {} more", first.address, rest.len()),
        };
        let first = self.recipients.first();
        let state = first.map(|recipient| recipient.state.clone()).unwrap_or_default();
        let reply = first.and_then(|recipient| recipient.last_reply.clone()).unwrap_or_default();
        let sender = if self.sender.is_empty() { "<>" } else { &self.sender };
        let size = rounded(self.size);
        vec![self.id.to_string(), self.received.to_string(), size, sender.to_owned(), recipients, state, reply]
    }
}

impl Shown for RecipientShown {
    const COLUMNS: &'static [&'static str] =
        &["RECIPIENT", "STATE", "DESTINATION", "ATTEMPTS", "NEXT", "UNTIL", "LAST REPLY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.address.clone(),
            self.state.clone(),
            self.destination.clone(),
            self.attempts.to_string(),
            self.due.to_string(),
            self.expires.to_string(),
            self.last_reply.clone().unwrap_or_default(),
        ]
    }
}

pub(super) async fn run(command: Queue, context: &Context) -> Outcome {
    let config = context.config()?;
    let output = context.output;
    match command {
        Queue::List { which } => {
            output.list(&every(context, &config, &which).await?);
        }
        Queue::Show { id } => {
            let entry: EntryShown = asked(context, &config, QueueCommand::Show { id }).await?;
            output.one(&entry);
            if matches!(output, Output::People) {
                print("\n");
                output.list(&entry.recipients);
            }
        }
        Queue::Retry { which } => {
            let count = asked(context, &config, QueueCommand::Retry { which }).await?;
            return Ok(told(output, "are tried now", count));
        }
        Queue::Hold { which } => {
            let count = asked(context, &config, QueueCommand::Hold { which }).await?;
            return Ok(told(output, "are held", count));
        }
        Queue::Release { which } => {
            let count = asked(context, &config, QueueCommand::Release { which }).await?;
            return Ok(told(output, "are released", count));
        }
        Queue::Delete { id } => {
            asked::<u64>(context, &config, QueueCommand::Delete { id }).await?;
            output.done(&format!("{id} is deleted"), &serde_json::json!({ "id": id }));
        }
        Queue::Bounce { id } => {
            asked::<u64>(context, &config, QueueCommand::Bounce { id }).await?;
            output.done(&format!("{id} is given up, its sender is told"), &serde_json::json!({ "id": id }));
        }
    }
    Ok(Exit::Done)
}

/// All entries that a word means, page by page.
pub(super) async fn every(context: &Context, config: &Config, which: &str) -> anyhow::Result<Vec<EntryShown>> {
    let mut entries: Vec<EntryShown> = Vec::new();
    loop {
        let after = entries.last().map(|entry| entry.id);
        let command = QueueCommand::List { which: which.to_owned(), after };
        let page: Vec<EntryShown> = asked(context, config, command).await?;
        let is_last = page.len() < administration::PAGE as usize;
        entries.extend(page);
        if is_last {
            return Ok(entries);
        }
    }
}

/// How many recipients something was done to; not found when there was none.
pub(super) fn told(output: Output, what: &str, count: u64) -> Exit {
    output.done(&format!("{count} recipients {what}"), &serde_json::json!({ "recipients": count }));
    if count == 0 { Exit::NotFound } else { Exit::Done }
}

/// Asks the role that works on the queue; when it does not run, works on its storage.
pub(super) async fn asked<T: DeserializeOwned>(
    context: &Context,
    config: &Config,
    command: QueueCommand,
) -> anyhow::Result<T> {
    let request = Request::Queue { command: command.clone() };
    match ask(&config.server, Role::Mta, &request).await {
        Err(RequestError::NotRunning { .. }) => {}
        answer => return Ok(answer?),
    }
    let accounts = context.accounts().await?;
    let tasks = Tasks::new();
    let spool = Spool::open(accounts.database.clone(), &config.spool, Arc::new(SystemClock), &tasks)?;
    let answer = administration::perform(command, Keeper::Resting(&spool, &accounts.journal)).await;
    tasks.stop(std::time::Duration::from_secs(5)).await;
    accounts.record([]).await;
    accounts.closed().await;
    Ok(serde_json::from_value(answer?)?)
}
