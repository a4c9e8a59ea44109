//! The guard itself.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::acquaintances::{Acquaintances, Pair};
use super::client::{Client, account_key};
use super::pass::Pass;
use super::rates::{Bounded, words};
use super::refusals::Refusals;
use super::settings::{GuardSettings, Service};
use super::sharing::{Change, Origin};
use super::spending::{LONGEST, MOST_TOLD, Rate, Rates, Told, Wanted};
use super::strikes::{Strikes, Tried};
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::SessionId;
use crate::foundations::mail::Peer;
use crate::foundations::secret::Secret;
use crate::foundations::settings::Live;

/// Why a network has earned its ban.
pub(super) const EARNED: &str = "too many failures";
/// Most bans an administrator may set by hand.
const MOST_SET_BANS: usize = 10_000;
const MINUTE: Duration = Duration::from_secs(60);

/// Decides who may go on. Cloning gives another handle to the same memory.
#[derive(Clone)]
pub struct Guard(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) settings: Live<GuardSettings>,
    pub(super) clock: SharedClock,
    pub(super) memory: Mutex<Memory>,
    /// Told when there are changes to be shared.
    changed: Notify,
    /// By which passwords are recognised.
    hasher: RandomState,
}

#[derive(Default)]
pub(super) struct Memory {
    connections: u32,
    held: HashMap<(IpNet, Service), u32>,
    pub(super) rates: Rates,
    strikes: Bounded<Subject, Strikes>,
    /// Failed logins of accounts that others were not told of yet.
    failed: HashMap<String, u32>,
    acquaintances: Acquaintances,
    /// What clients have tried for accounts that their networks have logged in to.
    tried: Bounded<Pair, Tried>,
    refusals: Bounded<(Option<IpNet>, Service), Refusals>,
    set: HashMap<IpNet, Ban>,
    /// Bans that were set, earned or lifted and not shared yet.
    changes: Vec<Change>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    Address(IpNet),
    Account(String),
    /// A client, for all wrong passwords of accounts that its network has logged in to: they slow it down and ban nobody.
    Acquaintance(IpNet),
}

/// What a peer did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure<'a> {
    /// A login with a wrong password or an unknown name.
    Login {
        /// The name as given.
        account: &'a str,
        /// What was shown as the password.
        password: &'a Secret<String>,
    },
    /// A session that was closed for its errors, or for asking after too many mailboxes that do not exist.
    Session,
}

/// Whether a peer is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It is not.
    Trusted,
    /// It is.
    Stranger,
}

/// A network that may not connect.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ban {
    /// Who.
    pub network: IpNet,
    /// Until when; without an end when `None`.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: Cow<'static, str>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guard")
    }
}

impl Guard {
    /// A guard that knows nobody yet.
    pub fn new(settings: Live<GuardSettings>, clock: SharedClock) -> Self {
        let (memory, changed, hasher) = (Mutex::default(), Notify::new(), RandomState::new());
        Self(Arc::new(Inner { settings, clock, memory, changed, hasher }))
    }

    /// Lets a connection in, or says why not and when to try again. In SMTP's words the refusal is 421 4.7.0.
    pub fn admit(&self, peer: &Peer, service: Service) -> Result<Pass, Refusal> {
        let settings = self.0.settings.get();
        let client = self.counted(peer, &settings);
        let now = self.0.clock.now();
        let mut memory = self.0.memory.lock();
        if memory.connections >= settings.connections {
            return Err(busy("This server has as many connections as it can hold; try again in a minute"));
        }
        if let Some(client) = client {
            memory.check_ban(client, now)?;
            memory.check_rates(client, service, now, &settings)?;
            for network in [client.host(), client.network()] {
                *memory.held.entry((network, service)).or_default() += 1;
            }
        }
        memory.connections += 1;
        drop(memory);
        Ok(Pass::new(self.clone(), client.map(|client| (client, service)), settings))
    }

