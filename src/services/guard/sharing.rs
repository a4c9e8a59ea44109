//! Bans and networks that have logged in, which survive a restart and are shared between machines, failed logins of accounts, and
//! the use of rates where that is wanted: tables that every process writes to and reads.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::admission::Guard;
use super::bans::{Ban, EARNED};
use super::known_networks::KnownNetworksTable;
use super::nftables;
use super::rate_limits::SharedCount;
use super::settings::GuardSettings;
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::ids::SessionId;
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::storage::database::{Database, Durability, Error, Row, Val};
use crate::storage::journal::Journal;

crate::words! {
    /// Where a ban comes from.
    pub enum Origin {
        /// An administrator has set it.
        Set = "set",
        /// It follows from failures.
        Earned = "earned",
    }
}

/// A ban that has begun or was lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) network: IpNet,
    /// `None` is without an end; a time that is over means lifted.
    pub(super) until: Option<Timestamp>,
    pub(super) reason: String,
    pub(super) origin: Origin,
    /// How many bans there were in a row, which makes the next one longer.
    pub(super) bans: u32,
    /// Who has made it by hand, if it was made in this process.
    pub(super) administrator: Option<String>,
    /// Whether another process, where the same was made by hand, records it.
    pub(super) is_recorded: bool,
}

/// What sharing needs.
pub struct SharingParts {
    /// Whose bans.
    pub guard: Guard,
    /// Its settings.
    pub settings: Live<GuardSettings>,
    /// Where the table is.
    pub database: Database,
    /// Where bans are recorded.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
}

/// Carries bans between the memory of this process, the table, and the firewall, and what else processes tell each other.
pub struct Sharing {
    parts: SharingParts,
    /// Changes that could not be written yet.
    unwritten: Vec<Change>,
    /// The time of the latest row that was read.
    seen: Timestamp,
    /// What the firewall was told last, for each network.
    told: HashMap<IpNet, Option<Timestamp>>,
    /// When it was told everything, and with which settings.
    told_all: (Timestamp, Arc<GuardSettings>),
    /// This process's name among those that tell each other what they have counted.
    process: String,
    /// Up to which row the counts of each other process were read, as far as these rows are still read.
    counts_read: HashMap<String, i64>,
    /// When these rows were read last.
    counts_read_at: Option<Timestamp>,
    /// Carries the networks that have logged in to accounts.
    known_networks: KnownNetworksTable,
}

/// Rows are read again from this long before the latest: clocks of several machines differ, and transactions take time.
const OVERLAP: Duration = Duration::from_secs(120);
/// Rows of one answer of the database.
const MOST_ROWS: u32 = 20_000;
/// Most changes that wait for a database that is unavailable.
const MOST_UNWRITTEN: usize = 10_000;
/// How long the row of a ban that is over is kept: so long an earlier ban makes the next one longer.
const KEPT: Duration = Duration::from_secs(2 * 86_400);

/// How long others can read what was counted.
const COUNTS_KEPT: Duration = Duration::from_secs(600);
/// How often the firewall is told again of all bans, for it may have been reloaded without anybody saying so.
const TOLD_ALL_EVERY: Duration = Duration::from_secs(3_600);

impl Sharing {
    /// Puts the parts together.
    pub fn new(parts: SharingParts) -> Self {
        let process = SessionId::generate(parts.clock.now()).to_string();
        let told_all = (parts.clock.now(), parts.settings.get());
        let (unwritten, seen, told) = (Vec::new(), Timestamp::EPOCH, HashMap::new());
        let (counts_read, counts_read_at, known_networks) = (HashMap::new(), None, KnownNetworksTable::default());
        Self { parts, unwritten, seen, told, told_all, process, counts_read, counts_read_at, known_networks }
    }

