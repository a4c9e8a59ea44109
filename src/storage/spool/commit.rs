//! Changes to the queue's tables, all pending ones in one transaction.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Error, NewEntry, RecipientState};
use crate::foundations::ids::QueueId;
use crate::storage::database::{self, Database, Durability, Sql, Transaction, Val};

/// Most jobs in one transaction.
const BATCH: usize = 128;
/// Most pending jobs. Beyond it callers wait.
const WAITING: usize = 1024;

const ENTRY: &[&str] =
    &["id", "mail", "session", "received_at", "sender", "message_id", "login", "size", "envelope", "hold_reason"];
const RECIPIENT: &[&str] =
    &["entry", "address", "recipient", "destination", "state", "due_at", "expires_at", "warn_at", "report"];

/// One statement.
#[derive(Debug, Clone)]
pub(super) struct Change {
    sql: Sql,
    values: Vec<Val>,
    /// How many rows it must change; otherwise somebody else was faster, and the whole job is not done.
    wanted: Option<u64>,
}

impl Change {
    pub(super) fn new(sql: impl Into<Sql>, values: Vec<Val>) -> Self {
        Self { sql: sql.into(), values, wanted: None }
    }

    /// A statement that must change this many rows.
    pub(super) fn of_rows(rows: u64, sql: impl Into<Sql>, values: Vec<Val>) -> Self {
        Self { sql: sql.into(), values, wanted: Some(rows) }
    }
}

/// The rows of a new entry.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    entry: Vec<Val>,
    recipients: Vec<Vec<Val>>,
}

/// One caller's changes, made together: new rows first, then changes in order.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) durability: Durability,
    pub(super) inserts: Vec<Rows>,
    pub(super) changes: Vec<Change>,
}

impl Job {
    /// An empty job, to be on disk when done.
    pub(super) const fn full() -> Self {
        Self { durability: Durability::Full, inserts: Vec::new(), changes: Vec::new() }
    }

    /// An empty job that need only survive a crash of this program.
    pub(super) const fn relaxed() -> Self {
        Self { durability: Durability::Relaxed, inserts: Vec::new(), changes: Vec::new() }
    }
}

type Answer = Result<Vec<u64>, Error>;

/// The writing task. Cloning gives another handle to it.
#[derive(Debug, Clone)]
pub(super) struct GroupCommit {
    sender: mpsc::Sender<(Job, oneshot::Sender<Answer>)>,
}

impl GroupCommit {
    /// The handle, and the task to be spawned. It ends when it is told to stop and nobody waits, or when the last
    /// handle is gone. `changed` is notified of new rows, even if the caller has gone away meanwhile.
    pub(super) fn new(
        database: Database,
        changed: Arc<Notify>,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender }, run(database, changed, receiver, stop))
    }

    /// Does a job and returns how many rows each of its changes affected.
    ///
    /// After an error from the commit itself the job may have been done nevertheless: the caller must handle both
    /// cases.
    pub(super) async fn submit(&self, job: Job) -> Answer {
        let (answer, wait) = oneshot::channel();
        self.sender.send((job, answer)).await.map_err(|_| Error::Closed)?;
        wait.await.map_err(|_| Error::Closed)?
    }
}

async fn run(
    database: Database,
    changed: Arc<Notify>,
    mut receiver: mpsc::Receiver<(Job, oneshot::Sender<Answer>)>,
    stop: CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let received = tokio::select! {
            biased;
            received = receiver.recv_many(&mut batch, BATCH) => received,
            () = stop.cancelled() => 0,
        };
        if received == 0 {
            return;
        }
        let (jobs, answers): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        match commit(&database, &changed, &jobs).await {
            Ok(counts) => answer_all(answers, counts),
            // A mistake in one job must not affect the others. If the database is away, all of them get the same error.
            Err(failure) if failure.is_of_one_job() => {
                for (job, answer) in jobs.into_iter().zip(answers) {
                    let result = commit(&database, &changed, &[job]).await.map_err(Error::from);
                    let _ = answer.send(result.map(|mut counts| counts.pop().unwrap_or_default()));
                }
            }
            Err(failure) => refuse_all(answers, &failure.into()),
        }
    }
}

fn answer_all(answers: Vec<oneshot::Sender<Answer>>, changed: Vec<Vec<u64>>) {
    for (answer, changed) in answers.into_iter().zip(changed) {
        // A caller that has gone away (its session ended) needs no result.
        let _ = answer.send(Ok(changed));
    }
}

fn refuse_all(answers: Vec<oneshot::Sender<Answer>>, error: &Error) {
    for answer in answers {
        let (kind, message) = (error.kind(), error.to_string());
        let _ = answer.send(Err(match error {
            Error::Uncertain { message, .. } => Error::Uncertain { kind, message: message.clone() },
            _ => Error::Shared { kind, message },
        }));
    }
}

/// Where a transaction failed.
enum Failure {
    Statement(database::Error),
    /// It may have taken effect, so it is never repeated.
    Commit(database::Error),
    Overtaken,
}

impl From<database::Error> for Failure {
    fn from(error: database::Error) -> Self {
        Self::Statement(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Statement(error) => Self::Database(error),
            Failure::Commit(error) => Self::Uncertain { kind: error.kind(), message: error.to_string() },
            Failure::Overtaken => Self::Overtaken,
        }
    }
}

