//! Quotas (RFC 9208): one quota root for each account that has a limit, named by the empty string, counting octets.

use crate::foundations::settings::ByteSize;
use crate::foundations::wire::imap::RawName;
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::serve::Conversation;
use crate::storage::mailbox::UsageLimits;

/// The one quota root.
const ROOT: &str = "";

/// The account's limit now; `None` is without limit.
pub async fn limit(talk: &Conversation) -> Result<Option<ByteSize>, Trouble> {
    let Some(account) = talk.state.account() else { return Ok(None) };
    match talk.room.needs.directory.account(&account.login.address).await {
        Ok(found) => Ok(found.and_then(|account| account.quota)),
        Err(error) => {
            log::error!(session:% = talk.session, error:% = error; "A quota could not be looked up");
            Err(Trouble::coded("UNAVAILABLE", "The server could not do that now; try again later"))
        }
    }
}

/// The limits that hold now: an account may have a quota, and its mailbox a `maildirsize` of its own. `None` where nothing is
/// limited.
async fn limits(talk: &Conversation) -> Result<Option<UsageLimits>, Trouble> {
    let quota = limit(talk).await?.map(ByteSize::get);
    let Some(account) = talk.state.account() else { return Ok(None) };
    let own = account.user.own_limits();
    let limits = UsageLimits { octets: [quota, own.octets].into_iter().flatten().min(), ..own };
    Ok(Some(limits).filter(|limits| *limits != UsageLimits::default()))
}

/// GETQUOTA.
pub async fn get(talk: &mut Conversation, root: &str) -> Outcome {
    let Some(limits) = limits(talk).await?.filter(|_| root == ROOT) else {
        return Err(Trouble::coded("NONEXISTENT", "There is no such quota root"));
    };
    tell(talk, limits).await
}

/// GETQUOTAROOT.
pub async fn root(talk: &mut Conversation, name: &RawName) -> Outcome {
    let account = talk.state.logged_in()?;
    let (folder, names, user) = (account.folder(name)?, account.enabled.names(), account.user.clone());
    if let Err(error) = user.status(&folder).await {
        return Err(super::trouble(talk, &error));
    }
    match limits(talk).await? {
        Some(limits) => {
            talk.link.out.quota_root(folder.as_str(), names, &[ROOT]);
            tell(talk, limits).await
        }
        // RFC 9208 §7: a root has at least one resource, and Thunderbird 153 hangs up when it has none.
        None => {
            talk.link.out.quota_root(folder.as_str(), names, &[]);
            Ok(Done::new("There is no quota"))
        }
    }
}

async fn tell(talk: &mut Conversation, limits: UsageLimits) -> Outcome {
    let account = talk.state.logged_in()?;
    let usage = match account.user.usage().await {
        Ok(usage) => usage,
        Err(error) => return Err(super::trouble(talk, &error)),
    };
    // RFC 9208 §5.1: STORAGE counts units of 1024 octets.
    let storage = limits.octets.map(|most| ("STORAGE", usage.octets.div_ceil(1024), most / 1024));
    let messages = limits.messages.map(|most| ("MESSAGE", usage.messages, most));
    let resources: Vec<_> = storage.into_iter().chain(messages).collect();
    talk.link.out.quota(ROOT, &resources);
    Ok(Done::new("That is the quota"))
}
