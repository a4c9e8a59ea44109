//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 §6.3.4 to §6.3.8; RFC 6154 §3).

use std::sync::Arc;

use super::{expunge, trouble};
use crate::foundations::wire::imap::encode::{Code, Condition};
use crate::foundations::wire::imap::{RawName, SpecialUse};
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::serve::Conversation;
use crate::protocols::imap::state::State;
use crate::storage::mailbox::{FolderName, News, Subscription, User};

/// Makes a mailbox.
pub async fn create(talk: &mut Conversation, name: &RawName, uses: &[Option<SpecialUse>]) -> Outcome {
    // RFC 9051 §6.3.4: a separator at the end says that names below it will follow; it is not part of the name.
    let name = RawName::from(name.as_str().strip_suffix(FolderName::SEPARATOR).unwrap_or(name.as_str()));
    let (folder, user) = target(talk, &name)?;
    for special in uses {
        // RFC 6154 §3: special uses belong to the folders that the administrator has named for them.
        let fixed = special.and_then(stored_use).and_then(|special| user.special(special));
        if fixed.as_ref() != Some(&folder) {
            let why = match special {
                Some(_) => "This special use belongs to another mailbox",
                None => "This special use is not supported",
            };
            return Err(Trouble::coded("USEATTR", why));
        }
    }
    let created = user.create(&folder).await;
    talk.note_own(|| News::Created(folder));
    match created {
        // RFC 8474 §4.1.
        Ok(Some(id)) => Ok(Done::with(Code::MailboxId(id), "Created")),
        Ok(None) => Ok(Done::new("Created")),
        Err(error) => Err(trouble(talk, &error)),
    }
}

/// Removes a mailbox.
pub async fn delete(talk: &mut Conversation, name: &RawName) -> Outcome {
    let (folder, user) = target(talk, name)?;
    let deleted = user.delete(&folder).await;
    if let Ok(gone) = &deleted {
        expunge::record_in(talk, &folder, gone);
        leave(talk, |selected| *selected == folder);
    }
    talk.note_own(|| News::Deleted(folder));
    match deleted {
        Ok(_) => Ok(Done::new("Deleted")),
        Err(error) => Err(trouble(talk, &error)),
    }
}

/// Renames a mailbox and those below it.
pub async fn rename(talk: &mut Conversation, from: &RawName, to: &RawName) -> Outcome {
    let (from, user) = target(talk, from)?;
    let (to, _) = target(talk, to)?;
    let renamed = user.rename(&from, &to).await;
    if renamed.is_ok() && !from.is_inbox() {
        leave(talk, |selected| *selected == from || selected.is_below(&from));
    }
    // A renamed inbox stays; its new name is a new mailbox.
    talk.note_own(|| if from.is_inbox() { News::Created(to) } else { News::Renamed { from, to } });
    match renamed {
        Ok(()) => Ok(Done::new("Renamed")),
        Err(error) => Err(trouble(talk, &error)),
    }
}

/// Adds to the subscribed names or removes from them.
pub async fn subscribe(talk: &mut Conversation, name: &RawName, subscription: Subscription) -> Outcome {
    let (folder, user) = target(talk, name)?;
    let subscribed = user.subscribe(&folder, subscription).await;
    talk.note_own(|| News::Subscription(folder));
    match subscribed {
        Ok(()) => Ok(Done::new(match subscription {
            Subscription::On => "Subscribed",
            Subscription::Off => "Unsubscribed",
        })),
        Err(error) => Err(trouble(talk, &error)),
    }
}

fn target(talk: &Conversation, name: &RawName) -> Result<(FolderName, Arc<User>), Trouble> {
    let account = talk.state.logged_in()?;
    Ok((account.folder(name)?, Arc::clone(&account.user)))
}

/// Leaves the selected mailbox if it is one that has gone, so that the session survives what it has done itself.
fn leave(talk: &mut Conversation, has_gone: impl FnOnce(&FolderName) -> bool) {
    let is_selected = match &talk.state {
        State::Selected(_, selected) => has_gone(selected.view.folder()),
        _ => false,
    };
    if is_selected {
        talk.unselect();
        talk.link.out.untagged(Condition::Ok, Some(&Code::Word("CLOSED")), "The mailbox is closed");
    }
}

/// The store's word for a special use; `None` for those it does not keep.
const fn stored_use(special: SpecialUse) -> Option<crate::storage::mailbox::SpecialUse> {
    use crate::storage::mailbox::SpecialUse as Stored;
    match special {
        SpecialUse::Archive => Some(Stored::Archive),
        SpecialUse::Drafts => Some(Stored::Drafts),
        SpecialUse::Junk => Some(Stored::Junk),
        SpecialUse::Sent => Some(Stored::Sent),
        SpecialUse::Trash => Some(Stored::Trash),
        SpecialUse::All | SpecialUse::Flagged | SpecialUse::Important => None,
    }
}
