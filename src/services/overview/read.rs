use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::flows::{self, Flow, KINDS, Refusals};
use super::{Answers, Disks, Shared, Timeline};
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::event::EventKind;
use crate::services::backup::{RunReport, history};
use crate::storage::database::Database;
use crate::storage::directory::{Directory, Fullest, Fullness, Totals};
use crate::storage::journal::{Journal, Order, Query, sentence};
use crate::storage::spool::{self, Backlog, Spool};

/// Where an overview is read from.
pub struct Sources {
    /// The results of backups.
    pub database: Database,
    /// Accounts and usage.
    pub directory: Directory,
    /// Events.
    pub journal: Journal,
    /// The queue.
    pub spool: Spool,
    /// File systems that are watched.
    pub disks: Disks,
    /// The time.
    pub clock: SharedClock,
}

/// Reads overviews, and shares them between all who ask at about the same time.
pub struct Overviewer {
    pub(super) sources: Sources,
    pub(super) fresh_for: Duration,
    pub(super) timelines: [Shared<Timeline>; 4],
    overview: Shared<Overview>,
    talkers: Shared<Result<Talkers, String>>,
}

/// How the server is doing.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// When it was read.
    pub at: Timestamp,
    /// What could not be read, in sentences; empty when all is well.
    pub problems: Vec<String>,
    /// Domains in use.
    pub domains: u64,
    /// Users.
    pub users: u64,
    /// Users that may not log in.
    pub disabled: u64,
    /// Alias addresses.
    pub aliases: u64,
    /// What all mailboxes hold, in octets.
    pub stored: u64,
    /// How many messages that is.
    pub messages: u64,
    /// The queue.
    pub queue: QueueState,
    /// The mail of the last hour.
    pub hour: Flow,
    /// The mail of the last 24 hours.
    pub day: Flow,
    /// Refusals of the last 24 hours, the most frequent reasons first.
    pub refusals: Vec<Refusals>,
    /// Who sent most messages in the last 24 hours.
    pub senders: Vec<Talker>,
    /// Who got most messages in the last 24 hours.
    pub recipients: Vec<Talker>,
    /// The fullest mailboxes, by their quota.
    pub fullest: Vec<Mailbox>,
    /// File systems.
    pub disks: Vec<Disk>,
    /// The results of backups, their checks and their drills.
    pub backups: Vec<RunReport>,
    /// The latest events, the newest first.
    pub recent: Vec<Recent>,
}

/// The queue in numbers.
#[derive(Debug, Clone, Default, Serialize)]
pub struct QueueState {
    /// Messages.
    pub entries: u64,
    /// Recipients that wait for their next attempt.
    pub waiting: u64,
    /// Recipients that wait for an administrator, without those in quarantine.
    pub held: u64,
    /// Recipients in quarantine.
    pub quarantined: u64,
    /// When the oldest message came, without those in quarantine.
    pub oldest: Option<Timestamp>,
    /// Where most of it goes.
    pub destinations: Vec<Backlog>,
}

/// Somebody who sends or gets much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Talker {
    /// The address.
    pub address: String,
    /// How many messages.
    pub number: u64,
}

type Talkers = (Vec<Talker>, Vec<Talker>);

/// A mailbox and how full it is.
#[derive(Debug, Clone, Serialize)]
pub struct Mailbox {
    /// The user.
    pub address: String,
    /// What it holds, in octets.
    pub stored: u64,
    /// How many messages that is.
    pub messages: u64,
    /// What it may hold, in octets.
    pub quota: Option<u64>,
}

/// A file system.
#[derive(Debug, Clone, Serialize)]
pub struct Disk {
    /// What is kept there.
    pub purpose: &'static str,
    /// Its size in octets.
    pub size: u64,
    /// What is free for us, in octets.
    pub free: u64,
}

/// An event in words.
#[derive(Debug, Clone, Serialize)]
pub struct Recent {
    /// When.
    pub at: Timestamp,
    /// Its kind.
    pub kind: EventKind,
    /// What happened.
    pub sentence: String,
}

impl QueueState {
    /// Puts the two together.
    pub const fn of(counts: spool::Counts, destinations: Vec<Backlog>) -> Self {
        let spool::Counts { entries, waiting, held, quarantined, oldest, .. } = counts;
        Self { entries, waiting, held, quarantined, oldest, destinations }
    }
}

