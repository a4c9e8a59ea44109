//! Proving a backup: a server is restored from it and started, and clients check that everything is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::compare::Comparison;
use super::report::Report;
use super::restore::{self, Work};
use super::scratch::{self, Scratch};
use super::{Outcome, Place};
use crate::cli::exit::Exit;
use crate::cli::output::{Output, print, told};
use crate::config::{Checks, Protocol, load};
use crate::daemon::{Daemon, World};
use crate::foundations::clock::Timestamp;
use crate::foundations::counted::{amount, are, counted};
use crate::foundations::files;
use crate::foundations::net::{Bind, Inherited};
use crate::foundations::secret::Secret;
use crate::services::backup::{
    self, Access, Progress, QueueFate, Repository, RunKind, Selection, Snapshot, SnapshotId, UserEntry,
};
use crate::services::login;
use crate::storage::directory::{PasswordOwner, Standing};

/// Drill.
#[derive(Debug, clap::Args)]
pub(super) struct Drill {
    /// The backup; the newest by default.
    #[arg(long, value_name = "BACKUP")]
    backup: Option<SnapshotId>,
    /// How many users to check, overriding `backup.drill_users`; 0 for all.
    #[arg(long, value_name = "NUMBER")]
    users: Option<u32>,
    /// Keep the restored server for inspection.
    #[arg(long)]
    keep: bool,
}

/// What a drill found.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Drilled {
    backup: String,
    /// Users who logged in.
    users: u64,
    /// Folders that were compared.
    folders: u64,
    /// Messages whose UID, size and flags were compared.
    messages: u64,
    /// Messages whose content was compared too.
    contents: u64,
    /// Messages that had no UID in the backup, since the server had not seen them yet: they were only counted.
    unnumbered: u64,
    /// Seconds until the first user had logged in.
    recovery_seconds: Option<f64>,
    /// Where the restored server is, if it was kept.
    directory: Option<PathBuf>,
    /// The number of differences from the backup.
    different: u64,
    /// The differences; only the first ones if there are many.
    differences: Vec<String>,
}

impl Drilled {
    pub(super) fn add(&mut self, comparison: Comparison) {
        self.users += 1;
        self.folders += comparison.folders;
        self.messages += comparison.messages;
        self.contents += comparison.contents;
        self.unnumbered += comparison.unnumbered;
        self.differs(comparison.differences);
    }

    fn differs(&mut self, differences: impl IntoIterator<Item = String>) {
        for difference in differences {
            self.different += 1;
            if self.differences.len() < MOST_DIFFERENCES {
                self.differences.push(difference);
            }
        }
    }
}

/// The largest number of differences that are reported.
const MOST_DIFFERENCES: usize = 100;
/// The hash cost of passwords on the temporary server, which is short-lived and reachable only from this machine.
const COST: u32 = 4;

pub(super) async fn run(arguments: Drill, place: &Place<'_>) -> Outcome {
    let begun = place.clock.now();
    let progress = Arc::new(Progress::default());
    let result = Box::pin(unless_told_to_end(drill(&arguments, place, &progress), &progress)).await;
    let report = match &result {
        Ok(drilled) => {
            let recovery = drilled.recovery_seconds.map(Duration::from_secs_f64);
            let report = match drilled.differences.first() {
                None => Report::done(RunKind::Drill, begun),
                Some(difference) => Report::failed(RunKind::Drill, begun, difference),
            };
            report.recovered_within(recovery).differing(drilled.different).with("drill", drilled)
        }
        Err(error) => Report::failed(RunKind::Drill, begun, &told(error)),
    };
    // A drill is possible even if the database is lost.
    if let Ok(accounts) = place.context.accounts().await {
        report.write(&accounts, &place.clock).await;
        accounts.closed().await;
    }
    let drilled = result?;
    say(place.output(), &drilled);
    Ok(if drilled.differences.is_empty() { Exit::Done } else { Exit::Damaged })
}

fn say(output: Output, drilled: &Drilled) {
    let seconds = drilled.recovery_seconds.map_or_else(String::new, |seconds| format!(" within {seconds:.1} s"));
    let unnumbered = match drilled.unnumbered {
        0 => String::new(),
        unnumbered => format!(" ({unnumbered} had no UID yet and were only counted)"),
    };
    let found = match (drilled.differences.is_empty(), drilled.contents) {
        (false, _) => "there are differences",
        (true, 0) => "no differences were found, but no content was compared",
        (true, _) => "no differences",
    };
    let said = format!(
        "The backup {} was restored to a working server{seconds}. Logged in: {}; compared: {} with {}{unnumbered}, and the content of {}: {found}",
        drilled.backup,
        counted(drilled.users, "user"),
        counted(drilled.folders, "folder"),
        counted(drilled.messages, "message"),
        drilled.contents,
    );
    output.done(&said, drilled);
    if matches!(output, Output::People) {
        for difference in &drilled.differences {
            print(&format!("{difference}\n"));
        }
        if let Some(directory) = &drilled.directory {
            print(&format!("The restored server is in `{}`\n", directory.display()));
        }
    }
}