    /// The event of a client that was not let in, to be recorded; none for those that its network's next event will
    /// stand for.
    pub fn turned_away(&self, refusal: &Refusal, service: Service, peer: &Peer, session: SessionId) -> Option<Event> {
        let (settings, now) = (self.0.settings.get(), self.0.clock.now());
        let network = peer.ip().map(|ip| Client::of(ip).network());
        let mut memory = self.0.memory.lock();
        let refusals = memory.refusals.entry((network, service), now, settings.remembered, || Refusals::none(now));
        let times = refusals.add(now)?;
        drop(memory);
        let event = Event::new(now, EventKind::ConnectionRefused)
            .session(session)
            .with("service", service.word())
            .with("peer", peer.to_string())
            .with("reason", refusal.to_string());
        Some(if times > 1 { event.with("times", times) } else { event })
    }

    /// Whether a peer is never counted: by the setting `trusted`, or because it is a process on this machine.
    pub fn trusts(&self, peer: &Peer) -> Trust {
        match self.counted(peer, &self.0.settings.get()) {
            Some(_) => Trust::Stranger,
            None => Trust::Trusted,
        }
    }

    /// Whether this peer may try to log in now: it is not banned.
    pub fn may_try(&self, peer: &Peer) -> Result<(), Refusal> {
        let Some(client) = self.counted(peer, &self.0.settings.get()) else { return Ok(()) };
        self.0.memory.lock().check_ban(client, self.0.clock.now())
    }

    /// Whether this peer may try a password for this account now, by the name its failures are counted under.
    pub fn may_log_in(&self, peer: &Peer, account: &str) -> Result<(), Refusal> {
        let settings = self.0.settings.get();
        let Some(client) = self.counted(peer, &settings) else { return Ok(()) };
        let now = self.0.clock.now();
        let memory = self.0.memory.lock();
        memory.check_ban(client, now)?;
        let account = account_key(account);
        let known = (account.clone(), client.network());
        let blocked = memory.strikes.get(&Subject::Account(account)).and_then(|strikes| strikes.banned_for(now));
        match blocked {
            Some(left) if !memory.acquaintances.knows(&known, now) => {
                let text = format!("Too many failed logins for this account; try again in {}", words(left));
                Err(Refusal::new(Kind::TooMany, text).smtp(454, "4.7.0"))
            }
            _ => Ok(()),
        }
    }

    /// Remembers a failure; how long to wait before the peer is answered.
    pub fn failed(&self, peer: &Peer, what: Failure<'_>) -> Duration {
        let settings = self.0.settings.get();
        let Some(client) = self.counted(peer, &settings) else { return Duration::ZERO };
        let now = self.0.clock.now();
        let mut memory = self.0.memory.lock();
        let (mut count, mut is_counted) = (0, true);
        if let Failure::Login { account, password } = what {
            let known = (account_key(account), client.network());
            if memory.acquaintances.knows(&known, now) {
                // A device with an outdated password must not lock its whole household out, nor make the first mistake of
                // somebody else there one too many. Whoever guesses tries another password each time.
                let hash = self.0.hasher.hash_one(password.expose());
                let tried = (known.0, client.host());
                let tried = memory.tried.entry(tried, now, settings.remembered, Tried::nothing);
                is_counted = tried.is_new(hash, now, &settings);
                count = memory.strike(Subject::Acquaintance(client.host()), 1, 0, now, &settings);
            } else {
                // What a forgotten device does at home must not keep its owner out elsewhere.
                memory.fail(known.0, now, &settings);
            }
        }
        if is_counted {
            count = count.max(memory.strike_client(client, now, &settings));
        }
        let is_changed = !memory.changes.is_empty();
        drop(memory);
        if is_changed {
            self.0.changed.notify_one();
        }
        // Doubles from the second failure on: everybody mistypes once.
        let delay = settings.error_delay.duration().saturating_mul(1 << count.saturating_sub(2).min(16));
        if count < 2 { Duration::ZERO } else { delay.min(settings.longest_delay.duration()) }
    }

    /// Remembers a login that succeeded: for 30 days a wrong password of this account that a client of the network repeats
    /// counts once, and the network stays welcome when others try to guess the password. Failures are not forgotten, or
    /// a guesser could go on for ever with one account of their own.
    pub fn logged_in(&self, peer: &Peer, account: &str) {
        let settings = self.0.settings.get();
        let Some(client) = self.counted(peer, &settings) else { return };
        let known = (account_key(account), client.network());
        self.0.memory.lock().acquaintances.meet(known, self.0.clock.now(), settings.remembered);
    }

