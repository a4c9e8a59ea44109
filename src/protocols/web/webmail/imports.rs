//! Importing messages from files, one at a time: the page splits an mbox itself, so that a file of any size arrives message by
//! message, and after a lost connection it is known which have arrived.
//!
//! An identical message in the folder is not stored a second time: a page that got no answer repeats its request, and an
//! interrupted import can simply repeat the whole file.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Room;
use super::answer::{Answer, Asked, Octets, Problem};
use super::attached::too_large;
use super::door::{Reader, folder_name};
use super::reasons;
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::{Message, SequenceSet, Uid};
use crate::protocols::web::bodies::Arrived;
use crate::services::moving::{SingleMessage, single_message};
use crate::storage::mailbox::{Access, AppendOptions, Error, FolderName, Missing, Row, View};

/// Into which folder.
#[derive(Deserialize)]
pub(super) struct Target {
    folder: String,
}

/// Stores the message that the body is; with the line of an mbox before it, as the mbox holds it.
pub(super) async fn import(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Asked(asked): Asked<Target>,
    Octets(Arrived { octets, share }): Octets,
) -> Answer<Response> {
    let folder = folder_name(&asked.folder)?;
    if octets.len() as u64 > room.needs.settings.get().message.get() {
        return Err(too_large(&room));
    }
    // It is copied once, to be stored as it was sent.
    let account = reader.account.address.key();
    let copied = room.needs.bodies.work(&account, octets.len()).await;
    let copied = copied.ok_or_else(|| Problem::of(&reasons::TOO_MANY_LETTERS))?;
    let read = tokio::task::spawn_blocking(move || single_message(&octets)).await?;
    let read = read.ok_or_else(|| Problem::of(&reasons::NO_MESSAGE_IN_IT))?;
    let tasks = room.needs.tasks.clone();
    // To the end even if the browser disconnects: a repeated request waits here and finds the stored message.
    let work = tasks.spawn(async move {
        let _turn = room.imports.take(&reader.account.address).await;
        let stored = store(&reader, &folder, read).await?;
        drop((share, copied));
        let is_new = matches!(stored, Stored::Now(_));
        let (Stored::Now(uid) | Stored::Before(uid)) = stored;
        let answer = serde_json::json!({ "folder": folder.as_str(), "uid": uid.get(), "known": !is_new });
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        Ok::<Response, Problem>((status, Json(answer)).into_response())
    });
    work.await?
}

/// A message that is in the folder, durably.
enum Stored {
    /// It was stored by this request.
    Now(Uid),
    /// It was there.
    Before(Uid),
}

/// Stores a message unless the folder has it.
async fn store(reader: &Reader, folder: &FolderName, read: SingleMessage) -> Answer<Stored> {
    let view = reader.user.open(folder, Access::ReadOnly).await?;
    if let Some(uid) = present(&view, &read).await? {
        return Ok(Stored::Before(uid));
    }
    drop(view);
    let options = AppendOptions {
        flags: read.flags,
        keywords: read.keywords,
        internal_date: read.date,
        quota: reader.quota(),
        missing: Missing::Fail,
        in_place_of: None,
    };
    Ok(Stored::Now(reader.user.append(folder, &Message::new(read.content), options).await?.uid))
}

/// A message of the folder that is the same octet by octet, and came at the same time where that is known.
async fn present(view: &View, read: &SingleMessage) -> Answer<Option<Uid>> {
    let (size, date) = (read.content.len() as u64, read.date.map(Timestamp::unix_seconds));
    let is_alike = |row: &Row| row.size == size && date.is_none_or(|date| row.internal_date.unix_seconds() == date);
    let all = SequenceSet::all();
    let alike: Vec<Uid> = view.rows(&all).map(|(_, row)| row).filter(is_alike).map(|row| row.uid).collect();
    // The newest messages come last.
    for uid in alike.into_iter().rev().take(MOST_ALIKE) {
        match is_same(view, uid, &read.content).await {
            Ok(true) => return Ok(Some(uid)),
            Ok(false) | Err(Error::NoMessage(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

async fn is_same(view: &View, uid: Uid, content: &[u8]) -> Result<bool, Error> {
    let mut body = view.body(uid).await?;
    let mut at = 0;
    while at < content.len() {
        let piece = body.read(at as u64, PIECE.min(content.len() - at)).await?;
        if piece.is_empty() || content[at..].get(..piece.len()) != Some(&piece[..]) {
            return Ok(false);
        }
        at += piece.len();
    }
    Ok(true)
}

/// Messages of one size and time that are compared octet by octet; beyond it one is stored once more.
const MOST_ALIKE: usize = 100;

/// Octets compared at a time.
const PIECE: usize = 64 << 10;
