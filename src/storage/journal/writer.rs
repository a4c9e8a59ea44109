//! Writing events to their table, many at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::JournalSettings;
use super::counts::{self, Tally};
use super::record::{Counters, Note};
use crate::foundations::address::Address;
use crate::foundations::clock::SharedClock;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::Kind;
use crate::foundations::settings::Live;
use crate::storage::database::{Database, Durability, Error, Val};

/// Most events in one transaction, so that the database's other writers are not kept waiting.
pub(super) const BATCH: usize = 500;
/// Pause after the database has refused.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a batch is tried while the server is stopping.
const LAST_ATTEMPTS: u32 = 3;
/// After each twentieth of the events kept, but no fewer than this many, old events are looked for: many can be
/// recorded within `prune_every`.
const LEAST_GROWTH: u64 = 10_000;
/// Longest details of one event in octets; longer ones are replaced by a note, so that nobody can fill the table.
const LONGEST_DETAILS: usize = 32 * 1024;

const COLUMNS: &[&str] = &["at", "kind", "session", "mail", "queue", "subject", "subject_key", "message_id", "details"];

/// Events that are to be written.
#[derive(Debug, Default)]
struct Batch {
    events: Vec<Event>,
    unheard: Option<Unheard>,
}

/// An attempt to write the first events of a batch that failed at the very end: it was committed or undone, and the
/// answer was lost.
#[derive(Debug, Clone, Copy)]
struct Unheard {
    /// The number that its first event got.
    first: i64,
    /// How many events it wrote, if it did.
    events: usize,
}

/// The task between the channel and the table.
pub(super) struct Writer {
    database: Database,
    settings: Live<JournalSettings>,
    clock: SharedClock,
    counters: Arc<Counters>,
    /// Signalled when there is no time to gather.
    hurry: Arc<Notify>,
}

impl Writer {
    pub(super) fn new(
        database: Database,
        settings: Live<JournalSettings>,
        clock: SharedClock,
        counters: Arc<Counters>,
        hurry: Arc<Notify>,
    ) -> Self {
        Self { database, settings, clock, counters, hurry }
    }

    /// Runs until the senders are gone, or until it is told to stop and the channel is empty.
    pub(super) async fn run(self: Arc<Self>, receiver: Arc<Mutex<mpsc::Receiver<Note>>>, stop: CancellationToken) {
        let mut receiver = receiver.lock().await;
        let mut notes = Vec::with_capacity(BATCH);
        loop {
            let received = tokio::select! {
                received = receiver.recv_many(&mut notes, BATCH) => received,
                () = stop.cancelled() => match receiver.try_recv() {
                    Ok(note) => { notes.push(note); 1 }
                    Err(_) => 0,
                },
            };
            if received == 0 {
                return;
            }
            let gather = self.settings.get().gather_for.duration();
            let flush_wanted = notes.iter().any(|note| matches!(note, Note::Flush(_)));
            if !flush_wanted && notes.len() < BATCH && !stop.is_cancelled() {
                self.gather(&mut receiver, &mut notes, gather, &stop).await;
            }
            self.write(notes.drain(..), &stop).await;
        }
    }

