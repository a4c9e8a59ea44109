//! The spool itself: opening, committing, reading.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use super::bodies::Bodies;
use super::commit::{Change, GroupCommit, Job, insert_rows};
use super::turns::Place;
use super::{Entry, Error, NewEntry, Settled, SpoolSettings};
use crate::foundations::clock::SharedClock;
use crate::foundations::ids::QueueId;
use crate::foundations::mail::Message;
use crate::foundations::tasks::Tasks;
use crate::storage::database::{Database, Sql, Val};

/// Bodies and rows of queued messages. Cloning gives another handle to the same spool.
#[derive(Clone)]
pub struct Spool(Arc<Inner>);

struct Inner {
    database: Database,
    bodies: Arc<Bodies>,
    commits: GroupCommit,
    writers: Semaphore,
    changed: Arc<Notify>,
    /// Obsolete bodies that the disk refused to delete.
    leftovers: Mutex<Vec<QueueId>>,
    /// Bodies whose rows are being written.
    without_rows: Mutex<HashSet<QueueId>>,
    /// Up to where the last claim looked for those who wait behind large mailings.
    looked_up_to: Mutex<Option<Place>>,
    clock: SharedClock,
    settings: SpoolSettings,
}

/// What [`Spool::submit_and_clear`] has done.
pub(super) struct Cleared {
    /// What is left of the entry.
    pub(super) settled: Settled,
    /// How many rows each change of the job affected.
    pub(super) changed: Vec<u64>,
}

impl Spool {
    /// Opens the spool in its directory, which is created if need be. Its writing task runs in `tasks`, which must be
    /// told to stop after the tasks that use the spool: from then on nothing can be committed.
    pub fn open(
        database: Database,
        settings: &SpoolSettings,
        clock: SharedClock,
        tasks: &Tasks,
    ) -> Result<Self, Error> {
        let bodies = Arc::new(Bodies::open(settings.directory.clone())?);
        let changed = Arc::new(Notify::new());
        let (commits, writer) = GroupCommit::new(database.clone(), Arc::clone(&changed), tasks.token());
        tasks.spawn(writer);
        let writers = Semaphore::new(usize::try_from(settings.writers.max(1)).unwrap_or(1));
        let settings = settings.clone();
        Ok(Self(Arc::new(Inner {
            database,
            bodies,
            commits,
            writers,
            changed,
            leftovers: Mutex::default(),
            without_rows: Mutex::default(),
            looked_up_to: Mutex::default(),
            clock,
            settings,
        })))
    }

    /// Takes responsibility for a message. When it returns, the entry survives a power failure.
    ///
    /// Fails when the disk or the database does. After an error the entry may exist nevertheless (when the database
    /// connection was lost during the commit); the sender's next attempt then makes a second one, but nothing is lost.
    pub async fn commit(&self, new: NewEntry<'_>) -> Result<QueueId, Error> {
        let ids = self.commit_together(vec![new]).await?;
        ids.into_iter().next().ok_or(Error::Closed)
    }

    /// Takes responsibility for several entries: all of them or none. Ids in the order of the entries.
    pub async fn commit_together(&self, entries: Vec<NewEntry<'_>>) -> Result<Vec<QueueId>, Error> {
        let mut bodies = Vec::with_capacity(entries.len());
        let done = async {
            let mut job = Job::full();
            for new in &entries {
                let body = self.write_body(new).await?;
                job.inserts.push(insert_rows(body.id, new));
                bodies.push(body);
            }
            self.0.commits.submit(job).await
        };
        if let Err(error) = done.await {
            for body in bodies {
                self.take_back_body(body.id, &error).await;
            }
            return Err(error);
        }
        Ok(bodies.iter().map(|body| body.id).collect())
    }

    /// Removes the body of an entry whose rows could not be written. If they may have been written after all, it stays:
    /// without rows it is an orphan, which the sweep removes.
    pub(super) async fn take_back_body(&self, id: QueueId, error: &Error) {
        if error.is_certain() {
            self.remove_body(id, "that was not queued").await;
        }
    }

    /// Removes the body of a message that is not in the queue (any more). Failed removals are tried again later.
    async fn remove_body(&self, id: QueueId, which: &str) {
        let Err(error) = self.on_disk(move |bodies| bodies.remove(id)).await else { return };
        log::warn!(queue:% = id, cause:% = error; "The body of a message {which} cannot be deleted now; it will be tried again");
        let mut leftovers = self.0.leftovers.lock();
        // The sweep of the next start removes the rest.
        if leftovers.len() < MOST_LEFTOVERS {
            leftovers.push(id);
        }
    }

