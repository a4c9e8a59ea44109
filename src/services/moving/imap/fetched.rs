//! What a server says about messages.

use super::Error;
use super::response::{Response, Value};
use crate::foundations::clock::Timestamp;
use crate::storage::mailbox::{Flags, Keyword};

/// A message there.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) size: u64,
    pub(super) date: Option<Timestamp>,
    pub(super) flags: Flags,
    pub(super) keywords: Vec<Keyword>,
    pub(super) identity: Option<String>,
}

/// The items of a FETCH response; `None` for any other.
///
/// # Errors
/// It is a FETCH response that is not understood: if it were skipped, its message would be left out silently.
pub(super) fn fetched(response: Response, server: &str) -> Result<Option<Vec<Value>>, Error> {
    let mut words = response.line.split(|octet| *octet == b' ');
    let is_number = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    let is_fetch = words.next() == Some(b"*".as_slice())
        && words.next().is_some_and(is_number)
        && words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"FETCH"));
    if !is_fetch {
        return Ok(None);
    }
    let what = response.shown();
    match response.values(2).and_then(|values| values.into_iter().nth(2)) {
        Some(Value::List(items)) => Ok(Some(items)),
        _ => Err(Error::Syntax { server: server.to_owned(), what }),
    }
}

pub(super) fn item<'a>(items: &'a [Value], name: &str) -> Option<&'a Value> {
    let pair = items.chunks_exact(2).find(|pair| pair[0].atom().is_some_and(|atom| atom.eq_ignore_ascii_case(name)));
    pair.map(|pair| &pair[1])
}

/// A message; without a UID it is one that changed on its own (RFC 9051 §7.5.2). An invalid date counts as none.
pub(super) fn found(items: &[Value]) -> (Option<u32>, Found) {
    let mut found = Found { size: item(items, "RFC822.SIZE").and_then(Value::number).unwrap_or(0), ..Found::default() };
    if let Some(date) = item(items, "INTERNALDATE").and_then(Value::text) {
        let text = String::from_utf8_lossy(date);
        let date = chrono::DateTime::parse_from_str(text.trim(), "%d-%b-%Y %H:%M:%S %z").ok();
        found.date = date.map(|date| Timestamp::from_unix_seconds(date.timestamp()));
    }
    for flag in item(items, "FLAGS").and_then(Value::list).unwrap_or_default().iter().filter_map(Value::atom) {
        match flag.to_ascii_lowercase().as_str() {
            "\\seen" => found.flags |= Flags::SEEN,
            "\\answered" => found.flags |= Flags::ANSWERED,
            "\\flagged" => found.flags |= Flags::FLAGGED,
            "\\deleted" => found.flags |= Flags::DELETED,
            "\\draft" => found.flags |= Flags::DRAFT,
            "$forwarded" => found.flags |= Flags::FORWARDED,
            _ => found.keywords.extend(Keyword::parse(flag).ok()),
        }
    }
    (item(items, "UID").and_then(Value::number), found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Result<Option<(Option<u32>, Found)>, Error> {
        let response = Response { line: line.as_bytes().to_vec(), literals: Vec::new() };
        fetched(response, "imap.other.test:993").map(|items| items.map(|items| found(&items)))
    }

    #[test]
    fn no_message_is_passed_over() {
        let (uid, found) = told("* 3 FETCH (FLAGS (a[b \\Seen) UID 7 RFC822.SIZE 12)").unwrap().unwrap();
        assert_eq!((uid, found.size, found.flags, found.keywords.len()), (Some(7), 12, Flags::SEEN, 1));
        for date in ["\"30-Feb-2024 10:00:00 +0000\"", "NIL", "\"\""] {
            let (uid, found) = told(&format!("* 3 FETCH (UID 7 INTERNALDATE {date})")).unwrap().unwrap();
            assert_eq!((uid, found.date), (Some(7), None), "{date}");
        }
        let (_, found) = told("* 3 fetch (INTERNALDATE \" 1-Jan-1970 01:00:01 +0100\")").unwrap().unwrap();
        assert_eq!(found.date, Some(Timestamp::from_unix_seconds(1)));
        for other in ["* 3 EXISTS", "* OK [ALERT] 3 FETCH (", "* BYE FETCH"] {
            assert!(told(other).unwrap().is_none(), "{other}");
        }
        for broken in ["* 3 FETCH (UID 7", "* 3 FETCH UID 7", "* 3 FETCH", "* 3 FETCH (UID 7 \"x)"] {
            assert!(matches!(told(broken), Err(Error::Syntax { .. })), "{broken}");
        }
    }
}
