//! COPY and MOVE (RFC 9051 §6.4.7, §6.4.8; RFC 4315; RFC 6851).

use super::{quota, trouble_into};
use crate::foundations::mail::{SequenceSet, Uid};
use crate::foundations::wire::imap::encode::{Code, Condition};
use crate::foundations::wire::imap::{Messages, RawName};
use crate::protocols::imap::command_table::Expunges;
use crate::protocols::imap::outcome::{Done, Outcome};
use crate::protocols::imap::serve::Conversation;
use crate::protocols::imap::state::State;
use crate::storage::mailbox::{Copied, FolderName, Missing};

/// Copies messages to the end of a mailbox.
pub async fn copy(talk: &mut Conversation, messages: &Messages, to: &RawName) -> Outcome {
    let quota = quota::limit(talk).await?;
    let (account, selected) = talk.state.selected()?;
    let to = account.folder(to)?;
    let uids = selected.uids(messages)?;
    if uids.is_empty() {
        return Ok(Done::new("There was nothing to copy"));
    }
    match selected.view.copy(&uids, &to, Missing::Fail, quota).await {
        Ok(copied) => {
            teach(talk, &to, &copied);
            Ok(match copy_uid(&copied) {
                Some(code) => Done::with(code, "Copied"),
                None => Done::with(Code::Word("EXPUNGEISSUED"), "The messages are gone already"),
            })
        }
        Err(error) => Err(trouble_into(talk, &to, &error)),
    }
}

/// Moves messages to the end of a mailbox.
pub async fn move_to(talk: &mut Conversation, messages: &Messages, to: &RawName) -> Outcome {
    let (account, selected) = talk.state.selected_mut()?;
    selected.demand_write()?;
    let to = account.folder(to)?;
    let uids = selected.uids(messages)?;
    if uids.is_empty() {
        return Ok(Done::new("There was nothing to move"));
    }
    let copied = match selected.view.move_to(&uids, &to, Missing::Fail).await {
        Ok(copied) => copied,
        Err(error) => return Err(trouble_into(talk, &to, &error)),
    };
    teach(talk, &to, &copied);
    let (account, selected) = talk.state.selected_mut()?;
    // RFC 6851 §4.3: COPYUID comes untagged, before the EXPUNGEs.
    let mut text = "The messages are gone already";
    if let Some(code) = copy_uid(&copied) {
        text = "Moved";
        talk.link.out.untagged(Condition::Ok, Some(&code), text);
    }
    selected.tell_updates(account, Expunges::Tell, &mut talk.link).await?;
    if account.enabled.qresync {
        return Ok(Done::with(Code::HighestModSeq(selected.told()), text));
    }
    Ok(Done::new(text))
}

/// Lets the filter learn from where the user has put messages.
fn teach(talk: &Conversation, to: &FolderName, copied: &Copied) {
    if let (Some(lessons), State::Selected(account, selected)) = (&talk.room.needs.lessons, &talk.state) {
        let uids = copied.uids.iter().map(|(_, uid)| *uid).collect();
        lessons.moved(&account.user, selected.view.folder(), to, uids);
    }
}

/// RFC 4315 §3: no COPYUID when nothing was copied.
fn copy_uid(copied: &Copied) -> Option<Code> {
    if copied.uids.is_empty() {
        return None;
    }
    let from: SequenceSet<Uid> = copied.uids.iter().map(|(from, _)| *from).collect();
    let to: SequenceSet<Uid> = copied.uids.iter().map(|(_, to)| *to).collect();
    Some(Code::CopyUid(copied.uid_validity, from, to))
}
