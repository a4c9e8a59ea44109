//! Dates in header fields (RFC 5322 §3.3): written one way, read in all the ways people have written them.

use chrono::{DateTime, Datelike as _, FixedOffset, NaiveDate};

/// The date of a Date field: a point in time and the offset from UTC the sender lived at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderDate {
    /// Seconds since 1970-01-01 UTC.
    pub seconds: i64,
    /// Minutes east of UTC, between -1439 and 1439.
    pub offset: i16,
}

impl HeaderDate {
    /// Days since 1970-01-01 as the sender's calendar showed them: what SENTON and its kin compare, which disregard
    /// time and zone (RFC 9051 §6.4.4).
    pub const fn day(self) -> i64 {
        (self.seconds + self.offset as i64 * 60).div_euclid(86_400)
    }

    /// Reads a Date field's value, tolerating missing weekdays, missing seconds, comments, two-digit years (RFC 5322
    /// §4.3), named zones, `14-Nov-2023` and the order of ctime. `None` when no date can be made out.
    pub fn read(value: &[u8]) -> Option<Self> {
        let mut parts = Parts::default();
        for word in words(&value[..value.len().min(MAX_VALUE)]) {
            parts.add(word);
        }
        let (day, month) = (parts.day?, parts.month?);
        let date = NaiveDate::from_ymd_opt(parts.year?, month, day)?;
        let days = i64::from(date.num_days_from_ce()) - DAYS_BEFORE_1970;
        let offset = parts.offset.unwrap_or(0);
        Some(Self { seconds: days * 86_400 + parts.time.unwrap_or(0) - i64::from(offset) * 60, offset })
    }
}

/// Longest value that is looked at, in octets.
const MAX_VALUE: usize = 256;
/// Days from the first day of the year 1 to 1970-01-01, as chrono counts them.
const DAYS_BEFORE_1970: i64 = 719_163;

/// The words of a date: separated by blanks and commas, comments left out; a hyphen separates unless it is a sign.
fn words(value: &[u8]) -> impl Iterator<Item = &str> {
    let uncommented = value.split(|b| *b == b'(').enumerate().map(|(at, piece)| match at {
        0 => piece,
        _ => piece.iter().position(|b| *b == b')').map_or(&b""[..], |end| &piece[end + 1..]),
    });
    uncommented
        .flat_map(|piece| piece.split(|b| b.is_ascii_whitespace() || *b == b','))
        .flat_map(|word| {
            let splits = !word.starts_with(b"-");
            word.split(move |b| splits && *b == b'-')
        })
        .filter_map(|word| std::str::from_utf8(word).ok().filter(|word| !word.is_empty()))
}

#[derive(Default)]
struct Parts {
    day: Option<u32>,
    month: Option<u32>,
    year: Option<i32>,
    time: Option<i64>,
    offset: Option<i16>,
}

impl Parts {
    fn add(&mut self, word: &str) {
        let is_number = word.bytes().all(|b| b.is_ascii_digit());
        if word.starts_with(['+', '-']) {
            self.offset = self.offset.or_else(|| numeric_zone(word));
        } else if word.contains(':') {
            self.time = self.time.or_else(|| time_of_day(word));
        } else if is_number && word.len() <= 2 && self.day.is_none() {
            self.day = word.parse().ok();
        } else if is_number && word.len() <= 4 {
            self.year = self.year.or_else(|| full_year(word));
        } else if let Some(month) = month(word) {
            self.month = self.month.or(Some(month));
        } else if self.time.is_some() {
            self.offset = self.offset.or_else(|| named_zone(word));
        }
    }
}

/// RFC 5322 §4.3: two digits up to 49 are in this century, three digits count from 1900.
fn full_year(word: &str) -> Option<i32> {
    let year: i32 = word.parse().ok()?;
    Some(match word.len() {
        4 => year,
        2 if year < 50 => year + 2000,
        _ => year + 1900,
    })
}