impl Failure {
    const fn is_of_one_job(&self) -> bool {
        use database::Error as E;
        match self {
            Self::Statement(error) => matches!(
                error,
                E::Unique(_) | E::ForeignKey(_) | E::Conflict(_) | E::Other(_) | E::Column { .. } | E::Null { .. }
            ),
            Self::Commit(_) => false,
            Self::Overtaken => true,
        }
    }
}

async fn commit(database: &Database, changed: &Notify, jobs: &[Job]) -> Result<Vec<Vec<u64>>, Failure> {
    let full = jobs.iter().any(|job| job.durability == Durability::Full);
    let durability = if full { Durability::Full } else { Durability::Relaxed };
    let mut transaction = database.begin_with(durability).await?;
    let counts = apply(&mut transaction, jobs).await?;
    transaction.commit().await.map_err(Failure::Commit)?;
    if jobs.iter().any(|job| !job.inserts.is_empty()) {
        changed.notify_one();
    }
    Ok(counts)
}

async fn apply(transaction: &mut Transaction, jobs: &[Job]) -> Result<Vec<Vec<u64>>, Failure> {
    let inserts = || jobs.iter().flat_map(|job| &job.inserts);
    let entries: Vec<Vec<Val>> = inserts().map(|rows| rows.entry.clone()).collect();
    let recipients: Vec<Vec<Val>> = inserts().flat_map(|rows| rows.recipients.iter().cloned()).collect();
    if !entries.is_empty() {
        transaction.insert_many("queue_entries", ENTRY, &entries).await?;
        transaction.insert_many("queue_recipients", RECIPIENT, &recipients).await?;
    }
    let mut changed = Vec::with_capacity(jobs.len());
    for job in jobs {
        let mut counts = Vec::with_capacity(job.changes.len());
        for change in &job.changes {
            let count = transaction.execute(&change.sql, &change.values).await?;
            if change.wanted.is_some_and(|wanted| wanted != count) {
                return Err(Failure::Overtaken);
            }
            counts.push(count);
        }
        changed.push(counts);
    }
    Ok(changed)
}

/// The rows of a new entry.
pub(super) fn insert_rows(id: QueueId, new: &NewEntry<'_>) -> Rows {
    let mail = new.mail;
    let envelope = crate::foundations::mail::Envelope { recipients: Vec::new(), ..mail.envelope.clone() };
    let sender = mail.envelope.reverse_path.bare();
    let message_id =
        new.message_id.as_ref().map(|id| id.chars().filter(|c| !c.is_control()).take(998).collect::<String>());
    let hold = new.hold.as_ref().map(|reason| reason.chars().filter(|c| !c.is_control()).collect::<String>());
    let state = if hold.is_some() { RecipientState::Held } else { RecipientState::Waiting };
    Rows {
        entry: vec![
            Val::from(id.to_string()),
            Val::from(mail.id.to_string()),
            Val::from(Some(mail.origin.session.to_string())),
            Val::from(mail.origin.at),
            Val::from(sender),
            Val::from(message_id),
            Val::from(mail.origin.login.as_ref().map(|login| login.address.to_string())),
            Val::from(i64::try_from(mail.message.len()).unwrap_or(i64::MAX)),
            Val::from(json(&envelope)),
            Val::from(hold),
        ],
        recipients: new
            .recipients
            .iter()
            .map(|recipient| {
                let state = if recipient.report.is_some() { RecipientState::Finished } else { state };
                vec![
                    Val::from(id.to_string()),
                    Val::from(recipient.recipient.address.to_string()),
                    Val::from(json(&recipient.recipient)),
                    Val::from(recipient.destination.to_string()),
                    Val::from(state.number()),
                    Val::from(recipient.due_at),
                    Val::from(recipient.expires_at),
                    Val::from(recipient.warn_at),
                    Val::from(recipient.report.as_ref().map(json)),
                ]
            })
            .collect(),
    }
}

/// Envelopes and recipients consist of texts, numbers and booleans, which JSON can always represent.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::foundations::clock::Timestamp;
    use crate::storage::database::test_database;

    #[tokio::test]
    async fn rows_are_told_of_though_nobody_waits_for_them() {
        let (_folder, database) = test_database().await;
        let changed = Arc::new(Notify::new());
        let (commits, writer) = GroupCommit::new(database.clone(), Arc::clone(&changed), CancellationToken::new());
        let id = || Val::from(QueueId::generate(Timestamp::EPOCH).to_string());
        let none = || Val::from(None::<String>);
        let entry =
            vec![id(), id(), none(), 0_i64.into(), "".into(), none(), none(), 1_i64.into(), "{}".into(), none()];
        let rows = Rows { entry, recipients: Vec::new() };
        let mut submitting = Box::pin(commits.submit(Job { inserts: vec![rows], ..Job::full() }));
        assert!(futures_util::poll!(&mut submitting).is_pending());
        // The client has gone away, and the session with it.
        drop(submitting);
        let told = async {
            tokio::select! {
                () = changed.notified() => {}
                () = writer => panic!("it ends with the last handle only"),
            }
        };
        tokio::time::timeout(Duration::from_secs(60), told).await.unwrap();
        let row = database.fetch_optional("SELECT COUNT(*) FROM queue_entries", &[]).await.unwrap().unwrap();
        assert_eq!(row.int(0).unwrap(), 1);
    }
}
