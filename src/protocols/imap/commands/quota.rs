//! Quotas (RFC 9208): one quota root for each account, named by the empty string, counting octets.

use crate::foundations::settings::ByteSize;
use crate::foundations::wire::imap::RawName;
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::serve::Conversation;
use crate::protocols::imap::state::State;

/// The one quota root.
const ROOT: &str = "";

/// The account's limit now; `None` is without limit.
pub async fn limit(talk: &Conversation) -> Result<Option<ByteSize>, Trouble> {
    let (State::Authenticated(account) | State::Selected(account, _)) = &talk.state else { return Ok(None) };
    match talk.room.needs.directory.account(&account.login.address).await {
        Ok(found) => Ok(found.and_then(|account| account.quota)),
        Err(error) => {
            log::error!(session:% = talk.session, error:% = error; "A quota could not be looked up");
            Err(Trouble::coded("UNAVAILABLE", "The server could not do that now; try again later"))
        }
    }
}

/// GETQUOTA.
pub async fn get(talk: &mut Conversation, root: &str) -> Outcome {
    if root != ROOT {
        return Err(Trouble::coded("NONEXISTENT", "There is no such quota root"));
    }
    tell(talk).await?;
    Ok(Done::new("That is the quota"))
}

/// GETQUOTAROOT.
pub async fn root(talk: &mut Conversation, name: &RawName) -> Outcome {
    let (State::Authenticated(account) | State::Selected(account, _)) = &talk.state else {
        return Err(Trouble::bad("Log in first"));
    };
    let (folder, names, user) = (account.folder(name)?, account.enabled.names(), account.user.clone());
    if let Err(error) = user.status(&folder).await {
        return Err(super::trouble(talk, &error));
    }
    talk.link.out.quota_root(folder.as_str(), names, &[ROOT]);
    tell(talk).await?;
    Ok(Done::new("That is the quota"))
}

async fn tell(talk: &mut Conversation) -> Result<(), Trouble> {
    let limit = limit(talk).await?;
    let (State::Authenticated(account) | State::Selected(account, _)) = &talk.state else { return Ok(()) };
    let usage = match account.user.usage().await {
        Ok(usage) => usage,
        Err(error) => return Err(super::trouble(talk, &error)),
    };
    match limit {
        // RFC 9208 §5.1: STORAGE counts units of 1024 octets.
        Some(limit) => {
            let storage = ("STORAGE", usage.octets.div_ceil(1024), limit.get() / 1024);
            talk.link.out.quota(ROOT, &[storage]);
        }
        None => _ = talk.link.out.quota(ROOT, &[]),
    }
    Ok(())
}
