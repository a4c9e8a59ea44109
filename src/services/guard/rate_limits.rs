//! Rates of everything that is counted, and what of them is shared with other machines.

use std::collections::HashMap;
use std::time::Duration;

use ipnet::IpNet;

use super::admission::Guard;
use super::allowance::Allowance;
use super::bounded::Bounded;
use super::settings::{GuardSettings, Service};
use crate::foundations::clock::Timestamp;

/// What has a rate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Rate {
    /// Connections of a client or a network.
    Connections(Service, IpNet),
    /// Messages from a client or a network.
    Messages(IpNet),
    /// Recipients named by a client or a network.
    Recipients(IpNet),
    /// Recipients among them that do not exist.
    Unknown(IpNet),
    /// Anything else, by what it is and whose.
    Named(String),
}

impl Rate {
    /// Its name, the same on every machine.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Connections(service, network) => format!("connections {service} {network}"),
            Self::Messages(network) => format!("messages {network}"),
            Self::Recipients(network) => format!("recipients {network}"),
            Self::Unknown(network) => format!("unknown {network}"),
            Self::Named(name) => format!("named {name}"),
        }
    }

    /// The rate of a name; `None` when it is none that this version knows.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(' ')?;
        match kind {
            "connections" => {
                let (service, network) = rest.split_once(' ')?;
                Some(Self::Connections(Service::from_word(service)?, network.parse().ok()?))
            }
            "messages" => rest.parse().ok().map(Self::Messages),
            "recipients" => rest.parse().ok().map(Self::Recipients),
            "unknown" => rest.parse().ok().map(Self::Unknown),
            "named" => Some(Self::Named(rest.to_owned())),
            _ => None,
        }
    }
}

/// What one process shares with the others of what it has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SharedCount {
    /// A part of a rate was taken, which takes so long to be given back.
    Spent(Rate, Duration),
    /// So many logins to an account have failed.
    Failed(String, u32),
}

impl SharedCount {
    /// Its name and number, as they stand in the table.
    pub(super) fn row(&self) -> (String, i64) {
        match self {
            Self::Spent(rate, length) => (rate.text(), i64::try_from(length.as_micros()).unwrap_or(i64::MAX)),
            Self::Failed(account, times) => (format!("failed {account}"), i64::from(*times)),
        }
    }

    /// What a name and a number mean; `None` when it is nothing that this version knows.
    pub(super) fn parse(name: &str, number: i64) -> Option<Self> {
        if let Some(account) = name.strip_prefix("failed ") {
            return u32::try_from(number).ok().map(|times| Self::Failed(account.to_owned(), times));
        }
        let length = Duration::from_micros(u64::try_from(number).unwrap_or(0)).min(LONGEST_CHARGE);
        Rate::parse(name).map(|rate| Self::Spent(rate, length))
    }
}

/// How much of a rate is wanted: units, of so many in a period.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) units: u32,
    pub(super) count: u32,
    pub(super) period: Duration,
}

/// All rates, in bounded memory.
#[derive(Default)]
pub(super) struct Rates {
    allowances: Bounded<Rate, Allowance>,
    /// What was taken here and was not shared yet, as the time it takes to be given back.
    spent: HashMap<Rate, Duration>,
}

/// The most that another process takes of a rate at once.
const LONGEST_CHARGE: Duration = Duration::from_secs(86_400);

/// Most rates whose use is shared at once, and most accounts whose failures are; further ones are not.
pub(super) const MOST_SHARED: usize = 10_000;
/// Longest name that is shared.
pub(super) const LONGEST_NAME: usize = 300;

impl Rates {
    /// Takes a part of a rate, or says how long until there is so much. `count` 0 is no limit.
    pub(super) fn take(
        &mut self,
        rate: Rate,
        now: Timestamp,
        wanted: Wanted,
        settings: &GuardSettings,
    ) -> Result<(), Duration> {
        let Wanted { units, count, period } = wanted;
        if count == 0 {
            return Ok(());
        }
        let whole = || Allowance::whole(now);
        if !settings.share_rates {
            return self.allowances.entry(rate, now, settings.remembered, whole).take(now, units, count, period);
        }
        self.allowances.entry(rate.clone(), now, settings.remembered, whole).take(now, units, count, period)?;
        if self.spent.len() < MOST_SHARED || self.spent.contains_key(&rate) {
            *self.spent.entry(rate).or_default() += (period / count).saturating_mul(units);
        }
        Ok(())
    }

