//! APPEND (RFC 9051 §6.3.12; RFC 3502; RFC 4315; RFC 4469) and REPLACE (RFC 8508).

mod binary;
mod catenate;

use std::sync::Arc;

use super::{expunge, quota, trouble, trouble_into};
use crate::foundations::mail::{Message, SequenceSet, Uid};
use crate::foundations::settings::ByteSize;
use crate::foundations::wire::imap::encode::{Code, Condition};
use crate::foundations::wire::imap::{Append, Appended, Flag, MessageData, Messages, Numbers, Replace};
use crate::protocols::imap::command_table::Expunges;
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::selected::Selected;
use crate::protocols::imap::serve::Conversation;
use crate::services::search::system_flag;
use crate::storage::mailbox::{self, Access, AppendOptions, Flags, FolderName, Keyword, Missing, Unfinished, User};

/// How much space a message may take.
#[derive(Debug, Clone, Copy)]
struct Space {
    /// The account's quota.
    quota: Option<ByteSize>,
    /// The size of the message that goes when this one is stored, and makes room for it.
    in_place_of: Option<u64>,
}

/// Stores messages: all of them or none (RFC 3502 §3).
pub async fn run(talk: &mut Conversation, append: Append) -> Outcome {
    let quota = quota::limit(talk).await?;
    let account = talk.state.logged_in()?;
    let folder = account.folder(&append.mailbox)?;
    let user = account.user.clone();
    let sent = append.messages.iter().map(|message| message.data.sent()).sum();
    let space = Space { quota, in_place_of: None };
    let mut uids = SequenceSet::new();
    let mut uid_validity = None;
    for message in append.messages {
        match store(talk, &user, &folder, message, sent, space).await {
            Ok(appended) => {
                uids.insert(appended.uid);
                uid_validity = Some(appended.uid_validity);
            }
            Err(trouble) => {
                undo(talk, &folder, &uids).await;
                return Err(trouble);
            }
        }
    }
    match uid_validity {
        Some(uid_validity) => Ok(Done::with(Code::AppendUid(uid_validity, uids), "Stored")),
        None => Err(Trouble::bad("A message is required")),
    }
}

/// REPLACE (RFC 8508): stores a message, and only then removes another from the selected mailbox.
pub async fn replace(talk: &mut Conversation, replace: Replace) -> Outcome {
    let quota = quota::limit(talk).await?;
    let (account, selected) = talk.state.selected()?;
    selected.demand_write()?;
    let folder = account.folder(&replace.mailbox)?;
    let rows: Vec<_> = selected.rows(&replace.messages)?.map(|(_, row)| row).take(2).collect();
    let [replaced] = rows[..] else {
        return Err(match rows.is_empty() && was_there(selected, &replace.messages) {
            true => Trouble::coded("EXPUNGEISSUED", "That message has been removed; nothing is stored"),
            false => Trouble::no("Name one existing message"),
        });
    };
    let space = Space { quota, in_place_of: Some(replaced.size) };
    let (user, replaced) = (account.user.clone(), replaced.uid);
    let sent = replace.message.data.sent();
    let appended = store(talk, &user, &folder, replace.message, sent, space).await?;
    let uids: SequenceSet<Uid> = [appended.uid].into_iter().collect();
    let (_, selected) = talk.state.selected()?;
    match selected.view.remove(&[replaced]).await {
        // Somebody else has replaced or expunged it meanwhile, and what they did stays.
        Ok(removed) if removed.is_empty() => {
            undo(talk, &folder, &uids).await;
            return Err(Trouble::coded("EXPUNGEISSUED", "Another session has removed that message; nothing is stored"));
        }
        Ok(removed) => expunge::record(talk, &removed),
        Err(Unfinished { gone, error }) => {
            expunge::record(talk, &gone);
            // RFC 8508 §3.1: all of it or nothing. What has gone, though its going may not be on disk, does not come back
            // any more, and then the new message is all there is.
            if selected.view.body(replaced).await.is_ok() {
                undo(talk, &folder, &uids).await;
            }
            return Err(trouble(talk, &error));
        }
    }
    let (account, selected) = talk.state.selected_mut()?;
    // RFC 8508 §3.3: APPENDUID comes untagged, before the EXPUNGE.
    let code = Code::AppendUid(appended.uid_validity, uids);
    talk.link.out.untagged(Condition::Ok, Some(&code), "The new message is stored");
    selected.tell_updates(account, Expunges::Tell, &mut talk.link).await?;
    Ok(expunge::done(account, selected, "Replaced"))
}

