//! EXPUNGE, UID EXPUNGE, CLOSE (RFC 9051 §6.4.1, §6.4.3, §6.4.9; RFC 7162 §3.2.7).

use super::trouble;
use crate::foundations::mail::{SequenceSet, Uid};
use crate::foundations::wire::imap::encode::{Code, Condition};
use crate::foundations::wire::imap::{Numbers, UidSet};
use crate::protocols::imap::account::Account;
use crate::protocols::imap::command_table::Expunges;
use crate::protocols::imap::outcome::{Done, Outcome};
use crate::protocols::imap::selected::Selected;
use crate::protocols::imap::serve::Conversation;
use crate::protocols::imap::state::State;
use crate::services::trace::expunged;
use crate::storage::mailbox::{Access, Flags, FolderName, Row, Unfinished};

/// Removes the messages with `\Deleted`, or of those only the named ones.
pub async fn run(talk: &mut Conversation, uids: Option<UidSet>) -> Outcome {
    let (_, selected) = talk.state.selected()?;
    selected.demand_write()?;
    let among: Option<SequenceSet<Uid>> = match uids {
        None => None,
        Some(Numbers::Set(set)) => Some(set),
        Some(Numbers::Saved) => Some(selected.saved.clone()),
    };
    match selected.view.expunge(among.as_ref()).await {
        Ok(uids) => record(talk, &uids),
        Err(Unfinished { gone, error }) => {
            record(talk, &gone);
            return Err(trouble(talk, &error));
        }
    }
    let (account, selected) = talk.state.selected_mut()?;
    selected.tell_updates(account, Expunges::Tell, &mut talk.link).await?;
    Ok(done(account, selected, "Expunged"))
}

/// Removes the messages with `\Deleted` without telling which, and leaves the mailbox.
///
/// RFC 7162 §3.2.8: the client assumes that what it has seen marked is gone. So it is first told which marks others
/// have set and removed; RFC 9051 §6.4.1 forbids only EXPUNGE.
pub async fn close(talk: &mut Conversation) -> Outcome {
    let (account, selected) = talk.state.selected_mut()?;
    let next = selected.view.uid_next();
    selected.tell_last_flags(account, |row| row.uid < next, &mut talk.link).await?;
    let mut expunged = Vec::new();
    if selected.view.access() == Access::ReadWrite && !selected.is_gone() {
        match selected.view.expunge(None).await {
            Ok(uids) => {
                record(talk, &uids);
                expunged = uids;
            }
            // The mailbox is left all the same: RFC 9051 §6.4.1 knows no NO.
            Err(Unfinished { gone, error }) => {
                record(talk, &gone);
                drop(trouble(talk, &error));
                let text = "Some messages marked as deleted could not be removed";
                talk.link.out.untagged(Condition::No, None, text);
                expunged = gone;
            }
        }
    }
    let (account, selected) = talk.state.selected_mut()?;
    // A message that was marked only now stays, and the mark is told later.
    let stays = |row: &Row| row.uid < next && !row.flags.contains(Flags::DELETED);
    selected.tell_last_flags(account, stays, &mut talk.link).await?;
    selected.close(&expunged);
    let closed = done(account, selected, "Closed");
    talk.unselect();
    Ok(closed)
}

/// What a client removes for good leaves a trace.
pub(super) fn record(talk: &Conversation, uids: &[Uid]) {
    if let State::Selected(_, selected) = &talk.state {
        record_in(talk, selected.view.folder(), uids);
    }
}

/// The same for any mailbox.
pub(super) fn record_in(talk: &Conversation, folder: &FolderName, uids: &[Uid]) {
    let (State::Authenticated(account) | State::Selected(account, _)) = &talk.state else { return };
    if uids.is_empty() {
        return;
    }
    let now = talk.room.needs.clock.now();
    let event = expunged(now, &account.login.address.to_string(), folder.as_str(), uids);
    talk.room.needs.journal.record(event.session(talk.session));
}

/// RFC 7162 §3.2.7: a client with QRESYNC is told up to which modification sequence it knows everything.
pub(super) fn done(account: &Account, selected: &Selected, text: &'static str) -> Done {
    if account.enabled.qresync { Done::with(Code::HighestModSeq(selected.told()), text) } else { Done::new(text) }
}
