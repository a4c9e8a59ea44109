//! Sending, when a period is over.

use std::sync::Arc;
use std::time::Duration;

use super::letter::Contents;
use crate::foundations::address::{Address, Domain};
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::counted::counted;
use crate::foundations::failure::Refusal;
use crate::foundations::ids::QueueId;
use crate::foundations::mail::{Notify, Recipient};
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::services::delivery::DeliverySettings;
use crate::services::handover::{Bound, Postponed, Queueing};
use crate::services::intake::{DigestSettings, IntakeSettings};
use crate::services::queue::QueueSettings;
use crate::storage::database;
use crate::storage::quarantine::{Note, QuarantineNotes};
use crate::storage::spool::{self, QUARANTINED, Selection, Spool};

/// What the room needs.
pub struct DigestParts {
    /// Its settings.
    pub settings: Live<IntakeSettings>,
    /// Where quarantine is among folders.
    pub delivery: Live<DeliverySettings>,
    /// How long the queue holds messages.
    pub queueing: Live<QueueSettings>,
    /// Our name.
    pub hostname: Live<Domain>,
    /// What is to be told.
    pub notes: QuarantineNotes,
    /// What is still held.
    pub spool: Spool,
    /// Who sends mail.
    pub queue: Arc<dyn Queueing>,
    /// The time.
    pub clock: SharedClock,
}

/// Sends letters about quarantine.
pub struct Digest(DigestParts);

