//! Taking messages over from files, one at a time: the page finds those of an mbox itself, so that a file of any size arrives
//! message by message, and whoever loses the connection knows which are there.

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
use crate::foundations::mail::Message;
use crate::protocols::web::bodies::Arrived;
use crate::services::moving::single;
use crate::storage::mailbox::{AppendOptions, Missing};

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
    let read = tokio::task::spawn_blocking(move || single(&octets)).await?;
    let read = read.ok_or_else(|| Problem::of(&reasons::NO_MESSAGE_IN_IT))?;
    let options = AppendOptions {
        flags: read.flags,
        keywords: read.keywords,
        internal_date: read.date,
        quota: reader.quota(),
        missing: Missing::Fail,
    };
    // A browser that goes away leaves nothing half done: a message is there or not.
    let appended = reader.user.append(&folder, &Message::new(read.content), options).await?;
    drop((share, copied));
    let answer = serde_json::json!({ "folder": folder.as_str(), "uid": appended.uid.get() });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}
