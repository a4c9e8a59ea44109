use anyhow::bail;

use super::confirm::confirm;
use super::context::Context;
use super::exit::{Exit, Outcome};
use super::moment::span;
use super::output::{Output, print};
use super::queue::{asked, end_each, every, show_message, told};
use crate::config::Config;
use crate::daemon::administration::{EntryShown, QueueCommand};
use crate::foundations::address::{Address, Domain};
use crate::foundations::clock::{Clock as _, SystemClock, Timestamp};
use crate::foundations::counted::counted;
use crate::foundations::ids::QueueId;
use crate::foundations::settings::Span;
use crate::foundations::tasks::Tasks;
use crate::services::filter::classifier::{Class, Learned, Owner};
use crate::services::trace::{Asked, Period, Trace};
use crate::storage::journal::Journal;
use crate::storage::spool::Spool;

/// Messages that the filter holds back for review.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Quarantine {
    /// List the messages in quarantine, oldest first.
    List,
    /// Show a message: its recipients, and why it is in quarantine.
    Show {
        /// Its queue id, as `list` shows it.
        id: QueueId,
        /// Show the message itself instead, header and body.
        #[arg(long)]
        message: bool,
    },
    /// Release a message to its recipients. If it is marked as spam, it arrives in their Junk folder.
    Release {
        /// Its queue id, as `list` shows it.
        id: QueueId,
        /// Also teach the filter that the message is wanted.
        #[arg(long)]
        ham: bool,
    },
    /// Delete a message without notifying anybody.
    Delete {
        /// Its queue id, as `list` shows it.
        id: QueueId,
    },
    /// Delete all messages, or those that match all given options, without notifying anybody. Asks for confirmation on a
    /// terminal; otherwise `--yes` is required.
    Drop(Dropped),
}

/// Messages to delete from quarantine.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
pub(super) struct Dropped {
    /// Delete all messages.
    #[arg(long, group = "which", conflicts_with_all = ["from", "to", "older_than"])]
    all: bool,
    /// Messages from this sender: an address, `@example.com` for a whole domain, or `<>` for notifications.
    #[arg(long, group = "which", value_name = "ADDRESS", value_parser = address_pattern)]
    from: Option<AddressPattern>,
    /// Messages to this recipient, even if others receive them too: an address, or `@example.com` for a whole domain.
    #[arg(long, group = "which", value_name = "ADDRESS", value_parser = address_pattern)]
    to: Option<AddressPattern>,
    /// Messages that arrived longer ago than this, such as 12h or 30d.
    #[arg(long, group = "which", value_name = "SPAN", value_parser = span)]
    older_than: Option<Span>,
    /// List the messages without deleting them.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
}

/// What an address is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AddressPattern {
    /// The empty sender of notifications.
    Nobody,
    /// One address.
    One(Address),
    /// A whole domain.
    Domain(Domain),
}

fn address_pattern(text: &str) -> Result<AddressPattern, &'static str> {
    let pattern = match (text, text.strip_prefix('@')) {
        ("<>", _) => Some(AddressPattern::Nobody),
        (_, Some(domain)) => domain.parse().ok().map(AddressPattern::Domain),
        (_, None) => text.parse().ok().map(AddressPattern::One),
    };
    pattern.ok_or("expected an address, @domain or <>")
}

impl AddressPattern {
    fn is(&self, address: &str) -> bool {
        let address = address.parse::<Address>();
        match (self, address) {
            (Self::Nobody, address) => address.is_err(),
            (Self::One(one), Ok(address)) => one.key() == address.key(),
            (Self::Domain(domain), Ok(address)) => address.domain() == domain,
            (_, Err(_)) => false,
        }
    }
}

impl Dropped {
    fn takes(&self, entry: &EntryShown, now: Timestamp) -> bool {
        self.from.as_ref().is_none_or(|from| from.is(&entry.sender))
            && self.to.as_ref().is_none_or(|to| entry.recipients.iter().any(|recipient| to.is(&recipient.address)))
            && self.older_than.is_none_or(|span| now.since(entry.received) >= span.duration())
    }
}

pub(super) async fn run(command: Quarantine, context: &Context) -> Outcome {
    let config = context.config()?;
    let output = context.output;
    match command {
        Quarantine::List => {
            let mut entries = every(context, &config, "held").await?;
            entries.retain(EntryShown::is_quarantined);
            output.list_or(&entries, "the quarantine is empty");
        }
        Quarantine::Show { id, message: true } => {
            quarantined(context, &config, id).await?;
            show_message(context, &config, id).await?;
        }
        Quarantine::Show { id, message: false } => show(context, &config, id).await?,
        Quarantine::Release { id, ham } => {
            quarantined(context, &config, id).await?;
            if ham {
                teach(&config, id, context).await?;
            }
            let count = asked(context, &config, QueueCommand::Release { which: id.to_string() }).await?;
            return Ok(told(output, "released", count));
        }
        Quarantine::Delete { id } => {
            quarantined(context, &config, id).await?;
            asked::<u64>(context, &config, QueueCommand::Delete { id }).await?;
            output.done(&format!("{id} is deleted"), &serde_json::json!({ "id": id }));
        }
        Quarantine::Drop(dropped) => return drop_some(&dropped, context, &config).await,
    }
    Ok(Exit::Done)
}

async fn drop_some(dropped: &Dropped, context: &Context, config: &Config) -> Outcome {
    let now = SystemClock.now();
    let mut entries = every(context, config, "held").await?;
    entries.retain(|entry| entry.is_quarantined() && dropped.takes(entry, now));
    if dropped.dry_run {
        context.output.list_or(&entries, "no such messages are in quarantine");
        return Ok(if entries.is_empty() { Exit::NotFound } else { Exit::Done });
    }
    if !entries.is_empty() {
        confirm(&format!("{} in quarantine would be deleted", counted(entries.len(), "message")), dropped.yes)?;
    }
    let commands = entries.iter().map(|entry| (entry.id, QueueCommand::Delete { id: entry.id }));
    end_each(context, config, commands, "deleted").await
}

/// An entry in quarantine; other entries are handled by `postrider queue`.
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

/// Teaches the filter, for all users, that a message is wanted.
async fn teach(config: &Config, id: QueueId, context: &Context) -> anyhow::Result<()> {
    let (filter, database) = super::spam::filter(config).await?;
    let tasks = Tasks::new();
    let spool = Spool::open(database.clone(), &config.spool, std::sync::Arc::new(SystemClock), &tasks)?;
    let message = spool.message(id).await?;
    let learned = filter.learn(&Owner::Site, Class::Ham, &message.bytes()).await?;
    tasks.stop(std::time::Duration::from_secs(5)).await;
    database.close().await;
    if learned == Learned::Before {
        return Ok(());
    }
    super::spam::record(None, &[("ham", 1)], context).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parties_are_told_apart() {
        for (written, address, is) in [
            ("eve@elsewhere.test", "Eve@Elsewhere.test", true),
            ("eve@elsewhere.test", "adam@elsewhere.test", false),
            ("@elsewhere.test", "adam@elsewhere.test", true),
            ("@elsewhere.test", "adam@sub.elsewhere.test", false),
            ("@elsewhere.test", "", false),
            ("<>", "", true),
            ("<>", "eve@elsewhere.test", false),
        ] {
            assert_eq!(address_pattern(written).unwrap().is(address), is, "{written} {address}");
        }
        for written in ["", "eve", "@", "<eve>"] {
            assert!(address_pattern(written).is_err(), "{written}");
        }
    }
}
