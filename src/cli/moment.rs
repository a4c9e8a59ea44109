use std::str::FromStr;

use chrono::{Local, NaiveDate, NaiveDateTime, TimeZone as _};

use crate::foundations::clock::{Clock as _, SystemClock, Timestamp};
use crate::foundations::settings::Span;

/// A point in time as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(Timestamp);

impl Moment {
    pub(super) const fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(span) = Span::parse(text) {
            return Ok(Self(SystemClock.now() - span.duration()));
        }
        if let Ok(exact) = chrono::DateTime::parse_from_rfc3339(text) {
            return Ok(Self(Timestamp::from_unix_micros(exact.timestamp_micros())));
        }
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0));
        let formats = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"];
        let time = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        // An hour that comes twice or not at all (summer time) stands for its first possible reading.
        let local = time.or(day).and_then(|time| Local.from_local_datetime(&time).earliest());
        let wanted = "2026-11-26, \"2026-11-26 14:30\", 2026-11-26T14:30:00Z or how long ago (90m, 2h, 3d) is wanted";
        local.map(|local| Self(Timestamp::from_unix_micros(local.timestamp_micros()))).ok_or(wanted)
    }
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
        let ago = "2h".parse::<Moment>().unwrap().timestamp();
        assert!(SystemClock.now().since(ago).as_secs() >= 7_200);
        for text in ["", "yesterday", "2026-13-01", "14:30"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
