//! Lists of messages.

use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{Answer, Asked, Problem};
use super::conversations::{self, Conversation};
use super::door::Reader;
use super::envelope::{Envelope, Person, clean};
use super::paperclip::has_attachment;
use super::reasons;
use super::terms::{self, Scope};
use crate::foundations::mail::{SequenceSet, Summary, Uid};
use crate::foundations::wire::imap::SearchKey;
use crate::services::search::{Condition, Wording, find};
use crate::storage::mailbox::{Access, Flags, Row, View};

/// Of which folder, and how, messages are listed.
#[derive(Deserialize)]
pub(super) struct Place {
    folder: String,
    /// Whether a line is a conversation.
    #[serde(default)]
    conversations: bool,
}

/// Which messages are wanted, and which part of their list.
#[derive(Deserialize)]
#[serde(default)]
pub(super) struct Question {
    pub(super) start: u32,
    count: u32,
    pub(super) order: Order,
    filter: String,
    query: String,
    whole: bool,
}

impl Default for Question {
    fn default() -> Self {
        let (filter, query) = (String::new(), String::new());
        Self { start: 0, count: 50, order: Order::default(), filter, query, whole: false }
    }
}

impl Question {
    /// What messages are looked for by.
    pub(super) fn wanted(&self) -> Answer<Wanted> {
        Wanted::new(&self.filter, &self.query, self.whole)
    }

    /// The places in the whole list that are shown.
    pub(super) fn window(&self, room: &Room) -> Range<usize> {
        let start = self.start as usize;
        start..start.saturating_add(self.count.clamp(1, room.needs.settings.get().page) as usize)
    }
}

/// How a list is sorted.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Order {
    #[default]
    Newest,
    Oldest,
    Largest,
    Smallest,
}

impl Order {
    fn key(self, row: &Row) -> i64 {
        match self {
            Self::Newest | Self::Oldest => row.internal_date.unix_millis(),
            Self::Largest | Self::Smallest => i64::try_from(row.size).unwrap_or(i64::MAX),
        }
    }

    /// Sorts what begins with a key.
    pub(super) fn sort<T: Ord>(self, keyed: &mut [T]) {
        keyed.sort_unstable();
        if matches!(self, Self::Newest | Self::Largest) {
            keyed.reverse();
        }
    }
}

/// One line of a list.
#[derive(Serialize)]
pub(super) struct Line {
    pub(super) uid: u32,
    pub(super) flags: Vec<&'static str>,
    pub(super) size: u64,
    pub(super) arrived: i64,
    pub(super) from: Vec<Person>,
    to: Vec<Person>,
    subject: String,
    preview: String,
    pub(super) attachments: bool,
    /// The conversation whose last message this is, when lines are conversations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) conversation: Option<Conversation>,
}

/// A part of a folder's list.
#[derive(Serialize)]
struct List {
    folder: String,
    uid_validity: u32,
    /// Changes whenever anything in the folder does.
    state: u64,
    /// Messages in the folder.
    messages: u32,
    unseen: u32,
    /// Messages that were found; all without a search.
    total: usize,
    start: u32,
    lines: Vec<Line>,
}

pub(super) async fn list(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Asked(place): Asked<Place>,
    Asked(asked): Asked<Question>,
) -> Answer<Response> {
    let view = reader.open(&place.folder, Access::ReadOnly).await?;
    let found = asked.wanted()?.found(&room, &view).await?;
    let window = asked.window(&room);
    let (total, lines) = if place.conversations {
        conversations::window(&room, &reader, &view, found, asked.order, window).await?
    } else {
        let total = found.as_ref().map_or(view.len() as usize, Vec::len);
        (total, lines(&view, &page(&view, found, asked.order, window)).await?)
    };
    let status = view.status();
    let list = List {
        folder: view.folder().to_string(),
        uid_validity: u32::from(view.uid_validity()),
        state: u64::from(view.highest_mod_seq()),
        messages: status.messages,
        unseen: status.unseen,
        total,
        start: asked.start,
        lines,
    };
    Ok(Json(list).into_response())
}

/// What messages are looked for by.
pub(super) struct Wanted {
    key: Option<SearchKey>,
    attachments: Option<bool>,
}

impl Wanted {
    /// By a filter of the list, and what was typed; `whole` looks for that in whole messages.
    fn new(filter: &str, query: &str, whole: bool) -> Answer<Self> {
        let key = terms::filter(filter).ok_or_else(|| {
            Problem::bad("`filter` is all, unread, read, flagged, answered, forwarded, draft or attachments.")
        })?;
        let scope = if whole { Scope::Whole } else { Scope::Head };
        let key = match (key, terms::key(query, scope)) {
            (SearchKey::All, typed) => typed,
            (filter, None) => Some(filter),
            (filter, Some(typed)) => Some(SearchKey::And(vec![filter, typed])),
        };
        let attachments = terms::attachments(query).or((filter == terms::ATTACHMENTS).then_some(true));
        Ok(Self { key, attachments })
    }

