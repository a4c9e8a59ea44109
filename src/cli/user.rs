use anyhow::Context as _;
use serde::Serialize;

use super::context::{Accounts, Context, UNTIL_RELOAD};
use super::domain::state;
use super::exit::{Exit, Outcome};
use super::moment::span;
use super::output::{Output, Shown, none_of};
use super::size::size;
use super::{app_password, invite, password, two_factor, user_removal, user_renaming};
use crate::foundations::address::{Address, Domain};
use crate::foundations::counted::rounded;
use crate::foundations::settings::{ByteSize, Span};
use crate::services::login::{Unusable, recognise, scheme_word};
use crate::storage::directory::{Account, Error, NewUser, OldAddress, Owner, Page, PasswordOwner, Standing, Usage};

/// Users: addresses with a mailbox.
#[derive(Debug, clap::Subcommand)]
pub(super) enum User {
    /// Add a user, with a password if one is typed or piped in.
    Add {
        /// The address, such as ann@example.com; its domain must be one of this server's.
        address: Address,
        /// Maximum size of the user's mail, such as 500M or 5G (units of 1024: K, M, G, T); by default there is no
        /// limit.
        #[arg(long, value_parser = size)]
        quota: Option<ByteSize>,
        /// The display name, such as "Ann Example".
        #[arg(long)]
        name: Option<String>,
        /// Do not ask for a password. The user cannot log in until one is set.
        #[arg(long)]
        no_password: bool,
    },
    /// List users.
    List {
        /// Only users of this domain.
        domain: Option<Domain>,
    },
    /// Show a user: state, mail and quota, password and name.
    Show {
        /// The user's address.
        address: Address,
    },
    /// Set a user's password, from a prompt without echo or the first line of standard input.
    Passwd {
        /// The user's address.
        address: Address,
    },
    /// Set a user's quota.
    Quota {
        /// The user's address.
        address: Address,
        /// Maximum size of the user's mail, such as 500M or 5G (units of 1024: K, M, G, T); `none` for no limit.
        #[arg(value_parser = quota)]
        quota: Quota,
    },
    /// Set a user's display name.
    Name {
        /// The user's address.
        address: Address,
        /// The display name; '' for none.
        name: String,
    },
    /// Give a user another address. Mail, scripts, calendars, contacts and passwords are kept, and aliases and queued mail
    /// lead to the new address.
    Rename {
        /// The user's address.
        address: Address,
        /// The new address; its domain must be one of this server's.
        new: Address,
        /// Keep the old address as an alias of the new one.
        #[arg(long)]
        keep_alias: bool,
    },
    /// Create a link with which a user can choose a password, once. It replaces any earlier link of the user.
    #[command(group = clap::ArgGroup::new("who").required(true))]
    Invite {
        /// The user's address.
        #[arg(group = "who")]
        address: Option<Address>,
        /// Create a link for each user who may log in and has no password yet.
        #[arg(long, group = "who")]
        all: bool,
        /// How long the link is valid, such as 12h, 3d or 2w; `set_up.valid` by default.
        #[arg(long, value_name = "SPAN", value_parser = span)]
        valid: Option<Span>,
    },
    /// Create, list and revoke app passwords: separate passwords for single devices.
    #[command(subcommand)]
    AppPassword(app_password::AppPasswords),
    /// Show two-factor login to the webmail, and turn it off for a user who has lost the device.
    #[command(subcommand)]
    TwoFactor(two_factor::TwoFactor),
    /// Print the hash of a password, for declared accounts, `dashboard.password_file` and scripts. The password is asked for
    /// on a terminal, or read from the first line of standard input.
    Hash,
    /// Remove a user. The account is archived; no mail is deleted.
    Remove {
        /// The user's address.
        address: Address,
        /// Delete permanently: account, mail, scripts, calendars and contacts. Asks for confirmation on a terminal; otherwise
        /// `--yes` is required.
        #[arg(long)]
        with_mail: bool,
        /// Do not ask for confirmation.
        #[arg(long)]
        yes: bool,
    },
    /// Allow a user to log in again, also after a removal.
    Enable {
        /// The user's address.
        address: Address,
    },
    /// Stop a user from logging in. Mail still arrives, unless `routing.disabled_users` says otherwise.
    Disable {
        /// The user's address.
        address: Address,
    },
}

/// A quota as an argument.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quota(Option<ByteSize>);

fn quota(text: &str) -> Result<Quota, &'static str> {
    if text == "none" { Ok(Quota(None)) } else { size(text).map(|size| Quota(Some(size))) }
}

/// A user, for output.
#[derive(Debug, Serialize)]
struct Row {
    address: String,
    state: &'static str,
    quota: Option<u64>,
    used: u64,
    messages: u64,
    owner: &'static str,
    name: Option<String>,
    /// Whether it can be used to log in.
    has_password: bool,
    /// Why it cannot be used, if something is stored in its place.
    password_problem: Option<String>,
    #[serde(skip)]
    password: String,
}