/// Whether the client may have seen the message it names: then an expunge is why it is missing (RFC 5530 §3).
fn was_there(selected: &Selected, messages: &Messages) -> bool {
    match messages {
        Messages::Uid(Numbers::Set(set)) => set.highest().is_some_and(|uid| uid < selected.view.uid_next()),
        Messages::Uid(Numbers::Saved) | Messages::Sequence(Numbers::Saved) => !selected.saved.is_empty(),
        Messages::Sequence(Numbers::Set(_)) => false,
    }
}

/// TRYCREATE comes before BADURL: a client that creates the mailbox sends the command again.
async fn demand_folder(talk: &Conversation, user: &Arc<User>, folder: &FolderName) -> Result<(), Trouble> {
    user.status(folder).await.map(|_| ()).map_err(|error| trouble_into(talk, folder, &error))
}

/// Stores one message of a command, which has sent so many octets of messages in all.
async fn store(
    talk: &mut Conversation,
    user: &Arc<User>,
    folder: &FolderName,
    message: Appended,
    sent: usize,
    Space { quota, in_place_of }: Space,
) -> Result<mailbox::Appended, Trouble> {
    let (flags, keywords) = split_flags(&message.flags)?;
    let bytes = match message.data {
        MessageData::Literal(bytes) => bytes,
        MessageData::Catenate(parts) => {
            demand_folder(talk, user, folder).await?;
            Box::pin(catenate::assemble(talk, &parts, sent)).await?
        }
    };
    if bytes.is_empty() {
        // RFC 3502 §3: a message of no octets cancels the command.
        return Err(Trouble::no("A message has at least one octet"));
    }
    let internal_date = message.date;
    let options = AppendOptions { flags, keywords, internal_date, quota, missing: Missing::Fail, in_place_of };
    let stored = user.append(folder, &Message::new(binary::without_nul(bytes)), options).await;
    stored.map_err(|error| trouble_into(talk, folder, &error))
}

/// Takes back what the failed command has stored already.
async fn undo(talk: &Conversation, folder: &FolderName, uids: &SequenceSet<Uid>) {
    if uids.is_empty() {
        return;
    }
    let Some(account) = talk.state.account() else { return };
    let removed = async {
        let view = account.user.open(folder, Access::ReadWrite).await?;
        view.remove(&uids.iter(uids.highest()).collect::<Vec<_>>()).await
    };
    if let Err(error) = removed.await {
        // The client is told that its command failed; some of its messages are there nevertheless.
        let _ = trouble(talk, &error.error);
    }
}

/// Flags as the store has them. Keywords that it cannot hold are an error.
pub fn split_flags(flags: &[Flag]) -> Result<(Flags, Vec<Keyword>), Trouble> {
    let mut system = Flags::NONE;
    let mut keywords: Vec<Keyword> = Vec::new();
    for flag in flags {
        match flag {
            Flag::System(flag) => system |= system_flag(*flag),
            Flag::Keyword(name) if name.eq_ignore_ascii_case("$Forwarded") => system |= Flags::FORWARDED,
            Flag::Keyword(name) => {
                let keyword = Keyword::parse(name).map_err(|error| Trouble::coded("CANNOT", error.to_string()))?;
                if !keywords.contains(&keyword) {
                    keywords.push(keyword);
                }
            }
        }
    }
    Ok((system, keywords))
}
