//! Bans as an administrator sees, sets and lifts them.

use std::borrow::Cow;
use std::time::Duration;

use ipnet::IpNet;

use super::admission::Guard;
use super::memory::Subject;
use super::sharing::Change;
use super::strikes::Strikes;
use crate::foundations::clock::Timestamp;
use crate::foundations::failure::{Kind, Refusal};

/// Why a network has earned its ban.
pub(super) const EARNED: &str = "too many failures";
/// Most bans an administrator may set by hand.
pub(super) const MOST_SET_BANS: usize = 10_000;

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

impl Guard {
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

    /// Bans a network by hand, for a time or without an end. Connections it holds are not cut. The administrator is named
    /// in the event.
    ///
    /// # Errors
    /// When 10,000 bans have been set already.
    pub fn ban(
        &self,
        network: IpNet,
        length: Option<Duration>,
        reason: &str,
        administrator: Option<&str>,
    ) -> Result<(), Refusal> {
        self.set(network, length, reason, |change| change.by(administrator))
    }

    /// The same ban as in another process, which records the event.
    ///
    /// # Errors
    /// As of [`Guard::ban`].
    pub fn ban_as_elsewhere(&self, network: IpNet, length: Option<Duration>, reason: &str) -> Result<(), Refusal> {
        self.set(network, length, reason, |change| Change { is_recorded: true, ..change })
    }

    fn set(
        &self,
        network: IpNet,
        length: Option<Duration>,
        reason: &str,
        made: impl FnOnce(Change) -> Change,
    ) -> Result<(), Refusal> {
        let now = self.0.clock.now();
        let mut memory = self.0.memory.lock();
        memory.set.retain(|_, ban| ban.until.is_none_or(|until| until > now));
        if memory.set.len() >= MOST_SET_BANS {
            return Err(Refusal::new(Kind::TooMany, "There can be at most 10,000 bans; remove some first"));
        }
        let network = network.trunc();
        let ban = Ban { network, until: length.map(|length| now + length), reason: reason.to_owned().into() };
        memory.note(made(Change::set(&ban)));
        memory.set.insert(network, ban);
        drop(memory);
        self.0.changed.notify_one();
        Ok(())
    }

    /// Lifts the bans of a network, of those inside it, and of those around it; how many there were. The administrator is
    /// named in the events.
    pub fn unban(&self, network: IpNet, administrator: Option<&str>) -> usize {
        let now = self.0.clock.now();
        let touches = |other: &IpNet| network.contains(other) || other.contains(&network);
        let mut memory = self.0.memory.lock();
        let set: Vec<Ban> = memory.set.values().filter(|ban| touches(&ban.network)).cloned().collect();
        for ban in &set {
            memory.set.remove(&ban.network);
            memory.note(Change { until: Some(now), ..Change::set(ban).by(administrator) });
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
                memory.note(Change::earned(network, now, 0).by(administrator));
            }
            lifted += 1;
        }
        drop(memory);
        self.0.changed.notify_one();
        lifted
    }
}
