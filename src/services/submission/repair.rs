//! Examining a submitted header and repairing it. Pure.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use mail_parser::MessageParser;

use crate::foundations::address::Address;
use crate::foundations::mail::addresses::{self as lists, Entry, Mailbox};
use crate::foundations::mail::{Field, HeaderSection, date, encoded_words};

/// Most addresses of one From or Sender field that are looked at; a field with more is not understood.
const MOST_AUTHORS: usize = 64;

/// What a submitted header has and lacks.
#[derive(Debug, Default)]
pub(super) struct Inspection {
    /// The addresses in From; `None` where it is missing.
    pub authors: Option<Vec<Address>>,
    /// The address in Sender; `None` where it is missing.
    pub sender: Option<Vec<Address>>,
    /// Something in From or Sender could not be understood, or is there twice.
    pub faults: Vec<&'static str>,
    /// Whether there is a date that can be understood.
    pub has_date: bool,
    /// Whether there is a Message-ID between angle brackets.
    pub has_message_id: bool,
    /// A Message-ID that lacks nothing but its brackets.
    pub bare_message_id: Option<String>,
    /// Date and Message-ID fields that RFC 5322 does not know in this form.
    pub malformed: Vec<Range<usize>>,
    /// Whether what the client sent begins with a field at all.
    pub begins_with_field: bool,
    /// Fields that must not leave: Bcc, Resent-Bcc, Return-Path.
    pub private: Vec<Range<usize>>,
    /// The Sender fields.
    pub sender_at: Vec<Range<usize>>,
}

impl Inspection {
    pub(super) fn of(original: &[u8]) -> Self {
        let mut seen = Self::default();
        let mut first = true;
        for field in HeaderSection::of(original).fields() {
            if std::mem::take(&mut first) {
                seen.begins_with_field = !field.name.is_empty();
            }
            if field.is("From") {
                seen.take_author(&field);
            } else if field.is("Sender") {
                seen.sender_at.push(field.range.clone());
                if seen.sender.is_some() {
                    seen.faults.push("The Sender field occurs twice");
                }
                seen.sender = addresses(&field).or_else(|| Some(Vec::new()));
            } else if field.is("Date") {
                match date::HeaderDate::read(field.body) {
                    Some(_) => seen.has_date = true,
                    None => seen.malformed.push(field.range.clone()),
                }
            } else if field.is("Message-ID") {
                seen.take_message_id(&field);
            } else if field.is("Bcc") || field.is("Resent-Bcc") || field.is("Return-Path") {
                seen.private.push(field.range.clone());
            }
        }
        seen.begins_with_field |= original.starts_with(b"\r\n") || original.is_empty();
        seen
    }

    fn take_message_id(&mut self, field: &Field<'_>) {
        let value = field.body.trim_ascii();
        let is_word = |id: &[u8]| {
            !id.is_empty() && id.iter().all(|octet| !octet.is_ascii_whitespace() && !octet.is_ascii_control())
        };
        let begin = value.iter().position(|octet| *octet == b'<').map(|at| at + 1);
        let within = begin.and_then(|begin| value[begin..].split(|octet| *octet == b'>').next().zip(Some(begin)));
        // What stands behind it is a comment at best; identifiers without `@` are common and harm nobody.
        if within.is_some_and(|(id, begin)| is_word(id) && value.len() > begin + id.len()) {
            self.has_message_id = true;
            return;
        }
        self.malformed.push(field.range.clone());
        let is_bare = is_word(value) && value.is_ascii() && !value.iter().any(|octet| b"<>()".contains(octet));
        if let Some(id) = std::str::from_utf8(value).ok().filter(|_| is_bare)
            && id.split_once('@').is_some_and(|(left, right)| !left.is_empty() && !right.is_empty())
        {
            self.bare_message_id = Some(id.to_owned());
        }
    }

