use super::confirm::confirm;
use super::context::{Accounts, tend_mailboxes};
use super::output::Output;
use crate::daemon::control::MailboxCommand;
use crate::foundations::address::Address;
use crate::foundations::counted::{amount, counted};
use crate::storage::directory::{Account, Error, Page, same_destination};

/// Archives a user; nothing is deleted.
pub(super) async fn archive(accounts: &Accounts, output: Output, address: &Address) -> anyhow::Result<()> {
    let account = removable(accounts, address).await?;
    put_away(accounts, &account.address).await?;
    let value = serde_json::json!({ "address": address, "state": "archived" });
    output.done(&format!("{address} is archived with its mail; `user enable` undoes it"), &value);
    Ok(())
}

/// Deletes a user with all mail. The account is archived before the first file is deleted, and itself deleted last: an
/// interrupted run is completed by running it again.
pub(super) async fn for_good(accounts: &Accounts, output: Output, address: &Address, yes: bool) -> anyhow::Result<()> {
    let account = removable(accounts, address).await?;
    let usage = accounts.directory.usage(&account.address).await?.unwrap_or_default();
    let mail = format!("{} ({})", counted(usage.messages, "message"), amount(usage.bytes));
    confirm(&format!("{address} would be deleted for good, with {mail}, scripts, calendars and contacts"), yes)?;
    if account.archived_at.is_none() {
        put_away(accounts, &account.address).await?;
    }
    // Logins and deliveries must end before the mail is deleted.
    accounts.tell_roles().await;
    tend_mailboxes(&accounts.config, &account.address, MailboxCommand::Discard).await?;
    let mut edit = accounts.directory.edit().await?;
    edit.delete_user(&account.address).await?;
    edit.commit().await?;
    accounts.record_change(address, format!("user {address} is deleted with {mail}")).await;
    let aliases = aliases_to(accounts, address).await?;
    let mut said = format!("{address} is deleted with {mail}; only backups still have copies");
    if !aliases.is_empty() {
        said += &format!("\nThese aliases still lead there: {}", aliases.join(", "));
    }
    let value = serde_json::json!({
        "address": address, "state": "deleted", "messages": usage.messages, "bytes": usage.bytes, "aliases": aliases,
    });
    output.done(&said, &value);
    Ok(())
}

/// A user that the next reload would not bring back.
async fn removable(accounts: &Accounts, address: &Address) -> anyhow::Result<Account> {
    let account = accounts.directory.account_now(address).await?.ok_or_else(|| Error::NoUser(address.clone()))?;
    let domain = accounts.directory.domain(account.address.domain()).await?;
    // Anything removed from the declaration is archived already, by itself or with its domain.
    let is_gone = account.archived_at.is_some() || domain.is_some_and(|domain| domain.archived_at.is_some());
    if !is_gone {
        accounts.may_remove(address, account.owner)?;
    }
    Ok(account)
}

async fn put_away(accounts: &Accounts, address: &Address) -> anyhow::Result<()> {
    let mut edit = accounts.directory.edit().await?;
    edit.archive_user(address).await?;
    edit.commit().await?;
    accounts.record_change(address, format!("user {address} is archived")).await;
    Ok(())
}

/// The aliases with this destination.
async fn aliases_to(accounts: &Accounts, address: &Address) -> anyhow::Result<Vec<String>> {
    let (mut found, mut page, address) = (Vec::new(), Page::default(), address.to_string());
    loop {
        let entries = accounts.directory.alias_entries(&page).await?;
        let Some(last) = entries.last() else { return Ok(found) };
        page.after = Some(last.source.clone());
        let leads_there = |destination: &str| same_destination(destination, &address);
        found.extend(entries.into_iter().filter(|entry| leads_there(&entry.destination)).map(|entry| entry.source));
    }
}
