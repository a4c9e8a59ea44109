//! Failures remembered against a client or an account, and the passwords that a client keeps trying.

use std::time::Duration;

use super::bounded::Expiring;
use super::settings::GuardSettings;
use crate::foundations::clock::Timestamp;

/// How long earlier bans make the next one longer.
const BANS_REMEMBERED: Duration = Duration::from_secs(86_400);
/// Most passwords of devices behind one address that are not counted again.
const MOST_TRIED: usize = 8;

/// What is held against one client, network or account.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strikes {
    count: u32,
    last: Timestamp,
    bans: u32,
    banned_until: Timestamp,
    /// How long the ban is.
    length: Duration,
    forget_at: Timestamp,
}

impl Expiring for Strikes {
    fn expires_at(&self) -> Timestamp {
        self.forget_at.max(self.banned_until)
    }
}

impl Strikes {
    pub(super) const fn none() -> Self {
        let never = Timestamp::EPOCH;
        Self { count: 0, last: never, bans: 0, banned_until: never, length: Duration::ZERO, forget_at: never }
    }

    /// Failures that are still remembered.
    pub(super) fn count(&self, now: Timestamp, settings: &GuardSettings) -> u32 {
        if now.since(self.last) > settings.memory.duration() { 0 } else { self.count }
    }

    /// How long the ban goes on. One that would go on for longer than it was to last has begun while the clock was ahead,
    /// and is over.
    pub(super) fn banned_for(&self, now: Timestamp) -> Option<Duration> {
        Some(self.banned_until.since(now)).filter(|left| !left.is_zero() && *left <= self.length)
    }

    pub(super) const fn banned_until(&self) -> Timestamp {
        self.banned_until
    }

    /// Adds failures; how many there are now.
    pub(super) fn add(&mut self, times: u32, now: Timestamp, settings: &GuardSettings) -> u32 {
        self.count = self.count(now, settings).saturating_add(times);
        self.last = now;
        self.forget_at = self.forget_at.max(now + settings.memory.duration());
        self.count
    }

    /// Begins a ban, twice as long as the one before it; how long it lasts.
    pub(super) fn ban(&mut self, now: Timestamp, settings: &GuardSettings) -> Duration {
        if now > self.banned_until + BANS_REMEMBERED {
            self.bans = 0;
        }
        let first = settings.ban.duration();
        let length = first.saturating_mul(1 << self.bans.min(20)).min(settings.longest_ban.duration().max(first));
        self.bans += 1;
        self.count = 0;
        (self.banned_until, self.length) = (now + length, length);
        self.forget_at = self.banned_until + BANS_REMEMBERED;
        length
    }

    /// Bans in a row, this one among them.
    pub(super) const fn bans(&self) -> u32 {
        self.bans
    }

    /// Takes over what another process knows: a ban until then, or that it was lifted.
    pub(super) fn adopt(&mut self, until: Timestamp, bans: u32, now: Timestamp) {
        if until <= now && bans == 0 {
            // Lifted by an administrator: failures are forgotten too.
            if self.banned_until > now {
                self.pardon(now);
            }
            return;
        }
        self.bans = self.bans.max(bans);
        self.banned_until = self.banned_until.max(until);
        self.length = self.length.max(self.banned_until.since(now));
        self.forget_at = self.forget_at.max(self.banned_until + BANS_REMEMBERED);
    }

    /// Ends a ban and forgets the failures.
    pub(super) fn pardon(&mut self, now: Timestamp) {
        self.count = 0;
        self.banned_until = self.banned_until.min(now);
    }
}

/// The wrong passwords that a client has tried last for one account, as keyed hashes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tried {
    hashes: [Option<u64>; MOST_TRIED],
    forget_at: Timestamp,
}

impl Expiring for Tried {
    fn expires_at(&self) -> Timestamp {
        self.forget_at
    }
}

impl Tried {
    pub(super) const fn nothing() -> Self {
        Self { hashes: [None; MOST_TRIED], forget_at: Timestamp::EPOCH }
    }

    /// Remembers a password; whether it is none of those tried before.
    pub(super) fn is_new(&mut self, hash: u64, now: Timestamp, settings: &GuardSettings) -> bool {
        self.forget_at = now + settings.memory.duration();
        let is_new = !self.hashes.contains(&Some(hash));
        if is_new {
            self.hashes.rotate_right(1);
            self.hashes[0] = Some(hash);
        }
        is_new
    }
}
