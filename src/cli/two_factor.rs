use serde::Serialize;

use super::context::{Accounts, BY};
use super::exit::{Exit, Outcome};
use super::output::{Output, Shown};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::counted::counted;
use crate::storage::directory::{Error, RememberedBrowser};

/// Managing a user's two-factor login.
#[derive(Debug, clap::Subcommand)]
pub(super) enum TwoFactor {
    /// Show whether two-factor login is on for a user, since when, and how many recovery codes are left.
    Status {
        /// The user's address.
        address: Address,
    },
    /// List a user's browsers that need no code for some time (`login.two_factor_remember`).
    Browsers {
        /// The user's address.
        address: Address,
    },
    /// Ask for a code again in all of a user's browsers, or in one of them.
    Forget {
        /// The user's address.
        address: Address,
        /// The browser's name, as `browsers` shows it; by default, all are forgotten.
        id: Option<String>,
    },
    /// Turn it off, for a user who has lost the device and the recovery codes. The password alone is then sufficient again,
    /// and the user can turn it back on.
    Disable {
        /// The user's address.
        address: Address,
    },
}

/// Its state, for output.
#[derive(Debug, Serialize)]
struct Row {
    address: String,
    on: bool,
    since: Option<Timestamp>,
    recovery_codes: u32,
    browsers: usize,
}

impl Shown for Row {
    const COLUMNS: &'static [&'static str] =
        &["ADDRESS", "TWO-FACTOR", "SINCE", "RECOVERY CODES LEFT", "REMEMBERED BROWSERS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.address.clone(),
            if self.on { "on" } else { "off" }.to_owned(),
            self.since.map(|at| at.to_string()).unwrap_or_default(),
            self.recovery_codes.to_string(),
            self.browsers.to_string(),
        ]
    }
}

/// A browser that needs no code.
#[derive(Debug, Serialize)]
struct Browser {
    id: String,
    made_at: Timestamp,
    ends_at: Timestamp,
    used_at: Timestamp,
    client: String,
    browser: String,
}

impl Shown for Browser {
    const COLUMNS: &'static [&'static str] = &["ID", "SINCE", "UNTIL", "LAST USED", "FROM", "BROWSER"];

    fn cells(&self) -> Vec<String> {
        let times = [self.made_at, self.ends_at, self.used_at].map(|at| at.to_string());
        let mut cells = vec![self.id.clone()];
        cells.extend(times);
        cells.extend([self.client.clone(), self.browser.clone()]);
        cells
    }
}

pub(super) async fn run(accounts: Accounts, output: Output, command: TwoFactor) -> Outcome {
    match command {
        TwoFactor::Status { address } => {
            let account = accounts.directory.account_now(&address).await?.ok_or(Error::NoUser(address))?;
            let kept = accounts.directory.two_factor(account.id).await?.filter(|kept| kept.confirmed_at.is_some());
            let browsers = accounts.keyring().browsers(&account, &accounts.config.login).await?;
            output.one(&Row {
                address: account.address.to_string(),
                on: kept.is_some(),
                since: kept.as_ref().and_then(|kept| kept.confirmed_at),
                recovery_codes: kept.map_or(0, |kept| kept.recovery_codes),
                browsers: browsers.len(),
            });
            accounts.closed().await;
            Ok(Exit::Done)
        }
        TwoFactor::Browsers { address } => {
            let account = accounts.directory.account_now(&address).await?.ok_or(Error::NoUser(address))?;
            let time = accounts.config.login.two_factor_remember.duration();
            let shown = |one: RememberedBrowser| {
                let RememberedBrowser { id, made_at, used_at, client, browser, .. } = one;
                Browser { id, made_at, ends_at: made_at + time, used_at, client, browser }
            };
            let browsers = accounts.keyring().browsers(&account, &accounts.config.login).await?;
            let browsers: Vec<Browser> = browsers.into_iter().map(shown).collect();
            output.list_or(&browsers, &format!("no browser is remembered for {}", account.address));
            accounts.closed().await;
            Ok(Exit::Done)
        }
        TwoFactor::Forget { address, id } => {
            let forgotten = accounts.keyring().forget_browsers(&address, id.as_deref(), BY).await?;
            if let Some(id) = id.filter(|_| forgotten == 0) {
                return Err(Error::NoBrowser(id).into());
            }
            let browsers = counted(forgotten, "browser");
            let sentence = format!("{browsers} of {address} will be asked for a code again");
            output.done(&sentence, &serde_json::json!({ "address": address, "forgotten": forgotten }));
            accounts.closed().await;
            Ok(Exit::Done)
        }
        TwoFactor::Disable { address } => {
            let was_on = accounts.keyring().turn_off_two_factor(&address, BY).await?;
            let sentence = if was_on { "is now off" } else { "was already off" };
            let value = serde_json::json!({ "address": address, "was_on": was_on });
            output.done(&format!("two-factor login of {address} {sentence}"), &value);
            accounts.changed().await;
            Ok(Exit::Done)
        }
    }
}
