use serde::Serialize;

use super::context::{Accounts, Context, UNTIL_RELOAD};
use super::exit::{Exit, Outcome};
use super::output::Shown;
use crate::foundations::address;
use crate::foundations::clock::Timestamp;
use crate::storage::directory::{DomainEntry, Error, Owner, Page, Standing};

/// The domains this server accepts mail for.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Domain {
    /// Add a domain.
    Add {
        /// Its name, such as example.com.
        domain: address::Domain,
    },
    /// List the domains.
    List,
    /// Show a domain: its state, when it was created, and whether it is declared or was added by hand.
    Show {
        /// Its name, such as example.com.
        domain: address::Domain,
    },
    /// Remove a domain and its users. They are archived; nothing is deleted.
    Remove {
        /// Its name, such as example.com.
        domain: address::Domain,
    },
    /// Accept mail for a domain again, also after a removal.
    Enable {
        /// Its name, such as example.com.
        domain: address::Domain,
    },
    /// Refuse mail for a domain. Its users and their mail are kept.
    Disable {
        /// Its name, such as example.com.
        domain: address::Domain,
    },
}

/// A domain, for output.
#[derive(Debug, Serialize)]
struct Row {
    domain: String,
    state: &'static str,
    owner: &'static str,
    created: Option<String>,
}

impl From<&DomainEntry> for Row {
    fn from(entry: &DomainEntry) -> Self {
        Self {
            domain: entry.name.to_string(),
            state: state(entry.standing, entry.archived_at),
            owner: entry.owner.word(),
            created: entry.created_at.map(|at| at.to_string()),
        }
    }
}

/// The state of a domain, user or alias in one word.
pub(super) const fn state(standing: Standing, archived_at: Option<Timestamp>) -> &'static str {
    match standing {
        _ if archived_at.is_some() => "archived",
        Standing::Enabled => "enabled",
        Standing::Disabled => "disabled",
    }
}

impl Shown for Row {
    const COLUMNS: &'static [&'static str] = &["DOMAIN", "STATE", "OWNER", "CREATED"];

    fn cells(&self) -> Vec<String> {
        let created = self.created.clone().unwrap_or_else(|| "-".to_owned());
        vec![self.domain.clone(), self.state.to_owned(), self.owner.to_owned(), created]
    }
}

pub(super) async fn run(command: Domain, context: &Context) -> Outcome {
    let accounts = context.accounts().await?;
    let output = context.output;
    match command {
        Domain::List => output.list_or(&list(&accounts).await?, "there are no domains"),
        Domain::Show { domain } => {
            let entry = accounts.directory.domain(&domain).await?.ok_or(Error::NoDomain(domain))?;
            output.one(&Row::from(entry.as_ref()));
        }
        Domain::Add { domain } => {
            let mut edit = accounts.directory.edit().await?;
            edit.add_domain(&domain, Owner::Admin).await?;
            edit.commit().await?;
            accounts.record_change(&domain, format!("domain {domain} is added")).await;
            output.done(&format!("{domain} was added"), &serde_json::json!({ "domain": domain }));
        }
        Domain::Remove { domain } => {
            accounts.may_remove(&domain, owner(&accounts, &domain).await?)?;
            let mut edit = accounts.directory.edit().await?;
            let archived = edit.archive_domain(&domain).await?;
            edit.commit().await?;
            accounts.record_change(&domain, format!("domain {domain} is archived")).await;
            let each = |user: &String| (user.clone(), format!("user {user} is archived with its domain"));
            accounts.record_changes(archived.iter().map(each)).await;
            let users = archived.len();
            let value = serde_json::json!({ "domain": domain, "archived_users": users });
            output.done(&format!("{domain} and {users} of its users are archived; `domain enable` undoes it"), &value);
        }
        Domain::Enable { domain } => {
            let mut edit = accounts.directory.edit().await?;
            let restored = edit.restore_domain(&domain).await?;
            edit.commit().await?;
            accounts.record_change(&domain, format!("domain {domain} is enabled")).await;
            let each = |user: &String| (user.clone(), format!("user {user} comes back with its domain"));
            accounts.record_changes(restored.iter().map(each)).await;
            let users = restored.len();
            let state = state(Standing::Enabled, None);
            let text = match users {
                0 => format!("{domain} is {state}"),
                _ => format!("{domain} is {state}, and so are {users} of its users who were archived with it"),
            };
            let text = text + until_reload(&accounts, &domain).await?;
            let value = serde_json::json!({ "domain": domain, "state": state, "restored_users": users });
            output.done(&text, &value);
        }
        Domain::Disable { domain } => {
            let mut edit = accounts.directory.edit().await?;
            edit.set_domain(&domain, Standing::Disabled).await?;
            edit.commit().await?;
            accounts.record_change(&domain, format!("domain {domain} is disabled: its mail is refused")).await;
            let state = state(Standing::Disabled, None);
            let more = until_reload(&accounts, &domain).await?;
            output
                .done(&format!("{domain} is {state}{more}"), &serde_json::json!({ "domain": domain, "state": state }));
        }
    }
    accounts.changed().await;
    Ok(Exit::Done)
}

async fn owner(accounts: &Accounts, domain: &address::Domain) -> anyhow::Result<Owner> {
    Ok(accounts.directory.domain(domain).await?.ok_or_else(|| Error::NoDomain(domain.clone()))?.owner)
}

async fn until_reload(accounts: &Accounts, domain: &address::Domain) -> anyhow::Result<&'static str> {
    Ok(if accounts.is_declared(owner(accounts, domain).await?) { UNTIL_RELOAD } else { "" })
}

async fn list(accounts: &Accounts) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut page = Page::default();
    loop {
        let entries = accounts.directory.domains(&page).await?;
        rows.extend(entries.iter().map(Row::from));
        let Some(last) = entries.last() else { return Ok(rows) };
        page.after = Some(last.name.to_string());
    }
}
