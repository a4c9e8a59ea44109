//! STATUS (RFC 9051 §6.3.11; RFC 7162; RFC 7889; RFC 8438; RFC 8474; RFC 9208).

use crate::foundations::wire::imap::encode::StatusValue;
use crate::foundations::wire::imap::{RawName, StatusItem};
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::serve::Conversation;
use crate::protocols::imap::state::State;
use crate::storage::mailbox::{self, FolderName};

/// Tells about a mailbox without opening it.
pub async fn run(talk: &mut Conversation, name: &RawName, items: &[StatusItem]) -> Outcome {
    // RFC 7162 §3.1: asking for it enables it.
    let enables = items.contains(&StatusItem::HighestModSeq);
    let folder = match &mut talk.state {
        State::Authenticated(account) => {
            account.enabled.condstore |= enables;
            account.folder(name)?
        }
        State::Selected(account, selected) => {
            if enables {
                account.enable_condstore(selected, &mut talk.link);
            }
            account.folder(name)?
        }
        State::NotAuthenticated { .. } | State::Logout => return Err(Trouble::bad("Log in first")),
    };
    match tell(talk, &folder, items).await {
        Ok(()) => Ok(Done::new("That is the status")),
        Err(error) => Err(super::trouble(talk, &error)),
    }
}

/// Writes the STATUS response.
pub async fn tell(talk: &mut Conversation, folder: &FolderName, items: &[StatusItem]) -> Result<(), mailbox::Error> {
    let Some(account) = talk.state.account() else { return Ok(()) };
    // RFC 9051 §6.3.11: of the selected mailbox too, what is told is what is there now.
    let status = account.user.status(folder).await?;
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        let value = match item {
            StatusItem::AppendLimit => talk.settings.append_limit.get(),
            StatusItem::Deleted => status.deleted.into(),
            StatusItem::DeletedStorage => status.deleted_octets,
            StatusItem::HighestModSeq => status.highest_mod_seq.get(),
            StatusItem::MailboxId => match status.mailbox_id {
                Some(id) => id.get(),
                None => continue,
            },
            StatusItem::Messages => status.messages.into(),
            StatusItem::Recent => status.recent.into(),
            StatusItem::Size => status.size,
            StatusItem::UidNext => status.uid_next.get().into(),
            StatusItem::UidValidity => status.uid_validity.get().into(),
            StatusItem::Unseen => status.unseen.into(),
        };
        if values.iter().all(|StatusValue(known, _)| known != item) {
            values.push(StatusValue(*item, value));
        }
    }
    let names = account.enabled.names();
    talk.link.out.status(folder.as_str(), names, &values);
    Ok(())
}
