//! Paths and what they name.

use crate::foundations::address::Address;
use crate::storage::dav::CollectionKind;

/// Where everything lies.
pub(super) const ROOT: &str = "/dav/";
/// Where everybody's principal lies.
pub(super) const PRINCIPALS: &str = "/dav/principals/";
/// The last part of the path of the outbox.
const OUTBOX: &str = "outbox";
/// Longest name of a collection or object, in characters.
const LONGEST: usize = 200;

/// What a path names, for the user who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// `/dav/`
    Root,
    /// `/dav/principals/`
    Principals,
    /// `/dav/principals/USER/`
    Principal,
    /// `/dav/scheduling/USER/outbox/`, to which programs post questions about busy times (RFC 6638 §2.1).
    Outbox,
    /// `/dav/calendars/USER/`, `/dav/contacts/USER/`, `/dav/scheduling/USER/`
    Home(CollectionKind),
    /// One below it.
    Collection(CollectionKind, String),
    /// One in it.
    Object(CollectionKind, String, String),
}

/// Why a path names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// There is nothing here, or it is another user's.
    Nothing,
    /// A name is too long or has what no name may have.
    BadName,
}

impl Place {
    /// Reads a path, or a URL of this server.
    pub(super) fn parse(path: &str, user: &Address) -> Result<Self, NoPlace> {
        let path = match path.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => path,
        };
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let below = path.strip_prefix("/dav").filter(|below| below.is_empty() || below.starts_with('/'));
        let below = below.ok_or(NoPlace::Nothing)?;
        let mut parts = Vec::new();
        for part in below.split('/').filter(|part| !part.is_empty()) {
            parts.push(decoded(part).ok_or(NoPlace::BadName)?);
        }
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else { return Ok(Self::Root) };
        let kind = match first.as_str() {
            "principals" => None,
            "calendars" => Some(CollectionKind::Calendar),
            "contacts" => Some(CollectionKind::AddressBook),
            "scheduling" => Some(CollectionKind::ScheduleInbox),
            _ => return Err(NoPlace::Nothing),
        };
        let Some(whose) = parts.next() else {
            return if kind.is_none() { Ok(Self::Principals) } else { Err(NoPlace::Nothing) };
        };
        if !whose.parse::<Address>().is_ok_and(|whose| whose.key() == user.key()) {
            return Err(NoPlace::Nothing);
        }
        match (kind, parts.next(), parts.next(), parts.next()) {
            (None, None, ..) => Ok(Self::Principal),
            (Some(CollectionKind::ScheduleInbox), Some(name), None, _) if name == OUTBOX => Ok(Self::Outbox),
            (Some(kind), None, ..) => Ok(Self::Home(kind)),
            (Some(kind), Some(name), None, _) => Ok(Self::Collection(kind, fit(name)?)),
            (Some(kind), Some(name), Some(object), None) => Ok(Self::Object(kind, fit(name)?, fit(object)?)),
            _ => Err(NoPlace::Nothing),
        }
    }

    /// The path.
    pub(super) fn href(&self, user: &Address) -> String {
        let user = encoded(&user.key());
        match self {
            Self::Root => ROOT.to_owned(),
            Self::Principals => PRINCIPALS.to_owned(),
            Self::Outbox => format!("{ROOT}{}/{user}/{OUTBOX}/", word(CollectionKind::ScheduleInbox)),
            Self::Principal => format!("{ROOT}principals/{user}/"),
            Self::Home(kind) => format!("{ROOT}{}/{user}/", word(*kind)),
            Self::Collection(kind, name) => format!("{ROOT}{}/{user}/{}/", word(*kind), encoded(name)),
            Self::Object(kind, name, object) => {
                format!("{ROOT}{}/{user}/{}/{}", word(*kind), encoded(name), encoded(object))
            }
        }
    }
}

const fn word(kind: CollectionKind) -> &'static str {
    match kind {
        CollectionKind::Calendar => "calendars",
        CollectionKind::AddressBook => "contacts",
        CollectionKind::ScheduleInbox => "scheduling",
    }
}

/// MariaDB takes texts that differ in blanks at their end for the same: no name has any.
fn fit(name: String) -> Result<String, NoPlace> {
    let bad = name.chars().count() > LONGEST
        || name.chars().any(char::is_control)
        || name.trim() != name
        || matches!(name.as_str(), "" | "." | "..")
        || name.contains('/');
    if bad { Err(NoPlace::BadName) } else { Ok(name) }
}

/// RFC 3986 §2.1.
fn decoded(part: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let digit = |octet: Option<u8>| char::from(octet?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        octets.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(octets).ok()
}

fn encoded(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for octet in part.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => out.push(char::from(octet)),
            _ => out.push_str(&format!("%{octet:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_understood() {
        let ann: Address = "ann@example.test".parse().unwrap();
        let calendar = CollectionKind::Calendar;
        for (path, wanted) in [
            ("/dav/", Ok(Place::Root)),
            ("/dav", Ok(Place::Root)),
            ("/dav/principals/ann%40example.test/", Ok(Place::Principal)),
            ("/dav/calendars/Ann@example.test", Ok(Place::Home(calendar))),
            ("/dav/calendars/ann@example.test/a%20b/", Ok(Place::Collection(calendar, "a b".into()))),
            (
                "http://x:1/dav/calendars/ann@example.test/a/b.ics",
                Ok(Place::Object(calendar, "a".into(), "b.ics".into())),
            ),
            ("/dav/principals/", Ok(Place::Principals)),
            ("/dav/principals/bob@example.test/", Err(NoPlace::Nothing)),
            ("/dav/scheduling/ann@example.test/outbox/", Ok(Place::Outbox)),
            (
                "/dav/scheduling/ann@example.test/inbox/",
                Ok(Place::Collection(CollectionKind::ScheduleInbox, "inbox".into())),
            ),
            ("/dav/calendars/", Err(NoPlace::Nothing)),
            ("/dav/calendars/bob@example.test/", Err(NoPlace::Nothing)),
            ("/dav/calendars/ann@example.test/a/b/c", Err(NoPlace::Nothing)),
            ("/dav/other/ann@example.test/", Err(NoPlace::Nothing)),
            ("/davcalendars/ann@example.test/a/b.ics", Err(NoPlace::Nothing)),
            ("http://x/davcalendars/ann@example.test/", Err(NoPlace::Nothing)),
            ("/dav/calendars/ann@example.test/%2e%2e/", Err(NoPlace::BadName)),
            ("/dav/calendars/ann@example.test/a%2fb/", Err(NoPlace::BadName)),
            ("/dav/calendars/ann@example.test/a%00/", Err(NoPlace::BadName)),
            ("/dav/calendars/ann@example.test/a%20/", Err(NoPlace::BadName)),
            ("/dav/calendars/ann@example.test/%zz/", Err(NoPlace::BadName)),
        ] {
            let place = Place::parse(path, &ann);
            assert_eq!(place, wanted, "{path}");
            if let Ok(place) = place {
                assert_eq!(Place::parse(&place.href(&ann), &ann), Ok(place));
            }
        }
    }
}