    /// All bans in force: those set by hand and those that follow from failures, longest first.
    pub fn bans(&self) -> Vec<Ban> {
        let now = self.0.clock.now();
        let memory = self.0.memory.lock();
        let set = memory.set.values().filter(|ban| ban.until.is_none_or(|until| until > now)).cloned();
        let earned = memory.strikes.iter().filter_map(|(subject, strikes)| match subject {
            Subject::Address(network) if strikes.banned_for(now).is_some() => {
                let until = Some(strikes.banned_until());
                Some(Ban { network: *network, until, reason: EARNED.into() })
            }
            _ => None,
        });
        let mut bans: Vec<Ban> = set.chain(earned).collect();
        bans.sort_by_key(|ban| {
            (std::cmp::Reverse(ban.until.unwrap_or(Timestamp::from_unix_micros(i64::MAX))), ban.network)
        });
        bans
    }

    /// Bans a network by hand, for a time or without an end. Connections it holds are not cut.
    ///
    /// # Errors
    /// When 10,000 bans have been set already.
    pub fn ban(&self, network: IpNet, length: Option<Duration>, reason: &str) -> Result<(), Refusal> {
        let now = self.0.clock.now();
        let mut memory = self.0.memory.lock();
        memory.set.retain(|_, ban| ban.until.is_none_or(|until| until > now));
        if memory.set.len() >= MOST_SET_BANS {
            return Err(Refusal::new(Kind::TooMany, "There can be at most 10,000 bans; remove some first"));
        }
        let network = network.trunc();
        let ban = Ban { network, until: length.map(|length| now + length), reason: reason.to_owned().into() };
        memory.note(Change::set(&ban));
        memory.set.insert(network, ban);
        drop(memory);
        self.0.changed.notify_one();
        Ok(())
    }

    /// Lifts the bans of a network, of those inside it, and of those around it; how many there were.
    pub fn unban(&self, network: IpNet) -> usize {
        let now = self.0.clock.now();
        let touches = |other: &IpNet| network.contains(other) || other.contains(&network);
        let mut memory = self.0.memory.lock();
        let set: Vec<Ban> = memory.set.values().filter(|ban| touches(&ban.network)).cloned().collect();
        for ban in &set {
            memory.set.remove(&ban.network);
            memory.note(Change { until: Some(now), ..Change::set(ban) });
        }
        let mut lifted = set.len();
        let earned: Vec<Subject> = memory
            .strikes
            .iter()
            .filter(|(subject, strikes)| {
                strikes.banned_for(now).is_some() && matches!(subject, Subject::Address(other) if touches(other))
            })
            .map(|(subject, _)| subject.clone())
            .collect();
        for subject in earned {
            memory.strikes.entry(subject.clone(), now, usize::MAX, Strikes::none).pardon(now);
            if let Subject::Address(network) = subject {
                memory.note(Change::earned(network, now, 0));
            }
            lifted += 1;
        }
        drop(memory);
        self.0.changed.notify_one();
        lifted
    }

