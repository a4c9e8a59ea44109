//! Finding events.

use std::collections::BTreeMap;

use super::writer::{message_id_key, subject_key};
use super::{Error, Journal};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::ids::{MailId, QueueId, SessionId};
use crate::storage::database::{self, Dialect, Row, Sql, Val};

/// Which events are wanted. Empty fields do not restrict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// What they are about.
    pub search: Option<Search>,
    /// Their kinds; none means all.
    pub kinds: Vec<EventKind>,
    /// Words that must all occur in the subject, the ids or the details, in any case; at most eight.
    pub words: Vec<String>,
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// The order, which also decides what the limit cuts off.
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
/// Characters of an id.
const LONGEST_ID: usize = 16;

impl Journal {
    /// The events that match a query. Those recorded within the last moments may be missing; see [`Journal::flush`].
    /// Fails when the database does, or when this journal keeps nothing.
    pub async fn query(&self, query: &Query) -> Result<Vec<Event>, Error> {
        let database = self.database.as_ref().ok_or(Error::NotKept)?;
        let (condition, mut values) = condition(query, database.dialect());
        let order = match query.order {
            Order::OldestFirst => "ASC",
            Order::NewestFirst => "DESC",
        };
        values.push(Val::from(bounded(query.limit)));
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

/// How many events an answer holds at the most.
pub(super) const fn bounded(limit: u32) -> u32 {
    match limit {
        0 => 1_000,
        10_001.. => 10_000,
        limit => limit,
    }
}

fn condition(query: &Query, dialect: Dialect) -> (String, Vec<Val>) {
    let (about, mut values) = about(query);
    let (matching, others) = matching(query, dialect);
    values.extend(others);
    (format!("{about} AND {matching}"), values)
}

/// A query's condition on the ids of events.
fn about(query: &Query) -> (String, Vec<Val>) {
    match &query.search {
        Some(Search::Mails(ids)) => {
            let ids = &ids[..ids.len().min(MOST_IDS)];
            // An empty list finds nothing.
            let marks = if ids.is_empty() { "NULL".to_owned() } else { vec!["?"; ids.len()].join(", ") };
            (format!("mail IN ({marks})"), ids.iter().map(|id| Val::from(id.to_string())).collect())
        }
        Some(search) => {
            let (column, value) = match search {
                Search::Queue(id) => ("queue", id.to_string()),
                Search::Session(id) => ("session", id.to_string()),
                Search::MessageId(id) => ("message_id", message_id_key(id)),
                Search::Address(address) => ("subject_key", subject_key(&address.to_string())),
                Search::Mails(_) => ("mail", String::new()),
            };
            (format!("{column} = ?"), vec![Val::from(value)])
        }
        None => ("1 = 1".to_owned(), Vec::new()),
    }
}

/// A query's condition on kinds, words and times of events.
pub(super) fn matching(query: &Query, dialect: Dialect) -> (String, Vec<Val>) {
    let mut parts = vec!["1 = 1".to_owned()];
    let mut values = Vec::new();
    if !query.kinds.is_empty() {
        parts.push(format!("kind IN ({})", vec!["?"; query.kinds.len()].join(", ")));
        values.extend(query.kinds.iter().map(|kind| Val::from(kind.word())));
    }
    for word in query.words.iter().take(MOST_WORDS) {
        let mut places = vec!["details", "subject"];
        // Ids are letters and digits: most words cannot occur in them.
        if word.len() <= LONGEST_ID && word.bytes().all(|octet| octet.is_ascii_alphanumeric()) {
            places.extend(["mail", "queue", "session"]);
        }
        let holds: Vec<String> = places.iter().map(|place| holds(place, word, dialect)).collect();
        parts.push(format!("({})", holds.join(" OR ")));
        values.extend(places.iter().map(|_| Val::from(pattern(word, dialect))));
    }
    for (time, comparison) in [(query.since, "at >= ?"), (query.until, "at < ?")] {
        if let Some(time) = time {
            parts.push(comparison.to_owned());
            values.push(Val::from(time));
        }
    }
    (parts.join(" AND "), values)
}

/// Whether a column contains a word, ignoring case. The words of most searches are ASCII, and a search that finds
/// little reads everything: so each engine uses its cheapest method (about half the cost on both).
fn holds(column: &str, word: &str, dialect: Dialect) -> String {
    match dialect {
        // LIKE ignores the case of ASCII letters, and `lower` knows no others.
        Dialect::Sqlite => format!("{column} LIKE ? ESCAPE '!'"),
        Dialect::MySql if word.is_ascii() => format!("{column} REGEXP ?"),
        Dialect::MySql => format!("lower({column}) LIKE ? ESCAPE '!'"),
        // Case rules of other languages are not needed, and cost more than reading the row.
        Dialect::Postgres if word.is_ascii() => format!("lower({column} COLLATE \"C\") LIKE ? ESCAPE '!'"),
        Dialect::Postgres => format!("{column} ILIKE ? ESCAPE '!'"),
    }
}

/// The word in the form that [`holds`] needs.
fn pattern(word: &str, dialect: Dialect) -> String {
    if dialect != Dialect::MySql || !word.is_ascii() {
        return format!("%{}%", escaped(&word.to_lowercase()));
    }
    // In a regular expression, a backslash before anything but a letter or digit makes it literal.
    let literal = word.chars().flat_map(|c| (!c.is_ascii_alphanumeric()).then_some('\\').into_iter().chain([c]));
    format!("(?i){}", literal.collect::<String>())
}

/// A word with LIKE's wildcards escaped.
fn escaped(word: &str) -> String {
    word.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

/// The event of a row; `None` for a kind that this version does not know.
pub(super) fn event(row: &Row) -> Result<Option<Event>, database::Error> {
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
