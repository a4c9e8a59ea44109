//! Days of the calendar, for messages to be compared with.

use std::cmp::Ordering;

use chrono::{DateTime, NaiveDate, TimeZone};

use crate::foundations::clock::Timestamp;

/// A day by the clocks of a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Day<Zone> {
    date: NaiveDate,
    zone: Zone,
    /// Its noon in seconds since 1970, where there is one and not two.
    noon: Option<i64>,
}

/// Half a day, in seconds.
const HALF: i64 = 12 * 3_600;

/// Seconds around midnight in which clocks may have been changed.
const UNSETTLED: i64 = 3 * 3_600;

impl<Zone: TimeZone> Day<Zone> {
    pub(super) fn new(date: NaiveDate, zone: Zone) -> Self {
        let noon = date.and_hms_opt(12, 0, 0).and_then(|noon| zone.from_local_datetime(&noon).single());
        Self { date, zone, noon: noon.as_ref().map(DateTime::timestamp) }
    }

    /// Days since 1970.
    pub(super) fn number(&self) -> i64 {
        self.date.signed_duration_since(NaiveDate::default()).num_days()
    }

    /// Whether a moment lies before this day, within it or after it: the date that is shown there counts (RFC 9051 §6.4.4). To
    /// ask the zone costs more than all other tests of a search, so it is done only around midnight.
    pub(super) fn order(&self, at: Timestamp) -> Ordering {
        match self.noon.map(|noon| at.unix_seconds().saturating_sub(noon)) {
            Some(away) if away < -(HALF + UNSETTLED) => Ordering::Less,
            Some(away) if away > HALF + UNSETTLED => Ordering::Greater,
            Some(away) if away.abs() < HALF - UNSETTLED => Ordering::Equal,
            _ => self.zone.from_utc_datetime(&at.utc().naive_utc()).date_naive().cmp(&self.date),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;

    #[test]
    fn a_moment_is_of_the_day_that_is_shown() {
        // Ordinary ones, clocks changed at midnight in either direction, half hours, and days that were left out.
        for (zone, date) in [
            ("UTC", "2024-02-29"),
            ("Europe/Berlin", "2024-03-31"),
            ("Europe/Berlin", "2024-10-27"),
            ("America/Santiago", "2023-09-03"),
            ("America/Santiago", "2023-04-01"),
            ("America/Havana", "2023-11-05"),
            ("Asia/Beirut", "2022-03-27"),
            ("Australia/Lord_Howe", "2024-04-07"),
            ("Asia/Kathmandu", "1986-01-01"),
            ("Pacific/Apia", "2011-12-29"),
            ("Pacific/Apia", "2011-12-30"),
            ("Pacific/Apia", "2011-12-31"),
            ("Pacific/Kwajalein", "1993-08-21"),
            ("Antarctica/Troll", "2024-03-31"),
        ] {
            let (zone, date): (Tz, NaiveDate) = (zone.parse().unwrap(), date.parse().unwrap());
            let day = Day::new(date, zone);
            let middle = day.number() * 86_400 + HALF;
            for minutes in (-4 * 24 * 60..=4 * 24 * 60).step_by(5) {
                let at = Timestamp::from_unix_seconds(middle + minutes * 60);
                let shown = zone.from_utc_datetime(&at.utc().naive_utc()).date_naive();
                assert_eq!(day.order(at), shown.cmp(&date), "{zone}: {at}");
            }
        }
    }
}