    /// Waits until there is something to share.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// What has changed here since it was asked for last.
    pub(super) fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.0.memory.lock().changes)
    }

    /// Takes over what has changed elsewhere. What is known already changes nothing.
    pub(super) fn adopt(&self, changes: &[Change]) {
        let settings = self.0.settings.get();
        let now = self.0.clock.now();
        let mut memory = self.0.memory.lock();
        for change in changes {
            // What was changed here in the meantime is newer, and about to be written.
            if memory.changes.iter().any(|own| own.network == change.network) {
                continue;
            }
            let is_over = change.until.is_some_and(|until| until <= now);
            match change.origin {
                Origin::Set if is_over => {
                    memory.set.remove(&change.network);
                }
                Origin::Set if memory.set.len() < MOST_SET_BANS => {
                    let reason = change.reason.clone().into();
                    memory.set.insert(change.network, Ban { network: change.network, until: change.until, reason });
                }
                Origin::Set => {}
                Origin::Earned => {
                    let until = change.until.unwrap_or(now);
                    if is_over && change.bans == 0 {
                        // An administrator has lifted it, and with it what was set by hand for the same network.
                        memory.set.remove(&change.network);
                    }
                    let subject = Subject::Address(change.network);
                    let strikes = memory.strikes.entry(subject, now, settings.remembered, Strikes::none);
                    strikes.adopt(until, change.bans, now);
                }
            }
        }
    }

    /// Networks that have logged in to accounts, as far as that is to be recorded.
    pub(super) fn take_acquaintances(&self) -> BTreeMap<Pair, Timestamp> {
        self.0.memory.lock().acquaintances.take_unwritten()
    }

    /// Takes back those that could not be recorded.
    pub(super) fn give_acquaintances_back(&self, unwritten: BTreeMap<Pair, Timestamp>) {
        self.0.memory.lock().acquaintances.give_back(unwritten);
    }

    /// Takes over networks that have logged in to accounts elsewhere, or before this process.
    pub(super) fn adopt_acquaintances(&self, known: Vec<(Pair, Timestamp)>) {
        let (settings, now) = (self.0.settings.get(), self.0.clock.now());
        self.0.memory.lock().acquaintances.adopt(known, now, settings.remembered);
    }

    pub(super) fn release(&self, client: Option<(Client, Service)>) {
        let mut memory = self.0.memory.lock();
        memory.connections = memory.connections.saturating_sub(1);
        let Some((client, service)) = client else { return };
        for network in [client.host(), client.network()] {
            if let Some(held) = memory.held.get_mut(&(network, service)) {
                *held = held.saturating_sub(1);
                if *held == 0 {
                    memory.held.remove(&(network, service));
                }
            }
        }
    }

    pub(super) fn settings(&self) -> Arc<GuardSettings> {
        self.0.settings.get()
    }

    /// What was counted here since this was asked last, as others are told of it.
    pub(super) fn take_told(&self) -> Vec<(String, i64)> {
        let mut memory = self.0.memory.lock();
        let failed = std::mem::take(&mut memory.failed).into_iter();
        let failed = failed.map(|(account, times)| Told::Failed(account, times));
        let told = memory.rates.take_spent().chain(failed).map(|told| told.row());
        told.filter(|(name, _)| name.len() <= LONGEST).collect()
    }

    /// Counts what others have counted.
    pub(super) fn hear(&self, told: Vec<Told>) {
        let (settings, now) = (self.0.settings.get(), self.0.clock.now());
        let mut memory = self.0.memory.lock();
        for told in told {
            match told {
                Told::Spent(rate, length) if settings.share_rates => memory.rates.charge(rate, length, now, &settings),
                Told::Spent(..) => {}
                Told::Failed(account, times) => {
                    memory.strike(Subject::Account(account), times, settings.account_failures, now, &settings);
                }
            }
        }
    }

    /// The client to count, unless the peer is trusted.
    pub(super) fn counted(&self, peer: &Peer, settings: &GuardSettings) -> Option<Client> {
        let ip = peer.ip()?;
        (!peer.is_in(&settings.trusted)).then(|| Client::of(ip))
    }
}

impl Memory {
    /// Remembers a change to be shared. When nobody shares, the oldest ones are forgotten.
    fn note(&mut self, change: Change) {
        self.changes.retain(|known| known.network != change.network);
        if self.changes.len() >= MOST_SET_BANS {
            self.changes.remove(0);
        }
        self.changes.push(change);
    }

    /// Whether an administrator has banned this very network for at least this long. Connections that it holds go on,
    /// and what they earn must not take the place of that ban, since a network has one row in the table.
    fn is_set(&self, network: IpNet, until: Timestamp) -> bool {
        self.set.get(&network).is_some_and(|ban| ban.until.is_none_or(|end| end >= until))
    }

