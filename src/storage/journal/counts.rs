//! Numbers of events by time, kind and outcome: small enough to keep for years and to read at once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Error, Journal};
use crate::foundations::clock::Timestamp;
use crate::foundations::event::{Event, EventKind};
use crate::storage::database::{self, Sql, Transaction, Val};

/// The shortest interval of counts.
pub const BUCKET: Duration = Duration::from_secs(300);

/// How many events of one kind and outcome there were in one interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// When the interval began.
    pub at: Timestamp,
    /// Their kind.
    pub kind: EventKind,
    /// The filter's decision for a verdict, the reason in general words for a refusal, what has become of a node; empty for
    /// other kinds.
    pub outcome: String,
    /// How many.
    pub number: u64,
}

impl Journal {
    /// Counts of these kinds from a time on, in intervals of at least [`BUCKET`], oldest first. Fails when the database
    /// does, or when this journal keeps nothing.
    pub async fn counted(&self, kinds: &[EventKind], since: Timestamp, step: Duration) -> Result<Vec<Count>, Error> {
        let database = self.database.as_ref().ok_or(Error::NotKept)?;
        let marks = vec!["?"; kinds.len()].join(", ");
        let sum = database.dialect().integer("SUM(n)");
        let mut values = vec![Val::from(micros(step.max(BUCKET))), Val::from(begin(since, BUCKET))];
        values.extend(kinds.iter().map(|kind| Val::from(kind.word())));
        let sql = Sql::assembled(format!(
            "SELECT step, kind, outcome, {sum} FROM (SELECT bucket - bucket % ? AS step, kind, outcome, n \
             FROM event_counts WHERE bucket >= ? AND kind IN ({marks})) AS steps \
             GROUP BY step, kind, outcome ORDER BY step, kind, outcome LIMIT {MOST_ROWS}"
        ));
        let mut counts = Vec::new();
        for row in database.fetch_all(&sql, &values).await? {
            // A kind that a newer version wrote is skipped.
            if let Some(kind) = EventKind::from_word(&row.text(1)?) {
                let number = u64::try_from(row.int(3)?).unwrap_or(0);
                counts.push(Count { at: row.time(0)?, kind, outcome: row.text(2)?, number });
            }
        }
        Ok(counts)
    }

