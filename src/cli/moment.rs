use std::str::FromStr;

use chrono::{Days, Local, NaiveDate, NaiveDateTime, TimeDelta, TimeZone as _};

use crate::foundations::clock::{Clock as _, SystemClock, Timestamp};
use crate::foundations::settings::Span;

/// A time as people write it: a moment, or a minute or day in local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    begins: Timestamp,
    ends: Timestamp,
}

impl Moment {
    /// When it begins.
    pub(super) const fn timestamp(self) -> Timestamp {
        self.begins
    }

    /// Its last microsecond, for upper limits.
    pub(super) const fn end(self) -> Timestamp {
        self.ends
    }

    const fn exact(at: Timestamp) -> Self {
        Self { begins: at, ends: at }
    }
}

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(span) = Span::parse(text) {
            return Ok(Self::exact(SystemClock.now() - span.duration()));
        }
        if let Ok(exact) = chrono::DateTime::parse_from_rfc3339(text) {
            return Ok(Self::exact(Timestamp::from_unix_micros(exact.timestamp_micros())));
        }
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0));
        let time = |format| NaiveDateTime::parse_from_str(text, format).ok();
        let (first, last) = match (day, time("%Y-%m-%d %H:%M"), time("%Y-%m-%d %H:%M:%S")) {
            (Some(day), _, _) => (Some(day), day.checked_add_days(Days::new(1))),
            (_, Some(minute), _) => (Some(minute), minute.checked_add_signed(TimeDelta::minutes(1))),
            (_, _, second) => (second, second.and_then(|second| second.checked_add_signed(TimeDelta::seconds(1)))),
        };
        // An hour that occurs twice or not at all (daylight saving) is read in the first possible way.
        let local = |time: NaiveDateTime| Some(Local.from_local_datetime(&time).earliest()?.timestamp_micros());
        let wanted = "expected 2026-11-26, \"2026-11-26 14:30\", 2026-11-26T14:30:00Z or how long ago (90m, 2h, 3d)";
        let begins = first.and_then(local).ok_or(wanted)?;
        // A day whose following midnight does not exist (daylight saving again) ends a day after it began.
        let ends = last.and_then(local).unwrap_or(begins + 86_400_000_000) - 1;
        Ok(Self { begins: Timestamp::from_unix_micros(begins), ends: Timestamp::from_unix_micros(ends) })
    }
}

/// A span of validity.
pub(super) fn span(text: &str) -> Result<Span, &'static str> {
    Span::parse(text)
        .filter(|span| !span.duration().is_zero())
        .ok_or("expected a span greater than zero, such as 12h or 3d")
}

/// A time in the past.
pub(super) fn past(text: &str) -> Result<Moment, &'static str> {
    let moment: Moment = text.parse()?;
    if moment.begins > SystemClock.now() { Err("expected a time in the past") } else { Ok(moment) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_what_people_write() {
        let exact = "2026-11-26T14:30:00Z".parse::<Moment>().unwrap();
        assert_eq!(exact.timestamp().to_string(), "2026-11-26T14:30:00.000Z");
        let day = "2026-11-26".parse::<Moment>().unwrap().timestamp();
        let later = "2026-11-26 14:30".parse::<Moment>().unwrap().timestamp();
        assert_eq!(later.since(day).as_secs(), 14 * 3600 + 30 * 60);
        for (text, seconds) in [("2026-11-26", 86_400), ("2026-11-26 14:30", 60), ("2026-11-26 14:30:07", 1)] {
            let moment = text.parse::<Moment>().unwrap();
            let micros = moment.end().since(moment.timestamp()).as_micros();
            assert_eq!(micros, seconds * 1_000_000 - 1, "{text}");
        }
        assert_eq!("2026-11-26T14:30:00Z".parse::<Moment>().unwrap().end(), exact.timestamp());
        let ago = "2h".parse::<Moment>().unwrap().timestamp();
        assert!(SystemClock.now().since(ago).as_secs() >= 7_200);
        for text in ["", "yesterday", "2026-13-01", "14:30"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
        assert!(past("2020-02-29").is_ok() && past("1d").is_ok());
        assert!(past("9000-01-01").is_err() && past("yesterday").is_err());
    }
}
