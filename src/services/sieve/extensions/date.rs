//! `date` and `currentdate` (RFC 5260 §4, §5).

use chrono::{DateTime, Datelike as _, FixedOffset, TimeZone as _, Timelike as _, Utc};

use super::fields::Source;
use crate::foundations::mail::HeaderDate;
use crate::foundations::said::said;
use crate::services::sieve::check::{Arguments, TestWord, Tests, Wanted};
use crate::services::sieve::matching::{Matcher, Matching};
use crate::services::sieve::program::{Judge, Value};
use crate::services::sieve::run::{Halt, Run};

pub(super) const TESTS: &[TestWord] = &[
    TestWord { name: "currentdate", extensions: &["date"], tests: Tests::None, read: read_current },
    TestWord { name: "date", extensions: &["date"], tests: Tests::None, read: read_date },
];

/// In which zone a date is looked at.
#[derive(Debug)]
enum Zone {
    Local,
    /// The one in the date.
    Original,
    Given(Value),
}

#[derive(Debug)]
struct Date {
    /// The field; the time now when there is none.
    source: Option<Source>,
    zone: Zone,
    part: Value,
    matcher: Matcher,
}

fn read_zone(arguments: &mut Arguments<'_, '_>, allows_original: bool) -> Zone {
    let given = arguments.tag_value("zone", "");
    let original = if allows_original { arguments.tag("originalzone", "") } else { None };
    match (given, original) {
        (Some((at, _)), Some(_)) => {
            arguments.wrong_at(at, said!("sieve-zones", "':zone' and ':originalzone' exclude each other"));
            Zone::Local
        }
        (Some((at, value)), None) => {
            if let Some(text) = value.constant().filter(|text| offset(text).is_none()) {
                let said = said!(
                    "sieve-no-zone",
                    "'{text}' is not a time zone; write it as in \"+0100\"",
                    text = text.escape_debug()
                );
                arguments.wrong_at(at, said);
            }
            Zone::Given(value)
        }
        (None, Some(_)) => Zone::Original,
        (None, None) => Zone::Local,
    }
}

fn read_current(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let matching = Matching::read(arguments);
    let zone = read_zone(arguments, false);
    let [part, keys] = arguments.positional([("date part", Wanted::Text), ("key list", Wanted::Texts)])?;
    finish(arguments, None, zone, &part, &keys, matching)
}

fn read_date(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let matching = Matching::read(arguments);
    let zone = read_zone(arguments, true);
    let source = Source::read_tags(arguments, false);
    let [name, part, keys] = arguments.positional([
        ("header name", Wanted::Text),
        ("date part", Wanted::Text),
        ("key list", Wanted::Texts),
    ])?;
    let at = name.at;
    let name = arguments.value(&name);
    arguments.check_field_name(at, &name);
    finish(arguments, Some(source.with(vec![name])), zone, &part, &keys, matching)
}

fn finish(
    arguments: &mut Arguments<'_, '_>,
    source: Option<Source>,
    zone: Zone,
    part: &crate::services::sieve::syntax::Argument,
    keys: &crate::services::sieve::syntax::Argument,
    matching: Matching,
) -> Option<Box<dyn Judge>> {
    let at = part.at;
    let part = arguments.value(part);
    if let Some(name) = part.constant().filter(|name| !PARTS.contains(&name.to_ascii_lowercase().as_str())) {
        let said = said!(
            "sieve-date-part",
            "unknown date part '{name}'; there are {names}",
            name = name.escape_debug(),
            names = PARTS.join(", ")
        );
        arguments.wrong_at(at, said);
    }
    let keys = arguments.values(keys);
    let matcher = matching.with(arguments, keys);
    arguments.fine(Box::new(Date { source, zone, part, matcher }))
}

impl Judge for Date {
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        let part = self.part.get(run)?.to_ascii_lowercase();
        let mut values = Vec::new();
        match &self.source {
            None => values.extend(self.value(run, run.situation.now, &part)?),
            Some(source) => {
                for name in source.names() {
                    let name = name.get(run)?;
                    // RFC 5260 §4: the first field, unless `index` says another.
                    if let Some(field) = source.fields(run, &name)?.first()
                        && let Some(date) = read(&field.body)
                    {
                        values.extend(self.value(run, date, &part)?);
                    }
                }
            }
        }
        self.matcher.matches(run, &values)
    }
}

impl Date {
    fn value(&self, run: &mut Run<'_, '_>, date: DateTime<FixedOffset>, part: &str) -> Result<Option<String>, Halt> {
        let zone = match &self.zone {
            Zone::Original => *date.offset(),
            Zone::Local => *run.situation.now.offset(),
            Zone::Given(zone) => {
                let zone = zone.get(run)?;
                offset(&zone)
                    .ok_or_else(|| Halt::new(format!("'{zone}' is not a time zone; write it as in \"+0100\"")))?
            }
        };
        Ok(date_part(date.with_timezone(&zone), part))
    }
}

/// The date at the end of a field: what follows the last semicolon, as in Received, or all of it.
fn read(body: &[u8]) -> Option<DateTime<FixedOffset>> {
    let text = body.rsplit(|b| *b == b';').next().unwrap_or(body);
    let date = HeaderDate::read(text)?;
    let zone = FixedOffset::east_opt(i32::from(date.offset) * 60)?;
    let utc = DateTime::<Utc>::from_timestamp(date.seconds, 0)?;
    Some(zone.from_utc_datetime(&utc.naive_utc()))
}

/// ```text
/// time-zone = ( "+" / "-" ) 4DIGIT      ; RFC 5260 §4.1
/// ```
fn offset(text: &str) -> Option<FixedOffset> {
    let (sign, digits) = text.split_at_checked(1)?;
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    let seconds = number / 100 * 3600 + number % 100 * 60;
    match sign {
        "+" => FixedOffset::east_opt(seconds),
        "-" => FixedOffset::west_opt(seconds),
        _ => None,
    }
}

/// RFC 5260 §4.2.
const PARTS: &[&str] = &[
    "year", "month", "day", "date", "julian", "hour", "minute", "second", "time", "iso8601", "std11", "zone", "weekday",
];

fn date_part(date: DateTime<FixedOffset>, part: &str) -> Option<String> {
    Some(match part {
        "year" => format!("{:04}", date.year()),
        "month" => format!("{:02}", date.month()),
        "day" => format!("{:02}", date.day()),
        "date" => date.format("%Y-%m-%d").to_string(),
        // The Modified Julian Day: days since 17 November 1858, which is day 678576 from the beginning of the calendar.
        "julian" => (i64::from(date.num_days_from_ce()) - 678_576).to_string(),
        "hour" => format!("{:02}", date.hour()),
        "minute" => format!("{:02}", date.minute()),
        "second" => format!("{:02}", date.second()),
        "time" => date.format("%H:%M:%S").to_string(),
        "iso8601" => date.format("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        "std11" => crate::foundations::mail::date::write(date),
        "zone" => date.format("%z").to_string(),
        "weekday" => date.weekday().num_days_from_sunday().to_string(),
        _ => return None,
    })
}