/// How long a drill may take to end by itself after a signal.
const PATIENCE: Duration = Duration::from_secs(10);

/// Does the work until a signal ends it. The restored server is removed in either case.
async fn unless_told_to_end(
    work: impl Future<Output = anyhow::Result<Drilled>>,
    progress: &Progress,
) -> anyhow::Result<Drilled> {
    let mut work = Box::pin(work);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        result = &mut work => return result,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = hangup.recv() => {}
    }
    // Waits for threads that write, but not for those that wait for an answer.
    progress.stop();
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result,
        Err(_) => Err(progress.goes_on().err().context("the drill did not end by itself")?.into()),
    }
}

async fn drill(arguments: &Drill, place: &Place<'_>, progress: &Arc<Progress>) -> anyhow::Result<Drilled> {
    let repository = place.open(Access::Read).await?;
    let begun = Instant::now();
    let (snapshot, passed_over) = match &arguments.backup {
        Some(id) => (Snapshot { id: id.clone(), ..repository.snapshot(id)? }, Vec::new()),
        None => {
            place.say_what_is_ahead(&repository)?;
            newest_whole(&repository, place.clock.now())?
        }
    };
    let (id, snapshot) = (snapshot.id.clone(), Arc::new(snapshot));
    let mut drilled = Drilled { backup: id.to_string(), ..Drilled::default() };
    // The older backup may be good, but newer data is lost: an administrator must know.
    let told = |(other, error)| format!("the backup {other} cannot be read; {id} was used instead: {error}");
    drilled.differs(passed_over.into_iter().map(told));
    let above = &place.settings.drill_directory;
    let abandoned = scratch::remove_abandoned(above);
    if abandoned > 0 {
        eprintln!("postrider: removed {} left by interrupted drills", counted(abandoned, "restored server"));
    }
    look_for_room(&snapshot, above)?;
    let scratch = Scratch::create(above, &random()?, arguments.keep)?;
    drilled.directory = arguments.keep.then(|| scratch.path.clone());
    let everything = Selection::default();
    let work = Work { place, repository: &repository, snapshot: &snapshot, progress };
    let told = restore::into_directory(&work, everything, &scratch.path, QueueFate::Held, None).await?;
    progress.goes_on()?;
    let lost = told
        .mail
        .damage
        .iter()
        .map(|because| format!("{} {} lost: {because}", counted(told.mail.lost, "file"), are(told.mail.lost)));
    drilled.differs(lost);

    let daemon = start(&scratch.path).await.context("the restored server cannot be started")?;
    let users = sample(&snapshot, arguments.users.unwrap_or(place.settings.drill_users));
    let result = ask(&work, &daemon, &users, begun, &scratch.path, &mut drilled).await;
    daemon.stop(Duration::from_secs(10)).await;
    result.map(|()| drilled)
}

/// Refuses to fill a disk: the queue or the database may be on it, and could not be written until the drill gives up.
fn look_for_room(snapshot: &Snapshot, above: &Path) -> anyhow::Result<()> {
    // If the free space cannot be read, writing reports any error; some file systems do not know their free space.
    let Some(disk) = rustix::fs::statvfs(above).ok().filter(|disk| disk.f_blocks > 0) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let wanted = snapshot.totals.octets.saturating_add(snapshot.totals.messages.saturating_mul(BLOCK));
    if wanted > free / 10 * 9 {
        bail!(
            "the restored server needs {} in `{}`, where {} are free, of which a tenth is kept free: put \
             `backup.drill_directory` on a disk that has room for all mail",
            amount(wanted),
            above.display(),
            amount(free)
        );
    }
    Ok(())
}

/// The most octets by which the disk space of a file exceeds its length.
const BLOCK: u64 = 4096;

/// The newest readable backup, and any newer ones that cannot be read.
fn newest_whole(
    repository: &Repository,
    now: Timestamp,
) -> Result<(Snapshot, Vec<(SnapshotId, backup::Error)>), backup::Error> {
    let mut damaged = Vec::new();
    for id in repository.newest_first(now)? {
        match repository.snapshot(&id) {
            Ok(snapshot) => return Ok((Snapshot { id, ..snapshot }, damaged)),
            Err(error) if error.is_damage() => damaged.push((id, error)),
            Err(error) => return Err(error),
        }
    }
    let newest = damaged.into_iter().next();
    Err(newest.map_or_else(|| backup::Error::NoRepository(repository.root().to_owned()), |(_, error)| error))
}

