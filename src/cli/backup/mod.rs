//! Backups: taking, listing, checking and restoring them.

mod compare;
mod drill;
mod export;
mod list;
mod progress;
mod prune;
mod report;
mod restore;
mod scratch;
mod source;

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::context::{Accounts, Context};
use super::exit::{Exit, Outcome};
use super::output::{Output, print, told};
use crate::config::Config;
use crate::foundations::clock::{SharedClock, SystemClock, Timestamp};
use crate::foundations::counted::{amount, are, counted};
use crate::foundations::event::EventKind;
use crate::services::backup::{
    self, Access, BackupSettings, Depth, Destination, Extent, Progress, Remote, Repository, RunKind, SnapshotId,
};
use crate::storage::journal::{Journal, Order, Query};
use progress::ProgressBar;
use report::Report;
use source::{LeftOut, Secrets};

#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// Directory of the backups or `s3://bucket/prefix`, overriding `backup.destination`.
    #[arg(long, global = true, value_name = "PLACE")]
    destination: Option<Destination>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Take a backup of the server, running or not: accounts, queue, mailboxes, configuration, keys, spam filter data.
    Create {
        /// Read every message again, not only those that are in no backup yet.
        #[arg(long)]
        full: bool,
        /// Start new backups although earlier ones have disappeared from the destination. Without this the command fails, since
        /// a disk may not be mounted.
        #[arg(long)]
        new: bool,
        /// Take the backup even if no messages are left while the newest backup has some.
        #[arg(long)]
        empty: bool,
        /// Leave out private keys and other secrets that the configuration refers to, as `backup.without_secrets` does.
        #[arg(long)]
        without_secrets: bool,
    },
    /// List the backups.
    List,
    /// Check that backups are complete and undamaged, reading every octet.
    Verify {
        /// The backup, by its id in `backup list`; all of them by default.
        backup: Option<SnapshotId>,
        /// Only check that everything is there, without reading it.
        #[arg(long)]
        quick: bool,
    },
    /// Restore, without overwriting anything.
    Restore(restore::Restore),
    /// Write mail from a backup in a format that other programs can read.
    Export(export::Export),
    /// Copy the backups to `backup.remote`. Nothing is ever removed or overwritten there.
    Push {
        /// Where to, overriding `backup.remote`.
        #[arg(long, value_name = "PLACE")]
        remote: Option<Remote>,
    },
    /// Copy backups from `backup.remote` back to a machine that has lost them.
    Pull {
        /// Where from, overriding `backup.remote`.
        #[arg(long, value_name = "PLACE")]
        remote: Option<Remote>,
    },
    /// Remove backups that `backup.retention` does not keep, and data that only they needed.
    Prune(prune::Prune),
    /// Prove a backup: restore it to a temporary server, log in as some users, and compare what they see.
    Drill(drill::Drill),
}

/// What the commands share.
struct Place<'a> {
    context: &'a Context,
    config: Config,
    settings: BackupSettings,
    clock: SharedClock,
}

impl Place<'_> {
    async fn open(&self, access: Access) -> anyhow::Result<Arc<Repository>> {
        let settings = self.settings.clone();
        let opened = tokio::task::spawn_blocking(move || Repository::open(&settings.destination, access, &settings));
        let repository = opened.await??;
        for error in repository.damage() {
            eprintln!("postrider: {error}; its contents are treated as missing");
        }
        Ok(Arc::new(repository))
    }

    /// Warns of backups dated in the future, which are therefore ignored.
    fn say_what_is_ahead(&self, repository: &Repository) -> Result<(), backup::Error> {
        let now = self.clock.now();
        let ids = repository.snapshots()?;
        if ids.iter().all(|id| id.is_ahead(now)) {
            return Ok(());
        }
        for id in ids.iter().filter(|id| id.is_ahead(now)) {
            eprintln!(
                "postrider: the backup {id} is dated in the future, so the clock was ahead when it was taken or is behind now; \
                 it does not count as the newest. `postrider backup prune --backup {id}` removes it"
            );
        }
        Ok(())
    }

    /// Refuses a destination that contains the data to be backed up, or lies within it.
    fn keep_apart(&self, path: &Path) -> Result<(), backup::Error> {
        for (other, what) in self.saved() {
            if backup::overlap(path, other) {
                return Err(backup::Error::Overlap { path: path.to_owned(), other: other.to_owned(), what });
            }
        }
        Ok(())
    }

    /// The directories to be backed up, and what the server uses them for.
    fn saved(&self) -> [(&Path, &'static str); 2] {
        [
            (&self.config.storage.mail_root, "where the server's mail is"),
            (&self.config.spool.directory, "where the server's queue is"),
        ]
    }

    fn output(&self) -> Output {
        self.context.output
    }
}

