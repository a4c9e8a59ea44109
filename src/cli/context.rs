use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::arguments::Arguments;
use super::exit::{Ended, Exit, Outcome};
use super::output::{Output, told};
use crate::config::{Checks, Config, LoadError, Role, load};
use crate::daemon::control::{MailboxCommand, Request, RequestError, ask};
use crate::daemon::{Source, administrator, database_url};
use crate::foundations::address::Address;
use crate::foundations::clock::{Clock as _, SharedClock, SystemClock};
use crate::foundations::counted::counted;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::Kind;
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::services::login::Keyring;
use crate::storage::database::Database;
use crate::storage::directory::{Directory, Owner};
use crate::storage::journal::Journal;

/// What every command is given.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) output: Output,
    config: PathBuf,
}

/// The accounts, for a command that works on them beside the running server.
pub(super) struct Accounts {
    pub(super) config: Box<Config>,
    pub(super) directory: Directory,
    pub(super) database: Database,
    pub(super) journal: Journal,
    tasks: Tasks,
}

/// The note on a change that the declaration will undo.
pub(super) const UNTIL_RELOAD: &str = "; it is declared, and the next reload restores what the declaration says";

/// Who made a change, in events.
pub(super) const BY: &str = "an administrator";

impl Context {
    pub(super) fn new(arguments: &Arguments) -> Self {
        let output = if arguments.json { Output::Json } else { Output::People };
        Self { output, config: arguments.config.clone() }
    }

    /// A context with output for people and this configuration.
    pub(super) const fn of(config: PathBuf) -> Self {
        Self { output: Output::People, config }
    }

    /// Where the configuration comes from.
    #[expect(clippy::disallowed_methods, reason = "the command line may read the environment")]
    pub(super) fn source(&self) -> Source {
        let credentials = std::env::var("CREDENTIALS_DIRECTORY").ok().map(PathBuf::from);
        Source { path: self.config.clone(), credentials }
    }

    /// The configuration. The files it names are not read: the administrator may not be allowed to read the keys.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        let source = self.source();
        Ok(load(&source.path, Checks::Syntax, source.credentials.as_deref())?)
    }

    /// An error, with what to do if the configuration itself cannot be read.
    pub(super) fn explained(&self, error: anyhow::Error) -> anyhow::Error {
        let remedy = match error.downcast_ref() {
            Some(LoadError::File(file)) if file.path == self.config => match file.kind() {
                Kind::NotFound => {
                    "name another with `--config` or POSTRIDER_CONFIG, or start with the output of `postrider config example`"
                }
                Kind::NoPermission => "run this command as root, or as a user who may read it",
                _ => return error,
            },
            _ => return error,
        };
        let text = format!("{}; {remedy}", told(&error));
        error.context(text)
    }

    /// Runs an asynchronous command on this thread.
    pub(super) fn block_on(&self, command: impl Future<Output = Outcome>) -> Outcome {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
    }

    /// Opens the accounts.
    pub(super) async fn accounts(&self) -> anyhow::Result<Accounts> {
        let config = Box::new(self.config()?);
        let database = Database::connect(&database_url(&config)?, &config.database).await?;
        database.migrate().await?;
        let (clock, tasks): (SharedClock, _) = (Arc::new(SystemClock), Tasks::new());
        let settings = Live::new(config.journal.clone());
        let journal = Journal::start(database.clone(), settings, Arc::clone(&clock), &tasks);
        let journal = journal.on_behalf_of(administrator().as_deref());
        let directory = Directory::open(database.clone(), Live::new(config.directory.clone()), clock, &tasks);
        Ok(Accounts { config, directory, database, journal, tasks })
    }
}

/// Has something done to a user's mailboxes: by the role that owns them or, if it is not running, by this process.
pub(super) async fn tend_mailboxes(config: &Config, user: &Address, command: MailboxCommand) -> anyhow::Result<()> {
    let request = Request::Mailboxes { user: user.clone(), command };
    match ask::<()>(&config.server, Role::Access, &request).await {
        Err(RequestError::NotRunning { .. }) => Ok(crate::daemon::tend_mailboxes(config, user, command).await?),
        result => Ok(result?),
    }
}

impl Accounts {
    /// Whether something is declared, so that the next reload undoes manual changes to it.
    pub(super) fn is_declared(&self, owner: Owner) -> bool {
        owner == Owner::Declared && self.config.accounts.declared.is_some()
    }

    /// Refuses to remove what the next reload would bring back.
    pub(super) fn may_remove(&self, what: &impl std::fmt::Display, owner: Owner) -> anyhow::Result<()> {
        match self.config.accounts.declared.as_deref().filter(|_| self.is_declared(owner)) {
            Some(declared) => Err(Ended::with(
                Exit::Failed,
                format!(
                    "{what} is declared, and the next reload would bring it back; remove it from `{}` and run `postrider reload`",
                    declared.display()
                ),
            )),
            None => Ok(()),
        }
    }

    /// Creates and revokes app passwords; its events are written when the accounts are closed.
    pub(super) fn keyring(&self) -> Keyring {
        Keyring { directory: self.directory.clone(), journal: self.journal.clone(), clock: Arc::new(SystemClock) }
    }

    /// Records that an administrator changed an account, an alias or a domain.
    pub(super) async fn record_change(&self, subject: impl ToString, change: impl Into<String>) {
        self.record_changes([(subject.to_string(), change.into())]).await;
    }

    /// The same for several at once.
    pub(super) async fn record_changes(&self, changes: impl IntoIterator<Item = (String, String)>) {
        let now = SystemClock.now();
        let event = |(subject, change): (String, String)| {
            Event::new(now, EventKind::AccountChanged).subject(subject).with("by", BY).with("change", change)
        };
        self.record(changes.into_iter().map(event)).await;
    }

    /// Records events. When this returns, they are in the database, or their loss has been reported.
    pub(super) async fn record(&self, events: impl IntoIterator<Item = Event>) {
        for (place, event) in events.into_iter().enumerate() {
            self.journal.record(event);
            // The journal has no room for more than these at once.
            if place % AT_ONCE == AT_ONCE - 1 {
                self.flush().await;
            }
        }
        self.flush().await;
        let counts = self.journal.counts();
        if counts.written < counts.recorded {
            let lost = counts.recorded - counts.written;
            eprintln!("postrider: done, but {} about it could not be recorded", counted(lost, "event"));
        }
    }

    async fn flush(&self) {
        // The journal waits for as long as the database is unavailable, but the command has already done its work.
        let _ = tokio::time::timeout(PATIENCE, self.journal.flush()).await;
    }

    /// Closes the accounts after nothing was changed that running roles must know of.
    pub(super) async fn closed(self) {
        self.tasks.stop(Duration::from_secs(2)).await;
        self.database.close().await;
    }

    /// Does [`Self::tell_roles`] and closes the accounts.
    pub(super) async fn changed(self) {
        self.tell_roles().await;
        self.closed().await;
    }

    /// Tells running roles that accounts have changed. Those that this user may not contact notice by themselves within
    /// `directory.cache_for`.
    pub(super) async fn tell_roles(&self) {
        for role in [Role::Mta, Role::Access] {
            let told: Result<(), RequestError> = ask(&self.config.server, role, &Request::Forget).await;
            if let Err(RequestError::Refused(complaint)) = told {
                eprintln!("postrider: the {role} role does not know of the change yet: {}", complaint.text);
            }
        }
    }
}

/// The number of events recorded before each flush; the journal has room for at least 16.
const AT_ONCE: usize = 16;

/// How long to wait for events to be written.
const PATIENCE: Duration = Duration::from_secs(5);