/// Logs in as each of the selected users and compares what they see.
async fn ask(
    work: &Work<'_>,
    daemon: &Daemon,
    users: &[&UserEntry],
    begun: Instant,
    directory: &Path,
    drilled: &mut Drilled,
) -> anyhow::Result<()> {
    let bound = daemon.listening().iter().find(|listening| listening.protocol == Protocol::Imaps);
    let Some(Bind::Tcp(address)) = bound.map(|listening| listening.bind.clone()) else {
        anyhow::bail!("the restored server does not listen");
    };
    let password = random()?;
    let hash = login::hash(&Secret::new(password.clone()), COST)?;
    let mut edit = daemon.parts().directory.edit().await?;
    let mut with_account = Vec::new();
    for user in users {
        let Ok(account) = user.address().parse() else { continue };
        // Mail of a deleted account stays on the disk, but nobody can log in to see it.
        if daemon.parts().directory.account_now(&account).await?.is_some() {
            edit.set_user(&account, Standing::Enabled).await?;
            edit.set_password(&account, &hash, PasswordOwner::Admin).await?;
            edit.set_domain(account.domain(), Standing::Enabled).await?;
            with_account.push((account, *user));
        }
    }
    edit.commit().await?;
    daemon.parts().directory.forget();
    if with_account.is_empty() && !users.is_empty() {
        let who = match users.len() {
            1 => "the user with mail that was checked has no account".to_owned(),
            count => format!("none of the {count} users with mail that were checked has an account"),
        };
        drilled.differs([format!("{who} in the backup, so nobody could log in")]);
    }
    let most = work.place.settings.drill_messages;
    for (account, user) in with_account {
        work.progress.goes_on()?;
        let authority = directory.join("tls/ca.pem");
        let mut comparison = match Comparison::begin(address, &authority, &account, &password).await {
            Ok(comparison) => comparison,
            // If one user cannot log in, the others may still be able to.
            Err(error) => {
                drilled.differs([format!("{account} cannot log in to the restored server: {}", told(&error))]);
                continue;
            }
        };
        drilled.recovery_seconds.get_or_insert_with(|| begun.elapsed().as_secs_f64());
        comparison.compare(work.repository, user, most).await?;
        drilled.add(comparison);
    }
    Ok(())
}

/// Starts a server on a restored directory, for IMAP on this machine only. It has no role that could send anything.
/// Nobody else knows the password it sets for users, so it is sufficient even for those with two-factor login.
async fn start(directory: &Path) -> anyhow::Result<Daemon> {
    let quoted = |path: PathBuf| toml::Value::String(path.display().to_string());
    let within = |name: &str| quoted(directory.join(name));
    let text = format!(
        "hostname = \"mail.example.test\"\n[server]\ncontrol_directory = {}\n[storage]\nmail_root = {}\ndatabase = {}\n\
         [spool]\ndirectory = {}\n[tls]\nself_signed = {}\n\
         [login]\npassword_with_two_factor = \"everything\"\n[[listener]]\nprotocol = \"imaps\"\nbind = [\"127.0.0.1:0\"]\n",
        within("run"),
        within("mail"),
        toml::Value::String(format!("sqlite:{}", directory.join("postrider.sqlite").display())),
        within("spool"),
        within("tls"),
    );
    let path = directory.join("drill.toml");
    files::write_durable(&path, text.as_bytes(), 0o600)?;
    let config = load(&path, Checks::Files, None)?;
    Ok(Box::pin(Daemon::build(config, "access".parse()?, World::real(Inherited::default()))).await?)
}

/// A selection of the users with mail, spread evenly, and different for each backup.
fn sample(snapshot: &Snapshot, count: u32) -> Vec<&UserEntry> {
    let users: Vec<&UserEntry> = snapshot.users.iter().filter(|user| user.messages > 0).collect();
    let count = if count == 0 { users.len() } else { users.len().min(count as usize) };
    let turn = usize::try_from(snapshot.at.unix_seconds()).unwrap_or(0);
    let places: BTreeSet<usize> = (0..count).map(|n| (turn + n * users.len() / count) % users.len()).collect();
    places.into_iter().map(|place| users[place]).collect()
}

fn random() -> anyhow::Result<String> {
    let mut octets = [0; 16];
    aws_lc_rs::rand::fill(&mut octets).context("the system provides no random numbers")?;
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_does_not_fill_a_disk() {
        let of = |octets: u64| -> Snapshot {
            let text = format!(
                r#"{{"format":1,"id":"20260131T023000Z","at":0,"finished":0,"full":true,"version":"1","hostname":"mx","totals":{{
                "messages":1,"octets":{octets},"read":0,"new_octets":0,"stored":0}},"users":[],"database":{{"engine":"sqlite",
                "tables":[]}},"spool":[],"files":[]}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let directory = tempfile::tempdir().unwrap();
        assert!(look_for_room(&of(0), directory.path()).is_ok());
        let refused = look_for_room(&of(u64::MAX), directory.path()).unwrap_err().to_string();
        assert!(refused.contains("`backup.drill_directory`"), "{refused}");
    }
}