    fn take_author(&mut self, field: &Field<'_>) {
        // RFC 5322 §3.6: exactly once. Readers differ in which of two they show, so neither can be trusted.
        if self.authors.is_some() {
            self.faults.push("The From field occurs twice");
        }
        match addresses(field) {
            Some(addresses) if !addresses.is_empty() => self.authors = Some(addresses),
            _ => {
                self.faults.push("The From field holds no valid address");
                self.authors = Some(Vec::new());
            }
        }
    }
}

/// The addresses of an address field; `None` when one of them is none, or when they are too many. Readers differ in what they
/// make of a field beyond the grammar: all that two of them find count, so that nobody shows an author who was not checked.
fn addresses(field: &Field<'_>) -> Option<Vec<Address>> {
    let mut found = read_strictly(field)?;
    for address in read_leniently(field)? {
        if !found.iter().any(|known| known.key() == address.key()) {
            found.push(address);
        }
    }
    Some(found)
}

fn read_strictly(field: &Field<'_>) -> Option<Vec<Address>> {
    // A field may hold UTF-8 or encoded words; a parser of whole messages wants an empty line behind it.
    let alone = [b"From:", field.body, b"\r\n"].concat();
    let parsed = MessageParser::new().with_address_headers().parse_headers(&alone[..])?;
    let found = parsed.from()?;
    let list: Vec<_> = found.iter().take(MOST_AUTHORS + 1).collect();
    if list.len() > MOST_AUTHORS {
        return None;
    }
    list.iter().map(|found| found.address()?.parse().ok()).collect()
}

/// The same as ENVELOPE, the webmail and the filter read it.
fn read_leniently(field: &Field<'_>) -> Option<Vec<Address>> {
    let entries = lists::read(field.body);
    if entries.len() >= lists::MAX_ENTRIES {
        return None;
    }
    let shown = entries.iter().filter_map(|entry| match entry {
        // Words without an `@` name nobody.
        Entry::Mailbox(mailbox) => mailbox.address().contains('@').then(|| address(mailbox)),
        // Of a group, above all of an empty one, programs show the name.
        Entry::GroupStart(name) => {
            let name = encoded_words::decode(name);
            name.contains('@').then(|| name.trim().parse().ok())
        }
        Entry::GroupEnd => None,
    });
    shown.collect()
}

fn address(mailbox: &Mailbox) -> Option<Address> {
    mailbox.address().parse().ok().or_else(|| {
        // The quotes around a local part have been removed.
        let local = String::from_utf8_lossy(&mailbox.local).replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{local}\"@{}", String::from_utf8_lossy(&mailbox.domain)).parse().ok()
    })
}