    /// Reads all bans, then goes on exchanging them until `tasks` stop; what has changed last is written then.
    pub async fn run(&mut self, tasks: Tasks) {
        loop {
            if let Err(error) = self.exchange().await {
                log::warn!(cause:% = error; "Bans cannot be shared now; this process continues with its own");
            }
            if tasks.is_stopping() {
                return;
            }
            let pause = self.parts.settings.get().share_every.duration();
            tokio::select! {
                () = tasks.stopping() => {}
                () = self.parts.clock.sleep_until(self.parts.clock.now() + pause) => {}
                () = self.parts.guard.changed() => {}
            }
        }
    }

    /// Writes what has changed here, and takes over what has changed elsewhere.
    ///
    /// # Errors
    /// The database fails; what was not written is kept for the next time.
    pub async fn exchange(&mut self) -> Result<(), Error> {
        let now = self.parts.clock.now();
        let changes = self.parts.guard.take_changes();
        for change in changes.iter().filter(|change| !change.is_recorded) {
            self.record(change, now);
        }
        let forgotten = gather(&mut self.unwritten, changes);
        if forgotten > 0 {
            log::warn!(bans = forgotten; "The oldest bans not yet shared will not be shared; only this process enforces them");
        }
        self.tell_firewall(now).await;
        while let Some(change) = self.unwritten.first() {
            self.write(change, now).await?;
            self.unwritten.remove(0);
        }
        self.read(now).await?;
        self.tell_firewall(now).await;
        self.known_networks.exchange(&self.parts.guard, &self.parts.database, now).await?;
        let old = [(now - KEPT).into(), (now - KEPT).into()];
        self.parts
            .database
            .execute("DELETE FROM bans WHERE ends_at IS NOT NULL AND ends_at < ? AND changed_at < ?", &old)
            .await?;
        self.exchange_counts(now).await
    }

    /// Shares what was counted here, and takes over what was counted elsewhere. What cannot be shared is not shared later: an
    /// allowance that is too large for a moment does less harm than a queue of them.
    async fn exchange_counts(&mut self, now: Timestamp) -> Result<(), Error> {
        let counts = self.parts.guard.take_counts().into_iter();
        let row = |(name, number): (String, i64)| -> Vec<Val> {
            vec![self.process.as_str().into(), now.into(), name.into(), number.into()]
        };
        let rows: Vec<Vec<Val>> = counts.map(row).collect();
        if !rows.is_empty() {
            let mut transaction = self.parts.database.begin_with(Durability::Relaxed).await?;
            // The table was made for rates, whose number is a time.
            transaction.insert_many("shared_rates", &["process", "at", "rate", "micros"], &rows).await?;
            transaction.commit().await?;
        }
        self.read_counts(now).await?;
        let old = [(now - COUNTS_KEPT).into()];
        self.parts.database.execute("DELETE FROM shared_rates WHERE at < ?", &old).await?;
        Ok(())
    }

    /// Takes over what others have counted. The rows of one process appear in the order of their numbers, those of several do not:
    /// a transaction may end later than one that began after it.
    async fn read_counts(&mut self, now: Timestamp) -> Result<(), Error> {
        let sql = "SELECT id, process, rate, micros FROM shared_rates WHERE at >= ? AND process <> ? AND id > ? \
                   ORDER BY id LIMIT ?";
        let from = self.counts_read_at.map_or(now - COUNTS_KEPT, |last| last.min(now) - OVERLAP);
        let (mut read, mut counts, mut after) = (HashMap::new(), Vec::new(), 0_i64);
        loop {
            let values = [from.into(), self.process.as_str().into(), after.into(), MOST_ROWS.into()];
            let rows = self.parts.database.fetch_all(sql, &values).await?;
            for row in &rows {
                let process = row.text(1)?;
                after = row.int(0)?;
                let known = self.counts_read.get(&process).copied().unwrap_or(0);
                if after > known {
                    counts.extend(SharedCount::parse(&row.text(2)?, row.int(3)?));
                }
                read.insert(process, after.max(known));
            }
            if rows.len() < MOST_ROWS as usize {
                break;
            }
        }
        self.parts.guard.adopt_counts(counts);
        (self.counts_read, self.counts_read_at) = (read, Some(now));
        Ok(())
    }

