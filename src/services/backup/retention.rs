//! Which backups are kept.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::Datelike as _;

use super::{RetentionSettings, SnapshotId};
use crate::foundations::clock::Timestamp;

/// The number of the day, week or month of a snapshot.
type Period = fn(&SnapshotId) -> i32;

/// The snapshots to keep, out of all snapshots, each with whether it is a full one. Those from the future
/// are kept and do not take the place of others, since it may be this clock that is wrong.
pub fn kept(snapshots: &[(SnapshotId, bool)], rules: &RetentionSettings, now: Timestamp) -> BTreeSet<SnapshotId> {
    let (ahead, mut newest_first): (Vec<_>, Vec<_>) = snapshots.iter().partition(|(id, _)| id.is_ahead(now));
    newest_first.sort_by(|a, b| b.0.cmp(&a.0));
    let mut kept: BTreeSet<SnapshotId> = ahead.iter().map(|(id, _)| id.clone()).collect();
    kept.extend(newest_first.first().map(|(id, _)| id.clone()));
    let day = |id: &SnapshotId| id.moment().utc().date_naive().num_days_from_ce();
    let week = |id: &SnapshotId| {
        let week = id.moment().utc().date_naive().iso_week();
        week.year() * 100 + i32::try_from(week.week()).unwrap_or(0)
    };
    let month = |id: &SnapshotId| {
        let date = id.moment().utc().date_naive();
        date.year() * 12 + i32::try_from(date.month()).unwrap_or(0)
    };
    let periods: [(u32, Period); 3] = [(rules.daily, day), (rules.weekly, week), (rules.monthly, month)];
    for (count, period) in periods {
        let mut seen = BTreeSet::new();
        for (id, _) in &newest_first {
            if seen.len() < count as usize && seen.insert(period(id)) {
                kept.insert(id.clone());
            }
        }
    }
    let young = Duration::from_secs(u64::from(rules.days) * 86_400);
    kept.extend(newest_first.iter().filter(|(id, _)| now.since(id.moment()) < young).map(|(id, _)| id.clone()));
    let full = newest_first.iter().filter(|(_, full)| *full).take(rules.full as usize);
    kept.extend(full.map(|(id, _)| id.clone()));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: RetentionSettings = RetentionSettings { daily: 0, weekly: 0, monthly: 0, days: 0, full: 0 };

    /// A year of backups, one at noon of every day, a full one on Sundays; and the moment after the last.
    fn year() -> (Vec<(SnapshotId, bool)>, Timestamp) {
        let first: SnapshotId = "20250101T120000Z".parse().unwrap();
        let day = |n: u64| first.moment() + Duration::from_secs(n * 86_400);
        let snapshots = (0..365).map(|n| {
            let moment = day(n);
            (SnapshotId::at(moment), moment.utc().date_naive().weekday() == chrono::Weekday::Sun)
        });
        (snapshots.collect(), day(364) + Duration::from_secs(60))
    }

    fn names(kept: &BTreeSet<SnapshotId>) -> Vec<String> {
        kept.iter().map(|id| id.to_string()[..8].to_owned()).collect()
    }

    #[test]
    fn each_rule_keeps_its_own() {
        let (all, now) = year();
        assert_eq!(names(&kept(&all, &NONE, now)), ["20251231"], "the newest always");
        let daily = kept(&all, &RetentionSettings { daily: 3, ..NONE }, now);
        assert_eq!(names(&daily), ["20251229", "20251230", "20251231"]);
        let weekly = kept(&all, &RetentionSettings { weekly: 3, ..NONE }, now);
        assert_eq!(names(&weekly), ["20251221", "20251228", "20251231"]);
        let monthly = kept(&all, &RetentionSettings { monthly: 3, ..NONE }, now);
        assert_eq!(names(&monthly), ["20251031", "20251130", "20251231"]);
        let full = kept(&all, &RetentionSettings { full: 2, ..NONE }, now);
        assert_eq!(names(&full), ["20251221", "20251228", "20251231"]);
        let days = kept(&all, &RetentionSettings { days: 2, ..NONE }, now);
        assert_eq!(names(&days), ["20251230", "20251231"]);
        assert!(kept(&[], &RetentionSettings::default(), now).is_empty());
    }

    #[test]
    fn what_was_taken_while_the_clock_was_ahead_takes_no_place() {
        let (mut all, now) = year();
        let alone = kept(&all, &RetentionSettings::default(), now);
        let ahead: SnapshotId = "20350101T000000Z".parse().unwrap();
        all.push((ahead.clone(), true));
        let mut with_one = kept(&all, &RetentionSettings::default(), now);
        assert!(with_one.remove(&ahead), "nobody knows yet which clock is wrong");
        assert_eq!(with_one, alone);
        // With a clock that is behind, all are kept.
        assert_eq!(kept(&all, &NONE, Timestamp::EPOCH).len(), all.len());
    }

    #[test]
    fn thinning_out_day_by_day_keeps_what_thinning_out_at_once_does() {
        let (all, now) = year();
        let rules = RetentionSettings::default();
        let at_once = kept(&all, &rules, now);
        let mut there: Vec<(SnapshotId, bool)> = Vec::new();
        for snapshot in &all {
            there.push(snapshot.clone());
            let stays = kept(&there, &rules, snapshot.0.moment());
            there.retain(|(id, _)| stays.contains(id));
        }
        let day_by_day: BTreeSet<SnapshotId> = there.into_iter().map(|(id, _)| id).collect();
        assert!(at_once.is_subset(&day_by_day), "{:?}", at_once.difference(&day_by_day));
        assert!(day_by_day.len() < 30, "{}", day_by_day.len());
    }
}
