use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use super::arguments::Arguments;
use super::exit::Outcome;
use super::output::Output;
use crate::config::{Checks, Config, Role, load};
use crate::daemon::control::{MailboxCommand, Request, RequestError, ask};
use crate::daemon::{Source, database_url};
use crate::foundations::address::Address;
use crate::foundations::clock::{SharedClock, SystemClock};
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::services::login::Keyring;
use crate::storage::database::Database;
use crate::storage::directory::Directory;
use crate::storage::journal::Journal;

/// What every command has.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) output: Output,
    config: PathBuf,
}

/// The accounts, for a command that works on them beside the running server.
pub(super) struct Accounts {
    pub(super) config: Config,
    pub(super) directory: Directory,
    pub(super) database: Database,
    tasks: Tasks,
}

impl Context {
    pub(super) fn new(arguments: &Arguments) -> Self {
        let output = if arguments.json { Output::Json } else { Output::People };
        Self { output, config: arguments.config.clone() }
    }

    /// Where the configuration comes from.
    #[expect(clippy::disallowed_methods, reason = "the command line may read the environment")]
    pub(super) fn source(&self) -> Source {
        let credentials = std::env::var("CREDENTIALS_DIRECTORY").ok().map(PathBuf::from);
        Source { path: self.config.clone(), credentials }
    }

    /// The configuration. Files are not looked at: an administrator may not be allowed to read the keys.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        let source = self.source();
        Ok(load(&source.path, Checks::Syntax, source.credentials.as_deref())?)
    }

    /// Runs a command that waits for things, on this thread.
    pub(super) fn block_on(&self, command: impl Future<Output = Outcome>) -> Outcome {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
    }

    /// Opens the accounts.
    pub(super) async fn accounts(&self) -> anyhow::Result<Accounts> {
        let config = self.config()?;
        let database = Database::connect(&database_url(&config)?, &config.database).await?;
        database.migrate().await?;
        let (clock, tasks): (SharedClock, _) = (Arc::new(SystemClock), Tasks::new());
        let directory = Directory::open(database.clone(), Live::new(config.directory.clone()), clock, &tasks);
        Ok(Accounts { config, directory, database, tasks })
    }
}

/// Has something done to a user's mailboxes: by the role that owns them, or, when it does not run, by this process.
pub(super) async fn tend_mailboxes(config: &Config, user: &Address, command: MailboxCommand) -> anyhow::Result<()> {
    let request = Request::Mailboxes { user: user.clone(), command };
    match ask::<()>(&config.server, Role::Access, &request).await {
        Err(RequestError::NotRunning { .. }) => Ok(crate::daemon::tend_mailboxes(config, user, command).await?),
        result => Ok(result?),
    }
}

impl Accounts {
    /// What makes and revokes app passwords; its events are written when the accounts are closed.
    pub(super) fn keyring(&self) -> Keyring {
        let clock: SharedClock = Arc::new(SystemClock);
        let settings = Live::new(self.config.journal.clone());
        let journal = Journal::start(self.database.clone(), settings, Arc::clone(&clock), &self.tasks);
        Keyring { directory: self.directory.clone(), journal, clock }
    }

    /// Closes them, when nothing was changed that a running role has to know of.
    pub(super) async fn closed(self) {
        self.tasks.stop(std::time::Duration::from_secs(2)).await;
        self.database.close().await;
    }

    /// Lets running roles know that accounts have changed. Roles that do not run, or that this user may not speak to,
    /// notice by themselves within `directory.cache_for`.
    pub(super) async fn changed(self) {
        for role in [Role::Mta, Role::Access] {
            let told: Result<(), RequestError> = ask(&self.config.server, role, &Request::Forget).await;
            if let Err(RequestError::Refused(complaint)) = told {
                eprintln!("postrider: the {role} role runs on with what it remembers: {}", complaint.text);
            }
        }
        self.closed().await;
    }
}
