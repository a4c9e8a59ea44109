//! The time, passed in. No other code in this program asks the operating system for it.

mod leases;
mod steady;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, Local, TimeZone, Utc};

pub use leases::Leases;
pub use steady::Steady;

/// A point in time, in microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01.
    pub const EPOCH: Self = Self(0);

    /// From microseconds since 1970.
    pub const fn from_unix_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From milliseconds since 1970.
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// From seconds since 1970.
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since 1970.
    pub const fn unix_micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since 1970, rounded down.
    pub const fn unix_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Time passed since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0).max(0).cast_unsigned())
    }

    /// The calendar date and time in UTC; the end points of chrono's range stand for what lies outside it.
    pub fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or(if self.0 < 0 {
            DateTime::<Utc>::MIN_UTC
        } else {
            DateTime::<Utc>::MAX_UTC
        })
    }

    /// The date and time as people here write it, with the machine's offset from UTC.
    pub fn local(self) -> DateTime<FixedOffset> {
        Local.from_utc_datetime(&self.utc().naive_utc()).fixed_offset()
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.utc().format("%Y-%m-%dT%H:%M:%S%.3fZ"))
    }
}

/// How long this machine has been up, in microseconds, including time asleep. It cannot be set, corrected or faked for
/// a test: it is for promises that must hold whatever other clocks do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uptime(i64);

impl Uptime {
    /// Now.
    pub fn now() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Self(now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1_000))
    }

    /// In microseconds.
    pub const fn micros(self) -> i64 {
        self.0
    }
}

impl std::ops::Add<Duration> for Uptime {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// CPU time used by this thread: the cost of a piece of work, whatever else the machine was doing.
pub fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = Duration::from_secs(now.tv_sec.max(0).cast_unsigned());
    seconds + Duration::from_nanos(now.tv_nsec.max(0).cast_unsigned())
}

/// Where the time comes from. The daemon has [`SystemClock`]; tests bring one they can move.
///
/// Policy time (retries, expiry, rates, caches) runs on this clock. Socket deadlines run on tokio's timer.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Resolves once the clock shows `at` or later, or once the time that remained at the call has passed.
    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// A shared clock.
pub type SharedClock = Arc<dyn Clock>;

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now(&self) -> Timestamp {
        let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let clock = *self;
        Box::pin(sleep_until(move || clock.now(), at))
    }
}

/// How soon sleepers notice a jump of the system's clock.
const SLICE: Duration = Duration::from_secs(60);

/// Sleeps until the clock shows a time, but never longer than the time that remained at the call: when a clock is set
/// back by a year, hourly work must not sleep for a year.
async fn sleep_until(now: impl Fn() -> Timestamp, at: Timestamp) {
    let (begun, longest) = (tokio::time::Instant::now(), at.since(now()));
    loop {
        let left = at.since(now()).min(longest.saturating_sub(begun.elapsed()));
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(SLICE)).await;
    }
}

#[cfg(test)]
mod hand;
#[cfg(test)]
pub(crate) use hand::Hand;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_unix_micros(i64::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(Timestamp::EPOCH.since(end), Duration::ZERO);
        assert_eq!(Timestamp::from_unix_micros(-1).unix_seconds(), -1);
    }

    #[tokio::test]
    async fn a_clock_put_back_keeps_nobody_asleep() {
        let start = Timestamp::from_unix_seconds(1_000_000_000);
        let is_asked_again = std::sync::atomic::AtomicBool::new(false);
        let now = || match is_asked_again.swap(true, std::sync::atomic::Ordering::Relaxed) {
            false => start,
            true => start - Duration::from_secs(365 * 86_400),
        };
        let asleep = sleep_until(now, start + Duration::from_millis(50));
        tokio::time::timeout(Duration::from_secs(30), asleep).await.expect("sleeps on");
    }

    #[test]
    fn is_written_as_rfc_3339() {
        assert_eq!(Timestamp::from_unix_millis(1_700_000_000_123).to_string(), "2023-11-14T22:13:20.123Z");
    }
}