    /// Whether so much of a rate is left, or how long until it is; nothing is taken.
    pub(super) fn look(&self, rate: &Rate, now: Timestamp, wanted: Wanted) -> Result<(), Duration> {
        let Wanted { units, count, period } = wanted;
        if count == 0 {
            return Ok(());
        }
        self.allowances.get(rate).copied().unwrap_or(Allowance::whole(now)).look(now, units, count, period)
    }

    /// Others have taken a part of a rate.
    pub(super) fn charge(&mut self, rate: Rate, length: Duration, now: Timestamp, settings: &GuardSettings) {
        self.allowances.entry(rate, now, settings.remembered, || Allowance::whole(now)).charge(now, length);
    }

    /// What was taken here since this was asked last.
    pub(super) fn take_spent(&mut self) -> impl Iterator<Item = SharedCount> + use<> {
        std::mem::take(&mut self.spent).into_iter().map(|(rate, length)| SharedCount::Spent(rate, length))
    }
}

impl Guard {
    pub(super) fn take_rate(&self, rate: Rate, wanted: Wanted) -> Result<(), Duration> {
        let settings = self.0.settings.get();
        self.0.memory.lock().rates.take(rate, self.0.clock.now(), wanted, &settings)
    }

    /// Takes parts of several rates, or of none when not all are left; which one is not.
    pub(super) fn take_rates(&self, parts: &[(Rate, Wanted)]) -> Result<(), usize> {
        let (settings, now) = (self.0.settings.get(), self.0.clock.now());
        let mut memory = self.0.memory.lock();
        if let Some(short) = parts.iter().position(|(rate, wanted)| memory.rates.look(rate, now, *wanted).is_err()) {
            return Err(short);
        }
        for (place, (rate, wanted)) in parts.iter().enumerate() {
            memory.rates.take(rate.clone(), now, *wanted, &settings).map_err(|_| place)?;
        }
        Ok(())
    }

    /// Whether so much of a rate is left; nothing is taken.
    pub(super) fn look_at_rate(&self, rate: &Rate, wanted: Wanted) -> Result<(), Duration> {
        self.0.memory.lock().rates.look(rate, self.0.clock.now(), wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        let network: IpNet = "192.0.2.0/24".parse().unwrap();
        for rate in [
            Rate::Connections(Service::Imap, network),
            Rate::Messages(network),
            Rate::Recipients("2001:db8::/56".parse().unwrap()),
            Rate::Unknown(network),
            Rate::Named("messages an hour ann@example.test".to_owned()),
        ] {
            assert_eq!(Rate::parse(&rate.text()), Some(rate));
        }
        let failed = SharedCount::Failed("ann smith@example.test".to_owned(), 7);
        let (name, number) = failed.row();
        assert_eq!(SharedCount::parse(&name, number), Some(failed));
        for text in ["", "messages", "messages x", "later 192.0.2.0/24", "connections no 192.0.2.0/24"] {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_others_take_is_gone_here_too() {
        let settings = GuardSettings { share_rates: true, ..GuardSettings::default() };
        let (mut one, mut other) = (Rates::default(), Rates::default());
        let now = Timestamp::from_unix_seconds(1_000);
        let rate = || Rate::Messages("192.0.2.7/32".parse().unwrap());
        let wanted = Wanted { units: 6, count: 10, period: Duration::from_secs(60) };
        assert_eq!(one.take(rate(), now, wanted, &settings), Ok(()));
        assert_eq!(other.take(rate(), now, wanted, &settings), Ok(()));
        for count in one.take_spent() {
            let (name, number) = count.row();
            assert_eq!(SharedCount::parse(&name, number), Some(count));
            let Some(SharedCount::Spent(rate, length)) = SharedCount::parse(&name, number) else { panic!("{name}") };
            other.charge(rate, length, now, &settings);
        }
        assert_eq!(one.take_spent().count(), 0);
        let one_more = Wanted { units: 1, ..wanted };
        assert!(other.take(rate(), now, one_more, &settings).is_err());
        assert_eq!(one.take(rate(), now, one_more, &settings), Ok(()));
    }
}