/// Why letters could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The notes.
    #[error("what was put into quarantine cannot be read: {0}")]
    Notes(#[from] database::Error),
    /// The queue's entries.
    #[error("what the queue holds cannot be read: {0}")]
    Spool(#[from] spool::Error),
    /// The queue does not take a letter.
    #[error("the letter to {0} cannot be queued: {1}")]
    Queue(Address, Refusal),
}

/// How often to check whether letters are due.
const LOOK_EVERY: Duration = Duration::from_secs(300);
/// Accounts that are looked for at a time.
const AT_ONCE: u32 = 500;
/// Shortest period, in seconds.
const SHORTEST: u64 = 60;

impl Digest {
    /// Puts the parts together.
    pub const fn new(parts: DigestParts) -> Self {
        Self(parts)
    }

    /// Sends what is due, now and then, until `tasks` stop.
    pub async fn run(self: Arc<Self>, tasks: Tasks) {
        loop {
            let next = self.0.clock.now() + LOOK_EVERY;
            if let Err(error) = self.send_due().await {
                log::warn!(cause:% = error; "digest: letters about quarantine cannot be sent now; it will be tried again");
            }
            tokio::select! {
                () = tasks.stopping() => return,
                () = self.0.clock.sleep_until(next) => {}
            }
        }
    }

    /// Sends a letter to everybody with notes from before the current period.
    ///
    /// # Errors
    /// The database or the queue fails; users not told yet are told the next time.
    pub async fn send_due(&self) -> Result<(), Error> {
        let settings = self.0.settings.get();
        if !settings.digest.enabled {
            return Ok(());
        }
        let before = beginning(self.0.clock.now(), &settings.digest);
        let mut after = String::new();
        // One letter that cannot be sent stops no other.
        let mut result = Ok(());
        loop {
            let accounts = self.0.notes.waiting(before, &after, AT_ONCE).await?;
            let Some(last) = accounts.last() else { return result };
            after.clone_from(last);
            for account in &accounts {
                if let Err(error) = self.tell(account, before, &settings.digest).await {
                    result = Err(error);
                }
            }
        }
    }

    async fn tell(&self, account: &str, before: Timestamp, settings: &DigestSettings) -> Result<(), Error> {
        let now = self.0.clock.now();
        if !self.0.notes.claim(account, now).await? {
            return Ok(());
        }
        let rows = usize::try_from(settings.rows.max(1)).unwrap_or(usize::MAX);
        let mut kept = self.kept(account, before, settings.rows.max(1).saturating_add(1)).await?;
        let more = kept.len() > rows;
        kept.truncate(rows);
        // An account's key is its address.
        if let (false, Ok(to)) = (kept.is_empty(), account.parse::<Address>()) {
            self.send(&to, &kept, more, settings).await.map_err(|refusal| Error::Queue(to, refusal))?;
        }
        Ok(self.0.notes.settle(account, before).await?)
    }

    /// The oldest messages that are still where they were put: at least as many as wanted, if there are. Those that were released or
    /// deleted take nobody's place.
    async fn kept(&self, account: &str, before: Timestamp, wanted: u32) -> Result<Vec<Note>, Error> {
        let mut limit = wanted;
        loop {
            let notes = self.0.notes.of(account, before, limit).await?;
            let is_all = notes.len() < usize::try_from(limit).unwrap_or(usize::MAX);
            let mut kept = Vec::with_capacity(notes.len());
            for note in notes {
                if self.is_kept(&note).await? {
                    kept.push(note);
                }
            }
            if is_all || kept.len() >= usize::try_from(wanted).unwrap_or(usize::MAX) {
                return Ok(kept);
            }
            limit = limit.saturating_mul(2);
        }
    }

    /// Whether a message is still where it was put. What lies in a folder is its owner's business.
    async fn is_kept(&self, note: &Note) -> Result<bool, spool::Error> {
        let Some(id) = note.entry.as_ref().and_then(|id| id.parse::<QueueId>().ok()) else { return Ok(true) };
        let found = self.0.spool.list(&Selection::Entry(id), None, 1).await?;
        Ok(found.first().is_some_and(|listing| listing.entry.hold_reason.as_deref() == Some(QUARANTINED)))
    }

    async fn send(&self, to: &Address, notes: &[Note], more: bool, settings: &DigestSettings) -> Result<(), Refusal> {
        let hostname = self.0.hostname.get();
        let from = match &settings.from {
            Some(from) => from.clone(),
            None => format!("postmaster@{}", *hostname).parse().map_err(Refusal::temporary)?,
        };
        let delivery = self.0.delivery.get();
        let lifetime = self.0.queueing.get().quarantine_lifetime;
        let contents = Contents {
            to,
            from: &from,
            hostname: &hostname,
            folder: &delivery.quarantine_folder,
            lifetime: (!lifetime.duration().is_zero()).then(|| words(lifetime.duration())),
            notes,
            more,
        };
        let mail = contents.mail(self.0.clock.now());
        let recipient = Recipient { address: to.clone(), notify: Notify::NEVER, original: None };
        let recipients = vec![(recipient, Bound::Here)];
        self.0.queue.postpone(Postponed { mail: &mail, message_id: None, recipients, hold: None }).await?;
        Ok(())
    }
}

/// When the current period began.
fn beginning(now: Timestamp, settings: &DigestSettings) -> Timestamp {
    let every = settings.every.duration().as_secs().max(SHORTEST);
    let at = settings.at.duration().as_secs() % every;
    // Spans of time fit: they are limited to years.
    let (every, at) = (i64::try_from(every).unwrap_or(i64::MAX), i64::try_from(at).unwrap_or(0));
    Timestamp::from_unix_seconds((now.unix_seconds() - at).div_euclid(every) * every + at)
}

fn words(length: Duration) -> String {
    match length.as_secs() / 3600 {
        0..48 => counted(length.as_secs().div_ceil(3600), "hour"),
        hours => counted(hours / 24, "day"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::settings::Span;

    #[test]
    fn stretches_of_time_begin_at_their_hour() {
        let daily = DigestSettings::default();
        let hourly = DigestSettings { every: Span::hours(1), ..DigestSettings::default() };
        let at = |hours: i64, minutes: i64| Timestamp::from_unix_seconds(86_400 * 100 + hours * 3600 + minutes * 60);
        for (settings, now, wanted) in [
            (&daily, at(5, 59), at(-18, 0)),
            (&daily, at(6, 0), at(6, 0)),
            (&daily, at(23, 0), at(6, 0)),
            (&hourly, at(5, 59), at(5, 0)),
        ] {
            assert_eq!(beginning(now, settings), wanted, "{now:?}");
        }
    }
}
