//! Whether the clock can be trusted when something is to be deleted by age.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Error, JournalSettings};
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::settings::Live;
use crate::storage::database::{Database, Val};

/// What is known of the clock: the one row of the table `clock_seen`, and this process's own observations. Cloning
/// gives another handle.
#[derive(Clone)]
pub(super) struct Ages {
    database: Database,
    settings: Live<JournalSettings>,
    pub(super) clock: SharedClock,
    known: Arc<Mutex<Known>>,
}

impl std::fmt::Debug for Ages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ages")
    }
}

#[derive(Debug, Default)]
struct Known {
    last: Option<Look>,
    /// Since when this process's clock has been behind its earlier readings.
    behind_since: Option<Instant>,
}

/// A check of the clock, with its result.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Timestamp,
    moment: Instant,
    believed: Believed,
}

/// Whether something may be deleted by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Believed {
    /// It may.
    Yes,
    /// The clock has jumped recently: not before this moment.
    NotBefore(Timestamp),
}

/// The content of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// The latest reading of any clock.
    at: Timestamp,
    pause_until: Timestamp,
}

/// How long a check is valid, and how far clocks may drift apart meanwhile.
const GOOD_FOR: Duration = Duration::from_secs(300);
/// How long a clock must be behind its earlier readings to be believed: machines without a battery boot in the past.
const BEHIND: Duration = Duration::from_secs(86_400);

impl Ages {
    pub(super) fn new(database: Database, settings: Live<JournalSettings>, clock: SharedClock) -> Self {
        Self { database, settings, clock, known: Arc::default() }
    }

    /// Checks the clock; also returns the last reading before a jump, if it has jumped since.
    pub(super) async fn look(&self) -> Result<(Believed, Option<Timestamp>), Error> {
        let mut known = self.known.lock().await;
        let (now, moment) = (self.clock.now(), Instant::now());
        if let Some(last) = known.last {
            let passed = moment - last.moment;
            let drift = now.since(last.at + passed).max((last.at + passed).since(now));
            if passed < GOOD_FOR && drift < GOOD_FOR {
                return Ok((last.believed, None));
            }
        }
        let (seen, jumped_from) = loop {
            let old = self.seen(now).await?;
            if now >= old.at {
                known.behind_since = None;
            }
            let behind_for =
                if now < old.at { known.behind_since.get_or_insert(moment).elapsed() } else { Duration::ZERO };
            let (new, jumped) = judge(old, now, behind_for, &self.settings.get());
            // Another process may have checked at the same moment.
            if new == old || self.replace(old, new).await? {
                break (new, jumped.then_some(old.at));
            }
        };
        let believed = if now < seen.pause_until { Believed::NotBefore(seen.pause_until) } else { Believed::Yes };
        known.last = Some(Look { at: now, moment, believed });
        Ok((believed, jumped_from))
    }

    /// The content of the table; before the first entry, the moment of the newest event.
    async fn seen(&self, now: Timestamp) -> Result<Seen, Error> {
        let sql = "SELECT seen, pause_until FROM clock_seen WHERE id = 1";
        if let Some(row) = self.database.fetch_optional(sql, &[]).await? {
            return Ok(Seen { at: row.time(0)?, pause_until: row.time(1)? });
        }
        let newest = self.database.fetch_optional("SELECT MAX(at) FROM events", &[]).await?;
        let newest = newest.map(|row| row.opt_time(0)).transpose()?.flatten();
        let seen = Seen { at: newest.unwrap_or(now), pause_until: Timestamp::EPOCH };
        let insert = "INSERT INTO clock_seen (id, seen, pause_until) VALUES (1, ?, ?)";
        let insert = format!("{insert}{}", self.database.dialect().on_conflict(&["id"], &[]));
        let values: [Val; 2] = [seen.at.into(), seen.pause_until.into()];
        self.database.execute(crate::storage::database::Sql::assembled(insert), &values).await?;
        Ok(seen)
    }

    async fn replace(&self, old: Seen, new: Seen) -> Result<bool, Error> {
        let sql = "UPDATE clock_seen SET seen = ?, pause_until = ? WHERE id = 1 AND seen = ? AND pause_until = ?";
        let values: [Val; 4] = [new.at.into(), new.pause_until.into(), old.at.into(), old.pause_until.into()];
        Ok(self.database.execute(sql, &values).await? == 1)
    }
}

/// What to record when a clock shows `now`, and whether it has jumped.
fn judge(old: Seen, now: Timestamp, behind_for: Duration, settings: &JournalSettings) -> (Seen, bool) {
    let pause_until = now + settings.after_jump.duration();
    if now < old.at {
        // The earlier reading was wrong, and so is a pause that began because of it.
        let believed = Seen { at: now, pause_until: old.pause_until.min(pause_until) };
        return (if behind_for >= BEHIND { believed } else { old }, false);
    }
    let jumped = now.since(old.at) > settings.jump.duration() && !settings.after_jump.duration().is_zero();
    (Seen { at: now, pause_until: if jumped { pause_until } else { old.pause_until } }, jumped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_waited_out_and_a_clock_that_is_put_back_believed_in_time() {
        let settings = JournalSettings::default();
        let day = |n: u64| Timestamp::EPOCH + Duration::from_secs(n * 86_400);
        let seen = |at, until| Seen { at: day(at), pause_until: day(until) };
        let (at_once, later) = (Duration::ZERO, BEHIND);
        for (old, now, behind_for, wanted, jumped) in [
            (seen(100, 0), 101, at_once, seen(101, 0), false),
            (seen(100, 0), 103, at_once, seen(103, 106), true),
            (seen(103, 106), 104, at_once, seen(104, 106), false),
            // Set back, at first not believed.
            (seen(130, 133), 100, at_once, seen(130, 133), false),
            (seen(130, 133), 101, later, seen(101, 104), false),
            // A machine that boots in the past.
            (seen(100, 0), 0, at_once, seen(100, 0), false),
        ] {
            assert_eq!(judge(old, day(now), behind_for, &settings), (wanted, jumped), "{old:?} {now}");
        }
    }
}
