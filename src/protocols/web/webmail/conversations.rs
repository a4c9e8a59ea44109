//! Lists of conversations, and one conversation.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{Answer, Asked, Problem};
use super::door::Reader;
use super::envelope::Person;
use super::folders::role;
use super::list::{Line, Order, lines};
use super::reasons;
use crate::foundations::mail::Uid;
use crate::services::conversations::Circle;
use crate::storage::mailbox::{Access, Error, Flags, FolderEntry, FolderName, Row, View};

/// What a line of a list says about its conversation.
#[derive(Serialize)]
pub(super) struct Conversation {
    pub(super) messages: usize,
    pub(super) unseen: usize,
    /// The last ones in the folder of the line, by date.
    pub(super) uids: Vec<u32>,
    /// Those in other folders, when the list is of several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) elsewhere: Vec<Elsewhere>,
}

/// Messages of a conversation in another folder than that of the line.
#[derive(Serialize)]
pub(super) struct Elsewhere {
    pub(super) folder: String,
    pub(super) uids: Vec<u32>,
}

/// Most messages of a conversation that are told by number, so that something may be done with all of them.
pub(super) const MOST_UIDS: usize = 1000;

/// The last messages of a conversation whose senders are named in a list.
pub(super) const SENDERS: usize = 4;

/// A part of a list of conversations, and how long the whole list is. With `found`, those that have one of these messages.
pub(super) async fn window(
    room: &Room,
    reader: &Reader,
    view: &View,
    found: Option<Vec<Uid>>,
    order: Order,
    window: Range<usize>,
) -> Answer<(usize, Vec<Line>)> {
    let most = room.needs.settings.get().conversation_ids;
    let list = room.conversations.list(&reader.account.address, view, most).await?;
    let mut places: Vec<usize> = match found {
        None => (0..list.len()).collect(),
        Some(uids) => {
            let mut places: Vec<usize> = uids.iter().filter_map(|uid| list.place(*uid)).collect();
            places.sort_unstable();
            places.dedup();
            places
        }
    };
    let size =
        |place: &usize| -> u64 { list.at(*place).iter().filter_map(|uid| view.row_of(*uid)).map(|row| row.size).sum() };
    // As in lists of messages, it is the date that counts.
    let date = |uid: &Uid| (view.row_of(*uid).map(|row| row.internal_date), *uid);
    let last = |place: &usize| list.at(*place).iter().map(date).max();
    match order {
        Order::Newest => places.sort_by_cached_key(|place| std::cmp::Reverse(last(place))),
        Order::Oldest => places.sort_by_cached_key(last),
        Order::Largest => places.sort_by_cached_key(|place| std::cmp::Reverse(size(place))),
        Order::Smallest => places.sort_by_cached_key(size),
    }
    let total = places.len();
    let in_order = |place: usize| {
        let mut group: Vec<Uid> = list.at(place).iter().copied().filter(|uid| view.sequence(*uid).is_some()).collect();
        group.sort_by_cached_key(date);
        group
    };
    let groups: Vec<Vec<Uid>> = places
        .into_iter()
        .skip(window.start)
        .take(window.len())
        .map(in_order)
        .filter(|group| !group.is_empty())
        .collect();
    let tails = groups.iter().flat_map(|group| &group[group.len().saturating_sub(SENDERS)..]);
    let rows: Vec<Row> = tails.filter_map(|uid| view.row_of(*uid)).collect();
    let mut known: BTreeMap<u32, Line> = lines(view, &rows).await?.into_iter().map(|line| (line.uid, line)).collect();
    let lines = groups.iter().filter_map(|group| together(view, group, &mut known)).collect();
    Ok((total, lines))
}

/// One line for a conversation: its last message, with details from the others.
fn together(view: &View, group: &[Uid], known: &mut BTreeMap<u32, Line>) -> Option<Line> {
    let mut before: Vec<Line> = Vec::new();
    for uid in &group[group.len().saturating_sub(SENDERS)..] {
        before.extend(known.remove(&uid.get()));
    }
    let mut line = before.pop()?;
    let rows: Vec<Row> = group.iter().filter_map(|uid| view.row_of(*uid)).collect();
    let unseen = rows.iter().filter(|row| !row.flags.contains(Flags::SEEN)).count();
    sum_up(&mut line, &before, &rows, unseen);
    let uids = group[group.len().saturating_sub(MOST_UIDS)..].iter().map(|uid| uid.get()).collect();
    line.conversation = Some(Conversation { messages: rows.len(), unseen, uids, elsewhere: Vec::new() });
    Some(line)
}

/// Adds to the line of a conversation's last message what is said of those before it, and of the rows of all, and whether any message
/// is unseen.
pub(super) fn sum_up(line: &mut Line, before: &[Line], rows: &[Row], unseen: usize) {
    let mut seen = HashSet::new();
    let people = before.iter().flat_map(|line| &line.from).chain(&line.from);
    let from: Vec<Person> = people.filter(|person| seen.insert(person.address.to_ascii_lowercase())).cloned().collect();
    line.from = from;
    line.attachments |= before.iter().any(|line| line.attachments);
    line.size = rows.iter().map(|row| row.size).sum();
    if unseen > 0 {
        line.flags.retain(|flag| *flag != "seen");
    } else if !line.flags.contains(&"seen") {
        // A copy of the last message has been seen.
        line.flags.push("seen");
    }
    if !line.flags.contains(&"flagged") && rows.iter().any(|row| row.flags.contains(Flags::FLAGGED)) {
        line.flags.push("flagged");
    }
}