pub(super) async fn run(command: Backup, context: &Context) -> Outcome {
    let config = context.config()?;
    let mut settings = config.backup.clone();
    if let Some(destination) = command.destination {
        settings.destination = match destination {
            Destination::Directory(path) => Destination::Directory(std::path::absolute(path)?),
            bucket => bucket,
        };
    }
    let place = Place { context, config, settings, clock: Arc::new(SystemClock) };
    if matches!(command.action, Action::Create { .. } | Action::Verify { .. } | Action::Prune(_) | Action::Push { .. })
    {
        // Linux applies this to the calling thread and those it creates later; there are no others yet. A refusal is no
        // reason not to work.
        let _ = rustix::process::nice(i32::from(place.settings.nice.min(19)));
    }
    match command.action {
        Action::Create { full, new, empty, without_secrets } => {
            let secrets =
                if without_secrets || place.settings.without_secrets { Secrets::LeftOut } else { Secrets::Taken };
            create(&place, Create { full, new, empty, secrets }).await
        }
        Action::List => list::run(&place).await,
        Action::Verify { backup, quick } => verify(&place, backup, quick).await,
        Action::Restore(arguments) => Box::pin(restore::run(arguments, &place)).await,
        Action::Export(arguments) => export::run(arguments, &place).await,
        Action::Push { remote } => copy(&place, remote, Direction::Push).await,
        Action::Pull { remote } => copy(&place, remote, Direction::Pull).await,
        Action::Prune(arguments) => prune::run(arguments, &place).await,
        Action::Drill(arguments) => Box::pin(drill::run(arguments, &place)).await,
    }
}

/// How a backup is to be taken.
#[derive(Debug, Clone, Copy)]
struct Create {
    full: bool,
    new: bool,
    empty: bool,
    secrets: Secrets,
}

async fn create(place: &Place<'_>, how: Create) -> Outcome {
    if let Destination::Directory(path) = &place.settings.destination {
        place.keep_apart(path)?;
    }
    let begun = place.clock.now();
    let accounts = place.context.accounts().await?;
    let result = match how.new {
        true => take(place, &accounts, how).await,
        false => match still_there(place, &accounts).await {
            Ok(()) => take(place, &accounts, how).await,
            Err(error) => Err(error),
        },
    };
    let report = match &result {
        Ok(taken) => Report::done(RunKind::Created, begun)
            .with("backup", taken.created.id.to_string())
            .with("totals", &taken.created)
            .with("left_out", &taken.left_out),
        Err(error) => Report::failed(RunKind::Created, begun, &told(error)),
    };
    let report = report.with("destination", place.settings.destination.to_string());
    report.write(&accounts, &place.clock).await;
    accounts.closed().await;
    let taken = result?;
    let created = &taken.created;
    for LeftOut { path, because } in &taken.left_out {
        eprintln!("postrider: `{}` is not in the backup: {because}", path.display());
    }
    let mut said = format!(
        "The backup {} has {} ({}), of which {} had to be read; the backups grew by {}",
        created.id,
        counted(created.totals.messages, "message"),
        amount(created.totals.octets),
        created.totals.read,
        amount(created.totals.stored)
    );
    if !created.secrets_left_out.is_empty() {
        said += &format!("\nWithout the secrets in {}", created.secrets_left_out.join(", "));
    }
    place.output().done(&said, &taken);
    Ok(match (created.unreadable.is_empty(), created.missed.is_empty()) {
        (true, true) => Exit::Done,
        // Nothing is wrong with the messages that were missed: the next run includes them.
        (true, false) => Exit::Temporary,
        (false, _) => Exit::Failed,
    })
}

