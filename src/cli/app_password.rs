use serde::Serialize;

use super::context::{Accounts, BY};
use super::exit::{Exit, Outcome};
use super::moment::span;
use super::output::{Output, Shown};
use crate::foundations::address::Address;
use crate::foundations::clock::{Clock as _, SystemClock, Timestamp};
use crate::foundations::settings::Span;
use crate::services::login::AppPasswordWish;
use crate::storage::directory::{AppPassword, Error, Scopes};

/// Managing a user's app passwords.
#[derive(Debug, clap::Subcommand)]
pub(super) enum AppPasswords {
    /// Create an app password and print it. It is shown only once.
    Add {
        /// The user's address.
        address: Address,
        /// A name for it, such as that of the device.
        name: String,
        /// What it gives access to: `all`, or a comma-separated list of mail (IMAP and POP3), sending, scripts (ManageSieve) and dav.
        #[arg(long, alias = "for", value_name = "WHAT", default_value = "all", value_parser = scopes)]
        scopes: Scopes,
        /// How long it is valid, such as 12h, 90d or 52w; without this it does not expire.
        #[arg(long, value_name = "SPAN", value_parser = span)]
        valid: Option<Span>,
    },
    /// List a user's app passwords.
    List {
        /// The user's address.
        address: Address,
    },
    /// Revoke an app password. Sessions that were opened with it end.
    Revoke {
        /// The user's address.
        address: Address,
        /// Its name or number, as `list` shows them.
        name: String,
    },
}

fn scopes(text: &str) -> Result<Scopes, &'static str> {
    Scopes::parse(text).ok_or("expected `all`, or a comma-separated list of mail, sending, scripts and dav")
}

/// An app password, for output.
#[derive(Debug, Serialize)]
struct Row {
    id: i64,
    name: String,
    scopes: Vec<&'static str>,
    made_at: Timestamp,
    ends_at: Option<Timestamp>,
    used_at: Option<Timestamp>,
    used_from: Option<String>,
}

impl From<AppPassword> for Row {
    fn from(one: AppPassword) -> Self {
        let scopes = one.scopes.words().collect();
        let AppPassword { id, name, made_at, ends_at, used_at, used_from, .. } = one;
        Self { id, name, scopes, made_at, ends_at, used_at, used_from }
    }
}

impl Shown for Row {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "FOR", "MADE", "GOOD UNTIL", "LAST USED", "FROM"];

    fn cells(&self) -> Vec<String> {
        let shown = |at: Option<Timestamp>, none: &str| at.map_or_else(|| none.to_owned(), |at| at.to_string());
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.scopes.join(","),
            self.made_at.to_string(),
            shown(self.ends_at, "it is revoked"),
            shown(self.used_at, "never"),
            self.used_from.clone().unwrap_or_default(),
        ]
    }
}

/// A newly created app password.
#[derive(Debug, Serialize)]
struct AppPasswordShown {
    id: i64,
    name: String,
    password: String,
    ends_at: Option<Timestamp>,
}

pub(super) async fn run(accounts: Accounts, output: Output, command: AppPasswords) -> Outcome {
    match command {
        AppPasswords::Add { address, name, scopes, valid } => {
            let ends_at = valid.map(|valid| SystemClock.now() + valid.duration());
            let most = accounts.config.login.app_passwords;
            let wish = AppPasswordWish { name, scopes, ends_at };
            let made = accounts.keyring().add(&address, wish, most, BY).await?;
            let (id, name, ends_at) = (made.id, made.name, made.ends_at);
            let made = AppPasswordShown { id, name, password: made.password.expose().clone(), ends_at };
            output.done(&made.password, &made);
        }
        AppPasswords::List { address } => {
            let account = accounts.directory.account_now(&address).await?.ok_or(Error::NoUser(address))?;
            let all = accounts.directory.app_passwords(account.id).await?;
            let rows: Vec<Row> = all.into_iter().map(Row::from).collect();
            output.list_or(&rows, &format!("{} has no app passwords", account.address));
            accounts.closed().await;
            return Ok(Exit::Done);
        }
        AppPasswords::Revoke { address, name } => {
            let gone = accounts.keyring().revoke(&address, &name, BY).await?;
            let value = serde_json::json!({ "address": address, "id": gone.id, "name": gone.name });
            output.done(&format!("the app password `{}` of {address} is revoked", gone.name), &value);
        }
    }
    accounts.changed().await;
    Ok(Exit::Done)
}
