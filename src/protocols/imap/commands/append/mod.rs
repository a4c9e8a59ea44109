//! APPEND (RFC 9051 §6.3.12; RFC 3502; RFC 4315).

mod binary;

use super::{quota, trouble, trouble_into};
use crate::foundations::mail::{Message, SequenceSet, Uid};
use crate::foundations::wire::imap::encode::Code;
use crate::foundations::wire::imap::{Append, Flag};
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::serve::{Conversation, State};
use crate::services::search::system_flag;
use crate::storage::mailbox::{Access, AppendOptions, Flags, FolderName, Keyword, Missing};

/// Stores messages: all of them or none (RFC 3502 §3).
pub async fn run(talk: &mut Conversation, append: Append) -> Outcome {
    let quota = quota::limit(talk).await?;
    let (State::Authenticated(account) | State::Selected(account, _)) = &talk.state else {
        return Err(Trouble::bad("Log in first"));
    };
    let folder = account.folder(&append.mailbox)?;
    let user = account.user.clone();
    let mut uids = SequenceSet::new();
    let mut uid_validity = None;
    for message in append.messages {
        if message.bytes.is_empty() {
            // RFC 3502 §3: a message of no octets cancels the command.
            undo(talk, &folder, &uids).await;
            return Err(Trouble::no("A message has at least one octet"));
        }
        let (flags, keywords) = split_flags(&message.flags)?;
        let options = AppendOptions { flags, keywords, internal_date: message.date, quota, missing: Missing::Fail };
        match user.append(&folder, &Message::new(binary::without_nul(message.bytes)), options).await {
            Ok(appended) => {
                uids.insert(appended.uid);
                uid_validity = Some(appended.uid_validity);
            }
            Err(error) => {
                undo(talk, &folder, &uids).await;
                return Err(trouble_into(talk, &error));
            }
        }
    }
    match uid_validity {
        Some(uid_validity) => Ok(Done::with(Code::AppendUid(uid_validity, uids), "Stored")),
        None => Err(Trouble::bad("A message is wanted")),
    }
}

/// Takes back what the failed command has stored already.
async fn undo(talk: &Conversation, folder: &FolderName, uids: &SequenceSet<Uid>) {
    if uids.is_empty() {
        return;
    }
    let (State::Authenticated(account) | State::Selected(account, _)) = &talk.state else { return };
    let removed = async {
        let view = account.user.open(folder, Access::ReadWrite).await?;
        view.remove(&uids.iter(uids.highest()).collect::<Vec<_>>()).await
    };
    if let Err(error) = removed.await {
        // The client is told that its command failed; some of its messages are there nevertheless.
        let _ = trouble(talk, &error);
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
