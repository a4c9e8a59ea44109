use clap::Subcommand;

use super::context::{Context, tend_mailboxes};
use super::exit::{Exit, Outcome};
use crate::daemon::control::MailboxCommand;
use crate::foundations::address::Address;
use crate::foundations::counted::counted;
use crate::storage::directory::Error;

/// Exports for other servers.
#[derive(Debug, Clone, Subcommand)]
pub enum Export {
    /// Write Dovecot's UID lists into mailboxes, so that Dovecot can serve them in place and clients need not download
    /// anything again. Stop this server before starting Dovecot.
    Dovecot {
        /// The users; all of them by default.
        #[arg(value_name = "ADDRESS")]
        users: Vec<Address>,
    },
}

pub(super) async fn run(command: Export, context: &Context) -> Outcome {
    let Export::Dovecot { users } = command;
    let accounts = context.accounts().await?;
    let users = if users.is_empty() {
        accounts.directory.everything().await?.accounts.into_iter().map(|account| account.address).collect()
    } else {
        for user in &users {
            accounts.directory.account_now(user).await?.ok_or_else(|| Error::NoUser(user.clone()))?;
        }
        users
    };
    for user in &users {
        tend_mailboxes(&accounts.config, user, MailboxCommand::WriteUidlists).await?;
    }
    let said = format!("Dovecot's UID lists are in the mailboxes of {}", counted(users.len(), "user"));
    context.output.done(&said, &serde_json::json!({ "users": users }));
    Ok(Exit::Done)
}
