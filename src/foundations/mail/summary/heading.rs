//! What sorting and threading need from a stored summary, without decoding the whole of it.

use std::borrow::Cow;

use super::Summary;
use super::message_id::normalized;
use super::stored::Reader;
use crate::foundations::mail::HeaderDate;
use crate::foundations::mail::encoded_words;

/// The head of a message, in the octets that [`Summary::write`] has made.
#[derive(Debug, Clone, Copy)]
pub struct Heading<'a> {
    /// The Date field, when it can be read.
    pub sent: Option<HeaderDate>,
    /// The subject, decoded.
    pub subject: &'a str,
    envelope: &'a [u8],
    references: &'a [u8],
}

/// A list of addresses in an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressField {
    /// From.
    From,
    /// To.
    To,
    /// Cc.
    Cc,
}

impl AddressField {
    /// Its place in an envelope (RFC 9051 §7.5.2).
    const fn place(self) -> usize {
        match self {
            Self::From => 2,
            Self::To => 5,
            Self::Cc => 6,
        }
    }
}

/// The first entry of a list of addresses: an address, or the name of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FirstAddress<'a> {
    name: Cow<'a, [u8]>,
    local: Cow<'a, [u8]>,
    /// `None` for a group.
    domain: Option<Cow<'a, [u8]>>,
}

impl FirstAddress<'_> {
    /// `addr-mailbox` of the envelope: the local part, or the group's name.
    pub fn mailbox(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.local)
    }

    /// What a list of messages shows (RFC 5957 §2): the name, else the group's name, else the address.
    pub fn display(&self) -> String {
        let name = encoded_words::decode(&self.name);
        if !name.is_empty() {
            return name;
        }
        match &self.domain {
            None => encoded_words::decode(&self.local),
            Some(domain) if domain.is_empty() => self.mailbox().into_owned(),
            Some(domain) => format!("{}@{}", self.mailbox(), String::from_utf8_lossy(domain)),
        }
    }
}

impl Summary {
    /// Reads the head of a message from a stored summary; `None` when that is of another version or damaged.
    pub fn heading(stored: &[u8]) -> Option<Heading<'_>> {
        let mut reader = Reader::of_summary(stored)?;
        let envelope = reader.bytes()?;
        let (_body, _body_structure) = (reader.bytes()?, reader.bytes()?);
        reader.skip_sections()?;
        let sent = reader.date()?;
        let (_from, _to, _cc, _bcc) = (reader.bytes()?, reader.bytes()?, reader.bytes()?, reader.bytes()?);
        let subject = std::str::from_utf8(reader.bytes()?).ok()?;
        let (_message_id, _in_reply_to, _preview) = (reader.bytes()?, reader.bytes()?, reader.bytes()?);
        Some(Heading { sent, subject, envelope, references: reader.rest() })
    }
}

impl<'a> Heading<'a> {
    /// The first entry of a list of addresses.
    pub fn first(&self, field: AddressField) -> Option<FirstAddress<'a>> {
        let list = self.values().nth(field.place())?.strip_prefix(b"((")?;
        let mut values = Values { rest: list };
        let (name, _route) = (values.next()?, values.next()?);
        let (local, domain) = (values.next()?, values.next()?);
        Some(FirstAddress {
            name: string(name).unwrap_or_default(),
            local: string(local).unwrap_or_default(),
            domain: string(domain),
        })
    }

    /// The field Message-ID as it was written.
    pub fn message_id(&self) -> Option<Cow<'a, [u8]>> {
        self.values().nth(9).and_then(string)
    }

    /// The field In-Reply-To as it was written.
    pub fn in_reply_to(&self) -> Option<Cow<'a, [u8]>> {
        self.values().nth(8).and_then(string)
    }

    /// The valid message ids of References in order, as [`message_ids`](super::message_ids) gives them; of very many
    /// the last ones.
    pub fn references(&self) -> impl Iterator<Item = Cow<'a, [u8]>> + use<'a> {
        let mut reader = Reader::at(self.references);
        let count = reader.number().unwrap_or(0);
        (0..count).map_while(move |_| reader.bytes()).filter_map(normalized)
    }

    fn values(&self) -> Values<'a> {
        Values { rest: self.envelope.strip_prefix(b"(").unwrap_or_default() }
    }
}

/// The values of a parenthesised list that this module wrote, each with its delimiters.
#[derive(Debug, Clone, Copy)]
struct Values<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.rest = self.rest.strip_prefix(b" ").unwrap_or(self.rest);
        let length = match self.rest.first()? {
            b')' => return None,
            b'(' => list_length(self.rest)?,
            _ => string_length(self.rest)?,
        };
        let (value, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(value)
    }
}

