use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use serde::Serialize;

use super::progress::ProgressBar;
use super::report::Report;
use super::{Outcome, Place};
use crate::cli::exit::Exit;
use crate::cli::moment::Moment;
use crate::cli::one_of::one_of;
use crate::cli::output::{Output, print};
use crate::foundations::address::{Address, Domain};
use crate::foundations::clock::Timestamp;
use crate::foundations::counted::{amount, counted};
use crate::foundations::files;
use crate::services::backup::{
    self, Access, AccountRestored, Destination, Progress, QueueFate, Repository, Restored, RunKind, Selection,
    Snapshot, SnapshotId, missing_accounts, restore_database, restore_files, restore_mail, restore_missing_accounts,
    restore_missing_calendars, saved_accounts,
};
use crate::storage::database::{Database, DatabaseUrl};
use crate::storage::dav::{Collections, PutBack};
use crate::storage::mailbox::FolderName;

/// Which backup, and which part of it.
#[derive(Debug, clap::Args)]
pub(super) struct BackupPart {
    /// The backup; the newest by default.
    #[arg(long, value_name = "BACKUP", conflicts_with = "at")]
    backup: Option<SnapshotId>,
    /// The newest backup from no later than this: `2026-01-31` (its end), `2026-01-31 14:30` (local), RFC 3339, or how long
    /// ago (`2h`).
    #[arg(long, value_name = "TIME", value_parser = latest)]
    at: Option<Timestamp>,
    /// Only the mail of this domain.
    #[arg(long)]
    domain: Option<Domain>,
    /// Only the mail of this user.
    #[arg(long, value_name = "ADDRESS")]
    user: Option<Address>,
    /// Only this folder.
    #[arg(long)]
    folder: Option<FolderName>,
    /// Only the message with this Message-ID.
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
}

impl BackupPart {
    pub(super) fn selection(&self) -> Selection {
        Selection {
            domain: self.domain.clone(),
            user: self.user.clone(),
            folder: self.folder.clone(),
            message_id: self.message_id.as_ref().map(|id| id.trim().trim_matches(['<', '>']).to_owned()),
        }
    }

    pub(super) fn snapshot(&self, repository: &Repository, place: &Place<'_>) -> anyhow::Result<Arc<Snapshot>> {
        let id = match &self.backup {
            Some(id) => id.clone(),
            None => {
                place.say_what_is_ahead(repository)?;
                repository.newest(self.at, place.clock.now())?
            }
        };
        Ok(Arc::new(repository.snapshot(&id)?))
    }
}

/// Restore.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("target").required(true))]
pub(super) struct Restore {
    #[command(flatten)]
    what: BackupPart,
    /// Restore into this directory: `mail/`, and for a full restore also `postrider.sqlite`, `spool/` and `files/`.
    #[arg(long, value_name = "DIRECTORY", group = "target")]
    to: Option<PathBuf>,
    /// Restore into the server, running or not: whatever is missing in its mailboxes and, for a full restore, also accounts
    /// and queue if it has none.
    #[arg(long, group = "target")]
    live: bool,
    /// What happens to queued messages, which may have been sent since: `held` until they are released, `released` now, or
    /// `dropped`.
    #[arg(long, value_name = "FATE", default_value = "held", value_parser = one_of(["held", "released", "dropped"], fate))]
    #[arg(hide_possible_values = true)]
    queue: QueueFate,
    /// File with the `age` key that decrypts configuration and keys; without it they stay encrypted.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

fn fate(word: &str) -> Option<QueueFate> {
    match word {
        "held" => Some(QueueFate::Held),
        "released" => Some(QueueFate::Released),
        "dropped" => Some(QueueFate::Dropped),
        _ => None,
    }
}

/// The latest time a backup may be from: the end of a day or minute, or the time of another backup.
fn latest(text: &str) -> Result<Timestamp, &'static str> {
    text.parse::<SnapshotId>().map_or_else(|_| Ok(text.parse::<Moment>()?.end()), |id| Ok(id.moment()))
}

/// What was restored.
#[derive(Debug, Serialize)]
pub(super) struct RestoreShown {
    backup: SnapshotId,
    #[serde(flatten)]
    pub(super) mail: Restored,
    /// Database rows; `None` if they were not requested, or the database already has accounts.
    rows: Option<u64>,
    /// Configuration and key files.
    configuration: u64,
    /// Files and directories with secrets that were left out of the backup.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets_left_out: Vec<String>,
    /// Deleted accounts that were restored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accounts: Vec<AccountRestored>,
    /// Deleted accounts in the backup that were not restored, since the database was left unchanged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accounts_missing: Vec<Address>,
    /// Calendars and contacts; `None` if they were not requested, or are among the rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    calendars: Option<PutBack>,
}