/// A backup that was taken, and the mail and configuration that is not in it.
#[derive(Debug, Serialize)]
struct Taken {
    #[serde(flatten)]
    created: backup::Created,
    left_out: Vec<LeftOut>,
}

async fn take(place: &Place<'_>, accounts: &Accounts, how: Create) -> anyhow::Result<Taken> {
    let repository = place.open(Access::Add).await?;
    let extent = if how.full || full_is_due(&repository, place)? { Extent::Full } else { Extent::New };
    let expected = newest_messages(&repository, place);
    place.say_what_is_ahead(&repository)?;
    let (mut source, mut left_out) = source::of(place.context, &place.config, how.secrets, accounts.database.clone())?;
    source.may_be_empty = how.empty;
    let progress = Arc::new(Progress::default());
    let _bar = ProgressBar::start(place.output(), "backup", &progress, expected);
    let created = backup::create(&repository, &source, extent, &place.clock, &progress).await?;
    let unnamed = created.unnamed.iter().map(|path| LeftOut::unnamed(path));
    left_out.extend(unnamed);
    left_out.extend(created.missed.iter().map(|path| LeftOut::missed(path)));
    left_out.extend(created.unreadable.iter().map(|(path, why)| LeftOut::unreadable(path, why)));
    Ok(Taken { created, left_out })
}

/// Refuses to start new backups where the journal has a record of earlier ones: most likely the disk is not mounted, and
/// the backup would fill the disk below.
async fn still_there(place: &Place<'_>, accounts: &Accounts) -> anyhow::Result<()> {
    let settings = place.settings.clone();
    let has_one = tokio::task::spawn_blocking(move || Repository::is_there(&settings.destination, &settings)).await??;
    if has_one {
        return Ok(());
    }
    match last_made(place, accounts).await? {
        Some(at) => Err(backup::Error::Gone { place: place.settings.destination.to_string(), at }.into()),
        None => Ok(()),
    }
}

/// When a backup was last taken there, according to the journal.
async fn last_made(place: &Place<'_>, accounts: &Accounts) -> anyhow::Result<Option<Timestamp>> {
    let query = Query { kinds: vec![EventKind::Backup], order: Order::NewestFirst, ..Query::default() };
    let destination = serde_json::Value::from(place.settings.destination.to_string());
    let events = Journal::read_only(accounts.database.clone()).query(&query).await?;
    let made = events.iter().find(|event| {
        let is = |name: &str, value: &serde_json::Value| event.details.get(name) == Some(value);
        is("what", &"created".into()) && is("result", &"ok".into()) && is("destination", &destination)
    });
    Ok(made.map(|event| event.at))
}

/// Whether the last run that read everything is too long ago.
fn full_is_due(repository: &Repository, place: &Place<'_>) -> anyhow::Result<bool> {
    let now = place.clock.now();
    let every = place.settings.full_every.duration();
    // The age of one dated in the future is unknown.
    for id in repository.newest_first(now)?.iter().take_while(|id| !id.is_ahead(now)) {
        // If one is unreadable, the others are not trusted either, and everything is read again.
        let Ok(snapshot) = repository.snapshot(id) else { return Ok(true) };
        if snapshot.full {
            return Ok(now.since(snapshot.at) >= every);
        }
        if now.since(snapshot.at) >= every {
            return Ok(true);
        }
    }
    Ok(true)
}

fn newest_messages(repository: &Repository, place: &Place<'_>) -> Option<u64> {
    let id = repository.newest(None, place.clock.now()).ok()?;
    Some(repository.snapshot(&id).ok()?.totals.messages)
}

