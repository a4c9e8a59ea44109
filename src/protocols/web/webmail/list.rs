//! Lists of messages.

use std::collections::HashMap;
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
use super::folders::role;
use super::paperclip::has_attachment;
use super::reasons;
use super::sought::Sought;
use super::terms::{self, Scope};
use crate::foundations::mail::{SequenceSet, Summary, Uid};
use crate::foundations::wire::imap::SearchKey;
use crate::services::search::{Condition, Found, Wording, find};
use crate::storage::mailbox::{Access, Flags, FolderEntry, FolderName, Row, Unreadable, View};

/// Which folder's messages are listed, and how.
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
    pub(super) async fn wanted(&self, reader: &Reader) -> Answer<Wanted> {
        Wanted::new(reader, &self.filter, &self.query, self.whole).await
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
    let found = asked.wanted(&reader).await?.found(&room, &view).await?;
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
    sought: Option<Sought>,
    /// The folders that are meant by each name in it.
    named: HashMap<String, Vec<FolderName>>,
}

impl Wanted {
    /// By a filter of the list and the typed text; `whole` searches whole messages for it.
    async fn new(reader: &Reader, filter: &str, query: &str, whole: bool) -> Answer<Self> {
        let typed = terms::sought(query, if whole { Scope::Whole } else { Scope::Head })?;
        // Who types of files means that, and not the filter.
        let is_typed = filter == terms::ATTACHMENTS && typed.as_ref().is_some_and(Sought::asks_for_attachments);
        let chosen = terms::filter(filter)?.filter(|_| !is_typed);
        let sought = match (chosen, typed) {
            (Some(chosen), Some(typed)) => Some(Sought::All(vec![chosen, typed])),
            (chosen, typed) => chosen.or(typed),
        };
        let mut named = HashMap::new();
        let names = sought.as_ref().map(Sought::folders).unwrap_or_default();
        if !names.is_empty() {
            let entries = reader.user.folders().await?;
            for name in names {
                named.insert(name.to_owned(), called(name, &entries)?);
            }
        }
        Ok(Self { sought, named })
    }

    /// The messages of a folder that are looked for; `None` for all of them.
    pub(super) async fn found(&self, room: &Room, view: &View) -> Answer<Option<Vec<Uid>>> {
        let Some(sought) = &self.sought else { return Ok(None) };
        match self.within(sought, view.folder()) {
            Some(sought) => sought.found(room, view, None).await.map(Some),
            None => Ok(Some(Vec::new())),
        }
    }

    /// Whether messages of a folder can be meant at all.
    pub(super) fn may_be_in(&self, folder: &FolderName) -> bool {
        self.sought.as_ref().is_none_or(|sought| self.within(sought, folder).is_some())
    }

    fn within(&self, sought: &Sought, folder: &FolderName) -> Option<Sought> {
        sought.within(&|name| self.named.get(name).is_some_and(|meant| meant.contains(folder)))
    }
}

/// The folders meant by a name: by the full name, by the role, or else by the last part of the name.
fn called(name: &str, entries: &[FolderEntry]) -> Answer<Vec<FolderName>> {
    let lower = name.to_lowercase();
    let purpose = match lower.as_str() {
        "spam" => "junk",
        "draft" => "drafts",
        "bin" => "trash",
        name => name,
    };
    let is_last = |entry: &FolderEntry| entry.name.as_str().to_lowercase().rsplit('/').next() == Some(&lower);
    let of = |is_meant: &dyn Fn(&FolderEntry) -> bool| -> Vec<FolderName> {
        entries.iter().filter(|entry| entry.exists && is_meant(entry)).map(|entry| entry.name.clone()).collect()
    };
    let ways = [
        of(&|entry| entry.name.as_str().to_lowercase() == lower),
        of(&|entry| role(&entry.name, entry.special_use) == Some(purpose)),
        of(&is_last),
    ];
    let meant = ways.into_iter().find(|meant| !meant.is_empty());
    meant.ok_or_else(|| Problem::of(&reasons::NO_FOLDER).with("name", name))
}

/// The messages for which a condition holds, ascending.
pub(super) async fn search(room: &Room, view: &View, key: &SearchKey) -> Answer<Vec<Uid>> {
    let _turn = room.searches.take(view.account()).await;
    let settings = room.needs.settings.get();
    let nothing = SequenceSet::new();
    let wording = Wording { charset: None, saved: &nothing, text_limit: settings.search_text.len() };
    let condition = Condition::new(key, &wording, view, room.needs.clock.now());
    let condition = condition.map_err(|problem| Problem::of(&reasons::SEARCH).with("why", problem))?;
    let Found { hits, unreadable } = find(&Arc::new(condition), view, FILES_AT_ONCE).await?;
    unreadable.log(view);
    Ok(hits.into_iter().map(|hit| hit.uid).collect())
}

/// Files that one search reads in one go.
const FILES_AT_ONCE: usize = 64;

/// The rows of a page. A moved message has a new UID and its old date, so the date counts.
fn page(view: &View, found: Option<Vec<Uid>>, order: Order, window: Range<usize>) -> Vec<Row> {
    let mut keys = keys(view, found, order);
    order.sort(&mut keys);
    keys.into_iter().skip(window.start).take(window.len()).filter_map(|(_, uid)| view.row_of(uid)).collect()
}

/// What messages are sorted by, and their UIDs: a fraction of a row each, as folders are long.
pub(super) fn keys(view: &View, found: Option<Vec<Uid>>, order: Order) -> Vec<(i64, Uid)> {
    let all = SequenceSet::all();
    match found {
        Some(uids) => {
            uids.into_iter().filter_map(|uid| view.row_of(uid)).map(|row| (order.key(&row), row.uid)).collect()
        }
        None => view.rows(&all).map(|(_, row)| (order.key(&row), row.uid)).collect(),
    }
}

pub(super) async fn lines(view: &View, rows: &[Row]) -> Answer<Vec<Line>> {
    let mut summaries = view.summaries(rows.iter().map(|row| row.uid).collect());
    let mut unreadable = Unreadable::default();
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        // A message that is gone in this moment leaves an empty line; the next look shows it no more. So does one that
        // cannot be read, which stays.
        let stored = unreadable.pass(summaries.next().await)?.unwrap_or_default();
        lines.push(line(row, &Summary::read(&stored).unwrap_or_default()));
    }
    unreadable.log(view);
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