/// The message without these parts, which are ascending and disjoint; copied only when there are any.
pub(super) fn without(original: &Bytes, parts: &[Range<usize>]) -> Bytes {
    if parts.is_empty() {
        return original.clone();
    }
    let mut kept = BytesMut::with_capacity(original.len());
    let mut from = 0;
    for part in parts {
        kept.extend_from_slice(original.get(from..part.start).unwrap_or_default());
        from = part.end;
    }
    kept.extend_from_slice(original.get(from..).unwrap_or_default());
    kept.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authors(message: &str) -> Option<Vec<String>> {
        Inspection::of(message.as_bytes()).authors.map(|list| list.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn authors_are_all_addresses_in_from() {
        for (message, wanted) in [
            ("From: ann@example.test\r\n\r\n", vec!["ann@example.test"]),
            (
                "from: Ann <ann@example.test>,\r\n \"B, C\" <bob@example.test>\r\n\r\n",
                vec!["ann@example.test", "bob@example.test"],
            ),
            ("From: =?utf-8?q?J=C3=B6rg?= <j@example.test> (x)\r\n\r\n", vec!["j@example.test"]),
            (
                "From: friends: ann@example.test, <bob@example.test>;\r\n\r\n",
                vec!["ann@example.test", "bob@example.test"],
            ),
        ] {
            assert_eq!(authors(message), Some(wanted.iter().map(ToString::to_string).collect()), "{message}");
        }
        assert_eq!(authors("Subject: x\r\n\r\nFrom: ann@example.test\r\n"), None);
    }

    #[test]
    fn a_from_that_is_repeated_or_not_understood_is_a_fault() {
        for message in [
            "From: a@x.test\r\nFROM: b@x.test\r\n\r\n",
            "From: nobody\r\n\r\n",
            "From:\r\n\r\n",
            "From: a@x.test, nobody\r\n\r\n",
        ] {
            assert!(!Inspection::of(message.as_bytes()).faults.is_empty(), "{message}");
        }
    }

    #[test]
    fn whoever_some_reader_shows_as_author_is_one() {
        for field in [
            "<bob@example.test> :ann@example.test",
            "<bob@example.test>\t\r\n :ann@example.test",
            "ann@example.test\r\n \\\"<bob@example.test>)\t:",
            "<ann@example.test>\\\" <ann@example.test><bob@example.test>",
            "<ann@example.test>\"\\=?utf-8?q?=22?=<bob@example.test>;ann@example.test",
            "\"<bob@example.test>\" ann@example.test",
            "bob@example.test: ann@example.test;",
            "=?utf-8?q?bob=40example.test?=: ann@example.test;",
            "bob@example.test and others: ann@example.test;",
        ] {
            let message = format!("From: {field}\r\n\r\n");
            let seen = Inspection::of(message.as_bytes());
            let is_other = |author: &Address| author.to_string() != "ann@example.test";
            assert!(!seen.faults.is_empty() || seen.authors.iter().flatten().any(is_other), "{field}");
        }
        for (field, wanted) in [
            ("<\"ann\"@example.test>", "ann@example.test"),
            ("bob@other.test <ann@example.test>", "ann@example.test"),
            ("Ann <ann@example.test> (it is me)", "ann@example.test"),
        ] {
            assert_eq!(authors(&format!("From: {field}\r\n\r\n")), Some(vec![wanted.to_owned()]), "{field}");
        }
    }

    #[test]
    fn malformed_dates_and_identifiers_are_told_from_good_ones() {
        for (fields, date, id, bare) in [
            ("Date: Sat, 28 Nov 2026 12:00:00 +0000\r\nMessage-ID: <a@b.test>\r\n", true, true, None),
            ("Date: 28 Nov 26 12:00 GMT\r\nMessage-ID:\r\n <a.b@[192.0.2.1]> (odd)\r\n", true, true, None),
            ("Date: yesterday\r\nMessage-ID: a@b.test\r\n", false, false, Some("a@b.test")),
            ("Date:\r\nMessage-ID: <a b@c.test>\r\n", false, false, None),
            ("Message-ID: <>\r\n", false, false, None),
            ("Message-ID: <a@b.test\r\n", false, false, None),
            ("Message-ID: <abc>\r\n", false, true, None),
        ] {
            let seen = Inspection::of(format!("{fields}\r\n").as_bytes());
            let found = (seen.has_date, seen.has_message_id, seen.bare_message_id.as_deref());
            assert_eq!(found, (date, id, bare), "{fields}");
            let malformed = fields.matches("Date:").count() - usize::from(date) + fields.matches("Message-ID:").count()
                - usize::from(id);
            assert_eq!(seen.malformed.len(), malformed, "{fields}");
        }
    }

    #[test]
    fn private_fields_are_cut_out() {
        let message = Bytes::from(
            "Bcc: a@x.test,\r\n b@x.test\r\nSubject: x\r\nreturn-path: <>\r\nBCC: c@x.test\r\n\r\nBcc: body\r\n",
        );
        let seen = Inspection::of(&message);
        assert_eq!(without(&message, &seen.private), "Subject: x\r\n\r\nBcc: body\r\n");
    }
}