impl From<Fullness> for Mailbox {
    fn from(full: Fullness) -> Self {
        Self {
            address: full.address,
            stored: full.usage.bytes,
            messages: full.usage.messages,
            quota: full.quota.map(|quota| quota.get()),
        }
    }
}

impl Overviewer {
    /// Answers are shared for so long.
    pub fn new(sources: Sources, fresh_for: Duration) -> Self {
        let (timelines, overview, talkers) = Default::default();
        Self { sources, fresh_for, timelines, overview, talkers }
    }

    /// How the server is doing, or was a moment ago.
    pub async fn read(&self) -> Arc<Overview> {
        self.overview.get(self.fresh_for, self.read_now()).await
    }

    async fn read_now(&self) -> Overview {
        let Sources { database, directory, journal, spool, disks, clock } = &self.sources;
        let at = clock.now();
        let mut problems = Vec::new();
        let mut note = |what: &str, error: &dyn std::fmt::Display| problems.push(format!("{what}: {error}"));
        let totals = or_note(directory.totals().await, |e| note("the accounts cannot be counted", &e));
        let fullest = or_note(directory.fullest(Fullest::ByQuota, FEW).await, |e| note("the usage cannot be read", &e));
        let queue = or_note(spool.counts().await, |e| note("the queue cannot be counted", &e));
        let destinations = or_note(spool.destinations(FEW).await, |e| note("the queue cannot be read", &e));
        let counted = journal.counted(KINDS, at - DAY, crate::storage::journal::BUCKET).await;
        let counted = or_note(counted, |e| note("the events cannot be counted", &e));
        let newest = Query { order: Order::NewestFirst, limit: 30, ..Query::default() };
        let recent = or_note(journal.query(&newest).await, |e| note("the events cannot be read", &e));
        let backups = or_note(history(database, journal).await, |e| note("the backups cannot be read", &e));
        let talkers = self.talkers.get(self.fresh_for * TALKERS_FACTOR, self.read_talkers(at)).await;
        let (senders, recipients) =
            or_note((*talkers).clone(), |e| note("the busiest addresses cannot be counted", &e));
        let Answers { disks, problems: silent } = disks.read().await;
        problems.extend(silent);
        let Totals { domains, users, disabled, aliases, usage } = totals;
        Overview {
            at,
            problems,
            domains,
            users,
            disabled,
            aliases,
            stored: usage.bytes,
            messages: usage.messages,
            queue: QueueState::of(queue, destinations),
            hour: Flow::of(counted.iter().filter(|count| count.at >= at - HOUR)),
            day: Flow::of(&counted),
            refusals: flows::refusals(&counted),
            senders,
            recipients,
            fullest: fullest.into_iter().map(Mailbox::from).collect(),
            disks,
            backups,
            recent: recent
                .iter()
                .map(|event| Recent { at: event.at, kind: event.kind, sentence: sentence(event) })
                .collect(),
        }
    }

    async fn read_talkers(&self, at: Timestamp) -> Result<Talkers, String> {
        let busiest = async |kinds: &[EventKind]| {
            let pairs = self.sources.journal.busiest(kinds, at - DAY, FEW).await.map_err(|error| error.to_string())?;
            let talker = |(address, number): (String, u64)| Talker {
                // The null reverse-path has no words of its own (RFC 5321 §4.5.5).
                address: if address.is_empty() { "<>".to_owned() } else { address },
                number,
            };
            Ok::<_, String>(pairs.into_iter().map(talker).collect())
        };
        let senders = busiest(&[EventKind::MessageReceived]).await?;
        let recipients = busiest(&[EventKind::Delivered, EventKind::Relayed]).await?;
        Ok((senders, recipients))
    }

    /// The fullest mailboxes now.
    pub async fn mailboxes(&self, by: Fullest, limit: u32) -> Result<Vec<Mailbox>, String> {
        let fullest = self.sources.directory.fullest(by, limit).await.map_err(|error| error.to_string())?;
        Ok(fullest.into_iter().map(Mailbox::from).collect())
    }

    /// Where it all comes from.
    pub const fn sources(&self) -> &Sources {
        &self.sources
    }
}

fn or_note<T: Default, E>(result: Result<T, E>, note: impl FnOnce(E)) -> T {
    result.unwrap_or_else(|error| {
        note(error);
        T::default()
    })
}

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// Counting who sends most looks at every message of a day, so that is done this many times less often.
const TALKERS_FACTOR: u32 = 12;
/// How many of a kind an overview shows.
const FEW: u32 = 10;
