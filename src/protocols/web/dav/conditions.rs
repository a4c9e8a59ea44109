//! The headers `If` (RFC 4918 §10.4), and `If-Modified-Since` and `If-Unmodified-Since` (RFC 9110 §13.1.3, §13.1.4). There are no
//! locks here, so no lock token ever matches a resource.

use axum::http::{StatusCode, header};
use chrono::{DateTime, NaiveDateTime};

use super::answer::{Answer, Problem};
use super::place::Place;
use super::serve::Asked;
use crate::storage::dav::ObjectInfo;

/// Most conditions of one header.
const MOST: usize = 100;

/// One list: all of it holds, or it does not hold.
#[derive(Debug, PartialEq, Eq)]
struct List {
    /// The resource it is about; the one of the request without.
    tag: Option<String>,
    conditions: Vec<Condition>,
}

#[derive(Debug, PartialEq, Eq)]
struct Condition {
    negated: bool,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// A strong validator, without its quotes.
    Etag(String),
    /// A weak one, which is never the same (RFC 9110 §8.8.3.2), or a lock that nothing has. `DAV:no-lock` is one, too.
    Never,
}

/// What a resource is at the moment, where a request names its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// An object with this validator.
    Object(String),
    /// No object.
    Nothing,
}

/// Whether a request is to be fulfilled by these headers; what its object was when that was looked at, if it has one of them.
pub(super) async fn check(asked: &Asked<'_>) -> Answer<Option<Seen>> {
    let seen = by_state(asked).await?;
    let unmodified = by_date(asked).await?;
    Ok(seen.or(unmodified.map(Seen::Object)))
}

/// The validator of an object that has not been stored since a time. What is not here, or has no time, is not asked about, nor is
/// what `If-Match` names (RFC 9110 §13.2.2).
async fn by_date(asked: &Asked<'_>) -> Answer<Option<String>> {
    if asked.headers.contains_key(header::IF_MATCH) {
        return Ok(None);
    }
    let Some(date) = asked.header("if-unmodified-since").and_then(date) else { return Ok(None) };
    match info(asked, &asked.place).await? {
        Some(info) if info.modified_at.unix_seconds() > date => {
            Err(Problem::new(StatusCode::PRECONDITION_FAILED, "It has been changed since then."))
        }
        found => Ok(found.map(|info| info.etag)),
    }
}

/// Whether the client already has the object, by `If-Modified-Since`.
pub(super) fn is_known_by_date(asked: &Asked<'_>, info: &ObjectInfo) -> bool {
    asked.header("if-modified-since").and_then(date).is_some_and(|date| info.modified_at.unix_seconds() <= date)
}

/// A date in seconds since 1970, in any of the three forms of RFC 9110 §5.6.7. Two digits are a year from 1970 on.
fn date(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(date) = DateTime::parse_from_rfc2822(text) {
        return Some(date.timestamp());
    }
    let is_form = |form| NaiveDateTime::parse_from_str(text, form).ok();
    let date = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"].into_iter().find_map(is_form)?;
    Some(date.and_utc().timestamp())
}

async fn by_state(asked: &Asked<'_>) -> Answer<Option<Seen>> {
    let mut values = asked.headers.get_all("if").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let malformed = || Problem::bad("The header `If` cannot be read (RFC 4918, section 10.4.2).");
    let text = value.to_str().ok().filter(|_| values.next().is_none()).ok_or_else(malformed)?;
    let lists = parse(text).ok_or_else(malformed)?;
    let own = etag(asked, &asked.place).await?;
    let mut holds = false;
    for list in &lists {
        let there = match &list.tag {
            None => own.clone(),
            // A missing resource has no state.
            Some(tag) => match Place::parse(tag, &asked.visitor.account.address) {
                Ok(place) => etag(asked, &place).await?,
                Err(_) => None,
            },
        };
        holds |= list.holds(there.as_deref());
    }
    if !holds {
        let why = "It is not in a state that the header `If` names.";
        return Err(Problem::new(StatusCode::PRECONDITION_FAILED, why));
    }
    Ok(Some(own.map_or(Seen::Nothing, Seen::Object)))
}

async fn etag(asked: &Asked<'_>, place: &Place) -> Answer<Option<String>> {
    Ok(info(asked, place).await?.map(|info| info.etag))
}

/// The state of an object; collections have none.
async fn info(asked: &Asked<'_>, place: &Place) -> Answer<Option<ObjectInfo>> {
    let Place::Object(kind, name, object) = place else { return Ok(None) };
    let collections = &asked.room.needs.collections;
    let Some(collection) = collections.find(&asked.visitor.account.address, *kind, name).await? else {
        return Ok(None);
    };
    Ok(collections.object(&collection, object).await?.map(|object| object.info))
}

