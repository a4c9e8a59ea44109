//! Actions on messages: marking, moving, deleting.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Room;
use super::answer::{Answer, Problem, Wish};
use super::door::{Reader, folder_name};
use super::folders::remove_for_good;
use super::list::FLAGS;
use super::reasons;
use crate::foundations::mail::Uid;
use crate::storage::mailbox::{Access, FlagChange, FlagOperation, Flags, FolderName, Missing, SpecialUse, View};

/// Most messages of one request.
const MOST_MESSAGES: usize = 10_000;

/// Flags to set and to take away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Marking {
    folder: String,
    uids: Vec<u32>,
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
}

pub(super) async fn mark(reader: Reader, Wish(wish): Wish<Marking>) -> Answer<StatusCode> {
    let view = reader.open(&wish.folder, Access::ReadWrite).await?;
    let uids = uids(&wish.uids)?;
    for (operation, words) in [(FlagOperation::Add, &wish.add), (FlagOperation::Remove, &wish.remove)] {
        if !words.is_empty() {
            change(&view, &uids, operation, flags(words)?).await?;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Changes flags of messages.
pub(super) async fn change(view: &View, uids: &[Uid], operation: FlagOperation, flags: Flags) -> Answer<()> {
    let change = FlagChange { operation, flags, keywords: Vec::new(), unchanged_since: None };
    view.store_flags(uids, &change).await?;
    Ok(())
}

fn flags(words: &[String]) -> Answer<Flags> {
    let mut flags = Flags::NONE;
    for word in words {
        let known = FLAGS.iter().find(|(_, name)| name == word);
        let known = known.ok_or_else(|| Problem::bad("The flags are seen, flagged, answered, forwarded and draft."))?;
        flags |= known.0;
    }
    Ok(flags)
}

fn uids(numbers: &[u32]) -> Answer<Vec<Uid>> {
    if numbers.len() > MOST_MESSAGES {
        return Err(Problem::of(&reasons::TOO_MANY_MESSAGES).with("most", MOST_MESSAGES));
    }
    let mut uids: Vec<Uid> = numbers.iter().filter_map(|number| Uid::new(*number)).collect();
    uids.sort_unstable();
    uids.dedup();
    Ok(uids)
}

/// Where messages go: a folder, or the one with a purpose.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Moving {
    folder: String,
    uids: Vec<u32>,
    to: Option<String>,
    role: Option<Role>,
    #[serde(default)]
    copy: bool,
}

/// Folders with a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Inbox,
    Archive,
    Junk,
    Trash,
}

/// Moves or copies messages; the filter learns from moves into and out of the folder for unwanted mail.
pub(super) async fn put(State(room): State<Arc<Room>>, reader: Reader, Wish(wish): Wish<Moving>) -> Answer<Response> {
    let view = reader.open(&wish.folder, Access::ReadWrite).await?;
    let (to, missing) = match (&wish.to, wish.role) {
        (Some(name), None) => (folder_name(name)?, Missing::Fail),
        (None, Some(role)) => (special(&reader, role)?, Missing::Create),
        _ => return Err(Problem::bad("Give either `to` or `role` as the destination.")),
    };
    if to == *view.folder() {
        return Err(Problem::of(&reasons::THERE_ALREADY));
    }
    let uids = uids(&wish.uids)?;
    let put = if wish.copy {
        view.copy(&uids, &to, missing, reader.quota()).await?
    } else {
        view.move_to(&uids, &to, missing).await?
    };
    let new: Vec<Uid> = put.uids.iter().map(|(_, new)| *new).collect();
    let answer = serde_json::json!({ "to": to.as_str(), "uids": new.iter().map(|uid| uid.get()).collect::<Vec<_>>() });
    room.needs.lessons.moved(&reader.user, view.folder(), &to, new);
    Ok(Json(answer).into_response())
}

fn special(reader: &Reader, role: Role) -> Answer<FolderName> {
    let special_use = match role {
        Role::Inbox => return Ok(FolderName::inbox()),
        Role::Archive => SpecialUse::Archive,
        Role::Junk => SpecialUse::Junk,
        Role::Trash => SpecialUse::Trash,
    };
    reader.user.special(special_use).ok_or_else(|| Problem::of(&reasons::NO_SUCH_FOLDER_HERE))
}

/// Which messages are to be gone for good.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Removal {
    folder: String,
    uids: Vec<u32>,
}

/// Removes messages for good.
pub(super) async fn remove(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Wish(wish): Wish<Removal>,
) -> Answer<Response> {
    let view = reader.open(&wish.folder, Access::ReadWrite).await?;
    let removed = remove_for_good(room, reader, view, uids(&wish.uids)?).await?;
    Ok(Json(serde_json::json!({ "removed": removed })).into_response())
}