    /// The subjects (senders of received messages, recipients of delivered ones) of most events of these kinds, the
    /// most frequent first. Looks at no more than the newest 100,000 events since then.
    pub async fn busiest(
        &self,
        kinds: &[EventKind],
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<(String, u64)>, Error> {
        let database = self.database.as_ref().ok_or(Error::NotKept)?;
        let marks = vec!["?"; kinds.len()].join(", ");
        let mut values = vec![Val::from(since)];
        values.extend(kinds.iter().map(|kind| Val::from(kind.word())));
        values.push(Val::from(limit));
        let sql = Sql::assembled(format!(
            "SELECT subject_key, COUNT(*) FROM (SELECT subject_key FROM events WHERE at >= ? AND kind IN ({marks}) \
             AND subject_key IS NOT NULL ORDER BY at DESC LIMIT {MOST_LOOKED_AT}) AS newest \
             GROUP BY subject_key ORDER BY COUNT(*) DESC, subject_key LIMIT ?"
        ));
        let rows = database.fetch_all(&sql, &values).await?;
        let pair = |row: &database::Row| Ok((row.text(0)?, u64::try_from(row.int(1)?).unwrap_or(0)));
        Ok(rows.iter().map(pair).collect::<Result<_, database::Error>>()?)
    }
}

/// Adds events to the counts, in the transaction that writes them.
pub(super) async fn add(transaction: &mut Transaction, tally: &Tally) -> Result<(), database::Error> {
    let rows: Vec<_> = tally.0.iter().collect();
    for chunk in rows.chunks(100) {
        let sql = transaction.dialect().add_up("event_counts", &["bucket", "kind", "outcome"], "n", chunk.len());
        let values: Vec<Val> = chunk
            .iter()
            .flat_map(|((bucket, kind, outcome), number)| {
                [Val::from(*bucket), Val::from(*kind), Val::from(outcome.clone()), Val::from(**number)]
            })
            .collect();
        transaction.execute(&sql, &values).await?;
    }
    Ok(())
}

/// Counts of the events of one transaction. Sorted, so that two writers touch the rows in the same order.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<(i64, &'static str, String), i64>);

impl Tally {
    pub(super) fn note(&mut self, event: &Event) {
        *self.0.entry((begin(event.at, BUCKET), event.kind.word(), outcome(event))).or_default() += times(event);
    }
}

/// How many refusals one recorded event stands for.
fn times(event: &Event) -> i64 {
    let told = matches!(event.kind, EventKind::ConnectionRefused).then(|| event.details.get("times")).flatten();
    told.and_then(serde_json::Value::as_i64).unwrap_or(1)
}

/// When the interval that contains a time began, in microseconds.
fn begin(at: Timestamp, step: Duration) -> i64 {
    let at = at.unix_micros();
    at - at.rem_euclid(micros(step))
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// The outcome, in few enough distinct words to count by.
fn outcome(event: &Event) -> String {
    let text = |name: &str| event.details.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    match event.kind {
        EventKind::Verdict => text("decision").chars().take(LONGEST_OUTCOME).collect(),
        EventKind::Cluster => text("what").chars().take(LONGEST_OUTCOME).collect(),
        EventKind::ConnectionRefused
        | EventKind::LoginRefused
        | EventKind::RecipientRefused
        | EventKind::MessageRefused => in_general(text("reason")),
        _ => String::new(),
    }
}

/// A reason without the parts that differ between clients: numbers, addresses, names, and the text after a semicolon or
/// colon.
fn in_general(reason: &str) -> String {
    let first = reason.split([';', ':', '\r', '\n']).next().unwrap_or_default();
    let particular = |word: &str| {
        let inner = word.trim_end_matches(['.', ',']);
        inner.contains(['@', '.', '`', '<', '"']) || inner.contains(|c: char| c.is_numeric())
    };
    let words: Vec<&str> = first.split_whitespace().map(|word| if particular(word) { "…" } else { word }).collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(LONGEST_OUTCOME).collect()
}

/// In characters, as in MariaDB's column.
const LONGEST_OUTCOME: usize = 120;
/// Rows of one answer: 90 intervals with many outcomes.
const MOST_ROWS: u32 = 50_000;
const MOST_LOOKED_AT: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_become_few() {
        for (reason, wanted) in [
            (
                "Too many connections from 192.0.2.1 in a minute (30 are the most); wait",
                "Too many connections from … in a minute … are the most)",
            ),
            ("There is no mailbox for bob@example.test here", "There is no mailbox for … here"),
            ("This message is spam.", "This message is spam."),
            ("", ""),
        ] {
            assert_eq!(in_general(reason), wanted);
        }
    }

    #[test]
    fn a_refusal_that_stands_for_others_counts_as_all_of_them() {
        let mut tally = Tally::default();
        let refused = Event::new(Timestamp::EPOCH, EventKind::ConnectionRefused).with("reason", "busy");
        tally.note(&refused);
        tally.note(&refused.with("times", 7));
        assert_eq!(tally.0.into_values().collect::<Vec<_>>(), [8]);
    }

    #[test]
    fn leases_that_are_lost_are_counted_apart_from_others() {
        let of = |what: &str| outcome(&Event::new(Timestamp::EPOCH, EventKind::Cluster).with("what", what));
        assert_eq!((of("lost"), of("joined")), ("lost".to_owned(), "joined".to_owned()));
    }

    #[test]
    fn steps_begin_at_whole_multiples() {
        let at = Timestamp::from_unix_seconds(1_700_000_123);
        assert_eq!(begin(at, BUCKET), 1_699_999_800_000_000 + 300_000_000);
    }
}
