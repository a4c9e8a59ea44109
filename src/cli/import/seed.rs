use std::path::PathBuf;

use super::super::context::Context;
use super::super::exit::{Ended, Exit, Outcome};
use crate::foundations::counted::counted;
use crate::services::moving::{DeclaredUser, Error, SeedAccounts, SeedAlias, SeedUser, declaration};
use crate::storage::database::{self, Database, DatabaseSettings, DatabaseUrl};

/// The accounts of another database.
pub(super) async fn run(
    url: &DatabaseUrl,
    password_file: Option<PathBuf>,
    dry_run: bool,
    context: &Context,
) -> Outcome {
    // The password of the server's own database must not be sent to another one.
    let settings = DatabaseSettings { password_file, ..context.config()?.database };
    // SQLite would create a file at a wrong path.
    let Some(other) = Database::look(url, &settings).await.map_err(of_another)? else {
        return Err(Ended::with(Exit::NotFound, format!("there is no database `{url}`")));
    };
    let found = SeedAccounts::read(&other).await.map_err(|error| match error {
        Error::Database(error) => of_another(error),
        error => error.into(),
    })?;
    other.close().await;
    declare(&found);
    let (said, value) = Box::pin(take_over(&found, dry_run, context)).await?;
    context.output.done(&said, &value);
    Ok(Exit::Done)
}

/// An error of the other database. What is to be corrected is on the command line; the settings that the error names are
/// those of our own database.
fn of_another(error: database::Error) -> anyhow::Error {
    match error {
        database::Error::SetUp(driver) => Ended::with(
            Exit::Configuration,
            format!(
                "the other database cannot be used as given: {driver}. Correct its address, or its password there or in the \
                 file of `--password-file`"
            ),
        ),
        database::Error::Password { path, because } => Ended::with(
            Exit::Configuration,
            format!(
                "`{path}` of `--password-file` cannot be read: {because}. It must hold the other database's password"
            ),
        ),
        error => Error::Database(error).into(),
    }
}

/// Prints a declaration of these accounts, except removed ones.
pub(super) fn declare(found: &SeedAccounts) {
    let inactive_accounts = &found.inactive_accounts;
    let declared =
        |user: &SeedUser| DeclaredUser { address: user.address.clone(), quota: user.quota, enabled: user.enabled };
    let domains: Vec<_> =
        found.domains.iter().filter(|domain| !inactive_accounts.has_domain(domain)).cloned().collect();
    let users: Vec<_> =
        found.users.iter().filter(|user| !inactive_accounts.has_user(&user.address)).map(declared).collect();
    let is_used = |alias: &&SeedAlias| {
        !inactive_accounts.has_alias(&alias.source) && !inactive_accounts.has_domain(alias.source.domain())
    };
    let aliases: Vec<_> = found
        .aliases
        .iter()
        .filter(is_used)
        .map(|alias| (alias.source.to_string(), alias.destination.clone()))
        .collect();
    eprintln!("To declare these accounts in a NixOS configuration:\n\n{}", declaration(&domains, &users, &aliases));
}

/// Creates those that are missing here; returns a sentence and figures about it.
pub(super) async fn take_over(
    found: &SeedAccounts,
    dry_run: bool,
    context: &Context,
) -> anyhow::Result<(String, serde_json::Value)> {
    let mut unusable = Vec::new();
    for (user, why) in found.unusable() {
        eprintln!("postrider: {user} cannot log in here until `user passwd` or `user invite`: {why}");
        unusable.push(user);
    }
    if dry_run {
        let (domains, users, aliases) = (found.domains.len(), found.users.len(), found.aliases.len());
        let (domain, user, alias) = (counted(domains, "domain"), counted(users, "user"), counted(aliases, "alias"));
        let said = format!("found: {domain}, {user}, {alias}; nothing was done");
        return Ok((
            said,
            serde_json::json!({ "domains": domains, "users": users, "aliases": aliases, "unusable": unusable }),
        ));
    }
    let accounts = context.accounts().await?;
    let mut moved = found.take_over(&accounts.directory).await.map_err(|error| match error {
        Error::Directory(error) => anyhow::Error::from(error),
        error => error.into(),
    })?;
    accounts.record_changes(std::mem::take(&mut moved.made)).await;
    accounts.changed().await;
    let passwords = match moved.passwords {
        0 => String::new(),
        passwords => format!("; {} for users who had none", counted(passwords, "password")),
    };
    let said = format!(
        "New: {}, {} and {}; already here: {}{passwords}",
        counted(moved.domains, "domain"),
        counted(moved.users, "user"),
        counted(moved.aliases, "alias"),
        moved.present
    );
    let mut value = serde_json::to_value(moved)?;
    value["unusable"] = serde_json::to_value(unusable)?;
    Ok((said, value))
}
