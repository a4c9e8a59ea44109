//! Lists of the messages of all folders, and looking for messages in them.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Room;
use super::across;
use super::answer::{Answer, Asked};
use super::conversations::kept;
use super::door::Reader;
use super::list::{Line, Question, keys, lines};
use crate::foundations::mail::Uid;
use crate::storage::mailbox::{Access, Error, FolderName, View};

/// Of which folders, and how.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Extent {
    /// Whether junk and what was thrown away are left out.
    kept: bool,
    /// Whether a line is a conversation.
    conversations: bool,
}

/// A message, and where it lies.
#[derive(Serialize)]
pub(super) struct Found {
    pub(super) folder: String,
    #[serde(flatten)]
    pub(super) line: Line,
}

/// A part of the results.
#[derive(Serialize)]
struct List {
    /// Changes whenever anything in any folder does.
    state: u64,
    /// Messages that were found.
    total: usize,
    start: u32,
    lines: Vec<Found>,
}

/// Numbers that JavaScript can tell from each other.
const EXACT: u64 = 1 << 53;

pub(super) async fn search(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Asked(extent): Asked<Extent>,
    Asked(asked): Asked<Question>,
) -> Answer<Response> {
    let wanted = asked.wanted(&reader).await?;
    let entries = reader.user.folders().await?;
    let entries = if extent.kept { kept(entries) } else { entries };
    let meant = entries.into_iter().filter(|entry| entry.exists && wanted.may_be_in(&entry.name));
    let folders: Vec<FolderName> = meant.map(|entry| entry.name).collect();
    if extent.conversations
        && let Some((state, total, lines)) =
            across::window(&room, &reader, &folders, &wanted, asked.order, asked.window(&room)).await?
    {
        return Ok(Json(List { state: state % EXACT, total, start: asked.start, lines }).into_response());
    }
    let (mut state, mut found) = (0_u64, Vec::new());
    for (place, folder) in folders.iter().enumerate() {
        let Some(view) = open(&reader, folder).await? else { continue };
        state = state.wrapping_add(u64::from(view.highest_mod_seq()));
        let uids = wanted.found(&room, &view).await?;
        found.extend(keys(&view, uids, asked.order).into_iter().map(|(key, uid)| (key, place, uid)));
    }
    asked.order.sort(&mut found);
    let total = found.len();
    let window = asked.window(&room);
    let page: Vec<(usize, Uid)> =
        found.into_iter().skip(window.start).take(window.len()).map(|(_, place, uid)| (place, uid)).collect();
    let lines = shown(&reader, &folders, &page).await?;
    Ok(Json(List { state: state % EXACT, total, start: asked.start, lines }).into_response())
}

/// A folder, unless somebody has deleted it in this moment.
pub(super) async fn open(reader: &Reader, folder: &FolderName) -> Answer<Option<View>> {
    match reader.user.open(folder, Access::ReadOnly).await {
        Ok(view) => Ok(Some(view)),
        Err(Error::NoFolder(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The lines of a page, in its order. Folders are opened again for them, as an account may have more than may be open at a time.
async fn shown(reader: &Reader, folders: &[FolderName], page: &[(usize, Uid)]) -> Answer<Vec<Found>> {
    let mut places: Vec<usize> = page.iter().map(|(place, _)| *place).collect();
    places.sort_unstable();
    places.dedup();
    let mut known: HashMap<(usize, u32), Line> = HashMap::new();
    for place in places {
        let Some(view) = open(reader, &folders[place]).await? else { continue };
        let uids = page.iter().filter(|(there, _)| *there == place).map(|(_, uid)| *uid);
        let rows: Vec<_> = uids.filter_map(|uid| view.row_of(uid)).collect();
        known.extend(lines(&view, &rows).await?.into_iter().map(|line| ((place, line.uid), line)));
    }
    let line = |(place, uid): &(usize, Uid)| {
        Some(Found { folder: folders[*place].to_string(), line: known.remove(&(*place, uid.get()))? })
    };
    Ok(page.iter().filter_map(line).collect())
}