impl Row {
    fn new(account: &Account, usage: Option<Usage>) -> Self {
        let (password, problem) = password_shown(account);
        Self {
            address: account.address.to_string(),
            state: state(account.standing, account.archived_at),
            quota: account.quota.map(ByteSize::get),
            // Usage is not recorded before the first message.
            used: usage.map_or(0, |usage| usage.bytes),
            messages: usage.map_or(0, |usage| usage.messages),
            owner: account.owner.word(),
            name: account.display_name.clone(),
            has_password: account.has_password() && problem.is_none(),
            password_problem: problem.map(|problem| problem.to_string()),
            password,
        }
    }
}

/// The state of a password in words, and why it cannot be used: other programs may have written the hash.
fn password_shown(account: &Account) -> (String, Option<Unusable>) {
    let stored = account.password.expose();
    match recognise(stored) {
        _ if !account.has_password() => ("none".to_owned(), None),
        Ok(_) => ("set".to_owned(), None),
        Err(Unusable::Missing | Unusable::Locked) => {
            (format!("locked {}", scheme_word(stored)), Some(Unusable::Locked))
        }
        Err(problem) => (format!("unusable {}", scheme_word(stored)), Some(problem)),
    }
}

impl Shown for Row {
    const COLUMNS: &'static [&'static str] =
        &["ADDRESS", "STATE", "USED", "QUOTA", "MESSAGES", "PASSWORD", "OWNER", "NAME"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.address.clone(),
            self.state.to_owned(),
            rounded(self.used),
            self.quota.map_or_else(|| "none".to_owned(), rounded),
            self.messages.to_string(),
            self.password.clone(),
            self.owner.to_owned(),
            self.name.clone().unwrap_or_default(),
        ]
    }
}

pub(super) async fn run(command: User, context: &Context) -> Outcome {
    let output = context.output;
    if matches!(command, User::Hash) {
        let cost = context.config().map_or_else(|_| default_cost(), |config| config.login.cost);
        let hash = password::hash(&password::ask("New password")?, cost)?;
        output.done(hash.expose(), &serde_json::json!({ "hash": hash.expose() }));
        return Ok(Exit::Done);
    }
    let accounts = context.accounts().await?;
    match command {
        User::Hash => {}
        User::AppPassword(command) => return Box::pin(app_password::run(accounts, output, command)).await,
        User::TwoFactor(command) => return Box::pin(two_factor::run(accounts, output, command)).await,
        User::List { domain } => {
            let nothing = none_of("users", domain.as_ref());
            output.list_or(&list(&accounts, domain).await?, &nothing);
        }
        User::Show { address } => {
            let account = accounts.directory.account_now(&address).await?.ok_or(Error::NoUser(address))?;
            let usage = accounts.directory.usage(&account.address).await?;
            let row = Row::new(&account, usage);
            output.one(&row);
            if let Some(problem) = row.password_problem.filter(|_| matches!(output, Output::People)) {
                eprintln!("postrider: nobody can log in with this password: {problem}");
            }
        }
        User::Add { address, quota, name, no_password } => {
            add(&accounts, output, address, quota, name, no_password).await?;
        }
        User::Passwd { address } => {
            accounts.directory.account_now(&address).await?.ok_or_else(|| Error::NoUser(address.clone()))?;
            let typed = password::ask("New password")?;
            password::tell_if_short(&typed, accounts.config.set_up.shortest_password);
            let hash = password::hash(&typed, accounts.config.login.cost)?;
            let mut edit = accounts.directory.edit().await?;
            edit.set_password(&address, &hash, PasswordOwner::Admin).await?;
            edit.commit().await?;
            accounts.record_change(&address, format!("{address} has a new password")).await;
            output.done(&format!("{address} has a new password"), &serde_json::json!({ "address": address }));
        }
        User::Quota { address, quota: Quota(quota) } => {
            let mut edit = accounts.directory.edit().await?;
            edit.set_quota(&address, quota).await?;
            edit.commit().await?;
            // The stored value, in whole mebibytes.
            let quota = quota.map(|quota| ByteSize::mib(quota.get().div_ceil(1 << 20)));
            let shown = quota.map_or_else(|| "no limit".to_owned(), |quota| quota.to_string());
            accounts.record_change(&address, format!("quota of {address}: {shown}")).await;
            let value = serde_json::json!({ "address": address, "quota": quota.map(ByteSize::get) });
            let account = accounts.directory.account_now(&address).await?;
            let more = account.filter(|account| accounts.is_declared(account.owner)).map_or("", |_| UNTIL_RELOAD);
            output.done(&format!("quota of {address}: {shown}{more}"), &value);
        }
        User::Name { address, name } => set_name(&accounts, output, &address, name.trim()).await?,
        User::Rename { address, new, keep_alias } => {
            let old = if keep_alias { OldAddress::Kept } else { OldAddress::GivenUp };
            user_renaming::run(&accounts, output, [&address, &new], old).await?;
        }
        User::Remove { address, with_mail: false, .. } => user_removal::archive(&accounts, output, &address).await?,
        User::Remove { address, with_mail: true, yes } => {
            user_removal::for_good(&accounts, output, &address, yes).await?;
        }
        User::Invite { address, all: _, valid } => return invite::run(accounts, output, address, valid).await,
        User::Enable { address } => set(&accounts, output, &address, Standing::Enabled).await?,
        User::Disable { address } => set(&accounts, output, &address, Standing::Disabled).await?,
    }
    accounts.changed().await;
    Ok(Exit::Done)
}

