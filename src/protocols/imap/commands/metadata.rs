//! GETMETADATA and SETMETADATA (RFC 5464).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::trouble;
use crate::foundations::wire::imap::encode::Code;
use crate::foundations::wire::imap::{Depth, EntryName, EntryScope, GetMetadata, RawName, SetMetadata};
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::serve::Conversation;
use crate::storage::mailbox::{self, FolderName, Metadata, News, User};

/// How the administrator is reached (RFC 5464 §6.2.2).
const ADMIN: &str = "/shared/admin";
/// The special use of a mailbox (RFC 6154 §4).
const SPECIAL_USE: &str = "/private/specialuse";

/// Tells annotations.
pub async fn get(talk: &mut Conversation, get: GetMetadata) -> Outcome {
    let (user, folder) = target(talk, &get.mailbox)?;
    let all = match all_of(talk, &user, folder.as_ref()).await {
        Ok(all) => all,
        Err(error) => return Err(trouble(talk, &error)),
    };
    let mut told: Vec<(&str, Option<&[u8]>)> = Vec::new();
    // Each once, however often it is asked for.
    let mut known = BTreeSet::new();
    let mut largest = None;
    for entry in &get.entries {
        let found = all.iter().filter(|(name, _)| get.depth.reaches(entry, name));
        for (name, value) in found {
            if get.max_size.is_some_and(|most| value.len() as u64 > most) {
                largest = largest.max(Some(value.len() as u64));
            } else if known.insert(name.as_str()) {
                told.push((name, Some(value)));
            }
        }
        // An entry that was asked for by its name and is not there has no value.
        if get.depth == Depth::Zero && !all.contains_key(entry.as_str()) && known.insert(entry.as_str()) {
            told.push((entry.as_str(), None));
        }
    }
    let account = talk.state.logged_in()?;
    if !told.is_empty() {
        let name = folder.as_ref().map_or("", FolderName::as_str);
        talk.link.out.metadata(name, account.enabled.names(), told);
    }
    Ok(match largest {
        Some(octets) => Done::with(Code::LongEntries(octets), "Some values exceed the size you asked for"),
        None => Done::new("Those are the annotations"),
    })
}

/// Sets annotations: all of them or none.
pub async fn set(talk: &mut Conversation, set: SetMetadata) -> Outcome {
    let (user, folder) = target(talk, &set.mailbox)?;
    let is_fixed = |entry: &EntryName| match &folder {
        // RFC 5464 §3.3: what everybody on the server would see is not a user's to set.
        None => entry.scope() == EntryScope::Shared,
        Some(_) => entry.as_str() == SPECIAL_USE,
    };
    if set.entries.iter().any(|(entry, _)| is_fixed(entry)) {
        return Err(Trouble::coded("NOPERM", "Only the administrator may change this annotation"));
    }
    let changes: Vec<_> = set.entries.into_iter().map(|(entry, value)| (entry.as_str().to_owned(), value)).collect();
    let entries = changes.iter().map(|(entry, _)| entry.clone()).collect();
    match user.set_metadata(folder.as_ref(), changes).await {
        Ok(()) => {
            talk.note_own(|| News::Metadata { folder, entries });
            Ok(Done::new("Noted"))
        }
        Err(mailbox::Error::MetadataTooLarge(most)) => {
            Err(Trouble::No { code: Some(Code::MaxSize(most)), text: "The value is too long".into() })
        }
        Err(mailbox::Error::TooMuchMetadata) => {
            Err(Trouble::coded("METADATA TOOMANY", "There may be no more annotations"))
        }
        Err(error) => Err(trouble(talk, &error)),
    }
}

/// Whose annotations are meant; those of the account without a folder.
fn target(talk: &Conversation, name: &RawName) -> Result<(Arc<User>, Option<FolderName>), Trouble> {
    let account = talk.state.logged_in()?;
    let folder = if name.as_str().is_empty() { None } else { Some(account.folder(name)?) };
    Ok((Arc::clone(&account.user), folder))
}

/// What users have set, and what the server says itself.
async fn all_of(
    talk: &Conversation,
    user: &Arc<User>,
    folder: Option<&FolderName>,
) -> Result<Metadata, mailbox::Error> {
    let mut all = user.metadata(folder).await?;
    match folder {
        None => {
            let admin = &talk.settings.admin;
            if !admin.is_empty() {
                all.insert(ADMIN.to_owned(), admin.clone().into_bytes());
            }
        }
        Some(folder) => {
            let special =
                mailbox::SpecialUse::ALL.into_iter().find(|use_| user.special(*use_).as_ref() == Some(folder));
            if let Some(special) = special {
                let word = super::list::told_use(special).as_str();
                all.insert(SPECIAL_USE.to_owned(), word.as_bytes().to_vec());
            }
        }
    }
    Ok(all)
}
