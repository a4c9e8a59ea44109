//! Finding events by words: from the newest back, in pieces, within the time the caller allows.
//!
//! Words match parts of words: `silent.te` is found in `mx.silent.test`, which no engine's full-text index would find,
//! and every engine must find the same. There is no index of words: an event has dozens, and writing them would cost
//! more than everything else that is done for a message. Reading back from the newest finds frequent words at once, and
//! rare ones within a time that the caller bounds: an answer says how far it has looked, and the next search continues
//! from there.

use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use super::query::{bounded, event, matching};
use super::{Error, Journal, Query};
use crate::foundations::clock::Timestamp;
use crate::foundations::event::Event;
use crate::storage::database::{Database, Row, Sql, Val};

/// The result of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Searched {
    /// Events, the newest first.
    pub events: Vec<Event>,
    /// Where to continue when not everything was searched: the `from` of the next search.
    pub next: Option<i64>,
    /// Everything newer than this has been searched; `None` when there is nothing older.
    pub back_to: Option<Timestamp>,
}

/// Events searched by the first statement. Later ones search more while they are quick.
const FIRST_PIECE: i64 = 10_000;
const LARGEST_PIECE: i64 = 160_000;
/// A faster statement is followed by a larger one. This also bounds how far a search exceeds its time.
const QUICK: Duration = Duration::from_millis(250);
/// Ids grow with time, except between two concurrent writers: this is how far they may be out of order.
const SLACK: i64 = 10_000;

impl Journal {
    /// Events that contain all words of a query, the newest first whatever its order; its subject (`search`) is
    /// ignored. Searches back from `from` until the query's limit is reached, `within` is over or nothing is left.
    /// Fails when the database does, or when this journal keeps nothing.
    pub async fn search(&self, query: &Query, from: Option<i64>, within: Duration) -> Result<Searched, Error> {
        let database = self.database.as_ref().ok_or(Error::NotKept)?;
        let begun = Instant::now();
        let limit = bounded(query.limit);
        let (lowest, mut above) = ids(database, query).await?;
        if let Some(from) = from {
            above = above.min(from);
        }
        let mut events: Vec<Event> = Vec::new();
        let mut piece = FIRST_PIECE;
        while above > lowest {
            let begin = above.saturating_sub(piece).max(lowest);
            let looked = Instant::now();
            let left = limit as usize - events.len();
            let rows = look(database, query, begin..above, left).await?;
            let is_full = rows.len() >= left;
            above = match rows.last().filter(|_| is_full) {
                Some(last) => last.int(7)?,
                None => begin,
            };
            // A kind that a newer version wrote is skipped.
            events.extend(rows.iter().map(event).collect::<Result<Vec<_>, _>>()?.into_iter().flatten());
            if is_full || begun.elapsed() >= within {
                break;
            }
            if looked.elapsed() < QUICK {
                piece = (piece * 2).min(LARGEST_PIECE);
            }
        }
        let next = (above > lowest).then_some(above);
        let back_to = match next {
            Some(id) => time_of(database, id).await?,
            None => None,
        };
        Ok(Searched { events, next, back_to })
    }
}

/// The rows among these ids that match.
async fn look(database: &Database, query: &Query, ids: Range<i64>, limit: usize) -> Result<Vec<Row>, Error> {
    let (condition, wanted) = matching(query, database.dialect());
    let mut values = vec![Val::from(ids.start), Val::from(ids.end)];
    values.extend(wanted);
    values.push(Val::from(i64::try_from(limit).unwrap_or(i64::MAX)));
    let sql = Sql::rare(format!(
        "SELECT at, kind, session, mail, queue, subject, details, id FROM events \
         WHERE id >= ? AND id < ? AND {condition} ORDER BY id DESC LIMIT ?"
    ));
    Ok(database.fetch_all(sql, &values).await?)
}

/// The lowest id that a query's times allow, and the one above the highest.
async fn ids(database: &Database, query: &Query) -> Result<(i64, i64), Error> {
    let number = async |sql: &'static str, values: &[Val]| {
        let row = database.fetch_optional(sql, values).await?;
        Ok::<_, Error>(row.map(|row| row.opt_int(0)).transpose()?.flatten())
    };
    let lowest = match query.since {
        Some(since) => {
            let sql = "SELECT id FROM events WHERE at >= ? ORDER BY at, id LIMIT 1";
            number(sql, &[since.into()]).await?.map(|id| id.saturating_sub(SLACK))
        }
        None => number("SELECT MIN(id) FROM events", &[]).await?,
    };
    let highest = match query.until {
        Some(until) => {
            let sql = "SELECT id FROM events WHERE at < ? ORDER BY at DESC, id DESC LIMIT 1";
            number(sql, &[until.into()]).await?.map(|id| id.saturating_add(SLACK))
        }
        None => number("SELECT MAX(id) FROM events", &[]).await?,
    };
    let first = number("SELECT MIN(id) FROM events", &[]).await?;
    Ok(match (lowest, highest, first) {
        (Some(lowest), Some(highest), Some(first)) => (lowest.max(first), highest.saturating_add(1)),
        _ => (0, 0),
    })
}

async fn time_of(database: &Database, id: i64) -> Result<Option<Timestamp>, Error> {
    let sql = "SELECT at FROM events WHERE id >= ? ORDER BY id LIMIT 1";
    let row = database.fetch_optional(sql, &[id.into()]).await?;
    Ok(row.map(|row| row.time(0)).transpose()?)
}
