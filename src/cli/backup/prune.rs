use super::report::Report;
use super::{Place, last_made};
use crate::cli::context::Accounts;
use crate::cli::exit::{Exit, Outcome};
use crate::cli::output::{Output, print};
use crate::foundations::clock::Timestamp;
use crate::foundations::counted::{amount, are, counted};
use crate::services::backup::{self, Access, Damaged, Error, Pruned, RunKind, SnapshotId};
use crate::storage::journal::Believed;

/// Prune.
#[derive(Debug, clap::Args)]
pub(super) struct Prune {
    /// Show what would be removed, without removing anything.
    #[arg(long)]
    dry_run: bool,
    /// Move unreadable backups and packs into the directory `damaged`, where they no longer count as backups, and continue
    /// without them. Data that only they needed is removed.
    #[arg(long)]
    damaged: bool,
    /// Remove this backup too, whatever the retention rules say, for example one taken while the clock was wrong. May be
    /// given several times.
    #[arg(long = "backup", value_name = "BACKUP")]
    named: Vec<SnapshotId>,
}

pub(super) async fn run(arguments: Prune, place: &Place<'_>) -> Outcome {
    let Prune { dry_run, damaged, named } = arguments;
    let damaged = if damaged { Damaged::SetAside } else { Damaged::Stay };
    let begun = place.clock.now();
    let repository = place.open(if dry_run { Access::Read } else { Access::Remove }).await?;
    let mut settings = place.settings.clone();
    // On a machine other than the server there may be no database.
    let accounts = place.context.accounts().await.ok();
    if let Some(accounts) = &accounts
        && settings.retention.days > 0
        && let Ok(Believed::NotBefore(until)) = accounts.journal.believes_the_clock().await
    {
        settings.retention.days = u32::MAX;
        eprintln!(
            "postrider: the clock was set forward, or the server was off for long: no backup is removed because of its age until {until} \
             (`journal.after_jump`)"
        );
    }
    let work = move || match dry_run {
        true => backup::plan_prune(&repository, &settings, begun, damaged, &named),
        false => backup::prune(&repository, &settings, begun, damaged, &named),
    };
    let mut result = tokio::task::spawn_blocking(work).await?;
    if let Some(accounts) = accounts {
        if matches!(result, Err(Error::Unlisted(_))) && last_made(place, &accounts).await?.is_none() {
            eprintln!(
                "postrider: there are no backups yet, only parts of a first one that was interrupted; they are kept, and \
                 `postrider backup create` continues from them"
            );
            result = Ok(Pruned::default());
        }
        if !dry_run {
            report(&result, begun, &accounts, place).await;
        }
        accounts.closed().await;
    }
    let pruned = result?;
    let (removed, kept) = (pruned.removed.len(), pruned.kept.len());
    let verb = if dry_run { "would be" } else { are(removed) };
    let freed = if dry_run { String::new() } else { format!("; {} freed", amount(pruned.freed)) };
    place.output().done(
        &format!(
            "{} {verb} removed, {kept} {}{freed}",
            counted(removed, "backup"),
            if kept == 1 { "remains" } else { "remain" }
        ),
        &pruned,
    );
    if matches!(place.output(), Output::People) {
        let word = if dry_run { "would be removed" } else { "removed" };
        pruned.removed.iter().for_each(|id| print(&format!("{word}\t{id}\n")));
        let word = if dry_run { "would be set aside" } else { "set aside" };
        pruned.set_aside.iter().for_each(|id| print(&format!("{word}\t{id}\n")));
        pruned.aside.iter().for_each(|path| print(&format!("damaged, now at\t{}\n", path.display())));
        pruned.given_up.iter().for_each(|what| print(&format!("cannot be read\t{what}\n")));
    }
    if pruned.held.is_empty() {
        return Ok(Exit::Done);
    }
    eprintln!("postrider: {}", held(&pruned));
    Ok(Exit::Held)
}

/// Records the result. A mistaken request does not count as a failed run.
async fn report(result: &Result<Pruned, Error>, begun: Timestamp, accounts: &Accounts, place: &Place<'_>) {
    let report = match result {
        Ok(pruned) if pruned.held.is_empty() => Report::done(RunKind::Pruned, begun).with("pruned", pruned),
        Ok(pruned) => {
            let mut told = pruned.clone();
            told.held.truncate(HELD_TOLD);
            Report::failed(RunKind::Pruned, begun, &held(pruned)).with("pruned", told)
        }
        Err(Error::NoSnapshot(_) | Error::OnlyOne(_)) => return,
        Err(error) => Report::failed(RunKind::Pruned, begun, &error.to_string()),
    };
    report.write(accounts, &place.clock).await;
}

/// The number of undeletable files that the event names.
const HELD_TOLD: usize = 3;

/// The message for files that could not be removed, and what to do.
fn held(pruned: &Pruned) -> String {
    let first = pruned.held.first().map(String::as_str).unwrap_or_default();
    format!(
        "{} that should have been removed {} still there: {first}. All listed backups are complete. Grant permission to \
         remove, or set `backup.append_only` if backups are removed by other means",
        counted(pruned.held.len(), "file"),
        are(pruned.held.len())
    )
}