/// Octets of a list, nested ones included.
fn list_length(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match bytes.get(at)? {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b' ' => {}
            _ => {
                at += string_length(bytes.get(at..)?)?;
                continue;
            }
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Octets of a string with its delimiters, or of `NIL`.
fn string_length(bytes: &[u8]) -> Option<usize> {
    match bytes.first()? {
        b'"' => {
            let mut at = 1;
            loop {
                at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
                if bytes[at] == b'"' {
                    return Some(at + 1);
                }
                at += 2;
            }
        }
        b'{' => {
            let (octets, start) = literal(bytes)?;
            start.checked_add(octets)
        }
        _ => Some(3),
    }
}

/// The length of a literal and where it begins.
fn literal(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = memchr::memchr(b'}', bytes)?;
    let octets = std::str::from_utf8(bytes.get(1..end)?).ok()?.parse().ok()?;
    // `}`, CR and LF.
    Some((octets, end + 3))
}

/// The octets of a string; `None` for `NIL`.
fn string(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    match value.first()? {
        b'"' => {
            let inner = value.get(1..value.len().checked_sub(1)?)?;
            if memchr::memchr(b'\\', inner).is_none() {
                return Some(Cow::Borrowed(inner));
            }
            let mut plain = Vec::with_capacity(inner.len());
            let mut octets = inner.iter();
            while let Some(octet) = octets.next() {
                plain.push(if *octet == b'\\' { *octets.next()? } else { *octet });
            }
            Some(Cow::Owned(plain))
        }
        b'{' => literal(value).and_then(|(_, start)| value.get(start..)).map(Cow::Borrowed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(message: &str) -> Vec<u8> {
        let mut out = Vec::new();
        Summary::of(message.as_bytes()).write(&mut out);
        out
    }

    #[test]
    fn reads_what_was_written() {
        let message = "Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nFrom: \"A \\\"b\\\" (c)\" <ann@example.test>, x@y\r\n\
            To: =?utf-8?q?Gr=C3=BCne?= <gr\u{fc}n@example.test>\r\nCc: friends: a@b, c@d;\r\n\
            Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= (1)\r\nMessage-ID: <one@example.test>\r\n\
            In-Reply-To: Your message <zero@example.test>\r\nReferences: <a@b> <c@d>\r\n <e@f>\r\n\r\nbody";
        let stored = stored(message);
        let heading = Summary::heading(&stored).unwrap();
        assert_eq!(heading.subject, "Grüße (1)");
        assert_eq!(heading.sent, HeaderDate::read(b"Mon, 7 Feb 1994 21:52:25 -0800"));
        let first = |field| heading.first(field).unwrap();
        assert_eq!(
            (&*first(AddressField::From).mailbox(), first(AddressField::From).display()),
            ("ann", "A \"b\" (c)".to_owned())
        );
        assert_eq!(
            (&*first(AddressField::To).mailbox(), first(AddressField::To).display()),
            ("grün", "Grüne".to_owned())
        );
        assert_eq!(
            (&*first(AddressField::Cc).mailbox(), first(AddressField::Cc).display()),
            ("friends", "friends".to_owned())
        );
        assert_eq!(heading.message_id().as_deref(), Some(&b"<one@example.test>"[..]));
        assert_eq!(heading.in_reply_to().as_deref(), Some(&b"Your message <zero@example.test>"[..]));
        assert_eq!(heading.references().collect::<Vec<_>>(), [&b"a@b"[..], b"c@d", b"e@f"]);
    }

    #[test]
    fn nothing_is_nothing() {
        let stored = stored("\r\nbody");
        let heading = Summary::heading(&stored).unwrap();
        assert_eq!((heading.subject, heading.sent), ("", None));
        assert_eq!(heading.first(AddressField::From), None);
        assert_eq!((heading.message_id(), heading.in_reply_to()), (None, None));
        assert_eq!(heading.references().count(), 0);
        for end in 0..stored.len() {
            // Truncated anywhere, it does not panic.
            let _ = Summary::heading(&stored[..end]).map(|heading| heading.first(AddressField::To));
        }
    }

    #[test]
    fn an_address_without_a_name_is_shown_itself() {
        let stored = stored("From: ann@example.test\r\nTo: ann\r\n\r\n");
        let heading = Summary::heading(&stored).unwrap();
        let display = |field| heading.first(field).unwrap().display();
        assert_eq!((display(AddressField::From), display(AddressField::To)), ("ann@example.test".into(), "ann".into()));
    }
}
