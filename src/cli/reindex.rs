use super::context::{Context, tend_mailboxes};
use super::exit::{Exit, Outcome};
use crate::daemon::control::MailboxCommand;
use crate::foundations::address::Address;
use crate::storage::directory::Error;

/// Rebuilds the indexes of a user's mailboxes from the directories.
pub(super) async fn run(user: Address, context: &Context) -> Outcome {
    let accounts = context.accounts().await?;
    accounts.directory.account_now(&user).await?.ok_or_else(|| Error::NoUser(user.clone()))?;
    tend_mailboxes(&accounts.config, &user, MailboxCommand::Reindex).await?;
    context.output.done(&format!("The indexes of {user} were rebuilt"), &serde_json::json!({ "user": user }));
    Ok(Exit::Done)
}
