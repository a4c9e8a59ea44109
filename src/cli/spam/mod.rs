mod backtest;
mod check;
mod import;
mod learn;
mod rules;
pub(super) mod source;

use std::path::PathBuf;
use std::sync::Arc;

use super::context::{BY, Context};
use super::exit::Outcome;
use crate::config::{Checks, Config, load};
use crate::daemon::database_url;
use crate::foundations::address::Address;
use crate::foundations::clock::{Clock as _, SystemClock};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::files;
use crate::foundations::settings::Live;
use crate::services::filter::classifier::{Owner, Table};
use crate::services::filter::reputation::Book;
use crate::services::filter::{Examiner, Filter, FilterSettings};
use crate::storage::database::Database;
use crate::storage::directory::Error;

/// The spam filter.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Spam {
    /// Explain how messages score and why. With `--json`, each message is an object on a separate line.
    Check(check::Check),
    /// Train the filter with wanted and unwanted messages.
    Learn(learn::Learn),
    /// Import SpamAssassin's training data, from `sa-learn --backup`.
    Import(import::Import),
    /// Try a changed configuration on an account's own mail, and list the messages that would get a different verdict.
    /// `--config` names the changed configuration.
    Backtest(backtest::Backtest),
    /// Read the rule files and report every line that does not take effect as written.
    Rules(rules::Rules),
}

pub(super) fn run(command: Spam, context: &Context) -> Outcome {
    match command {
        Spam::Check(arguments) => check::run(&arguments, context),
        Spam::Learn(arguments) => context.block_on(learn::run(&arguments, context)),
        Spam::Import(arguments) => context.block_on(import::run(&arguments, context)),
        Spam::Backtest(arguments) => backtest::run(&arguments, context),
        Spam::Rules(arguments) => Ok(rules::run(&arguments, context)?),
    }
}

/// The configuration, or `None` if there is no file: then the defaults apply and nothing has been learned.
fn configuration(context: &Context) -> anyhow::Result<Option<Config>> {
    if context.source().path.exists() { context.config().map(Some) } else { Ok(None) }
}

/// Refuses an account that does not exist.
async fn known(user: &Address, context: &Context) -> anyhow::Result<()> {
    let accounts = context.accounts().await?;
    accounts.directory.account_now(user).await?.ok_or_else(|| Error::NoUser(user.clone()))?;
    accounts.database.close().await;
    Ok(())
}

/// Records that an administrator has trained the filter, for one account or for everybody.
pub(super) async fn record(
    user: Option<&Address>,
    counts: &[(&'static str, u64)],
    context: &Context,
) -> anyhow::Result<()> {
    let accounts = context.accounts().await?;
    let mut event = Event::new(SystemClock.now(), EventKind::FilterTrained).with("by", BY);
    if let Some(user) = user {
        event = event.subject(user.to_string());
    }
    for &(name, count) in counts.iter().filter(|(_, count)| *count > 0) {
        event = event.with(name, count);
    }
    accounts.record([event]).await;
    accounts.closed().await;
    Ok(())
}

/// A configuration by its path.
fn configuration_at(path: &std::path::Path) -> anyhow::Result<Config> {
    Ok(load(path, Checks::Syntax, None)?)
}

/// The filter's settings, with additional rule files. The server ignores unreadable rule files, but these commands
/// report them.
fn settings(config: Option<&Config>, rules: &[PathBuf]) -> anyhow::Result<FilterSettings> {
    let mut settings = config.map(|c| c.spam.clone()).unwrap_or_default();
    settings.rules.files.extend(rules.iter().cloned());
    for path in &settings.rules.files {
        std::fs::read(path).map_err(|source| files::Error { verb: "read", path: path.clone(), source })?;
    }
    Ok(settings)
}

/// The filter with its database.
pub(super) async fn filter(config: &Config) -> anyhow::Result<(Filter, Database)> {
    let database = Database::connect(&database_url(config)?, &config.database).await?;
    database.migrate().await?;
    let filter = Filter::new(Live::new(config.spam.clone()), Arc::new(SystemClock))
        .with_hostname(Live::new(config.hostname.clone()))
        .with_database(database.clone());
    Ok((filter, database))
}

/// What has been learned for everybody and for one account, and what is known of senders.
#[derive(Default)]
struct Experience {
    site: Option<Arc<Table>>,
    own: Option<Arc<Table>>,
    book: Option<Arc<Book>>,
    database: Option<Database>,
}

impl Experience {
    async fn load(config: &Config, user: Option<&Address>) -> anyhow::Result<Self> {
        let (classifier, reputation) = (config.spam.classifier.enabled, config.spam.reputation.enabled);
        if !classifier && !reputation {
            return Ok(Self::default());
        }
        let (filter, database) = filter(config).await?;
        let mut experience = Self { database: Some(database), ..Self::default() };
        experience.book = filter.book().filter(|_| reputation);
        if let Some(store) = filter.store().filter(|_| classifier) {
            experience.site = Some(store.table(&Owner::Site).await?);
            if let Some(user) = user {
                experience.own = Some(store.table(&Filter::owner(user)).await?);
            }
        }
        Ok(experience)
    }

    /// An examiner with this knowledge.
    fn examiner(&self, settings: FilterSettings, user: Option<&Address>) -> Examiner {
        let examiner = Examiner::new(settings, self.site.clone(), self.own.clone());
        examiner.with_book(self.book.clone()).with_recipient(user)
    }

    async fn close(self) {
        if let Some(database) = self.database {
            database.close().await;
        }
    }
}
