//! The time as authorities tell it.

use std::time::Duration;

use chrono::DateTime;
use hyper::Request;
use hyper::header::{AGE, DATE, HeaderMap, HeaderName, RETRY_AFTER, USER_AGENT};
use instant_acme::{BodyWrapper, HttpClient as _};

use super::AcmeCertificate;
use super::http::{Http, RetryAfter};
use crate::foundations::clock::Timestamp;

/// How long an authority may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nobody keeps the list of an authority's services for longer.
const OLDEST: i64 = 7 * 86_400;

/// The time at a certificate's authority, to a second or two, from its answer over HTTPS. Nobody between can have changed
/// that. `None` if the authority does not answer or does not say.
pub async fn told_time(wanted: &AcmeCertificate) -> Option<Timestamp> {
    let http = Http::new(wanted.authority_root.as_deref(), RetryAfter::default()).ok()?;
    let request = Request::get(&wanted.authority).header(USER_AGENT, "postrider").body(BodyWrapper::default());
    let request = request.ok()?;
    let answer = tokio::time::timeout(PATIENCE, http.request(request)).await.ok()?.ok()?;
    time_of(&answer.parts.headers)
}

fn time_of(headers: &HeaderMap) -> Option<Timestamp> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let date = DateTime::parse_from_rfc2822(text(DATE)?).ok()?.timestamp();
    // RFC 9111 §5.1: what comes from a cache bears the date at which it was made.
    let age = text(AGE).and_then(|age| age.trim().parse::<i64>().ok()).unwrap_or(0);
    (0..=OLDEST).contains(&age).then(|| Timestamp::from_unix_seconds(date + age))
}

/// How long an answer asks to be left alone (RFC 9110 §10.2.3): for some seconds, or until a time, which is that of the answer's own
/// clock.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = Timestamp::from_unix_seconds(DateTime::parse_from_rfc2822(text).ok()?.timestamp());
    Some(until.since(time_of(headers)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_until_a_time() {
        let date = "Tue, 15 Nov 1994 08:12:31 GMT";
        for (text, date, wanted) in [
            (Some("120"), None, Some(120)),
            (Some(" 0 "), Some(date), Some(0)),
            (Some("Tue, 15 Nov 1994 09:12:31 GMT"), Some(date), Some(3600)),
            (Some("Tue, 15 Nov 1994 07:12:31 GMT"), Some(date), Some(0)),
            (Some("Tue, 15 Nov 1994 09:12:31 GMT"), None, None),
            (Some("-5"), Some(date), None),
            (Some("later"), Some(date), None),
            (None, Some(date), None),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(RETRY_AFTER, text), (DATE, date)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            assert_eq!(retry_after(&headers).map(|pause| pause.as_secs()), wanted, "{text:?} {date:?}");
        }
    }

    #[test]
    fn the_time_is_that_of_the_answer_and_not_of_a_cache() {
        for (date, age, wanted) in [
            (Some("Tue, 15 Nov 1994 08:12:31 GMT"), None, Some(784_887_151)),
            (Some("Tue, 15 Nov 1994 08:12:31 GMT"), Some("60"), Some(784_887_211)),
            (Some("Tue, 15 Nov 1994 08:12:31 GMT"), Some("99999999999"), None),
            (Some("yesterday"), None, None),
            (None, None, None),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(DATE, date), (AGE, age)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            assert_eq!(time_of(&headers).map(|time| time.unix_seconds()), wanted, "{date:?} {age:?}");
        }
    }
}