async fn set_name(accounts: &Accounts, output: Output, address: &Address, name: &str) -> anyhow::Result<()> {
    let account = accounts.directory.account_now(address).await?.ok_or_else(|| Error::NoUser(address.clone()))?;
    let name = Some(name).filter(|name| !name.is_empty());
    let mut edit = accounts.directory.edit().await?;
    edit.set_display_name(address, name).await?;
    edit.commit().await?;
    let shown = name.unwrap_or("none");
    accounts.record_change(address, format!("name of {address}: {shown}")).await;
    let mut said = format!("the name of {address}: {shown}");
    if accounts.is_declared(account.owner) {
        said += "; the user is declared, and if the declaration gives a name, the next reload restores that";
    }
    output.done(&said, &serde_json::json!({ "address": address, "name": name }));
    Ok(())
}

/// The hash cost of new passwords if there is no configuration.
fn default_cost() -> u32 {
    crate::services::login::LoginSettings::default().cost
}

async fn list(accounts: &Accounts, domain: Option<Domain>) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut page = Page { domain, ..Page::default() };
    loop {
        let users = accounts.directory.accounts(&page).await?;
        let usages = accounts.directory.usages(&users).await?;
        rows.extend(users.iter().map(|user| Row::new(user, usages.get(&user.id).copied())));
        let Some(last) = users.last() else { return Ok(rows) };
        page.after = Some(last.address.key());
    }
}

async fn add(
    accounts: &Accounts,
    output: Output,
    address: Address,
    quota: Option<ByteSize>,
    display_name: Option<String>,
    no_password: bool,
) -> anyhow::Result<()> {
    if !no_password {
        // Nobody should have to type a password twice for a user that cannot be added.
        can_be_added(accounts, &address).await?;
    }
    let password = if no_password {
        None
    } else {
        let typed = password::ask("Password").context("use `--no-password` to add a user without one")?;
        password::tell_if_short(&typed, accounts.config.set_up.shortest_password);
        Some(password::hash(&typed, accounts.config.login.cost)?)
    };
    let mut edit = accounts.directory.edit().await?;
    let user = NewUser {
        address: address.clone(),
        password,
        password_owner: PasswordOwner::Admin,
        quota,
        display_name,
        owner: Owner::Admin,
    };
    edit.add_user(&user).await?;
    edit.commit().await?;
    accounts.record_change(&address, format!("user {address} is added")).await;
    let mut text = format!("{address} is a user now");
    let mut value = serde_json::json!({ "address": address });
    held_by_domain(accounts, &address, &mut text, &mut value).await?;
    output.done(&text, &value);
    Ok(())
}

/// Checks beforehand whether the domain is ours and the address is free.
async fn can_be_added(accounts: &Accounts, address: &Address) -> Result<(), Error> {
    if accounts.directory.domain(address.domain()).await?.is_none() {
        return Err(Error::NoDomain(address.domain().clone()));
    }
    match accounts.directory.account_now(address).await? {
        Some(known) if known.archived_at.is_some() => Err(Error::Archived(address.key())),
        Some(_) => Err(Error::Exists(address.key())),
        None => Ok(()),
    }
}

async fn set(accounts: &Accounts, output: Output, address: &Address, standing: Standing) -> anyhow::Result<()> {
    let mut edit = accounts.directory.edit().await?;
    edit.set_user(address, standing).await?;
    edit.commit().await?;
    let change = match standing {
        Standing::Enabled => format!("user {address} may log in again"),
        Standing::Disabled => format!("user {address} may no longer log in"),
    };
    accounts.record_change(address, change).await;
    let state = state(standing, None);
    let mut text = format!("{address} is {state}");
    let mut value = serde_json::json!({ "address": address, "state": state });
    if standing == Standing::Enabled {
        held_by_domain(accounts, address, &mut text, &mut value).await?;
    }
    let account = accounts.directory.account_now(address).await?;
    if account.is_some_and(|account| accounts.is_declared(account.owner)) {
        text += UNTIL_RELOAD;
        value["declared"] = true.into();
    }
    output.done(&text, &value);
    Ok(())
}

/// Adds a note if the domain's state prevents logins.
async fn held_by_domain(
    accounts: &Accounts,
    address: &Address,
    text: &mut String,
    value: &mut serde_json::Value,
) -> anyhow::Result<()> {
    let domain = accounts.directory.domain(address.domain()).await?;
    if let Some(domain) = domain.filter(|domain| !domain.is_active()) {
        let held = super::domain::state(domain.standing, domain.archived_at);
        let name = &domain.name;
        *text +=
            &format!(", but {name} is {held}: its users cannot log in or receive mail until `domain enable {name}`");
        value["domain_state"] = held.into();
    }
    Ok(())
}