    /// Lets events gather. It sleeps meanwhile: waking for each would cost more than writing it.
    async fn gather(
        &self,
        receiver: &mut mpsc::Receiver<Note>,
        notes: &mut Vec<Note>,
        time: Duration,
        stop: &CancellationToken,
    ) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.hurry.notified() => {}
            () = stop.cancelled() => {}
        }
        while notes.len() < BATCH
            && let Ok(note) = receiver.try_recv()
        {
            notes.push(note);
        }
    }

    async fn write(&self, notes: impl Iterator<Item = Note>, stop: &CancellationToken) {
        let mut batch = Batch { events: Vec::with_capacity(BATCH), unheard: None };
        let mut waiting: Vec<oneshot::Sender<()>> = Vec::new();
        for note in notes {
            match note {
                Note::Event(event) => batch.events.push(*event),
                Note::Flush(done) => waiting.push(done),
            }
        }
        let untold = self.counters.untold.swap(0, Ordering::Relaxed);
        if untold > 0 {
            let event = Event::new(self.clock.now(), EventKind::Lifecycle).with("events_dropped", untold);
            super::line::write_line(&event);
            batch.events.push(event);
        }
        let mut attempts = 0;
        while !batch.events.is_empty() {
            let error = match self.attempt(&mut batch).await {
                Ok(()) => break,
                Err(error) => error,
            };
            attempts += 1;
            if attempts == 1 {
                let waiting = batch.events.len();
                log::warn!(cause:% = error, events = waiting; "The journal cannot be written; events are kept in memory");
            }
            if is_refusal(&error) {
                batch = self.insert_singly(batch).await;
                if batch.events.is_empty() {
                    break;
                }
            }
            if stop.is_cancelled() && attempts >= LAST_ATTEMPTS {
                self.give_up(batch.events.len());
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        // The callers may have stopped waiting.
        for done in waiting {
            let _ = done.send(());
        }
    }

    /// Writes a batch, except for events that an earlier attempt turns out to have written.
    async fn attempt(&self, batch: &mut Batch) -> Result<(), Error> {
        if let (Some(unheard), Some(first)) = (batch.unheard, batch.events.first()) {
            if self.has_written(first, unheard.first).await? {
                batch.events.drain(..unheard.events);
                self.note_written(unheard.events);
            }
            batch.unheard = None;
        }
        self.insert(batch).await
    }

    /// All of them in one transaction, and their counts with them.
    async fn insert(&self, batch: &mut Batch) -> Result<(), Error> {
        let rows: Vec<Vec<Val>> = batch.events.iter().map(row).collect();
        let [first, others @ ..] = rows.as_slice() else { return Ok(()) };
        let mut tally = Tally::default();
        batch.events.iter().for_each(|event| tally.note(event));
        let mut transaction = self.database.begin_with(Durability::Relaxed).await?;
        let first = transaction.insert("events", COLUMNS, first).await?;
        transaction.insert_many("events", COLUMNS, others).await?;
        counts::add(&mut transaction, &tally).await?;
        if let Err(error) = transaction.commit().await {
            batch.unheard = Some(Unheard { first, events: rows.len() });
            return Err(error);
        }
        self.note_written(rows.len());
        Ok(())
    }

    /// Whether an attempt whose first event got this number was committed. Looking is not enough: the server may still
    /// be working on it. Inserting the number again waits for the end of that attempt, and finds the number taken or
    /// free.
    async fn has_written(&self, event: &Event, number: i64) -> Result<bool, Error> {
        let columns = [&["id"][..], COLUMNS].concat();
        let values = [vec![Val::from(number)], row(event)].concat();
        let mut transaction = self.database.begin_with(Durability::Relaxed).await?;
        match transaction.insert_many("events", &columns, &[values]).await {
            Ok(()) => transaction.rollback().await.map(|()| false),
            Err(Error::Unique(_)) => {
                transaction.rollback().await?;
                // A restarted engine may have given the number of an undone row to somebody else.
                let sql = "SELECT 1 FROM events WHERE id = ? AND at = ? AND kind = ?";
                let values = [Val::from(number), Val::from(event.at), Val::from(event.kind.word())];
                Ok(self.database.fetch_optional(sql, &values).await?.is_some())
            }
            Err(error) => Err(error),
        }
    }

    fn note_written(&self, events: usize) {
        let (more, every) = (events as u64, (self.settings.get().keep_at_most / 20).max(LEAST_GROWTH));
        let before = self.counters.written.fetch_add(more, Ordering::Relaxed);
        if before / every != (before + more) / every {
            self.counters.grown.notify_one();
        }
    }

    /// One event that the database refuses must not cost the others. Those worth another try are returned.
    async fn insert_singly(&self, batch: Batch) -> Batch {
        let mut events = batch.events.into_iter();
        while let Some(event) = events.next() {
            let mut single = Batch { events: vec![event], unheard: None };
            match self.insert(&mut single).await {
                Err(error) if is_refusal(&error) => {
                    log::error!(cause:% = error; "The database refused an event; it is lost");
                    self.give_up(1);
                }
                Err(_) => {
                    single.events.extend(events);
                    return single;
                }
                Ok(()) => {}
            }
        }
        Batch::default()
    }

    fn give_up(&self, events: usize) {
        self.counters.dropped.fetch_add(events as u64, Ordering::Relaxed);
    }
}

/// Whether the database will refuse it again, too.
fn is_refusal(error: &Error) -> bool {
    !matches!(error.kind(), Kind::Temporary | Kind::NoSpace) || matches!(error, Error::Other(_))
}

/// The form of an address under which events are found.
pub(super) fn subject_key(subject: &str) -> String {
    // A path has angle brackets, an account does not: both are found by the address.
    let subject = subject.strip_prefix('<').and_then(|path| path.strip_suffix('>')).unwrap_or(subject);
    let key = subject.parse::<Address>().map_or_else(|_| subject.to_lowercase(), |address| address.key());
    storable(&key)
}

/// The form of a Message-ID under which events are found: without angle brackets.
pub(super) fn message_id_key(id: &str) -> String {
    storable(id.trim().trim_start_matches('<').trim_end_matches('>'))
}

/// Without control characters (PostgreSQL's text cannot hold NUL), and short enough for an index.
fn storable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST_KEY).collect()
}