    /// The messages of a folder that are looked for; `None` for all of them.
    pub(super) async fn found(&self, room: &Room, view: &View) -> Answer<Option<Vec<Uid>>> {
        let found = match &self.key {
            Some(key) => Some(search(room, view, key).await?),
            None => None,
        };
        match self.attachments {
            Some(wanted) => attached(room, view, found, wanted).await.map(Some),
            None => Ok(found),
        }
    }
}

/// The messages for which a condition holds, ascending.
pub(super) async fn search(room: &Room, view: &View, key: &SearchKey) -> Answer<Vec<Uid>> {
    let _turn = room.searches.acquire().await;
    let settings = room.needs.settings.get();
    let nothing = SequenceSet::new();
    let wording = Wording { charset: None, saved: &nothing, text_limit: settings.search_text.len() };
    let condition = Condition::new(key, &wording, view, room.needs.clock.now());
    let condition = condition.map_err(|problem| Problem::of(&reasons::SEARCH).with("why", problem))?;
    let hits = find(&Arc::new(condition), view, FILES_AT_ONCE).await?;
    Ok(hits.into_iter().map(|hit| hit.uid).collect())
}

/// Files that one search reads in one go.
const FILES_AT_ONCE: usize = 64;

/// Those of the messages that have attachments, or that have none; of all messages where none were looked for.
async fn attached(room: &Room, view: &View, found: Option<Vec<Uid>>, wanted: bool) -> Answer<Vec<Uid>> {
    let _turn = room.searches.acquire().await;
    let all = SequenceSet::all();
    let uids = found.unwrap_or_else(|| view.rows(&all).map(|(_, row)| row.uid).collect());
    let mut summaries = view.summaries(uids.clone());
    let mut kept = Vec::new();
    for uid in uids {
        let has = match summaries.next().await {
            Some((_, Ok(stored))) => Summary::read(&stored).is_some_and(|it| has_attachment(&it.body_structure)),
            Some((_, Err(crate::storage::mailbox::Error::NoMessage(_)))) | None => continue,
            Some((_, Err(error))) => return Err(error.into()),
        };
        if has == wanted {
            kept.push(uid);
        }
    }
    Ok(kept)
}

/// The rows of a page. What was moved here has a new UID and its old date, so that it is the date that counts.
fn page(view: &View, found: Option<Vec<Uid>>, order: Order, window: Range<usize>) -> Vec<Row> {
    let mut keys = keys(view, found, order);
    order.sort(&mut keys);
    keys.into_iter()
        .skip(window.start)
        .take(window.len())
        .filter_map(|(_, uid)| view.row(view.sequence(uid)?))
        .collect()
}

/// What messages are sorted by, and their UIDs: a fraction of a row each, as folders are long.
pub(super) fn keys(view: &View, found: Option<Vec<Uid>>, order: Order) -> Vec<(i64, Uid)> {
    let row = |uid: Uid| view.row(view.sequence(uid)?);
    let all = SequenceSet::all();
    match found {
        Some(uids) => uids.into_iter().filter_map(row).map(|row| (order.key(&row), row.uid)).collect(),
        None => view.rows(&all).map(|(_, row)| (order.key(&row), row.uid)).collect(),
    }
}

pub(super) async fn lines(view: &View, rows: &[Row]) -> Answer<Vec<Line>> {
    let mut summaries = view.summaries(rows.iter().map(|row| row.uid).collect());
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        let stored = match summaries.next().await {
            Some((_, Ok(stored))) => stored,
            // A message that is gone in this moment leaves an empty line; the next look shows it no more.
            Some((_, Err(crate::storage::mailbox::Error::NoMessage(_)))) | None => bytes::Bytes::new(),
            Some((_, Err(error))) => return Err(error.into()),
        };
        lines.push(line(row, &Summary::read(&stored).unwrap_or_default()));
    }
    Ok(lines)
}

fn line(row: &Row, summary: &Summary) -> Line {
    let envelope = Envelope::read(&summary.envelope);
    Line {
        uid: row.uid.get(),
        flags: flags(row),
        size: row.size,
        arrived: row.internal_date.unix_millis(),
        from: envelope.from,
        to: envelope.to,
        subject: clean(&summary.fields.subject),
        preview: clean(&summary.preview),
        attachments: has_attachment(&summary.body_structure),
        conversation: None,
    }
}

/// Flags as the page names them.
pub(super) fn flags(row: &Row) -> Vec<&'static str> {
    FLAGS.iter().filter(|(flag, _)| row.flags.contains(*flag)).map(|(_, word)| *word).collect()
}

/// Flags and their names.
pub(super) const FLAGS: [(Flags, &str); 5] = [
    (Flags::SEEN, "seen"),
    (Flags::FLAGGED, "flagged"),
    (Flags::ANSWERED, "answered"),
    (Flags::FORWARDED, "forwarded"),
    (Flags::DRAFT, "draft"),
];
