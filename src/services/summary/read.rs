//! What the reports say.

use std::time::Duration;

use serde::Serialize;

use super::{Error, attention};
use crate::foundations::address::Domain;
use crate::foundations::clock::Timestamp;
use crate::foundations::event::EventKind;
use crate::services::backup::{RunReport, history};
use crate::services::certificates::State;
use crate::services::overview::{Disk, Flow, FlowAt, Mailbox, QueueState, Refusals, Sources, Talker, flows};
use crate::storage::directory::{Fullest, Totals};

/// The queue at a moment.
#[derive(Debug, Clone, Serialize)]
pub struct QueueReport {
    /// When it was read.
    pub at: Timestamp,
    /// The queue.
    pub queue: QueueState,
}

/// Wanted and unwanted mail in a period.
#[derive(Debug, Clone, Serialize)]
pub struct SpamReport {
    /// From when on.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// The mail.
    pub flow: Flow,
    /// Junk and refused spam among all mail from elsewhere that was judged or taken, in per cent.
    pub unwanted_percent: f64,
    /// Refusals, the most frequent reasons first.
    pub refusals: Vec<Refusals>,
    /// The mail of each hour, or of each day when the time is longer than two days.
    pub steps: Vec<FlowAt>,
}

/// The mailboxes at a moment.
#[derive(Debug, Clone, Serialize)]
pub struct MailboxReport {
    /// When it was read.
    pub at: Timestamp,
    /// Users.
    pub users: u64,
    /// What all mailboxes hold, in octets.
    pub stored: u64,
    /// How many messages that is.
    pub messages: u64,
    /// The fullest by their quota, 1,000 at the most.
    pub mailboxes: Vec<Mailbox>,
}

/// The results of backups.
#[derive(Debug, Clone, Serialize)]
pub struct BackupReport {
    /// When it was read.
    pub at: Timestamp,
    /// The last run of each kind.
    pub runs: Vec<RunReport>,
}

/// Everything that the postmaster is told.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// This server.
    pub hostname: Domain,
    /// What somebody has to see to, in sentences that say what to do.
    pub attention: Vec<String>,
    /// The mail.
    pub spam: SpamReport,
    /// The queue now.
    pub queue: QueueReport,
    /// The mailboxes now; of these only those that are nearly full.
    pub mailboxes: MailboxReport,
    /// Who sent most.
    pub senders: Vec<Talker>,
    /// Who got most.
    pub recipients: Vec<Talker>,
    /// File systems.
    pub disks: Vec<Disk>,
    /// File systems that do not answer, in sentences.
    pub problems: Vec<String>,
    /// Backups and drills.
    pub backups: BackupReport,
}

impl QueueReport {
    /// Reads it now.
    pub async fn read(sources: &Sources) -> Result<Self, Error> {
        let queue = QueueState::of(sources.spool.counts().await?, sources.spool.destinations(100).await?);
        Ok(Self { at: sources.clock.now(), queue })
    }
}

impl SpamReport {
    /// Reads it for the time since then.
    pub async fn read(sources: &Sources, since: Timestamp) -> Result<Self, Error> {
        let until = sources.clock.now();
        let step = if until.since(since) > TWO_DAYS { DAY } else { HOUR };
        let counted = sources.journal.counted(flows::KINDS, since, step).await?;
        let flow = Flow::of(&counted);
        let mut steps: Vec<FlowAt> = Vec::new();
        for chunk in counted.chunk_by(|a, b| a.at == b.at) {
            steps.push(FlowAt { at: chunk[0].at, flow: Flow::of(chunk) });
        }
        Ok(Self {
            since,
            until,
            flow,
            unwanted_percent: flow.unwanted_percent(),
            refusals: flows::refusals(&counted),
            steps,
        })
    }
}

impl MailboxReport {
    /// Reads it now.
    pub async fn read(sources: &Sources) -> Result<Self, Error> {
        let Totals { users, usage, .. } = sources.directory.totals().await?;
        let mailboxes = sources.directory.fullest(Fullest::ByQuota, 1_000).await?;
        Ok(Self {
            at: sources.clock.now(),
            users,
            stored: usage.bytes,
            messages: usage.messages,
            mailboxes: mailboxes.into_iter().map(Mailbox::from).collect(),
        })
    }
}

impl BackupReport {
    /// Reads it now.
    pub async fn read(sources: &Sources) -> Result<Self, Error> {
        Ok(Self { at: sources.clock.now(), runs: history(&sources.database, &sources.journal).await? })
    }
}

impl Summary {
    /// Reads it for the time since then; the running server knows the certificates.
    pub async fn read(
        sources: &Sources,
        hostname: Domain,
        since: Timestamp,
        certificates: &[State],
    ) -> Result<Self, Error> {
        let mut mailboxes = MailboxReport::read(sources).await?;
        mailboxes.mailboxes.retain(|mailbox| {
            mailbox.quota.is_some_and(|quota| u128::from(mailbox.stored) * 100 >= u128::from(quota) * NEARLY_FULL)
        });
        let busiest = async |kinds: &[EventKind]| {
            let pairs = sources.journal.busiest(kinds, since, 10).await?;
            Ok::<_, Error>(pairs.into_iter().map(|(address, number)| Talker { address, number }).collect())
        };
        let answers = sources.disks.read().await;
        let (queue, backups) = (QueueReport::read(sources).await?, BackupReport::read(sources).await?);
        let mut attention = attention::of_disks(&answers);
        attention.extend(attention::of_queue(&queue.queue));
        attention.extend(attention::of_backups(&backups.runs));
        attention.extend(attention::of_certificates(certificates, sources.clock.now()));
        attention.extend(attention::of_events(sources, since).await?);
        Ok(Self {
            hostname,
            attention,
            spam: SpamReport::read(sources, since).await?,
            queue,
            mailboxes,
            senders: busiest(&[EventKind::MessageReceived]).await?,
            recipients: busiest(&[EventKind::Delivered, EventKind::Relayed]).await?,
            disks: answers.disks,
            problems: answers.problems,
            backups,
        })
    }
}

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const TWO_DAYS: Duration = Duration::from_secs(2 * 86_400);
/// In per cent of the quota.
const NEARLY_FULL: u128 = 90;