    /// Tries again to remove the bodies that the disk refused to delete.
    pub async fn remove_leftovers(&self) {
        let leftovers = std::mem::take(&mut *self.0.leftovers.lock());
        for id in leftovers {
            self.remove_body(id, "that is gone from the queue").await;
        }
    }

    /// The body of an entry.
    pub async fn message(&self, id: QueueId) -> Result<Message, Error> {
        self.on_disk(move |bodies| bodies.read(id)).await
    }

    /// The body of an entry, if all of it is there.
    pub async fn whole_message(&self, entry: &Entry) -> Result<Message, Error> {
        let (id, size) = (entry.id, entry.size);
        self.on_disk(move |bodies| bodies.read_whole(id, size)).await
    }

    /// Resolves when something has been committed, released or made due since the last call.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    pub(super) fn notify_changed(&self) {
        self.0.changed.notify_one();
    }

    pub(super) async fn write_body(&self, new: &NewEntry<'_>) -> Result<NewBody<'_>, Error> {
        let id = QueueId::generate(self.0.clock.now());
        let message = new.mail.message.clone();
        let _turn = self.0.writers.acquire().await.map_err(|_| Error::Closed)?;
        self.0.without_rows.lock().insert(id);
        let body = NewBody { id, spool: self };
        self.on_disk(move |bodies| bodies.write(id, &message)).await?;
        Ok(body)
    }

    /// Whether this process is writing the rows of a body.
    pub(super) fn gets_rows(&self, id: QueueId) -> bool {
        self.0.without_rows.lock().contains(&id)
    }

    /// Does a job that may remove the last recipient of an entry; then the entry goes, too.
    pub(super) async fn submit_and_clear(&self, mut job: Job, id: QueueId) -> Result<Cleared, Error> {
        let id_value = Val::from(id.to_string());
        // If two nodes remove the last two recipients at once, each would still see the other's. So the second waits
        // here for the first's commit, and its next statement sees it (READ COMMITTED).
        let lock = self.0.database.dialect().for_update();
        if !lock.is_empty() {
            let sql = Sql::assembled(format!("SELECT id FROM queue_entries WHERE id = ?{lock}"));
            job.changes.push(Change::new(sql, vec![id_value.clone()]));
        }
        let clear = "DELETE FROM queue_entries WHERE id = ? \
                     AND NOT EXISTS (SELECT 1 FROM queue_recipients WHERE entry = ?)";
        job.changes.push(Change::new(clear, vec![id_value.clone(), id_value]));
        let changed = self.0.commits.submit(job).await?;
        if changed.last() != Some(&1) {
            return Ok(Cleared { settled: Settled::EntryKept, changed });
        }
        // The rows are gone for good.
        self.remove_body(id, "that is finished").await;
        Ok(Cleared { settled: Settled::EntryGone, changed })
    }

    pub(super) async fn submit(&self, job: Job) -> Result<Vec<u64>, Error> {
        self.0.commits.submit(job).await
    }

    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Bodies) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let bodies = Arc::clone(&self.0.bodies);
        // The blocking pool refuses work only while the runtime shuts down.
        tokio::task::spawn_blocking(move || work(&bodies)).await.map_err(|_| Error::Closed)?
    }

    pub(super) fn database(&self) -> &Database {
        &self.0.database
    }

    pub(super) fn settings(&self) -> &SpoolSettings {
        &self.0.settings
    }

    pub(super) fn clock(&self) -> &SharedClock {
        &self.0.clock
    }

    pub(super) fn looked_up_to(&self) -> &Mutex<Option<Place>> {
        &self.0.looked_up_to
    }
}

/// A body on disk whose rows are being written. Until this is dropped the sweep leaves the body alone, however old it
/// seems after the clock was set forward.
pub(super) struct NewBody<'s> {
    pub(super) id: QueueId,
    spool: &'s Spool,
}

impl Drop for NewBody<'_> {
    fn drop(&mut self) {
        self.spool.0.without_rows.lock().remove(&self.id);
    }
}

/// Most bodies remembered for a later removal.
const MOST_LEFTOVERS: usize = 10_000;
