use serde::Serialize;

use super::context::{Accounts, Context, UNTIL_RELOAD};
use super::domain::state;
use super::exit::{Exit, Outcome};
use super::output::{Shown, none_of};
use crate::foundations::address::{Address, Domain, InvalidAddress};
use crate::foundations::counted::counted;
use crate::foundations::settings::Live;
use crate::services::routing::{Resolution, Routing};
use crate::storage::directory::{AliasEntry, Error, Owner, Page, Source, Standing, same_destination};

/// Addresses that lead to others.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Alias {
    /// Add destinations to an alias, which is created if it does not exist. An alias with a user's own address takes that
    /// user's mail: it then goes only to the destinations, which may include the user.
    Add {
        /// `name@domain`, or `@domain` for every address of the domain that does not exist.
        #[arg(value_parser = typed)]
        source: Source,
        /// The destinations: local or external addresses, separated by spaces.
        #[arg(required = true, value_parser = typed)]
        destinations: Vec<Source>,
    },
    /// List aliases.
    List {
        /// Only aliases of this domain.
        domain: Option<Domain>,
    },
    /// Show the destinations of an alias.
    Show {
        /// The alias: `name@domain` or `@domain`.
        #[arg(value_parser = source)]
        source: Source,
    },
    /// Remove an alias, or some of its destinations.
    Remove {
        /// The alias: `name@domain` or `@domain`.
        #[arg(value_parser = source)]
        source: Source,
        /// The destinations to remove; without any, the whole alias is removed.
        destinations: Vec<String>,
    },
    /// Enable an alias that was disabled.
    Enable {
        /// The alias: `name@domain` or `@domain`.
        #[arg(value_parser = source)]
        source: Source,
    },
    /// Disable an alias without removing it.
    Disable {
        /// The alias: `name@domain` or `@domain`.
        #[arg(value_parser = source)]
        source: Source,
    },
}

fn source(text: &str) -> Result<Source, &'static str> {
    Source::parse(text).ok_or("expected name@domain or @domain")
}

fn typed(text: &str) -> Result<Source, String> {
    text.parse().map_err(|error: InvalidAddress| match text.contains(',') {
        true => format!("{error}; separate several addresses with spaces, not commas"),
        false => error.to_string(),
    })
}

/// One destination of an alias, for output.
#[derive(Debug, Serialize)]
struct Row {
    source: String,
    destination: String,
    state: &'static str,
    owner: &'static str,
}

impl From<&AliasEntry> for Row {
    fn from(entry: &AliasEntry) -> Self {
        Self {
            source: entry.source.clone(),
            destination: entry.destination.clone(),
            state: state(entry.standing, None),
            owner: entry.owner.word(),
        }
    }
}

impl Shown for Row {
    const COLUMNS: &'static [&'static str] = &["ALIAS", "DESTINATION", "STATE", "OWNER"];

    fn cells(&self) -> Vec<String> {
        vec![self.source.clone(), self.destination.clone(), self.state.to_owned(), self.owner.to_owned()]
    }
}

pub(super) async fn run(command: Alias, context: &Context) -> Outcome {
    let accounts = context.accounts().await?;
    let output = context.output;
    match command {
        Alias::List { domain } => {
            let nothing = none_of("aliases", domain.as_ref());
            output.list_or(&list(&accounts, domain).await?, &nothing);
        }
        Alias::Show { source } => {
            let entries = accounts.directory.alias(&source.key()).await?;
            if entries.is_empty() {
                return Err(Error::NoAlias(source.to_string()).into());
            }
            output.list(&entries.iter().map(Row::from).collect::<Vec<_>>());
        }
        Alias::Add { source, destinations } => add(&accounts, context, &source, &destinations).await?,
        Alias::Remove { source, destinations } => remove(&accounts, context, &source, &destinations).await?,
        Alias::Enable { source } => set(&accounts, context, &source, Standing::Enabled).await?,
        Alias::Disable { source } => set(&accounts, context, &source, Standing::Disabled).await?,
    }
    accounts.changed().await;
    Ok(Exit::Done)
}

