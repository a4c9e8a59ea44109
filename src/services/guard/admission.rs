//! The guard itself: whether a connection or a login is let in, and what follows from failures.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::allowance::words;
use super::bans::{Ban, MOST_SET_BANS};
use super::client::{Client, account_key};
use super::known_networks::AccountNetwork;
use super::memory::{Memory, Subject, busy};
use super::pass::Pass;
use super::rate_limits::{LONGEST_NAME, SharedCount};
use super::refusals::Refusals;
use super::settings::{GuardSettings, Service};
use super::sharing::{Change, Origin};
use super::strikes::{Strikes, Tried};
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::SessionId;
use crate::foundations::mail::Peer;
use crate::foundations::secret::Secret;
use crate::foundations::settings::Live;

/// Decides who may go on. Cloning gives another handle to the same memory.
#[derive(Clone)]
pub struct Guard(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) settings: Live<GuardSettings>,
    pub(super) clock: SharedClock,
    pub(super) memory: Mutex<Memory>,
    /// SharedCount when there are changes to be shared.
    pub(super) changed: Notify,
    /// By which passwords are recognised.
    hasher: RandomState,
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
        let known = AccountNetwork { account: account.clone(), network: client.network() };
        let blocked = memory.strikes.get(&Subject::Account(account)).and_then(|strikes| strikes.banned_for(now));
        match blocked {
            Some(left) if !memory.known_networks.knows(&known, now) => {
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
            let known = AccountNetwork { account: account_key(account), network: client.network() };
            if memory.known_networks.knows(&known, now) {
                // A device with an outdated password must not lock its whole household out, nor make the first mistake of
                // somebody else there one too many. Whoever guesses tries another password each time.
                let hash = self.0.hasher.hash_one(password.expose());
                let tried = AccountNetwork { account: known.account, network: client.host() };
                let tried = memory.tried.entry(tried, now, settings.remembered, Tried::nothing);
                is_counted = tried.is_new(hash, now, &settings);
                count = memory.strike(Subject::KnownClient(client.host()), 1, 0, now, &settings);
            } else {
                // What a forgotten device does at home must not keep its owner out elsewhere.
                memory.fail(known.account, now, &settings);
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
        let known = AccountNetwork { account: account_key(account), network: client.network() };
        self.0.memory.lock().known_networks.record(known, self.0.clock.now(), settings.remembered);
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
    pub(super) fn take_known_networks(&self) -> BTreeMap<AccountNetwork, Timestamp> {
        self.0.memory.lock().known_networks.take_unwritten()
    }

    /// Takes back those that could not be recorded.
    pub(super) fn give_known_networks_back(&self, unwritten: BTreeMap<AccountNetwork, Timestamp>) {
        self.0.memory.lock().known_networks.give_back(unwritten);
    }

    /// Takes over networks that have logged in to accounts elsewhere, or before this process.
    pub(super) fn adopt_known_networks(&self, known: Vec<(AccountNetwork, Timestamp)>) {
        let (settings, now) = (self.0.settings.get(), self.0.clock.now());
        self.0.memory.lock().known_networks.adopt(known, now, settings.remembered);
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

    /// What was counted here since this was asked last, as it is shared with others.
    pub(super) fn take_counts(&self) -> Vec<(String, i64)> {
        let mut memory = self.0.memory.lock();
        let failed = std::mem::take(&mut memory.failed).into_iter();
        let failed = failed.map(|(account, times)| SharedCount::Failed(account, times));
        let counts = memory.rates.take_spent().chain(failed).map(|count| count.row());
        counts.filter(|(name, _)| name.len() <= LONGEST_NAME).collect()
    }

    /// Counts what others have counted.
    pub(super) fn adopt_counts(&self, counts: Vec<SharedCount>) {
        let (settings, now) = (self.0.settings.get(), self.0.clock.now());
        let mut memory = self.0.memory.lock();
        for count in counts {
            match count {
                SharedCount::Spent(rate, length) if settings.share_rates => {
                    memory.rates.charge(rate, length, now, &settings)
                }
                SharedCount::Spent(..) => {}
                SharedCount::Failed(account, times) => {
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

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
