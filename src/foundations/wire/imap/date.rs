//! Dates and times (RFC 9051 §9 `date`, `date-time`).

use std::io::Write;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveTime, TimeZone};

use super::cursor::{Cursor, Parsed};
use crate::foundations::clock::Timestamp;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// ```abnf
/// date      = date-text / DQUOTE date-text DQUOTE
/// date-text = date-day "-" date-month "-" date-year
/// date-day  = 1*2DIGIT
/// ```
pub(super) fn date(cursor: &mut Cursor<'_>) -> Parsed<NaiveDate> {
    let quoted = cursor.eat(b'"');
    let date = date_text(cursor)?;
    if quoted {
        cursor.expect(b'"', "The closing quotation mark of the date")?;
    }
    Ok(date)
}

/// ```abnf
/// date-time      = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE
/// date-day-fixed = (SP DIGIT) / 2DIGIT
/// time           = 2DIGIT ":" 2DIGIT ":" 2DIGIT
/// zone           = ("+" / "-") 4DIGIT
/// ```
pub(super) fn date_time(cursor: &mut Cursor<'_>) -> Parsed<Timestamp> {
    const WANTED: &str = "A date and time such as \" 7-Feb-1994 21:52:25 -0800\"";
    let start = cursor.clone();
    cursor.expect(b'"', WANTED)?;
    cursor.eat(b' ');
    let date = date_text(cursor)?;
    cursor.expect(b' ', WANTED)?;
    let hour = digits(cursor, 2, WANTED)?;
    cursor.expect(b':', WANTED)?;
    let minute = digits(cursor, 2, WANTED)?;
    cursor.expect(b':', WANTED)?;
    // A leap second is the second after it.
    let second = digits(cursor, 2, WANTED)?.min(59);
    cursor.expect(b' ', WANTED)?;
    let east = cursor.eat(b'+');
    if !east {
        cursor.expect(b'-', WANTED)?;
    }
    let zone = digits(cursor, 4, WANTED)?.cast_signed();
    cursor.expect(b'"', WANTED)?;
    let seconds = (zone / 100 * 60 + zone % 100) * 60;
    let offset = FixedOffset::east_opt(if east { seconds } else { -seconds });
    let time = NaiveTime::from_hms_opt(hour, minute, second);
    let moment = offset.zip(time).and_then(|(offset, time)| offset.from_local_datetime(&date.and_time(time)).single());
    match moment {
        Some(moment) => Ok(Timestamp::from_unix_seconds(moment.timestamp())),
        None => start.wanted(WANTED),
    }
}

fn date_text(cursor: &mut Cursor<'_>) -> Parsed<NaiveDate> {
    const WANTED: &str = "A date such as 1-Feb-1994";
    let start = cursor.clone();
    let malformed = || start.wanted(WANTED);
    let day = cursor.take_while(|b| b.is_ascii_digit());
    if !(1..=2).contains(&day.len()) {
        return malformed();
    }
    let day = day.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    cursor.expect(b'-', WANTED)?;
    let month = cursor.take_while(|b| b.is_ascii_alphabetic());
    let month = MONTHS.iter().zip(1..).find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(month));
    cursor.expect(b'-', WANTED)?;
    let year = digits(cursor, 4, WANTED)?.cast_signed();
    match month.and_then(|(_, month)| NaiveDate::from_ymd_opt(year, month, day)) {
        Some(date) => Ok(date),
        None => malformed(),
    }
}

fn digits(cursor: &mut Cursor<'_>, count: usize, wanted: &'static str) -> Parsed<u32> {
    let start = cursor.clone();
    let digits = cursor.take_while(|b| b.is_ascii_digit());
    if digits.len() != count {
        return start.wanted(wanted);
    }
    Ok(digits.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')))
}

/// Writes a `date-time` in the given offset, quotation marks included.
pub fn write_date_time(at: DateTime<FixedOffset>, out: &mut Vec<u8>) {
    use chrono::{Datelike, Timelike};
    let zone = at.offset().local_minus_utc() / 60;
    let (sign, zone) = if zone < 0 { ('-', -zone) } else { ('+', zone) };
    let month = MONTHS[at.month0() as usize];
    // Writing to memory cannot fail. Years beyond four digits have no wire form; the nearest one is written.
    let _ = write!(
        out,
        "\"{:2}-{month}-{:04} {:02}:{:02}:{:02} {sign}{:02}{:02}\"",
        at.day(),
        at.year().clamp(0, 9999),
        at.hour(),
        at.minute(),
        at.second(),
        zone / 60,
        zone % 60,
    );
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn date_times_round_trip() {
        for (text, seconds) in [
            ("\" 7-Feb-1994 21:52:25 -0800\"", 760_686_745),
            ("\"17-Jul-1996 02:44:25 +0000\"", 837_571_465),
            ("\" 1-Jan-1970 05:30:00 +0530\"", 0),
        ] {
            let bytes = Bytes::from(text);
            let at = date_time(&mut Cursor::new(&bytes)).expect(text);
            assert_eq!(at.unix_seconds(), seconds);
            let zone: i32 = text[text.len() - 6..text.len() - 1].parse().expect("a zone");
            let offset = FixedOffset::east_opt((zone / 100 * 60 + zone % 100) * 60).expect("an offset");
            let mut out = Vec::new();
            write_date_time(at.utc().with_timezone(&offset), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
    }

    #[test]
    fn broken_date_times() {
        for text in [
            "\"31-Feb-1994 21:52:25 -0800\"",
            "\"7-Foo-1994 21:52:25 -0800\"",
            "\" 7-Feb-94 21:52:25 -0800\"",
            "\" 7-Feb-1994 24:52:25 -0800\"",
            "\" 7-Feb-1994 21:52:25 -9900\"",
            "\" 7-Feb-1994 21:52:25\"",
            "NIL",
            "\"\"",
            "\"99999999999-Feb-1994 21:52:25 -0800\"",
        ] {
            let bytes = Bytes::from(text);
            assert!(date_time(&mut Cursor::new(&bytes)).is_err(), "{text}");
        }
    }

    #[test]
    fn dates() {
        for text in ["1-Feb-1994", "\"01-feb-1994\""] {
            let bytes = Bytes::from(text);
            assert_eq!(date(&mut Cursor::new(&bytes)).ok(), NaiveDate::from_ymd_opt(1994, 2, 1), "{text}");
        }
        for text in ["1-Feb-94", "001-Feb-1994", "30-Feb-1994", "\"1-Feb-1994", "-Feb-1994"] {
            let bytes = Bytes::from(text);
            assert!(date(&mut Cursor::new(&bytes)).is_err(), "{text}");
        }
    }
}