async fn add(accounts: &Accounts, context: &Context, source: &Source, destinations: &[Source]) -> anyhow::Result<()> {
    let destinations: Vec<String> = destinations.iter().map(Source::to_string).collect();
    let known = accounts.directory.alias(&source.key()).await?;
    // An alias is enabled or disabled as a whole.
    let is_disabled = !known.is_empty() && known.iter().all(|entry| entry.standing == Standing::Disabled);
    let mut edit = accounts.directory.edit().await?;
    for destination in &destinations {
        edit.add_alias(source, destination, Owner::Admin).await?;
    }
    if is_disabled {
        edit.set_alias(source, Standing::Disabled).await?;
    }
    edit.commit().await?;
    let change = format!("alias {source} leads to {}", destinations.join(", "));
    accounts.record_change(source, change).await;
    let mut complaints = complaints(accounts, &destinations).await?;
    complaints.extend(taken_from(accounts, source).await?);
    if is_disabled {
        complaints.push(format!("the alias is disabled; `postrider alias enable {source}` enables it"));
    }
    let value = serde_json::json!({
        "source": source.to_string(), "destinations": destinations, "complaints": complaints,
    });
    let said: String = complaints.iter().map(|complaint| format!("\nBut {complaint}")).collect();
    context.output.done(&format!("{source} leads to {}{said}", destinations.join(", ")), &value);
    Ok(())
}

/// Removes the given destinations, or the whole alias if none is given.
async fn remove(
    accounts: &Accounts,
    context: &Context,
    source: &Source,
    destinations: &[String],
) -> anyhow::Result<()> {
    for entry in accounts.directory.alias(&source.key()).await? {
        let is_meant = |named: &String| same_destination(named, &entry.destination);
        if destinations.is_empty() || destinations.iter().any(is_meant) {
            accounts.may_remove(&format_args!("{source} to {}", entry.destination), entry.owner)?;
        }
    }
    let mut edit = accounts.directory.edit().await?;
    let mut removed = 0;
    if destinations.is_empty() {
        removed += edit.remove_alias(source, None).await?;
    }
    for destination in destinations {
        removed += edit.remove_alias(source, Some(destination)).await?;
    }
    edit.commit().await?;
    let change = match destinations {
        [] => format!("alias {source} is removed"),
        gone => format!("alias {source} no longer leads to {}", gone.join(", ")),
    };
    accounts.record_change(source, change).await;
    let value = serde_json::json!({ "source": source.to_string(), "removed": removed });
    context.output.done(&format!("{source} has lost {}", counted(removed, "destination")), &value);
    Ok(())
}

/// Warns if the alias takes all mail of a user with the same address, unless the user is one of its destinations.
async fn taken_from(accounts: &Accounts, source: &Source) -> anyhow::Result<Option<String>> {
    let Ok(address) = source.key().parse::<Address>() else { return Ok(None) };
    if accounts.directory.account_now(&address).await?.is_none() {
        return Ok(None);
    }
    let entries = accounts.directory.alias(&source.key()).await?;
    let stays = entries.iter().any(|entry| same_destination(&source.key(), &entry.destination));
    Ok((!stays).then(|| {
        format!(
            "{source} is a user who no longer receives this mail; `postrider alias add {source} {source}` delivers it to the user too"
        )
    }))
}

/// Destinations for which mail will be refused. That may change later, for example when the user is created.
async fn complaints(accounts: &Accounts, destinations: &[String]) -> anyhow::Result<Vec<String>> {
    let config = &accounts.config;
    let routing = Routing::new(accounts.directory.clone(), Live::new(config.routing.clone()), config.hostname.clone());
    let mut complaints = Vec::new();
    for address in destinations.iter().filter_map(|destination| destination.parse::<Address>().ok()) {
        match routing.resolve(&address).await? {
            Resolution::Unknown => complaints.push(format!("the address {address} does not exist yet")),
            Resolution::Refused(refusal) => complaints.push(format!("mail for {address} is refused: {refusal}")),
            Resolution::Remote | Resolution::Local { .. } => {}
        }
    }
    Ok(complaints)
}

async fn list(accounts: &Accounts, domain: Option<Domain>) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut page = Page { domain, ..Page::default() };
    loop {
        let entries = accounts.directory.alias_entries(&page).await?;
        rows.extend(entries.iter().map(Row::from));
        let Some(last) = entries.last() else { return Ok(rows) };
        page.after = Some(last.source.clone());
    }
}

async fn set(accounts: &Accounts, context: &Context, source: &Source, standing: Standing) -> anyhow::Result<()> {
    let mut edit = accounts.directory.edit().await?;
    edit.set_alias(source, standing).await?;
    edit.commit().await?;
    let state = state(standing, None);
    accounts.record_change(source, format!("alias {source} is {state}")).await;
    let value = serde_json::json!({ "source": source.to_string(), "state": state });
    let known = accounts.directory.alias(&source.key()).await?;
    let is_declared = known.iter().any(|entry| accounts.is_declared(entry.owner));
    let more = if is_declared { UNTIL_RELOAD } else { "" };
    context.output.done(&format!("{source} is {state}{more}"), &value);
    Ok(())
}
