use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::super::certificate;
use super::super::context::{Accounts, Context};
use super::super::exit::{Exit, Outcome};
use super::super::moment::{Moment, past};
use super::super::output::{Output, print};
use super::Report;
use crate::config::Role;
use crate::daemon::control::{Request, ask};
use crate::daemon::watched;
use crate::foundations::clock::{Clock as _, SharedClock, SystemClock};
use crate::foundations::files::{create_directory, write_durable};
use crate::foundations::tasks::Tasks;
use crate::services::overview::Sources;
use crate::services::summary::{BackupReport, MailboxReport, QueueReport, SpamReport, Summary};
use crate::storage::journal::Journal;
use crate::storage::spool::Spool;

/// Where to write a report.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Place {
    /// Write the report to this file instead of standard output. The file is replaced atomically.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The time a report covers.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Period {
    /// Start of the report: `2026-11-26`, `2026-11-26 14:30` (local), RFC 3339, or how long ago (`7d`).
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = past)]
    since: Moment,
}

/// Creates a report on this server.
pub(super) async fn run(report: Report, context: &Context) -> Outcome {
    if let Report::Mail(period) = &report {
        let request = Request::Summary { seconds: SystemClock.now().since(period.since.timestamp()).as_secs() };
        let to: String = ask(&context.config()?.server, Role::Mta, &request).await?;
        context.output.done(&format!("The summary is on its way to {to}"), &serde_json::json!({ "to": to }));
        return Ok(Exit::Done);
    }
    let accounts = context.accounts().await?;
    let tasks = Tasks::new();
    let sources = sources(&accounts, &tasks)?;
    match report {
        Report::Queue(place) => write(&QueueReport::read(&sources).await?, place.out.as_deref())?,
        Report::Spam { period, place } => {
            write(&SpamReport::read(&sources, period.since.timestamp()).await?, place.out.as_deref())?;
        }
        Report::Mailboxes(place) => write(&MailboxReport::read(&sources).await?, place.out.as_deref())?,
        Report::Backups(place) => write(&BackupReport::read(&sources).await?, place.out.as_deref())?,
        Report::All { period, into } => {
            create_directory(&into, 0o750)?;
            write(&BackupReport::read(&sources).await?, Some(&into.join("backups.json")))?;
            write(&QueueReport::read(&sources).await?, Some(&into.join("queue.json")))?;
            write(&SpamReport::read(&sources, period.since.timestamp()).await?, Some(&into.join("spam.json")))?;
            write(&MailboxReport::read(&sources).await?, Some(&into.join("mailboxes.json")))?;
        }
        Report::Summary(period) => {
            let (hostname, begin) = (accounts.config.hostname.clone(), period.since.timestamp());
            let certificates = certificate::known(&accounts.config).await;
            let summary = Summary::read(&sources, hostname, begin, &certificates).await?;
            match context.output {
                Output::People => print(&summary.to_string()),
                Output::Json => context.output.done("", &summary),
            }
        }
        Report::Mail(_) | Report::Dmarc { .. } | Report::Tlsrpt { .. } | Report::Failures { .. } => {}
    }
    tasks.stop(Duration::from_secs(2)).await;
    Ok(Exit::Done)
}

/// The server's metrics, read independently of it.
fn sources(accounts: &Accounts, tasks: &Tasks) -> anyhow::Result<Sources> {
    let clock: SharedClock = Arc::new(SystemClock);
    let spool = Spool::open(accounts.database.clone(), &accounts.config.spool, Arc::clone(&clock), tasks)?;
    Ok(Sources {
        database: accounts.database.clone(),
        directory: accounts.directory.clone(),
        journal: Journal::read_only(accounts.database.clone()),
        spool,
        disks: watched(&accounts.config),
        clock,
    })
}

fn write(report: &impl Serialize, out: Option<&Path>) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    match out {
        Some(path) => write_durable(path, text.as_bytes(), 0o640).with_context(|| path.display().to_string()),
        None => {
            print(&text);
            Ok(())
        }
    }
}
