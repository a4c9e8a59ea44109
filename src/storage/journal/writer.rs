//! Writing events to their table, many at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
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
/// With each twentieth of the events kept, but not with fewer than so many, it is looked whether the oldest must go:
/// many can come within `prune_every`.
const LEAST_GROWTH: u64 = 10_000;
/// Longest details of one event in octets; longer ones are replaced by a note, so that nobody can fill the table.
const LONGEST_DETAILS: usize = 32 * 1024;

const COLUMNS: &[&str] = &["at", "kind", "session", "mail", "queue", "subject", "subject_key", "message_id", "details"];

/// The task between the channel and the table.
pub(super) struct Writer {
    database: Database,
    settings: Live<JournalSettings>,
    clock: SharedClock,
    counters: Arc<Counters>,
    /// Told when there is no time to gather.
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
    pub(super) async fn run(self, mut receiver: mpsc::Receiver<Note>, stop: CancellationToken) {
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

    /// Lets events come together. It sleeps meanwhile: to be woken by each would cost more than to write it down.
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
        let mut events = Vec::with_capacity(BATCH);
        let mut waiting: Vec<oneshot::Sender<()>> = Vec::new();
        for note in notes {
            match note {
                Note::Event(event) => events.push(*event),
                Note::Flush(done) => waiting.push(done),
            }
        }
        let untold = self.counters.untold.swap(0, Ordering::Relaxed);
        if untold > 0 {
            let event = Event::new(self.clock.now(), EventKind::Lifecycle).with("events_dropped", untold);
            super::line::write_line(&event);
            events.push(event);
        }
        let mut attempts = 0;
        while !events.is_empty() {
            let error = match self.insert(&events).await {
                Ok(()) => break,
                Err(error) => error,
            };
            attempts += 1;
            if attempts == 1 {
                log::warn!(cause:% = error, events = events.len(); "The journal cannot be written; events wait in memory");
            }
            if is_refusal(&error) {
                events = self.insert_singly(events).await;
                if events.is_empty() {
                    break;
                }
            }
            if stop.is_cancelled() && attempts >= LAST_ATTEMPTS {
                self.give_up(events.len());
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        // Those who asked for it may have stopped waiting.
        for done in waiting {
            let _ = done.send(());
        }
    }

    async fn insert(&self, events: &[Event]) -> Result<(), Error> {
        let rows: Vec<Vec<Val>> = events.iter().map(row).collect();
        let mut tally = Tally::default();
        events.iter().for_each(|event| tally.note(event));
        let mut transaction = self.database.begin_with(Durability::Relaxed).await?;
        transaction.insert_many("events", COLUMNS, &rows).await?;
        counts::add(&mut transaction, &tally).await?;
        transaction.commit().await?;
        let (more, every) = (events.len() as u64, (self.settings.get().keep_at_most / 20).max(LEAST_GROWTH));
        let before = self.counters.written.fetch_add(more, Ordering::Relaxed);
        if before / every != (before + more) / every {
            self.counters.grown.notify_one();
        }
        Ok(())
    }

    /// One event that the database will not take must not cost the others. Those that it may take another time are returned.
    async fn insert_singly(&self, events: Vec<Event>) -> Vec<Event> {
        let mut later = Vec::new();
        for event in events {
            match self.insert(std::slice::from_ref(&event)).await {
                Err(error) if is_refusal(&error) => {
                    log::error!(cause:% = error; "The database refuses an event; it is lost");
                    self.give_up(1);
                }
                Err(_) => later.push(event),
                Ok(()) => {}
            }
        }
        later
    }

    fn give_up(&self, events: usize) {
        self.counters.dropped.fetch_add(events as u64, Ordering::Relaxed);
    }
}

/// Whether the database will not have it another time either.
fn is_refusal(error: &Error) -> bool {
    !matches!(error.kind(), Kind::Temporary | Kind::NoSpace) || matches!(error, Error::Other(_))
}

/// The form of an address under which events are found.
pub(super) fn subject_key(subject: &str) -> String {
    // A path stands in angle brackets, an account does not: both are found by the address.
    let subject = subject.strip_prefix('<').and_then(|path| path.strip_suffix('>')).unwrap_or(subject);
    let key = subject.parse::<Address>().map_or_else(|_| subject.to_lowercase(), |address| address.key());
    storable(&key)
}

/// The form of a Message-ID under which events are found: without angle brackets.
pub(super) fn message_id_key(id: &str) -> String {
    storable(id.trim().trim_start_matches('<').trim_end_matches('>'))
}

/// Without control characters (PostgreSQL's text holds no NUL) and no longer than an index bears.
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
