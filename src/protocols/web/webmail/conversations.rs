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
use super::drafts::special;
use super::envelope::Person;
use super::list::{Line, Order, lines};
use super::reasons;
use crate::foundations::mail::Uid;
use crate::storage::mailbox::{Access, Flags, Row, SpecialUse, View};

/// What a line of a list says about its conversation.
#[derive(Serialize)]
pub(super) struct Conversation {
    messages: usize,
    unseen: usize,
    /// The last ones, by date.
    uids: Vec<u32>,
}

/// Most messages of a conversation that are told by number, so that something may be done with all of them.
const MOST_UIDS: usize = 1000;

/// The last messages of a conversation whose senders are named in a list.
const SENDERS: usize = 4;

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
            let mut places: Vec<usize> = uids.iter().filter_map(|uid| list.place(uid.get())).collect();
            places.sort_unstable();
            places.dedup();
            places
        }
    };
    let size =
        |place: &usize| -> u64 { list.at(*place).iter().filter_map(|uid| row(view, *uid)).map(|r| r.size).sum() };
    // As in lists of messages, it is the date that counts.
    let date = |uid: &u32| (row(view, *uid).map(|row| row.internal_date), *uid);
    let last = |place: &usize| list.at(*place).iter().map(date).max();
    match order {
        Order::Newest => places.sort_by_cached_key(|place| std::cmp::Reverse(last(place))),
        Order::Oldest => places.sort_by_cached_key(last),
        Order::Largest => places.sort_by_cached_key(|place| std::cmp::Reverse(size(place))),
        Order::Smallest => places.sort_by_cached_key(size),
    }
    let total = places.len();
    let in_order = |place: usize| {
        let mut group: Vec<u32> = list.at(place).iter().copied().filter(|uid| row(view, *uid).is_some()).collect();
        group.sort_by_cached_key(date);
        group
    };
    let groups: Vec<Vec<u32>> = places
        .into_iter()
        .skip(window.start)
        .take(window.len())
        .map(in_order)
        .filter(|group| !group.is_empty())
        .collect();
    let tails = groups.iter().flat_map(|group| &group[group.len().saturating_sub(SENDERS)..]);
    let rows: Vec<Row> = tails.filter_map(|uid| row(view, *uid)).collect();
    let mut known: BTreeMap<u32, Line> = lines(view, &rows).await?.into_iter().map(|line| (line.uid, line)).collect();
    let lines = groups.iter().filter_map(|group| together(view, group, &mut known)).collect();
    Ok((total, lines))
}

fn row(view: &View, uid: u32) -> Option<Row> {
    view.row(view.sequence(Uid::new(uid)?)?)
}

/// One line for a conversation: its last message, with what the others add to it.
fn together(view: &View, group: &[u32], known: &mut BTreeMap<u32, Line>) -> Option<Line> {
    let mut before: Vec<Line> = Vec::new();
    for uid in &group[group.len().saturating_sub(SENDERS)..] {
        before.extend(known.remove(uid));
    }
    let mut line = before.pop()?;
    let rows = || group.iter().filter_map(|uid| row(view, *uid));
    let unseen = rows().filter(|row| !row.flags.contains(Flags::SEEN)).count();
    let mut seen = HashSet::new();
    let people = before.iter().flat_map(|line| &line.from).chain(&line.from);
    let from: Vec<Person> = people.filter(|person| seen.insert(person.address.to_ascii_lowercase())).cloned().collect();
    line.from = from;
    line.attachments |= before.iter().any(|line| line.attachments);
    line.size = rows().map(|row| row.size).sum();
    if unseen > 0 {
        line.flags.retain(|flag| *flag != "seen");
    }
    if !line.flags.contains(&"flagged") && rows().any(|row| row.flags.contains(Flags::FLAGGED)) {
        line.flags.push("flagged");
    }
    let uids = group[group.len().saturating_sub(MOST_UIDS)..].to_vec();
    line.conversation = Some(Conversation { messages: rows().count(), unseen, uids });
    Some(line)
}

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

/// The conversation of a message, in order, with what was sent.
pub(super) async fn show(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Asked(asked): Asked<Question>,
) -> Answer<Response> {
    let settings = room.needs.settings.get();
    let most = settings.conversation_ids;
    let account = &reader.account.address;
    let view = reader.open(&asked.folder, Access::ReadOnly).await?;
    let uid = Uid::new(asked.uid).filter(|uid| view.sequence(*uid).is_some());
    let uid = uid.ok_or_else(|| Problem::of(&reasons::MESSAGE_GONE))?;
    let circle = room.conversations.around(account, &view, uid, most).await?;
    let mut members = members(&view, &circle.uids).await?;
    if let Some(sent) = sent(&reader, &view).await? {
        let uids = room.conversations.elsewhere(&circle, account, &sent, most).await?;
        members.extend(self::members(&sent, &uids).await?);
    }
    members.sort_by_key(|member| member.line.arrived);
    let total = members.len();
    members.drain(..total.saturating_sub(settings.page as usize));
    Ok(Json(serde_json::json!({ "total": total, "messages": members })).into_response())
}

/// The folder of what was sent, unless it is the one that is looked at.
async fn sent(reader: &Reader, view: &View) -> Answer<Option<View>> {
    let folder = special(reader, SpecialUse::Sent)?;
    if folder == *view.folder() {
        return Ok(None);
    }
    match reader.user.open(&folder, Access::ReadOnly).await {
        Ok(view) => Ok(Some(view)),
        Err(crate::storage::mailbox::Error::NoFolder(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn members(view: &View, uids: &[Uid]) -> Answer<Vec<Member>> {
    let last = &uids[uids.len().saturating_sub(MOST_UIDS)..];
    let rows: Vec<Row> = last.iter().filter_map(|uid| row(view, uid.get())).collect();
    let folder = view.folder().to_string();
    Ok(lines(view, &rows).await?.into_iter().map(|line| Member { folder: folder.clone(), line }).collect())
}