/// `22:13` or `22:13:20`, also with a leap second, in seconds.
fn time_of_day(word: &str) -> Option<i64> {
    let mut numbers = word.split(':').map(|number| number.get(..2.min(number.len()))?.parse::<i64>().ok());
    let (hour, minute) = (numbers.next()??, numbers.next()??);
    let second = numbers.next().flatten().unwrap_or(0);
    let is_time = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    is_time.then_some(hour * 3600 + minute * 60 + second)
}

/// `+0130` in minutes.
fn numeric_zone(word: &str) -> Option<i16> {
    let (sign, digits) = match word.split_at_checked(1)? {
        ("-", digits) => (-1, digits),
        (_, digits) => (1, digits),
    };
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i16 = digits.parse().ok()?;
    let minutes = number / 100 * 60 + number % 100;
    (number % 100 < 60 && minutes < 24 * 60).then_some(sign * minutes)
}

/// RFC 5322 §4.3: the North American zones; every other name means that the offset is not known.
fn named_zone(word: &str) -> Option<i16> {
    let hours = match word.to_ascii_uppercase().as_str() {
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        _ => 0,
    };
    Some(hours * 60)
}

fn month(word: &str) -> Option<u32> {
    let start = word.get(..3)?.to_ascii_lowercase();
    let at = MONTHS.iter().position(|month| *month == start)?;
    u32::try_from(at + 1).ok()
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Writes a date as RFC 5322 §3.3 wants it: `Tue, 14 Nov 2023 22:13:20 +0000`.
pub fn write(date: DateTime<FixedOffset>) -> String {
    date.format("%a, %d %b %Y %H:%M:%S %z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (value, seconds, offset) in [
            ("Tue, 14 Nov 2023 22:13:20 +0000", 1_700_000_000, 0),
            ("Tue, 14 Nov 2023 23:13:20 +0100 (CET)", 1_700_000_000, 60),
            ("14 Nov 2023 17:13:20 EST", 1_700_000_000, -300),
            ("Tue,14 Nov 23 22:13:20 GMT", 1_700_000_000, 0),
            ("Tue, 14-Nov-2023 22:13:20 -0000", 1_700_000_000, 0),
            ("Tue Nov 14 22:13:20 2023", 1_700_000_000, 0),
            ("Tuesday, 14 November 2023 22:13:20 UTC", 1_700_000_000, 0),
            ("(x) 14 (y) Nov (z) 2023 22:13:20 (w", 1_700_000_000, 0),
            ("Wed, 15 Nov 2023 03:43:20 +0530", 1_700_000_000, 330),
            ("14 Nov 2023 22:13", 1_699_999_980, 0),
            ("14 Nov 2023", 1_699_920_000, 0),
            ("14 Nov 2023 22:13:20 +9999", 1_700_000_000, 0),
            ("1 Jan 99 00:00:00 Z", 915_148_800, 0),
            ("1 Jan 101 00:00:00 Z", 978_307_200, 0),
            ("31 Dec 2016 23:59:60 +0000", 1_483_228_800, 0),
            ("1 Jan 0001 00:00:00 +0000", -62_135_596_800, 0),
        ] {
            assert_eq!(HeaderDate::read(value.as_bytes()), Some(HeaderDate { seconds, offset }), "{value}");
        }
        for value in
            ["", "x", "30 Feb 2023 00:00:00 +0000", "Nov 2023", "14 2023 10:00", "99999999999 Nov 1", "::", "-"]
        {
            assert_eq!(HeaderDate::read(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn the_day_is_the_senders() {
        let day = |value: &str| HeaderDate::read(value.as_bytes()).unwrap().day();
        assert_eq!(day("1 Jan 1970 00:30:00 +0100"), 0);
        assert_eq!(day("31 Dec 1969 23:30:00 -0100"), -1);
    }

    #[test]
    fn writes_and_reads_back() {
        let date = DateTime::from_timestamp(1_700_000_000, 0)
            .unwrap()
            .with_timezone(&FixedOffset::west_opt(5 * 3600).unwrap());
        assert_eq!(write(date), "Tue, 14 Nov 2023 17:13:20 -0500");
        assert_eq!(HeaderDate::read(write(date).as_bytes()).unwrap().seconds, 1_700_000_000);
    }
}
