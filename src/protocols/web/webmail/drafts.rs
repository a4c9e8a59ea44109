//! Drafts: messages in the folder for drafts, replaced as they grow.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Room;
use super::answer::{Answer, Problem, Wish};
use super::attached::too_large;
use super::build::{Letter, Moment, Purpose};
use super::door::Reader;
use super::people::may_use;
use super::read::attachments_of;
use super::reasons;
use super::send::name;
use crate::foundations::mail::{Message, Uid, compose};
use crate::protocols::web::token::fresh;
use crate::storage::mailbox::{Access, AppendOptions, Flags, FolderName, Missing, Row, SpecialUse, View};

/// A draft as it is now, and the one it takes the place of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft {
    letter: Letter,
    replaces: Option<u32>,
    /// Chosen by the page, new each time: it identifies a request repeated because its answer was lost.
    key: Option<String>,
}

/// Stores a draft, once for each key: afterwards its files are in another message, where a second try would not look for them.
pub(super) async fn save(State(room): State<Arc<Room>>, reader: Reader, Wish(draft): Wish<Draft>) -> Answer<Response> {
    let known = match &draft.key {
        Some(key) => Some(room.drafts.enter(name(&reader, key)?, room.needs.clock.now())),
        None => None,
    };
    // A browser that goes away in the middle must not leave half of it undone.
    let tasks = room.needs.tasks.clone();
    let work = tasks.spawn(async move {
        let Some(known) = known else { return Box::pin(store(&room, &reader, &draft)).await };
        let mut answer = known.lock().await;
        let letter = draft.letter.digest();
        if let Some((stored, answer)) = &*answer
            && *stored == letter
        {
            return Ok(answer.clone());
        }
        let stored = Box::pin(store(&room, &reader, &draft)).await?;
        *answer = Some((letter, stored.clone()));
        Ok::<Value, Problem>(stored)
    });
    Ok(Json(work.await??).into_response())
}

/// The older draft is removed once the new one is on disk.
async fn store(room: &Arc<Room>, reader: &Reader, draft: &Draft) -> Answer<Value> {
    may_use(room, reader, &draft.letter.sender()?).await?;
    let _memory = draft.letter.memory(room, reader).await?;
    let body = draft.letter.body(room, reader).await?;
    let moment = moment(room)?;
    let message = draft.letter.build(&body, &moment, Purpose::Draft)?;
    if message.len() as u64 > room.needs.settings.get().message.get() {
        return Err(too_large(room));
    }
    let folder = special(reader, SpecialUse::Drafts)?;
    let attachments = attachments_of(&message);
    let in_place_of = match draft.replaces {
        Some(old) => size(reader, &folder, old).await,
        None => None,
    };
    let options = AppendOptions {
        flags: Flags::DRAFT | Flags::SEEN,
        keywords: Vec::new(),
        internal_date: None,
        quota: reader.quota(),
        missing: Missing::Create,
        in_place_of,
    };
    let appended = reader.user.append(&folder, &Message::new(message), options).await?;
    room.uploads.drop_all(&reader.account.address.key(), draft.letter.uploads());
    if let Some(old) = draft.replaces {
        discard(reader, &folder, old).await;
    }
    Ok(json!({ "folder": folder.as_str(), "uid": appended.uid.get(), "attachments": attachments }))
}

/// Removes a draft that was replaced by something newer. Other messages stay.
pub(super) async fn discard(reader: &Reader, folder: &FolderName, uid: u32) {
    let removed = async {
        let view = reader.user.open(folder, Access::ReadWrite).await?;
        match row(&view, uid) {
            Some(row) => view.remove(&[row.uid]).await.map(|_| ()),
            None => Ok(()),
        }
    };
    if let Err(error) = removed.await {
        log::warn!(user:% = reader.login.address, error:% = error; "An old draft remains beside the new one");
    }
}

/// The octets of a draft that its replacement will free.
pub(super) async fn size(reader: &Reader, folder: &FolderName, uid: u32) -> Option<u64> {
    let view = reader.user.open(folder, Access::ReadOnly).await.ok()?;
    row(&view, uid).map(|row| row.size)
}

/// The row of a draft. Other messages are never replaced.
fn row(view: &View, uid: u32) -> Option<Row> {
    let row = view.row_of(Uid::new(uid)?)?;
    row.flags.contains(Flags::DRAFT).then_some(row)
}

/// The folder with a purpose.
pub(super) fn special(reader: &Reader, special_use: SpecialUse) -> Answer<FolderName> {
    reader.user.special(special_use).ok_or_else(|| Problem::of(&reasons::NO_SUCH_FOLDER_HERE))
}

fn moment(room: &Room) -> Answer<Moment> {
    let at = room.needs.clock.now();
    let random = fresh()?;
    let number = u64::from_str_radix(&random[..16], 16).unwrap_or_default();
    let message_id = compose::message_id(at, number, &room.needs.hostname.get());
    Ok(Moment { at, message_id, boundary: random[16..48].to_owned() })
}
