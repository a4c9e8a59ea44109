use anyhow::bail;
use serde::Serialize;

use super::context::Accounts;
use super::exit::{Exit, Outcome};
use super::output::{Output, Shown};
use crate::config::{Config, Protocol};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::net::Bind;
use crate::foundations::settings::Span;
use crate::services::set_up::{Error, PATH, Token, invite};
use crate::storage::directory::Page;

/// A link, for output; it is shown only once.
#[derive(Debug, Serialize)]
struct Row {
    address: String,
    link: String,
    ends_at: Timestamp,
}

impl Shown for Row {
    const COLUMNS: &'static [&'static str] = &["ADDRESS", "LINK", "GOOD UNTIL"];

    fn cells(&self) -> Vec<String> {
        vec![self.address.clone(), self.link.clone(), self.ends_at.to_string()]
    }
}

/// Creates one link, or one for each user without a password.
pub(super) async fn run(accounts: Accounts, output: Output, address: Option<Address>, valid: Option<Span>) -> Outcome {
    let site = site(&accounts.config)?;
    let valid = valid.unwrap_or(accounts.config.set_up.valid).duration();
    let made = |address: &Address| (address.to_string(), format!("{address} may choose a password through a link"));
    let row = |address: &Address, (token, ends_at): (Token, Timestamp)| Row {
        address: address.to_string(),
        link: format!("{site}{PATH}{}", token.expose()),
        ends_at,
    };
    match address {
        Some(address) => {
            let account = accounts.directory.account_now(&address).await?;
            if account.is_some_and(|account| !account.may_log_in()) {
                bail!("{address} is disabled; run `postrider user enable {address}` first");
            }
            let link = invite(&accounts.directory, &address, valid).await?;
            accounts.record_changes([made(&address)]).await;
            output.one(&row(&address, link));
        }
        None => {
            let mut rows = Vec::new();
            for address in without_password(&accounts).await? {
                rows.push(row(&address, invite(&accounts.directory, &address, valid).await?));
                accounts.record_changes([made(&address)]).await;
            }
            output.list(&rows);
        }
    }
    accounts.closed().await;
    Ok(Exit::Done)
}

async fn without_password(accounts: &Accounts) -> anyhow::Result<Vec<Address>> {
    let (mut found, mut page) = (Vec::new(), Page::default());
    loop {
        let users = accounts.directory.accounts(&page).await?;
        let Some(last) = users.last() else { return Ok(found) };
        page.after = Some(last.address.key());
        found.extend(
            users.into_iter().filter(|user| user.may_log_in() && !user.has_password()).map(|user| user.address),
        );
    }
}

/// The URL of the page, without the final slash.
fn site(config: &Config) -> Result<String, Error> {
    if let Some(address) = &config.set_up.address {
        return Ok(address.trim_end_matches('/').to_owned());
    }
    let listener = config.listener.iter().find(|listener| listener.protocol == Protocol::Https);
    let port = listener.ok_or(Error::NoPage)?.bind.iter().find_map(|bind| match bind {
        Bind::Tcp(address) => Some(address.port()),
        Bind::Unix(_) | Bind::Systemd(_) => None,
    });
    Ok(match port {
        Some(443) | None => format!("https://{}", config.hostname),
        Some(port) => format!("https://{}:{port}", config.hostname),
    })
}
