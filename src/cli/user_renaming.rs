use super::context::Accounts;
use super::exit::{Ended, Exit};
use super::output::Output;
use crate::config::Role;
use crate::daemon::control::{Request, RequestError, ask};
use crate::daemon::rename_user;
use crate::foundations::address::Address;
use crate::storage::directory::{Error, OldAddress, Renaming};

/// Gives a user another address, in the process that owns the mailboxes: the `access` role, or this one if that is not
/// running.
pub(super) async fn run(
    accounts: &Accounts,
    output: Output,
    [from, to]: [&Address; 2],
    old: OldAddress,
) -> anyhow::Result<()> {
    let account = accounts.directory.account_now(from).await?.ok_or_else(|| Error::NoUser(from.clone()))?;
    if accounts.is_declared(account.owner) && account.archived_at.is_none() {
        let text = format!("{from} is declared, and the next reload would create it again and archive {to}");
        return Err(Ended::with(Exit::Failed, text));
    }
    let request = Request::Rename { from: from.clone(), to: to.clone(), old };
    match ask::<()>(&accounts.config.server, Role::Access, &request).await {
        Err(RequestError::NotRunning { .. }) => {
            let renaming = Renaming { from, to, old, tag_separator: accounts.config.routing.separator() };
            rename_user(&accounts.config, &accounts.directory, &renaming).await??;
        }
        asked => asked?,
    }
    let change = format!("user {from} is {to} from now on");
    accounts.record_changes([(from.to_string(), change.clone()), (to.to_string(), change)]).await;
    let more = match old {
        OldAddress::Kept => format!("; {from} leads there"),
        OldAddress::GivenUp => String::new(),
    };
    let value = serde_json::json!({ "address": to, "was": from, "alias": old == OldAddress::Kept });
    output.done(&format!("{from} is {to} from now on{more}"), &value);
    Ok(())
}