    fn check_ban(&self, client: Client, now: Timestamp) -> Result<(), Refusal> {
        for network in [client.host(), client.network()].into_iter().chain(client.site()) {
            let strikes = self.strikes.get(&Subject::Address(network));
            if let Some(left) = strikes.and_then(|strikes| strikes.banned_for(now)) {
                return Err(busy(format!("Too many failures from your address; try again in {}", words(left))));
            }
        }
        let covers = |ban: &&Ban| ban.network.contains(&client.address()) && ban.until.is_none_or(|until| until > now);
        match self.set.values().find(covers) {
            None => Ok(()),
            Some(Ban { until: Some(until), .. }) => {
                Err(busy(format!("Your address is not served here; try again in {}", words(until.since(now)))))
            }
            Some(_) => Err(busy("Your address is not served here")),
        }
    }

    fn check_rates(
        &mut self,
        client: Client,
        service: Service,
        now: Timestamp,
        settings: &GuardSettings,
    ) -> Result<(), Refusal> {
        let rates = settings.rates(service);
        let wide = |limit| network_limit(limit, settings);
        for (network, limit) in [(client.host(), rates.at_once), (client.network(), wide(rates.at_once))] {
            let held = self.held.get(&(network, service)).copied().unwrap_or(0);
            if limit > 0 && held >= limit {
                let text = format!("Too many connections from {network} at the same time (at most {limit})");
                return Err(busy(format!("{text}; close one or try again in a minute")));
            }
        }
        for (network, limit) in [(client.host(), rates.per_minute), (client.network(), wide(rates.per_minute))] {
            let wanted = Wanted { units: 1, count: limit, period: MINUTE };
            self.rates.take(Rate::Connections(service, network), now, wanted, settings).map_err(|wait| {
                let text = format!("Too many connections from {network} in a minute (at most {limit})");
                busy(format!("{text}; try again in {}", words(wait)))
            })?;
        }
        Ok(())
    }

    /// Counts a failed login of an account, here and everywhere: otherwise guessing at several processes or machines
    /// would multiply the tries.
    fn fail(&mut self, account: String, now: Timestamp, settings: &GuardSettings) {
        let limit = settings.account_failures;
        if limit > 0 && (self.failed.len() < MOST_TOLD || self.failed.contains_key(&account)) {
            *self.failed.entry(account.clone()).or_default() += 1;
        }
        self.strike(Subject::Account(account), 1, limit, now, settings);
    }

    /// Counts a failure of a client, and of the networks around it; how many of its own are remembered.
    fn strike_client(&mut self, client: Client, now: Timestamp, settings: &GuardSettings) -> u32 {
        let limit = settings.failures;
        let of_network = network_limit(limit, settings);
        if let Some(site) = client.site() {
            self.strike(Subject::Address(site), 1, network_limit(of_network, settings), now, settings);
        }
        self.strike(Subject::Address(client.network()), 1, of_network, now, settings);
        self.strike(Subject::Address(client.host()), 1, limit, now, settings)
    }

    /// Adds failures and bans at the limit; how many failures are remembered.
    fn strike(&mut self, subject: Subject, times: u32, limit: u32, now: Timestamp, settings: &GuardSettings) -> u32 {
        let strikes = self.strikes.entry(subject.clone(), now, settings.remembered, Strikes::none);
        let count = strikes.add(times, now, settings);
        if limit > 0 && count >= limit && strikes.banned_for(now).is_none() {
            let length = strikes.ban(now, settings);
            let bans = strikes.bans();
            if let Subject::Address(network) = subject
                && !self.is_set(network, now + length)
            {
                self.note(Change::earned(network, now + length, bans));
            }
            match subject {
                Subject::Address(network) => {
                    log::warn!(network:% = network, seconds = length.as_secs(); "{network} is banned after {count} failures");
                }
                Subject::Account(account) => {
                    log::warn!(user:% = account, seconds = length.as_secs(); "logins are closed to unknown networks after {count} failures");
                }
                Subject::Acquaintance(_) => {}
            }
        }
        count
    }
}

fn network_limit(limit: u32, settings: &GuardSettings) -> u32 {
    limit.saturating_mul(settings.network_factor)
}

fn busy(text: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(Kind::TooMany, text).smtp(421, "4.7.0")
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
