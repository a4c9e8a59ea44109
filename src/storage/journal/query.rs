//! Finding events.

use std::collections::BTreeMap;

use super::writer::{message_id_key, subject_key};
use super::{Error, Journal};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::ids::{MailId, QueueId, SessionId};
use crate::storage::database::{self, Row, Sql, Val};

/// Which events are wanted. What is left empty does not restrict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// What they are about.
    pub search: Option<Search>,
    /// Their kinds; none means all.
    pub kinds: Vec<EventKind>,
    /// Words that must all stand somewhere in the subject, the ids or the details, whatever their case; at most eight.
    pub words: Vec<String>,
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Which come first, and therefore which are left out beyond the limit.
    pub order: Order,
    /// Most events in the answer; at most 10,000, and 0 stands for 1,000.
    pub limit: u32,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Search {
    /// Any of these messages.
    Mails(Vec<MailId>),
    /// This queue entry.
    Queue(QueueId),
    /// This connection.
    Session(SessionId),
    /// A message with this Message-ID, with or without its angle brackets.
    MessageId(String),
    /// This account, recipient or sender.
    Address(Address),
}

/// The order of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The oldest first.
    #[default]
    OldestFirst,
    /// The newest first.
    NewestFirst,
}

/// Most ids in one question.
const MOST_IDS: usize = 500;
/// Most words in one question.
const MOST_WORDS: usize = 8;

impl Journal {
    /// The events that a query asks for. Those recorded within the last moments may be missing; see
    /// [`Journal::flush`]. Fails when the database does, or when this journal keeps nothing.
    pub async fn query(&self, query: &Query) -> Result<Vec<Event>, Error> {
        let database = self.database.as_ref().ok_or(Error::NotKept)?;
        let (condition, mut values) = condition(query);
        let order = match query.order {
            Order::OldestFirst => "ASC",
            Order::NewestFirst => "DESC",
        };
        let limit = if query.limit == 0 { 1_000 } else { query.limit.min(10_000) };
        values.push(Val::from(limit));
        let rows = database
            .fetch_all(
                Sql::rare(format!(
                    "SELECT at, kind, session, mail, queue, subject, details FROM events WHERE {condition} \
                     ORDER BY at {order}, id {order} LIMIT ?"
                )),
                &values,
            )
            .await?;
        Ok(rows.iter().map(event).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }
}

fn condition(query: &Query) -> (String, Vec<Val>) {
    let mut parts = vec!["1 = 1".to_owned()];
    let mut values = Vec::new();
    match &query.search {
        Some(Search::Mails(ids)) => {
            let ids = &ids[..ids.len().min(MOST_IDS)];
            // An empty list finds nothing.
            let marks = if ids.is_empty() { "NULL".to_owned() } else { vec!["?"; ids.len()].join(", ") };
            parts.push(format!("mail IN ({marks})"));
            values.extend(ids.iter().map(|id| Val::from(id.to_string())));
        }
        Some(search) => {
            let (column, value) = match search {
                Search::Queue(id) => ("queue", id.to_string()),
                Search::Session(id) => ("session", id.to_string()),
                Search::MessageId(id) => ("message_id", message_id_key(id)),
                Search::Address(address) => ("subject_key", subject_key(&address.to_string())),
                Search::Mails(_) => ("mail", String::new()),
            };
            parts.push(format!("{column} = ?"));
            values.push(Val::from(value));
        }
        None => {}
    }
    if !query.kinds.is_empty() {
        parts.push(format!("kind IN ({})", vec!["?"; query.kinds.len()].join(", ")));
        values.extend(query.kinds.iter().map(|kind| Val::from(kind.word())));
    }
    for word in query.words.iter().take(MOST_WORDS) {
        let pattern = format!("%{}%", escaped(&word.to_lowercase()));
        let places =
            ["details", "COALESCE(subject, '')", "COALESCE(mail, '')", "COALESCE(queue, '')", "COALESCE(session, '')"];
        let like: Vec<String> = places.iter().map(|place| format!("lower({place}) LIKE ? ESCAPE '!'")).collect();
        parts.push(format!("({})", like.join(" OR ")));
        values.extend(places.iter().map(|_| Val::from(pattern.clone())));
    }
    for (time, comparison) in [(query.since, "at >= ?"), (query.until, "at < ?")] {
        if let Some(time) = time {
            parts.push(comparison.to_owned());
            values.push(Val::from(time));
        }
    }
    (parts.join(" AND "), values)
}

/// A word in which nothing stands for anything else in LIKE.
fn escaped(word: &str) -> String {
    word.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

/// The event of a row; `None` for a kind that this version does not know.
fn event(row: &Row) -> Result<Option<Event>, database::Error> {
    let Some(kind) = EventKind::from_word(&row.text(1)?) else { return Ok(None) };
    Ok(Some(Event {
        at: row.time(0)?,
        kind,
        session: row.opt_text(2)?.and_then(|id| id.parse().ok()),
        mail: row.opt_text(3)?.and_then(|id| id.parse().ok()),
        queue: row.opt_text(4)?.and_then(|id| id.parse().ok()),
        subject: row.opt_text(5)?,
        details: serde_json::from_str(&row.text(6)?).unwrap_or_else(|_| BTreeMap::new()),
    }))
}
