//! Calendar days to compare messages with.

use std::cmp::Ordering;

use chrono::{NaiveDate, Offset as _, TimeZone};

use crate::foundations::clock::Timestamp;

/// A day in local time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Day<Zone> {
    date: NaiveDate,
    zone: Zone,
    /// Its first moment and the first one after it, if it has exactly one noon.
    midnights: Option<[Midnight; 2]>,
}

/// A midnight, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
enum Midnight {
    At(i64),
    /// The clocks were changed near it: within `UNSETTLED` the zone must be asked.
    Near(i64),
}

/// Half a day, in seconds.
const HALF: i64 = 12 * 3_600;

/// Seconds around midnight in which a clock change changes the date.
const UNSETTLED: i64 = 3 * 3_600;

impl Midnight {
    /// The moment of this midnight if the clocks are set as at noon.
    fn new<Zone: TimeZone>(zone: &Zone, moment: i64, noon: i32) -> Self {
        let as_at_noon = |seconds| shift(zone, Timestamp::from_unix_seconds(seconds)) == noon;
        if as_at_noon(moment - UNSETTLED) && as_at_noon(moment + UNSETTLED) {
            Self::At(moment)
        } else {
            Self::Near(moment)
        }
    }

    /// Whether a moment is at or after it; `None` if the zone must be asked.
    const fn has_passed(self, moment: i64) -> Option<bool> {
        match self {
            Self::At(midnight) => Some(moment >= midnight),
            Self::Near(midnight) if moment < midnight - UNSETTLED => Some(false),
            Self::Near(midnight) if moment > midnight + UNSETTLED => Some(true),
            Self::Near(_) => None,
        }
    }
}

/// How many seconds local time is ahead of UTC.
fn shift<Zone: TimeZone>(zone: &Zone, at: Timestamp) -> i32 {
    zone.offset_from_utc_datetime(&at.utc().naive_utc()).fix().local_minus_utc()
}

impl<Zone: TimeZone> Day<Zone> {
    pub(super) fn new(date: NaiveDate, zone: Zone) -> Self {
        let noon = date.and_hms_opt(12, 0, 0).and_then(|noon| zone.from_local_datetime(&noon).single());
        let midnights = noon.map(|noon| {
            let ahead = noon.offset().fix().local_minus_utc();
            [-HALF, HALF].map(|away| Midnight::new(&zone, noon.timestamp() + away, ahead))
        });
        Self { date, zone, midnights }
    }

    /// Days since 1970.
    pub(super) fn number(&self) -> i64 {
        self.date.signed_duration_since(NaiveDate::default()).num_days()
    }

    /// Whether a moment is before, on or after this day: the local date counts (RFC 9051 §6.4.4). Asking
    /// the zone costs more than all other tests of a search, so it is done only if the clocks were changed.
    pub(super) fn order(&self, at: Timestamp) -> Ordering {
        let moment = at.unix_seconds();
        match self.midnights.map(|midnights| midnights.map(|midnight| midnight.has_passed(moment))) {
            Some([Some(false), _]) => Ordering::Less,
            Some([_, Some(true)]) => Ordering::Greater,
            Some([Some(true), Some(false)]) => Ordering::Equal,
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
        // Ordinary ones, clock changes at midnight in either direction, half hours, and days that were left out.
        for (zone, date) in [
            ("UTC", "2024-02-29"),
            ("Europe/Berlin", "2024-03-31"),
            ("Europe/Berlin", "2024-10-27"),
            ("America/Santiago", "2023-09-03"),
            ("America/Santiago", "2023-04-01"),
            ("America/Havana", "2023-11-05"),
            // Back at a minute past midnight.
            ("America/St_Johns", "2006-10-28"),
            ("America/St_Johns", "2006-10-29"),
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
            for minutes in -4 * 24 * 60..=4 * 24 * 60 {
                let at = Timestamp::from_unix_seconds(middle + minutes * 60);
                let shown = zone.from_utc_datetime(&at.utc().naive_utc()).date_naive();
                assert_eq!(day.order(at), shown.cmp(&date), "{zone}: {at}");
            }
        }
    }
}
