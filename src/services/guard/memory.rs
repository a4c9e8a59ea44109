//! What the guard remembers of its clients, and what follows from it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use ipnet::IpNet;

use super::allowance::words;
use super::bans::{Ban, MOST_SET_BANS};
use super::bounded::Bounded;
use super::client::Client;
use super::known_networks::{AccountNetwork, KnownNetworks};
use super::rate_limits::{MOST_SHARED, Rate, Rates, Wanted};
use super::refusals::Refusals;
use super::settings::{GuardSettings, Service};
use super::sharing::Change;
use super::strikes::{Strikes, Tried};
use crate::foundations::clock::Timestamp;
use crate::foundations::failure::{Kind, Refusal};

const MINUTE: Duration = Duration::from_secs(60);

/// What is held against whom, and what is shared of it.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) connections: u32,
    pub(super) held: HashMap<(IpNet, Service), u32>,
    pub(super) rates: Rates,
    pub(super) strikes: Bounded<Subject, Strikes>,
    /// Failed logins of accounts that others were not told of yet.
    pub(super) failed: HashMap<String, u32>,
    pub(super) known_networks: KnownNetworks,
    /// What clients have tried for accounts that their networks have logged in to.
    pub(super) tried: Bounded<AccountNetwork, Tried>,
    pub(super) refusals: Bounded<(Option<IpNet>, Service), Refusals>,
    pub(super) set: HashMap<IpNet, Ban>,
    /// Bans that were set, earned or lifted and not shared yet.
    pub(super) changes: Vec<Change>,
}

/// Who failures are counted against.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Address(IpNet),
    Account(String),
    /// A client, for all wrong passwords of accounts that its network has logged in to: they slow it down and ban nobody.
    KnownClient(IpNet),
}

impl Memory {
    /// Remembers a change to be shared. When nobody shares, the oldest ones are forgotten.
    pub(super) fn note(&mut self, change: Change) {
        self.changes.retain(|known| known.network != change.network);
        if self.changes.len() >= MOST_SET_BANS {
            self.changes.remove(0);
        }
        self.changes.push(change);
    }

    /// Whether an administrator has banned this very network for at least this long. Connections that it holds go on,
    /// and what they earn must not take the place of that ban, since a network has one row in the table.
    pub(super) fn is_set(&self, network: IpNet, until: Timestamp) -> bool {
        self.set.get(&network).is_some_and(|ban| ban.until.is_none_or(|end| end >= until))
    }

    pub(super) fn check_ban(&self, client: Client, now: Timestamp) -> Result<(), Refusal> {
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

    pub(super) fn check_rates(
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
    pub(super) fn fail(&mut self, account: String, now: Timestamp, settings: &GuardSettings) {
        let limit = settings.account_failures;
        if limit > 0 && (self.failed.len() < MOST_SHARED || self.failed.contains_key(&account)) {
            *self.failed.entry(account.clone()).or_default() += 1;
        }
        self.strike(Subject::Account(account), 1, limit, now, settings);
    }

    /// Counts a failure of a client, and of the networks around it; how many of its own are remembered.
    pub(super) fn strike_client(&mut self, client: Client, now: Timestamp, settings: &GuardSettings) -> u32 {
        let limit = settings.failures;
        let of_network = network_limit(limit, settings);
        if let Some(site) = client.site() {
            self.strike(Subject::Address(site), 1, network_limit(of_network, settings), now, settings);
        }
        self.strike(Subject::Address(client.network()), 1, of_network, now, settings);
        self.strike(Subject::Address(client.host()), 1, limit, now, settings)
    }

    /// Adds failures and bans at the limit; how many failures are remembered.
    pub(super) fn strike(
        &mut self,
        subject: Subject,
        times: u32,
        limit: u32,
        now: Timestamp,
        settings: &GuardSettings,
    ) -> u32 {
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
                Subject::KnownClient(_) => {}
            }
        }
        count
    }
}

fn network_limit(limit: u32, settings: &GuardSettings) -> u32 {
    limit.saturating_mul(settings.network_factor)
}

pub(super) fn busy(text: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(Kind::TooMany, text).smtp(421, "4.7.0")
}
