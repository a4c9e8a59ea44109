//! Folders.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{Answer, Problem, Wish};
use super::door::{Reader, folder_name, new_folder_name};
use super::reasons;
use crate::foundations::mail::{SequenceSet, Uid};
use crate::services::trace::expunged;
use crate::storage::mailbox::{Access, FolderName, SpecialUse, Subscription, Unfinished, View};

/// A folder as the page shows it.
#[derive(Serialize)]
struct Folder {
    name: String,
    role: Option<&'static str>,
    subscribed: bool,
    messages: u32,
    unseen: u32,
}

/// All folders with their counts, and the mailbox's usage.
pub(super) async fn list(reader: Reader) -> Answer<Response> {
    let mut folders = Vec::new();
    for entry in reader.user.folders().await?.into_iter().filter(|entry| entry.exists) {
        // One that somebody deletes in this moment is left out.
        let Ok(status) = reader.user.status(&entry.name).await else { continue };
        folders.push(Folder {
            role: role(&entry.name, entry.special_use),
            name: entry.name.to_string(),
            subscribed: entry.subscribed,
            messages: status.messages,
            unseen: status.unseen,
        });
    }
    let usage = reader.user.usage().await?;
    let quota = reader.quota().map(|quota| quota.get());
    Ok(Json(serde_json::json!({ "folders": folders, "used": usage.octets, "quota": quota })).into_response())
}

/// What a folder is for.
pub(super) fn role(name: &FolderName, special_use: Option<SpecialUse>) -> Option<&'static str> {
    if name.is_inbox() {
        return Some("inbox");
    }
    special_use.map(|special_use| match special_use {
        SpecialUse::Archive => "archive",
        SpecialUse::Drafts => "drafts",
        SpecialUse::Junk => "junk",
        SpecialUse::Sent => "sent",
        SpecialUse::Trash => "trash",
    })
}

/// Names a folder.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    name: String,
}

/// Makes a folder and subscribes it.
pub(super) async fn create(reader: Reader, Wish(wish): Wish<Named>) -> Answer<StatusCode> {
    let name = new_folder_name(&wish.name)?;
    reader.user.create(&name).await?;
    reader.user.subscribe(&name, Subscription::On).await?;
    Ok(StatusCode::CREATED)
}

/// Gives a folder another name, and those below it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Renaming {
    name: String,
    to: String,
}

pub(super) async fn rename(reader: Reader, Wish(wish): Wish<Renaming>) -> Answer<StatusCode> {
    let (from, to) = (folder_name(&wish.name)?, new_folder_name(&wish.to)?);
    changeable(&reader, &from).await?;
    reader.user.rename(&from, &to).await?;
    for entry in reader.user.folders().await? {
        // Subscriptions go along, as people expect who do not know of them (RFC 9051 §6.3.6 leaves them behind).
        let rest = entry.name.as_str().strip_prefix(from.as_str());
        let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with(FolderName::SEPARATOR)) else {
            continue;
        };
        if entry.subscribed
            && !entry.exists
            && let Ok(new) = FolderName::parse(&format!("{to}{rest}"))
        {
            reader.user.subscribe(&new, Subscription::On).await?;
            reader.user.subscribe(&entry.name, Subscription::Off).await?;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a folder, or its contents.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deletion {
    name: String,
    /// How many messages may go: as many as somebody was asked about. Others may have come since.
    #[serde(default)]
    messages: u32,
}

impl Deletion {
    /// Refuses to delete more messages than may go.
    fn covers(&self, messages: u32) -> Answer<()> {
        if messages > self.messages {
            return Err(Problem::of(&reasons::FOLDER_FULL).with("count", messages));
        }
        Ok(())
    }
}

pub(super) async fn delete(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Wish(wish): Wish<Deletion>,
) -> Answer<StatusCode> {
    let name = folder_name(&wish.name)?;
    changeable(&reader, &name).await?;
    let messages = reader.user.status(&name).await?.messages;
    wish.covers(messages)?;
    let tasks = room.needs.tasks.clone();
    // If the browser disconnects midway, removed messages must still be reported.
    let work = tasks.spawn(async move {
        let gone = reader.user.delete(&name).await?;
        record_expunged(&room, &reader, &name, &gone);
        reader.user.subscribe(&name, Subscription::Off).await?;
        Ok::<StatusCode, Problem>(StatusCode::NO_CONTENT)
    });
    work.await?
}

/// Other folders of ours are needed under their names by delivery and by other programs.
async fn changeable(reader: &Reader, name: &FolderName) -> Answer<()> {
    let is_special = |special: SpecialUse| reader.user.special(special).is_some_and(|known| known == *name);
    if name.is_inbox() || SpecialUse::ALL.into_iter().any(is_special) {
        return Err(Problem::of(&reasons::FOLDER_NEEDED).with("name", name));
    }
    Ok(())
}

/// Subscribes a folder or not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscribing {
    name: String,
    subscribed: bool,
}

pub(super) async fn subscribe(reader: Reader, Wish(wish): Wish<Subscribing>) -> Answer<StatusCode> {
    let subscription = if wish.subscribed { Subscription::On } else { Subscription::Off };
    reader.user.subscribe(&folder_name(&wish.name)?, subscription).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes every message of the trash or of the folder for unwanted mail, for good.
pub(super) async fn empty(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Wish(wish): Wish<Deletion>,
) -> Answer<Response> {
    let name = folder_name(&wish.name)?;
    let may = [SpecialUse::Trash, SpecialUse::Junk];
    if !may.into_iter().any(|special| reader.user.special(special).is_some_and(|known| known == name)) {
        return Err(Problem::of(&reasons::NOT_TO_EMPTY));
    }
    let view = reader.user.open(&name, Access::ReadWrite).await?;
    // What comes from now on is not in this view.
    let uids = every_uid(&view);
    wish.covers(u32::try_from(uids.len()).unwrap_or(u32::MAX))?;
    let removed = remove_for_good(room, reader, view, uids).await?;
    Ok(Json(serde_json::json!({ "removed": removed })).into_response())
}

/// Removes messages for good; how many went. What did leaves an event, also when the others could not go or the browser has left.
pub(super) async fn remove_for_good(room: Arc<Room>, reader: Reader, view: View, uids: Vec<Uid>) -> Answer<usize> {
    let tasks = room.needs.tasks.clone();
    let work = tasks.spawn(async move {
        let (gone, result) = match view.remove(&uids).await {
            Ok(gone) => (gone, Ok(())),
            Err(Unfinished { gone, error }) => (gone, Err(error)),
        };
        record_expunged(&room, &reader, view.folder(), &gone);
        result?;
        Ok::<usize, Problem>(gone.len())
    });
    work.await?
}

fn every_uid(view: &View) -> Vec<Uid> {
    view.rows(&SequenceSet::all()).map(|(_, row)| row.uid).collect()
}

/// Permanent removal leaves an event.
fn record_expunged(room: &Room, reader: &Reader, folder: &FolderName, uids: &[Uid]) {
    if uids.is_empty() {
        return;
    }
    let account = reader.login.address.to_string();
    let event = expunged(room.needs.clock.now(), &account, folder.as_str(), uids);
    room.needs.journal.record(event.session(reader.session));
}