impl List {
    fn holds(&self, etag: Option<&str>) -> bool {
        self.conditions.iter().all(|condition| {
            let is = match &condition.state {
                State::Etag(wanted) => etag == Some(wanted.as_str()),
                State::Never => false,
            };
            is != condition.negated
        })
    }
}

/// `If = 1*( [ "<" Resource-Tag ">" ] 1*( "(" 1*( [ "Not" ] ( "<" State-token ">" / "[" entity-tag "]" ) ) ")" ) )`
fn parse(text: &str) -> Option<Vec<List>> {
    let (mut lists, mut rest) = (Vec::new(), text.trim_start());
    let (mut tag, mut count) = (None, 0_usize);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('<') {
            // Lists without a tag and with one do not stand together, and a tag has a list.
            let is_place = lists.is_empty() || tag.is_some();
            let (named, after) = after.split_once('>')?;
            if !is_place || !after.trim_start().starts_with('(') {
                return None;
            }
            tag = Some(named.to_owned());
            rest = after.trim_start();
            continue;
        }
        let mut inside = rest.strip_prefix('(')?.trim_start();
        let mut conditions = Vec::new();
        loop {
            if let Some(after) = inside.strip_prefix(')') {
                rest = after.trim_start();
                break;
            }
            count += 1;
            if count > MOST {
                return None;
            }
            let negated = inside.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("not"));
            let one = if negated { inside[3..].trim_start() } else { inside };
            let (state, after) = match one.as_bytes().first()? {
                b'<' => (State::Never, one[1..].split_once('>')?.1),
                b'[' => entity_tag(&one[1..])?,
                _ => return None,
            };
            conditions.push(Condition { negated, state });
            inside = after.trim_start();
        }
        if conditions.is_empty() {
            return None;
        }
        lists.push(List { tag: tag.clone(), conditions });
    }
    (!lists.is_empty()).then_some(lists)
}

/// `entity-tag "]"`, and what follows.
fn entity_tag(text: &str) -> Option<(State, &str)> {
    let weak = text.strip_prefix("W/");
    let (value, after) = weak.unwrap_or(text).strip_prefix('"')?.split_once('"')?;
    let after = after.strip_prefix(']')?;
    Some((if weak.is_some() { State::Never } else { State::Etag(value.to_owned()) }, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_alternatives_and_conditions_hold_together() {
        let holds = |text: &str, etag: Option<&str>| parse(text).unwrap().iter().any(|list| list.holds(etag));
        for (text, with_a, without) in [
            ("([\"a\"])", true, false),
            ("([\"b\"])", false, false),
            ("(Not [\"b\"])", true, true),
            ("([W/\"a\"])", false, false),
            ("(<urn:uuid:1>)", false, false),
            ("(<urn:uuid:1> [\"a\"])", false, false),
            ("(<urn:uuid:1>) ([\"a\"])", true, false),
            ("(Not <DAV:no-lock> [\"a\"])", true, false),
            ("(<urn:uuid:1>) (Not <DAV:no-lock>)", true, true),
            ("(Not <DAV:no-lock>)", true, true),
            ("(<DAV:no-lock>)", false, false),
            ("</dav/x>(not <urn:uuid:1>)([\"b\"])", true, true),
        ] {
            assert_eq!((holds(text, Some("a")), holds(text, None)), (with_a, without), "{text}");
        }
    }

    #[test]
    fn dates_have_three_forms() {
        for (text, wanted) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            (" Wed Nov 16 08:49:37 1994 ", Some(784_975_777)),
            ("Friday, 06-Nov-26 08:49:37 GMT", Some(1_793_954_977)),
            ("Sunday, 06-Nov-94 08:49:37", None),
            ("Monday, 06-Nov-94 08:49:37 GMT", None),
            ("1994-11-06T08:49:37Z", None),
            ("", None),
        ] {
            assert_eq!(date(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in [
            "",
            "()",
            "(",
            "([\"a\"]",
            "([a])",
            "<x>",
            "<x> <y> ([\"a\"])",
            "([\"a\"]) <x> ([\"a\"])",
            "x",
            "(Not)",
            "([\"a\")",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&format!("({})", "<x>".repeat(MOST + 1))), None);
        let tagged = parse("<http://h/dav/a> (<l>) ([\"1\"]) </dav/b> ([\"2\"])").unwrap();
        let tags: Vec<_> = tagged.iter().map(|list| list.tag.as_deref()).collect();
        assert_eq!(tags, [Some("http://h/dav/a"), Some("http://h/dav/a"), Some("/dav/b")]);
    }
}