/// Longest key in characters; an index entry of MariaDB holds 3072 octets, so four per character fit.
const LONGEST_KEY: usize = 320;

fn row(event: &Event) -> Vec<Val> {
    let message_id = event.details.get("message_id").and_then(|id| id.as_str()).map(message_id_key);
    let subject = event.subject.as_deref().map(storable);
    let mut details = serde_json::to_string(&event.details).unwrap_or_else(|_| "{}".to_owned());
    if details.len() > LONGEST_DETAILS {
        details = format!(r#"{{"left_out":"details of {} octets"}}"#, details.len());
    }
    vec![
        Val::from(event.at),
        Val::from(event.kind.word()),
        Val::from(event.session.map(|id| id.to_string())),
        Val::from(event.mail.map(|id| id.to_string())),
        Val::from(event.queue.map(|id| id.to_string())),
        Val::from(subject),
        Val::from(event.subject.as_deref().map(subject_key)),
        Val::from(message_id),
        Val::from(details),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::clock::{SystemClock, Timestamp};
    use crate::storage::database::test_database;

    #[tokio::test]
    async fn what_was_committed_unheard_is_not_written_twice() {
        let (_place, database) = test_database().await;
        let (settings, clock) = (Live::new(JournalSettings::default()), Arc::new(SystemClock));
        let writer = Writer::new(database.clone(), settings, clock, Arc::default(), Arc::default());
        let event = |n| Event::new(Timestamp::from_unix_seconds(n), EventKind::Lifecycle).with("n", n);
        let number = async |sql: &'static str| {
            database.fetch_optional(sql, &[]).await.unwrap().map_or(0, |row| row.int(0).unwrap())
        };
        let unheard = |first, events| Some(Unheard { first, events });

        let mut written = Batch { events: vec![event(1), event(2)], unheard: None };
        writer.attempt(&mut written).await.unwrap();
        let first = number("SELECT MIN(id) FROM events").await;
        for (events, unheard, rows, what) in [
            (vec![event(1), event(2)], unheard(first, 2), 2, "it was committed"),
            (vec![event(1), event(2), event(3)], unheard(first, 2), 3, "and another one is beside it"),
            (vec![event(4), event(5)], unheard(1_000, 2), 5, "it was undone"),
            (vec![event(6)], unheard(first, 1), 6, "it was undone, and its number is another's"),
        ] {
            writer.attempt(&mut Batch { events, unheard }).await.unwrap();
            assert_eq!(number("SELECT COUNT(*) FROM events").await, rows, "{what}");
            assert_eq!(number("SELECT SUM(n) FROM event_counts").await, rows, "{what}: counts");
        }
        assert_eq!(number("SELECT COUNT(DISTINCT at) FROM events").await, 6);
        database.close().await;
    }
}