async fn verify(place: &Place<'_>, backup: Option<SnapshotId>, quick: bool) -> Outcome {
    let begun = place.clock.now();
    let repository = place.open(Access::Read).await?;
    let mut snapshots = repository.snapshots()?;
    if let Some(id) = backup {
        // An unknown id says nothing about the backups that exist.
        if !snapshots.contains(&id) {
            return Err(backup::Error::NoSnapshot(format!("named {id}")).into());
        }
        snapshots = vec![id];
    }
    if snapshots.is_empty() {
        return Err(backup::Error::NoRepository(repository.root().to_owned()).into());
    }
    let depth = if quick { Depth::Structure } else { Depth::Everything };
    let progress = Arc::new(Progress::default());
    let bar = ProgressBar::start(place.output(), "verify", &progress, None);
    let verified = {
        let (repository, progress) = (Arc::clone(&repository), Arc::clone(&progress));
        let work = move || backup::verify(&repository, &snapshots, depth, &progress);
        tokio::task::spawn_blocking(work).await??
    };
    drop(bar);
    let is_sound = verified.problems.is_empty();
    let report = match verified.problems.first() {
        None => Report::done(RunKind::Verified, begun),
        Some(problem) => Report::failed(RunKind::Verified, begun, problem),
    };
    // The result is shown even if the database cannot be reached.
    if let Ok(accounts) = place.context.accounts().await {
        report.write(&accounts, &place.clock).await;
        accounts.closed().await;
    }
    if is_sound {
        let read = if quick {
            "is there".to_owned()
        } else {
            format!("is there and as it was stored ({})", amount(verified.octets))
        };
        let mut said = format!(
            "{} with {}; everything {read}",
            counted(verified.snapshots, "backup"),
            counted(verified.objects, "object")
        );
        if verified.without_secrets > 0 {
            said +=
                &format!("; {} of them {} without secrets", verified.without_secrets, are(verified.without_secrets));
        }
        place.output().done(&said, &verified);
        return Ok(Exit::Done);
    }
    if matches!(place.output(), Output::People) {
        print(&format!("{}\n", verified.problems.join("\n")));
    } else {
        place.output().done("", &verified);
    }
    Ok(Exit::Damaged)
}

/// The direction of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Push,
    Pull,
}

async fn copy(place: &Place<'_>, remote: Option<Remote>, direction: Direction) -> Outcome {
    let begun = place.clock.now();
    let remote = match remote {
        Some(remote) => remote,
        None if place.settings.remote.is_empty() => {
            anyhow::bail!("there is no `backup.remote` in the configuration; give one with `--remote`")
        }
        None => place.settings.remote.parse()?,
    };
    if let Some(directory) = remote.directory() {
        let directory = std::path::absolute(directory)?;
        place.keep_apart(&directory)?;
        if let Destination::Directory(path) = &place.settings.destination
            && backup::overlap(&directory, path)
        {
            let (path, other) = (directory, path.clone());
            return Err(backup::Error::Overlap { path, other, what: "which it would be a copy of" }.into());
        }
    }
    // Nothing may be removed while it is being copied.
    let locked = match direction {
        Direction::Push => Some(place.open(Access::Read).await?),
        Direction::Pull => None,
    };
    let (settings, there) = (place.settings.clone(), remote.clone());
    let result = tokio::task::spawn_blocking(move || match direction {
        Direction::Push => backup::push(&settings, &there),
        Direction::Pull => backup::pull(&settings, &there),
    });
    let result = result.await?;
    drop(locked);
    if direction == Direction::Push
        && let Ok(accounts) = place.context.accounts().await
    {
        let report = match &result {
            Ok(()) => Report::done(RunKind::Pushed, begun).with("remote", remote.to_string()),
            Err(error) => Report::failed(RunKind::Pushed, begun, &error.to_string()),
        };
        report.write(&accounts, &place.clock).await;
        accounts.closed().await;
    }
    result?;
    let value = serde_json::json!({ "remote": remote.to_string() });
    let said = match direction {
        Direction::Push => format!("`{remote}` has every backup of `{}`", place.settings.destination),
        Direction::Pull => format!("`{}` has every backup of `{remote}`", place.settings.destination),
    };
    place.output().done(&said, &value);
    Ok(Exit::Done)
}