    async fn write(&self, change: &Change, now: Timestamp) -> Result<(), Error> {
        if change.origin == Origin::Earned && change.bans > 0 && self.is_set_elsewhere(change).await? {
            return Ok(());
        }
        let others = ["ends_at", "reason", "origin", "bans", "changed_at"];
        let sql = self.parts.database.dialect().upsert("bans", &["network"], &others);
        let values = [
            change.network.to_string().into(),
            change.until.into(),
            change.reason.chars().take(190).collect::<String>().into(),
            change.origin.word().into(),
            change.bans.into(),
            now.into(),
        ];
        self.parts.database.execute(sql, &values).await?;
        Ok(())
    }

    /// Whether an administrator has banned the network for as long at least on another machine, which this one does not know
    /// yet: that row stays.
    async fn is_set_elsewhere(&self, change: &Change) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM bans WHERE network = ? AND origin = ? AND (ends_at IS NULL OR ends_at >= ?)";
        let values = [change.network.to_string().into(), Origin::Set.word().into(), change.until.into()];
        Ok(self.parts.database.fetch_optional(sql, &values).await?.is_some())
    }

    /// Takes over what has changed since it was read last, some rows at a time. All of them are read before the time from which
    /// the next look begins moves on: as many as one answer holds may have changed at nearly the same time.
    async fn read(&mut self, now: Timestamp) -> Result<(), Error> {
        let sql = "SELECT network, ends_at, reason, origin, bans, changed_at FROM bans \
                   WHERE changed_at >= ? AND (changed_at > ? OR network > ?) ORDER BY changed_at, network LIMIT ?";
        // What others write after the clock was put back is older than what was read before.
        self.seen = self.seen.min(now);
        let mut latest = self.seen;
        let mut from = if latest == Timestamp::EPOCH { latest } else { latest - OVERLAP };
        let mut after = String::new();
        loop {
            let values = [from.into(), from.into(), after.as_str().into(), MOST_ROWS.into()];
            let rows = self.parts.database.fetch_all(sql, &values).await?;
            let mut changes = Vec::with_capacity(rows.len());
            for row in &rows {
                changes.extend(change(row)?);
            }
            self.parts.guard.adopt(&changes);
            if let Some(last) = rows.last() {
                (from, after) = (last.time(5)?, last.text(0)?);
                latest = latest.max(from);
            }
            if rows.len() < MOST_ROWS as usize {
                self.seen = latest;
                return Ok(());
            }
        }
    }

    /// Lets the firewall's sets hold the bans in force, as far as they can hold them together: when a ban begins or ends, others
    /// may give way to it or take its place.
    async fn tell_firewall(&mut self, now: Timestamp) {
        let settings = self.parts.settings.get();
        if settings.nftables.table.is_none() {
            return;
        }
        let banned: Vec<_> = self.parts.guard.bans().iter().map(|ban| (ban.network.trunc(), ban.until)).collect();
        let wanted: HashMap<IpNet, Option<Timestamp>> = nftables::outermost(&banned, now).into_iter().collect();
        // It ends what is over by itself.
        self.told.retain(|_, until| nftables::is_lasting(*until, now));
        // An element that is there keeps its end in older kernels, whatever it is told: it is taken out first.
        let is_gone = |(network, until): &(&IpNet, &Option<Timestamp>)| wanted.get(*network) != Some(*until);
        let gone: Vec<IpNet> = self.told.iter().filter(is_gone).map(|(network, _)| *network).collect();
        if self.is_to_be_told_all(now, &settings) {
            self.told.retain(|network, _| gone.contains(network));
        }
        let is_news = |(network, until): &(&IpNet, &Option<Timestamp>)| self.told.get(*network) != Some(*until);
        let news: Vec<_> = wanted.iter().filter(is_news).map(|(network, until)| (*network, *until)).collect();
        if gone.is_empty() && news.is_empty() {
            return;
        }
        let orders = nftables::Orders { gone: &gone, wanted: &news, banned: &banned };
        let told = nftables::tell(&settings.nftables, &orders, now).await;
        for network in &told.gone {
            self.told.remove(network);
        }
        self.told.extend(told.wanted);
    }

    /// Whether the firewall is told again of all bans: after a reload of ours and from time to time, since its sets are empty when
    /// it was reloaded.
    fn is_to_be_told_all(&mut self, now: Timestamp, settings: &Arc<GuardSettings>) -> bool {
        let (at, with) = &self.told_all;
        if now.since(*at) < TOLD_ALL_EVERY && Arc::ptr_eq(with, settings) {
            return false;
        }
        self.told_all = (now, Arc::clone(settings));
        true
    }

    fn record(&self, change: &Change, now: Timestamp) {
        let event = Event::new(now, EventKind::Ban).subject(change.network.to_string());
        let event = event.with("reason", change.reason.clone()).with("origin", change.origin.word());
        let event = event.with_known("administrator", change.administrator.as_deref());
        self.parts.journal.record(match change.until {
            Some(until) if until <= now => event.with("action", "lifted"),
            Some(until) => event.with("action", "begun").with("until", until.to_string()),
            None => event.with("action", "begun"),
        });
    }
}