pub(super) async fn run(arguments: Restore, place: &Place<'_>) -> Outcome {
    let selection = arguments.what.selection();
    let repository = place.open(Access::Read).await?;
    let snapshot = arguments.what.snapshot(&repository, place)?;
    let progress = Arc::new(Progress::default());
    let work = Work { place, repository: &repository, snapshot: &snapshot, progress: &progress };
    let told = match &arguments.to {
        Some(directory) => {
            let directory = std::path::absolute(directory)?;
            keep_out(&directory, place)?;
            files::create_directory(&directory, 0o700)?;
            begin_in(&directory, &snapshot)?;
            into_directory(&work, selection, &directory, arguments.queue, arguments.identity.as_deref()).await?
        }
        None => Box::pin(into_server(&work, selection, arguments.queue)).await?,
    };
    say(place.output(), &told);
    Ok(match told.mail.lost {
        0 if told.accounts_missing.is_empty() && told.mail.in_the_way.is_empty() => Exit::Done,
        0 => Exit::Exists,
        _ => Exit::Damaged,
    })
}

/// Refuses a directory of the backups, and one of the running server, which would take restored files for domains and mail.
fn keep_out(directory: &Path, place: &Place<'_>) -> Result<(), backup::Error> {
    let repository = match &place.settings.destination {
        Destination::Directory(path) => Some((path.as_path(), "where the backups are")),
        Destination::Bucket(_) => None,
    };
    let within = place.saved().into_iter().chain(repository).find(|(other, _)| backup::lies_in(directory, other));
    match within {
        Some((other, what)) => {
            Err(backup::Error::Overlap { path: directory.to_owned(), other: other.to_owned(), what })
        }
        None => Ok(()),
    }
}

/// The file in a directory that records which backup was restored there.
const MARK: &str = "restored-from";

