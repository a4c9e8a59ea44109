use serde::Serialize;

use super::context::{Accounts, BY};
use super::exit::{Exit, Outcome};
use super::output::{Output, Shown};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::storage::directory::Error;

/// What an administrator does about two-factor login.
#[derive(Debug, clap::Subcommand)]
pub(super) enum TwoFactor {
    /// Whether it is on.
    Status {
        /// The user.
        address: Address,
    },
    /// Turn it off, for a user who has lost the device and the recovery codes. The password alone opens everything again,
    /// and the user can turn it on anew.
    Disable {
        /// The user.
        address: Address,
    },
}

/// What is shown of it.
#[derive(Debug, Serialize)]
struct Row {
    address: String,
    on: bool,
    since: Option<Timestamp>,
    recovery_codes: u32,
}

impl Shown for Row {
    const COLUMNS: &'static [&'static str] = &["ADDRESS", "TWO-FACTOR", "SINCE", "RECOVERY CODES LEFT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.address.clone(),
            if self.on { "on" } else { "off" }.to_owned(),
            self.since.map(|at| at.to_string()).unwrap_or_default(),
            self.recovery_codes.to_string(),
        ]
    }
}

pub(super) async fn run(accounts: Accounts, output: Output, command: TwoFactor) -> Outcome {
    match command {
        TwoFactor::Status { address } => {
            let account = accounts.directory.account_now(&address).await?.ok_or(Error::NoUser(address))?;
            let kept = accounts.directory.two_factor(account.id).await?.filter(|kept| kept.confirmed_at.is_some());
            output.one(&Row {
                address: account.address.to_string(),
                on: kept.is_some(),
                since: kept.as_ref().and_then(|kept| kept.confirmed_at),
                recovery_codes: kept.map_or(0, |kept| kept.recovery_codes),
            });
            accounts.closed().await;
            Ok(Exit::Done)
        }
        TwoFactor::Disable { address } => {
            let was_on = accounts.keyring().turn_off_two_factor(&address, BY).await?;
            let sentence = if was_on { "is off now" } else { "was off already" };
            let value = serde_json::json!({ "address": address, "was_on": was_on });
            output.done(&format!("two-factor login of {address} {sentence}"), &value);
            accounts.changed().await;
            Ok(Exit::Done)
        }
    }
}