/// A row; `None` when it holds no network.
fn change(row: &Row) -> Result<Option<Change>, Error> {
    let (Ok(network), Some(origin)) = (row.text(0)?.parse(), Origin::from_word(&row.text(3)?)) else { return Ok(None) };
    let bans = u32::try_from(row.int(4)?).unwrap_or(0);
    let (until, reason) = (row.opt_time(1)?, row.text(2)?);
    Ok(Some(Change { network, until, reason, origin, bans, administrator: None, is_recorded: true }))
}

/// Puts changes behind those not written yet; how many of these are dropped for lack of room, the oldest first. Of a
/// network only the latest change counts.
fn gather(unwritten: &mut Vec<Change>, changes: Vec<Change>) -> usize {
    let newer: HashSet<IpNet> = changes.iter().map(|change| change.network).collect();
    unwritten.retain(|change| !newer.contains(&change.network));
    unwritten.extend(changes);
    let surplus = unwritten.len().saturating_sub(MOST_UNWRITTEN);
    unwritten.drain(..surplus);
    surplus
}

impl Change {
    /// A ban that an administrator has set.
    pub(super) fn set(ban: &Ban) -> Self {
        let (network, until, reason) = (ban.network, ban.until, ban.reason.to_string());
        Self { network, until, reason, origin: Origin::Set, bans: 0, administrator: None, is_recorded: false }
    }

    /// A ban that follows from failures.
    pub(super) fn earned(network: IpNet, until: Timestamp, bans: u32) -> Self {
        let (until, reason, origin) = (Some(until), EARNED.to_owned(), Origin::Earned);
        Self { network, until, reason, origin, bans, administrator: None, is_recorded: false }
    }

    /// The same, made by this administrator.
    pub(super) fn by(self, administrator: Option<&str>) -> Self {
        Self { administrator: administrator.map(str::to_owned), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_stays_away_does_not_fill_the_memory() {
        let change = |n: u32, bans| {
            let network = IpNet::from(std::net::IpAddr::from(std::net::Ipv4Addr::from_bits(n)));
            Change::earned(network, Timestamp::EPOCH, bans)
        };
        let mut unwritten = Vec::new();
        for n in 0..25 {
            gather(&mut unwritten, (0..1_000).map(|m| change(n * 1_000 + m, 0)).collect());
        }
        assert_eq!((unwritten.len(), unwritten[0].network), (MOST_UNWRITTEN, change(15_000, 0).network));
        assert_eq!(gather(&mut unwritten, vec![change(15_000, 7)]), 0);
        assert_eq!((unwritten.len(), unwritten.last().map(|last| last.bans)), (MOST_UNWRITTEN, Some(7)));
    }
}