/// Records which backup is being restored into a directory. That restore may be continued, and others of the same backup
/// added, but mixing two backups would produce a server that never existed.
fn begin_in(directory: &Path, snapshot: &Snapshot) -> anyhow::Result<()> {
    let mark = directory.join(MARK);
    let own = format!("{} of {}\n", snapshot.id, snapshot.hostname);
    let is_there = |path: &PathBuf| match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    let Some(there) = PLACES.iter().map(|name| directory.join(name)).find(is_there) else {
        return Ok(files::write_durable(&mark, own.as_bytes(), 0o600)?);
    };
    match files::read_bounded(&mark, 1 << 10) {
        Ok(noted) if noted == own.as_bytes() => Ok(()),
        Ok(_) => {
            Err(backup::Error::Exists { path: there, advice: "it is from another backup; choose another directory" }
                .into())
        }
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
            Err(backup::Error::Exists { path: there, advice: "choose another directory" }.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// What a restore creates in a directory.
const PLACES: [&str; 4] = ["mail", "files", "spool", "postrider.sqlite"];

/// What every restore needs.
pub(super) struct Work<'a> {
    pub(super) place: &'a Place<'a>,
    pub(super) repository: &'a Arc<Repository>,
    pub(super) snapshot: &'a Arc<Snapshot>,
    pub(super) progress: &'a Arc<Progress>,
}

async fn mail(work: &Work<'_>, selection: Selection, root: PathBuf) -> anyhow::Result<Restored> {
    let Work { place, repository, snapshot, progress } = *work;
    let expected = snapshot.users.iter().filter(|user| selection.takes(user)).map(|user| user.messages).sum();
    let _bar = ProgressBar::start(place.output(), "restore", progress, Some(expected));
    let (repository, snapshot, progress) = (Arc::clone(repository), Arc::clone(snapshot), Arc::clone(progress));
    let work = move || restore_mail(&repository, &snapshot, &selection, &root, &progress);
    Ok(tokio::task::spawn_blocking(work).await??)
}

/// A restored server, with its accounts in SQLite whichever database it used before.
pub(super) async fn into_directory(
    work: &Work<'_>,
    selection: Selection,
    directory: &Path,
    fate: QueueFate,
    identity: Option<&Path>,
) -> anyhow::Result<RestoreShown> {
    let Work { place, repository, snapshot, .. } = *work;
    let whole = selection.is_everything();
    let restored = mail(work, selection, directory.join("mail")).await?;
    let mut told = RestoreShown {
        backup: snapshot.id.clone(),
        mail: restored,
        rows: None,
        configuration: 0,
        secrets_left_out: if whole { snapshot.secrets_left_out.clone() } else { vec![] },
        accounts: vec![],
        accounts_missing: vec![],
        calendars: None,
    };
    if !whole {
        return Ok(told);
    }
    told.configuration = restore_files(repository, snapshot, &directory.join("files"), identity)?;
    let path = directory.join("postrider.sqlite");
    if path.exists() {
        // An earlier run of the same restore got this far: the file gets its name only when it is complete.
        return Ok(told);
    }
    let unfinished = directory.join("unfinished.sqlite");
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(directory.join(format!("unfinished.sqlite{ending}")));
    }
    let database = Database::connect(&DatabaseUrl::sqlite(&unfinished), &place.config.database).await?;
    database.migrate().await?;
    told.rows = Some(restore_database(repository, snapshot, &database, &directory.join("spool"), fate).await?);
    database.close().await;
    files::rename_durable(&unfinished, &path)?;
    Ok(told)
}

/// Restores into the server that the configuration describes.
async fn into_server(work: &Work<'_>, selection: Selection, fate: QueueFate) -> anyhow::Result<RestoreShown> {
    let Work { place, repository, snapshot, .. } = *work;
    let begun = place.clock.now();
    let accounts = place.context.accounts().await?;
    let config = &place.config;
    let whole = selection.is_everything();
    if !config.storage.mail_root.is_dir() {
        bail!(
            "the mail root `{}` does not exist; create it, owned by the server's user",
            config.storage.mail_root.display()
        );
    }
    let what = selection.to_string();
    let meant = selection.whole_users().then(|| selection.clone());
    // A user may have an account but no directory below the mail root yet.
    let has_mail = snapshot.users.iter().any(|user| selection.takes(user));
    let restored = if !has_mail && selection.whole_users() && has_account(repository, snapshot, &selection)? {
        Restored::default()
    } else {
        mail(work, selection, config.storage.mail_root.clone()).await?
    };
    let mut told = RestoreShown {
        backup: snapshot.id.clone(),
        mail: restored,
        rows: None,
        configuration: 0,
        // Files are not restored into a server, which has its own.
        secrets_left_out: vec![],
        accounts: vec![],
        accounts_missing: vec![],
        calendars: None,
    };
    if whole {
        use crate::services::backup::Error::AccountsThere;
        match restore_database(repository, snapshot, &accounts.database, &config.spool.directory, fate).await {
            Ok(rows) => told.rows = Some(rows),
            Err(error @ AccountsThere) => {
                eprintln!("postrider: {error}");
                let everybody = Selection::default();
                told.accounts_missing = missing_accounts(repository, snapshot, &everybody, &accounts.directory).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    // Users' data besides mail, if all of it was requested and the database was not restored as a whole.
    if let Some(selection) = meant.filter(|_| told.rows.is_none()) {
        if !whole {
            told.accounts = restore_missing_accounts(repository, snapshot, &selection, &accounts.directory).await?;
        }
        let calendars = Collections::new(accounts.database.clone());
        let put_back =
            restore_missing_calendars(repository, snapshot, &selection, &calendars, place.clock.now()).await?;
        told.calendars = Some(put_back);
    }
    let report = Report::done(RunKind::Restored, begun).with("backup", snapshot.id.to_string()).with("selection", what);
    report
        .with("restored", &told.mail)
        .with("accounts", &told.accounts)
        .with("accounts_missing", &told.accounts_missing)
        .with("calendars", told.calendars)
        .write(&accounts, &place.clock)
        .await;
    accounts.changed().await;
    Ok(told)
}

fn has_account(repository: &Repository, snapshot: &Snapshot, selection: &Selection) -> anyhow::Result<bool> {
    Ok(!saved_accounts(repository, snapshot, selection)?.is_empty())
}

fn say(output: Output, told: &RestoreShown) {
    let mail = &told.mail;
    let mut said =
        format!("From the backup {}: {} ({})", told.backup, counted(mail.messages, "message"), amount(mail.octets));
    if mail.present > 0 {
        said += &format!(", {} already there", mail.present);
    }
    if let Some(rows) = told.rows {
        said += &format!(", {} of the database", counted(rows, "row"));
    }
    if told.configuration > 0 {
        said += &format!(", {} of configuration and keys", counted(told.configuration, "file"));
    }
    if let Some(PutBack { collections, objects, .. }) =
        told.calendars.filter(|put_back| *put_back != PutBack::default())
    {
        let of = if collections == 1 { "calendar or address book" } else { "calendars and address books" };
        said += &format!(", {} of {collections} {of}", counted(objects, "entry"));
    }
    output.done(&said, told);
    if matches!(output, Output::People) {
        for secret in &told.secrets_left_out {
            print(&format!("get this from elsewhere, since the backup was taken without secrets: {secret}\n"));
        }
        for account in &told.accounts {
            print(&format!("{}\n", again(account)));
        }
        for address in &told.accounts_missing {
            print(&format!(
                "the account {address} no longer exists and was not restored; `--user {address}` restores it\n"
            ));
        }
        for path in &mail.kept_beside {
            print(&format!("a different file exists; the one from the backup was written beside it: {path}\n"));
        }
        for path in &mail.in_the_way {
            print(&format!(
                "not a directory, so its contents were not restored; move it away and run the command again: {path}\n"
            ));
        }
        say_lost(mail.lost, &mail.damage);
        if mail.keywords_dropped > 0 {
            print(&format!(
                "{} did not fit into the existing folders, which have room for 26\n",
                counted(mail.keywords_dropped, "keyword")
            ));
        }
    }
}

/// Reports what the backup has lost, if anything.
pub(super) fn say_lost(lost: u64, damage: &BTreeSet<String>) {
    if lost > 0 {
        print(&format!("LOST: {} can no longer be read from the backup\n", counted(lost, "file")));
        damage.iter().for_each(|because| print(&format!("{because}\n")));
        print(&format!("{ELSEWHERE}\n"));
    }
}

/// Where damaged data may still be found.
const ELSEWHERE: &str = "An earlier backup may have them (`--backup`, see `postrider backup list`), or a copy: `postrider backup pull` \
     retrieves missing data, and `--destination` reads a copy in place";

/// The message about an account that was restored.
fn again(account: &AccountRestored) -> String {
    let password = if account.password { "with its password" } else { "without a password" };
    let quota = account.quota.map_or_else(|| "no quota".to_owned(), |quota| format!("a quota of {quota}"));
    let mut said = format!("the account {} no longer existed and was restored: {password}, {quota}", account.address);
    if !account.enabled {
        said += ", disabled as it was";
    }
    if account.domain {
        said += &format!("; its domain {} was restored too", account.address.domain());
    }
    for alias in &account.aliases {
        said += &format!("; alias {alias}");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(id: &str) -> Snapshot {
        let text = format!(
            r#"{{"format":1,"id":"{id}","at":0,"finished":0,"full":true,"version":"1","hostname":"mx","totals":{{"messages":0,
            "octets":0,"read":0,"new_octets":0,"stored":0}},"users":[],"database":{{"engine":"sqlite","tables":[]}},
            "spool":[],"files":[]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn two_backups_are_not_mixed_in_a_directory() {
        let (one, two) = (snapshot("20260131T020000Z"), snapshot("20260201T020000Z"));
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("mail")).unwrap();
        begin_in(place.path(), &one).unwrap();
        std::fs::create_dir(place.path().join("mail/example.test")).unwrap();
        begin_in(place.path(), &one).unwrap();
        let refused = begin_in(place.path(), &two).unwrap_err();
        assert_eq!(Exit::of(&refused), Exit::Exists, "{refused}");
        // A directory of unknown origin.
        std::fs::remove_file(place.path().join(MARK)).unwrap();
        assert_eq!(Exit::of(&begin_in(place.path(), &one).unwrap_err()), Exit::Exists);
    }

    #[test]
    fn the_last_moment_is_read_as_elsewhere() {
        let end = Timestamp::from_unix_seconds(1_769_903_999);
        for text in ["2026-01-31T23:59:59Z", "2026-02-01T00:59:59+01:00", "20260131T235959Z"] {
            assert_eq!(latest(text), Ok(end), "{text}");
        }
        let (day, evening) = (latest("2026-01-31").unwrap(), latest("2026-01-31 23:40").unwrap());
        assert_eq!(day.since(evening).as_secs(), 19 * 60, "both to their ends");
        for text in ["", "yesterday", "2026-13-01", "2026-01-31 14"] {
            assert!(latest(text).is_err(), "{text}");
        }
    }
}
