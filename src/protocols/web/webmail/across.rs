//! Lists of conversations over several folders.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::Room;
use super::answer::Answer;
use super::conversations::{Conversation, Elsewhere, MOST_UIDS, SENDERS, SHARE, sum_up};
use super::door::Reader;
use super::list::{Line, Order, Wanted, lines};
use super::search::{Found, open};
use crate::foundations::mail::Uid;
use crate::services::conversations::{Across, Everywhere, Message, States};
use crate::storage::mailbox::{Flags, FolderName, Row};

/// A part of the list of conversations over these folders, how long the list is, and the sum of the folders' states; `None` if there
/// are more messages than it is wise to remember for that.
pub(super) async fn window(
    room: &Room,
    reader: &Reader,
    folders: &[FolderName],
    wanted: &Wanted,
    order: Order,
    window: Range<usize>,
) -> Answer<Option<(u64, usize, Vec<Found>)>> {
    let mut states = States::new();
    let mut found: Option<Vec<Message>> = None;
    let mut messages: u32 = 0;
    for folder in folders {
        let Some(view) = open(reader, folder).await? else { continue };
        // An account has fewer folders than that.
        let place = u32::try_from(states.len()).unwrap_or(u32::MAX);
        states.push((folder.clone(), u64::from(view.highest_mod_seq())));
        messages = messages.saturating_add(view.len());
        if let Some(uids) = wanted.found(room, &view).await? {
            let rows = uids.into_iter().filter_map(|uid| view.row_of(uid));
            found.get_or_insert_default().extend(rows.map(|row| Message::of(&row, place)));
        }
    }
    if messages > room.needs.settings.get().conversation_ids / SHARE {
        return Ok(None);
    }
    let everywhere = all(room, reader, &states).await?;
    let list = &everywhere.conversations;
    let mut places: Vec<usize> = match found {
        None => (0..list.len()).collect(),
        Some(found) => found.into_iter().filter_map(|message| list.place(message)).collect(),
    };
    places.sort_unstable();
    places.dedup();
    let size = |place: &usize| -> u64 { list.at(*place).iter().map(|message| message.size).sum() };
    match order {
        Order::Oldest => {}
        Order::Newest => places.reverse(),
        Order::Largest => places.sort_by_cached_key(|place| Reverse(size(place))),
        Order::Smallest => places.sort_by_cached_key(size),
    }
    let total = places.len();
    let page = places.into_iter().skip(window.start).take(window.len());
    let groups: Vec<&[Message]> = page.map(|place| list.at(place)).collect();
    let state = states.iter().fold(0_u64, |sum, (_, state)| sum.wrapping_add(*state));
    Ok(Some((state, total, shown(reader, &states, &everywhere, &groups).await?)))
}

/// All conversations of the folders.
async fn all(room: &Room, reader: &Reader, states: &States) -> Answer<Arc<Everywhere>> {
    let (account, most) = (&reader.account.address, room.needs.settings.get().conversation_ids);
    if let Some(list) = room.conversations.known_across(account, states).await {
        return Ok(list);
    }
    let _turn = room.searches.take(account).await;
    // Whoever had the turn before may have wanted the same.
    if let Some(list) = room.conversations.known_across(account, states).await {
        return Ok(list);
    }
    let mut across = Across::default();
    for (folder, state) in states {
        match open(reader, folder).await? {
            Some(view) => across = room.conversations.add_folder(across, account, &view, most).await?,
            // Somebody has deleted it while others were read.
            None => across.leave_out(folder.clone(), *state),
        }
    }
    Ok(room.conversations.across(across, account, most).await?)
}

/// The last messages of a conversation, whose senders are named.
fn tail(group: &[Message]) -> &[Message] {
    &group[group.len().saturating_sub(SENDERS)..]
}

/// One line for each of these conversations. Folders are opened again for them, as an account may have more than may be open at a time.
async fn shown(reader: &Reader, states: &States, everywhere: &Everywhere, groups: &[&[Message]]) -> Answer<Vec<Found>> {
    let places: BTreeSet<u32> = groups.iter().copied().flatten().map(|message| message.place).collect();
    let (mut rows, mut known) = (HashMap::new(), HashMap::new());
    for place in places {
        let Some((folder, _)) = states.get(place as usize) else { continue };
        let Some(view) = open(reader, folder).await? else { continue };
        let row = |message: &Message| view.row_of(message.uid).filter(|_| message.place == place);
        let of_all = groups.iter().copied().flatten().filter_map(row);
        rows.extend(of_all.map(|row| ((place, row.uid), row)));
        let tails: Vec<Row> = groups.iter().flat_map(|group| tail(group)).filter_map(row).collect();
        known.extend(lines(&view, &tails).await?.into_iter().map(|line| ((place, line.uid), line)));
    }
    Ok(groups.iter().filter_map(|group| together(states, everywhere, group, &rows, &mut known)).collect())
}

/// One line for a conversation: its last message, with details from the others.
fn together(
    states: &States,
    everywhere: &Everywhere,
    group: &[Message],
    rows: &HashMap<(u32, Uid), Row>,
    known: &mut HashMap<(u32, u32), Line>,
) -> Option<Found> {
    let line = |message: &Message| Some((message.place, known.remove(&(message.place, message.uid.get()))?));
    let (mut places, mut before): (Vec<u32>, Vec<Line>) = tail(group).iter().filter_map(line).unzip();
    let (place, mut line) = (places.pop()?, before.pop()?);
    let there: Vec<Row> = group.iter().filter_map(|message| rows.get(&(message.place, message.uid)).copied()).collect();
    // Whoever has seen one copy has seen the message.
    let mut seen: HashMap<(u32, Uid), bool> = HashMap::new();
    for message in group {
        if let Some(row) = rows.get(&(message.place, message.uid)) {
            *seen.entry(everywhere.original(message)).or_default() |= row.flags.contains(Flags::SEEN);
        }
    }
    let unseen = seen.values().filter(|seen| !**seen).count();
    sum_up(&mut line, &before, &there, unseen);
    let mut uids: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for message in &group[group.len().saturating_sub(MOST_UIDS)..] {
        uids.entry(message.place).or_default().push(message.uid.get());
    }
    let folder = |place: u32| states.get(place as usize).map(|(folder, _)| folder.to_string());
    let here = uids.remove(&place).unwrap_or_default();
    let elsewhere = uids.into_iter().filter_map(|(place, uids)| Some(Elsewhere { folder: folder(place)?, uids }));
    line.conversation = Some(Conversation { messages: seen.len(), unseen, uids: here, elsewhere: elsewhere.collect() });
    Some(Found { folder: folder(place)?, line })
}
