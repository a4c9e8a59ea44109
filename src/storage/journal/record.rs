//! Recording events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use super::ages::{Ages, Believed};
use super::line::write_line;
use super::writer::{BATCH, Writer};
use super::{Error, JournalSettings, retention};
use crate::foundations::clock::SharedClock;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::storage::database::Database;

/// Where decisions are recorded. Cloning gives another handle to the same journal.
#[derive(Debug, Clone)]
pub struct Journal {
    pub(super) database: Option<Database>,
    sender: Option<mpsc::Sender<Note>>,
    pub(super) counters: Arc<Counters>,
    /// Tells the writer to stop gathering.
    hurry: Arc<Notify>,
    ages: Option<Ages>,
    /// On whose behalf events are recorded.
    administrator: Option<Arc<str>>,
}

/// A message to the writer.
#[derive(Debug)]
pub(super) enum Note {
    Event(Box<Event>),
    /// Answered when everything sent before it has been written or given up.
    Flush(oneshot::Sender<()>),
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    recorded: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) dropped: AtomicU64,
    /// Dropped events that no event reports yet.
    pub(super) untold: AtomicU64,
    /// Signalled when enough were written that old events may have to be deleted.
    pub(super) grown: Notify,
}

/// Numbers of events since the start, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalCounts {
    /// Recorded by the services.
    pub recorded: u64,
    /// Written to the database.
    pub written: u64,
    /// Lost because the database was away for too long or refused them.
    pub dropped: u64,
}

impl Journal {
    /// A journal in the database, with its tasks running in `tasks`. Events recorded before the tasks are told to stop
    /// are still written.
    pub fn start(database: Database, settings: Live<JournalSettings>, clock: SharedClock, tasks: &Tasks) -> Self {
        let waiting = usize::try_from(settings.get().waiting).unwrap_or(usize::MAX).clamp(16, 1 << 20);
        let (sender, receiver) = mpsc::channel(waiting);
        let counters = Arc::new(Counters::default());
        let hurry = Arc::new(Notify::new());
        let (time, counted, hurried) = (Arc::clone(&clock), Arc::clone(&counters), Arc::clone(&hurry));
        let writer = Arc::new(Writer::new(database.clone(), settings.clone(), time, counted, hurried));
        let (receiver, stop) = (Arc::new(Mutex::new(receiver)), tasks.token());
        tasks.keep("the record of events", move || Arc::clone(&writer).run(Arc::clone(&receiver), stop.clone()));
        let ages = Some(Ages::new(database.clone(), settings.clone(), Arc::clone(&clock)));
        let administrator = None;
        let journal = Self { database: Some(database), sender: Some(sender), counters, hurry, ages, administrator };
        let (pruned, stop) = (journal.clone(), tasks.token());
        tasks.keep("the deletion of old events", move || {
            retention::run(pruned.clone(), settings.clone(), Arc::clone(&clock), stop.clone())
        });
        journal
    }

    /// A journal that writes log lines and keeps nothing, for code that runs without a database.
    pub fn lines_only() -> Self {
        Self::without_writer(None)
    }

    /// A journal for reading, for processes that may not write to the database. Events recorded in it become log lines
    /// only.
    pub fn read_only(database: Database) -> Self {
        Self::without_writer(Some(database))
    }

    fn without_writer(database: Option<Database>) -> Self {
        let (counters, hurry) = (Arc::default(), Arc::default());
        Self { database, sender: None, counters, hurry, ages: None, administrator: None }
    }

    /// The same journal for what an administrator does: each event recorded in it names that person.
    #[must_use]
    pub fn on_behalf_of(&self, administrator: Option<&str>) -> Self {
        Self { administrator: administrator.map(Arc::from), ..self.clone() }
    }

    /// Records an event: its log line is written now, its row soon. Never waits; see the module's promises for a full
    /// channel.
    pub fn record(&self, event: Event) {
        let event = event.with_known("administrator", self.administrator.as_deref());
        self.counters.recorded.fetch_add(1, Ordering::Relaxed);
        write_line(&event);
        let Some(sender) = &self.sender else { return };
        if sender.try_send(Note::Event(Box::new(event))).is_err() {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            self.counters.untold.fetch_add(1, Ordering::Relaxed);
        }
        let most = sender.max_capacity();
        if most - sender.capacity() >= BATCH.min(most / 2) {
            self.hurry.notify_one();
        }
    }

    /// Waits until everything recorded before is in the database or has been given up.
    pub async fn flush(&self) {
        let Some(sender) = &self.sender else { return };
        let (done, wait) = oneshot::channel();
        if sender.send(Note::Flush(done)).await.is_ok() {
            self.hurry.notify_one();
            // The writer drops its end only after writing everything.
            let _ = wait.await;
        }
    }

    /// Deletes events older than `keep_for` or beyond `keep_at_most`, and returns how many.
    pub async fn prune(&self, settings: &JournalSettings, clock: &SharedClock) -> Result<u64, Error> {
        let database = self.database.as_ref().ok_or(Error::NotKept)?;
        retention::prune(database, settings, clock.now(), self.believes_the_clock().await?).await
    }

    /// Whether something may be deleted by age. It may not for a while after the clock was found far ahead of its last
    /// check; each jump is reported once.
    ///
    /// # Errors
    /// The database fails.
    pub async fn believes_the_clock(&self) -> Result<Believed, Error> {
        let Some(ages) = &self.ages else { return Ok(Believed::Yes) };
        let (believed, jumped_from) = ages.look().await?;
        if let (Some(from), Believed::NotBefore(until)) = (jumped_from, believed) {
            let event = Event::new(ages.clock.now(), EventKind::Lifecycle).with("what", "clock-jumped");
            self.record(
                event.with("clock_last_seen", from.to_string()).with("nothing_deleted_until", until.to_string()),
            );
        }
        Ok(believed)
    }

    /// Counts since the start.
    pub fn counts(&self) -> JournalCounts {
        JournalCounts {
            recorded: self.counters.recorded.load(Ordering::Relaxed),
            written: self.counters.written.load(Ordering::Relaxed),
            dropped: self.counters.dropped.load(Ordering::Relaxed),
        }
    }
}