/// How often folders are looked into for one conversation.
const ROUNDS: usize = 3;

/// The part of `conversation_ids` that the folders read for one conversation may take: two ids a message are usual.
pub(super) const SHARE: u32 = 4;

/// Which message's conversation is wanted.
#[derive(Deserialize)]
pub(super) struct Question {
    folder: String,
    uid: u32,
}

/// A message of a conversation.
#[derive(Serialize)]
struct Member {
    folder: String,
    #[serde(flatten)]
    line: Line,
}

/// The messages of a conversation that are in one folder.
struct Found {
    view: View,
    uids: Vec<Uid>,
}

/// The conversation of a message, in order, from all folders.
pub(super) async fn show(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Asked(asked): Asked<Question>,
) -> Answer<Response> {
    let settings = room.needs.settings.get();
    let view = reader.open(&asked.folder, Access::ReadOnly).await?;
    let uid = Uid::new(asked.uid).filter(|uid| view.sequence(*uid).is_some());
    let uid = uid.ok_or_else(|| Problem::of(&reasons::MESSAGE_GONE))?;
    let account = &reader.account.address;
    let mut circle = room.conversations.around(account, &view, uid, settings.conversation_ids).await?;
    let folders = folders(&reader, &view).await?;
    let mut found = vec![Found { uids: circle.uids.clone(), view }];
    let _turn = room.searches.take(account).await;
    let is_whole = gather(&room, &reader, &folders, &mut circle, &mut found).await?;
    let mut keys: Vec<(i64, usize, Uid)> = Vec::new();
    for (place, Found { view, uids }) in found.iter().enumerate() {
        let rows = uids.iter().filter_map(|uid| view.row_of(*uid));
        keys.extend(rows.map(|row| (row.internal_date.unix_millis(), place, row.uid)));
    }
    keys.sort_unstable();
    let total = keys.len();
    keys.drain(..total.saturating_sub(settings.page as usize));
    let mut members = Vec::with_capacity(keys.len());
    for (place, Found { view, .. }) in found.iter().enumerate() {
        let uids = keys.iter().filter(|(_, there, _)| *there == place);
        let rows: Vec<Row> = uids.filter_map(|(_, _, uid)| view.row_of(*uid)).collect();
        let folder = view.folder().to_string();
        members.extend(lines(view, &rows).await?.into_iter().map(|line| Member { folder: folder.clone(), line }));
    }
    members.sort_by_key(|member| member.line.arrived);
    Ok(Json(serde_json::json!({ "total": total, "whole": is_whole, "messages": members })).into_response())
}

/// The folders that a conversation is looked for in: what was sent first, then those with fewer messages, and at last the one it was
/// opened in, for what the others tell of it. What was thrown away or is junk does not come back by way of an answer.
async fn folders(reader: &Reader, view: &View) -> Answer<Vec<FolderName>> {
    let mut sized = Vec::new();
    for entry in kept(reader.user.folders().await?) {
        if entry.name == *view.folder() {
            continue;
        }
        // One that somebody deletes in this moment is left out.
        let Ok(status) = reader.user.status(&entry.name).await else { continue };
        let is_sent = role(&entry.name, entry.special_use) == Some("sent");
        sized.push((!is_sent, status.messages, entry.name.clone()));
    }
    sized.sort();
    let names = sized.into_iter().filter(|(_, messages, _)| *messages > 0).map(|(.., name)| name);
    Ok(names.chain(std::iter::once(view.folder().clone())).collect())
}

/// The folders there are but those of junk and of what was thrown away.
pub(super) fn kept(mut entries: Vec<FolderEntry>) -> Vec<FolderEntry> {
    let aside: Vec<FolderName> = entries
        .iter()
        .filter(|entry| matches!(role(&entry.name, entry.special_use), Some("junk" | "trash")))
        .map(|entry| entry.name.clone())
        .collect();
    let is_aside = |name: &FolderName| aside.iter().any(|above| name == above || name.is_below(above));
    entries.retain(|entry| entry.exists && !is_aside(&entry.name));
    entries
}

/// Adds what other folders have; whether all of them were looked into. Folders that would push earlier ones out of
/// memory are not: each opened message would have them read again.
async fn gather(
    room: &Room,
    reader: &Reader,
    folders: &[FolderName],
    circle: &mut Circle,
    found: &mut Vec<Found>,
) -> Answer<bool> {
    let most = room.needs.settings.get().conversation_ids;
    let account = &reader.account.address;
    let mut messages: u32 = 0;
    let mut is_whole = true;
    // Again where a folder has told of further messages, which may lie in those looked into before.
    for _ in 0..ROUNDS {
        let names = circle.names();
        for folder in folders {
            let view = match reader.user.open(folder, Access::ReadOnly).await {
                Ok(view) => view,
                Err(Error::NoFolder(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            if !room.conversations.knows(account, &view) {
                if messages.saturating_add(view.len()) > most / SHARE {
                    is_whole = false;
                    continue;
                }
                messages = messages.saturating_add(view.len());
            }
            let uids = room.conversations.join(circle, account, &view, most).await?;
            if uids.is_empty() {
                continue;
            }
            match found.iter_mut().find(|one| one.view.folder() == folder) {
                Some(one) => {
                    one.uids.extend(uids);
                    one.uids.sort_unstable();
                    one.uids.dedup();
                }
                None => found.push(Found { view, uids }),
            }
        }
        if circle.names() == names {
            break;
        }
    }
    Ok(is_whole)
}
