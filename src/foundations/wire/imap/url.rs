//! URLs of messages and their parts (RFC 5092), as CATENATE takes them (RFC 4469 §3): of the session's own server only.

use std::str::FromStr;

use bytes::Bytes;

use super::cursor::Cursor;
use super::fetch::{Partial, Section};
use crate::foundations::mail::{Uid, UidValidity};

/// Longest URL in octets: a mailbox name, and a section that names header fields.
pub const MAX_URL: usize = 8_192;

/// What a URL points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageUrl {
    /// The mailbox; `None` is the selected one.
    pub mailbox: Option<String>,
    /// The epoch in which the UID is valid; `None` is the present one.
    pub uid_validity: Option<UidValidity>,
    /// The message.
    pub uid: Uid,
    /// The section; `None` is the whole message.
    pub section: Option<Section>,
    /// Which of its octets.
    pub partial: Option<Partial>,
}

/// The URL does not name a message of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a URL such as /INBOX;UIDVALIDITY=7/;UID=20/;SECTION=1.2")]
pub struct InvalidUrl;

impl FromStr for MessageUrl {
    type Err = InvalidUrl;

    /// ```abnf
    /// iabsolute-path = "/" [ icommand ]
    /// imessagepart   = imailbox-ref iuid [isection] [ipartial]
    /// imailbox-ref   = enc-mailbox [uidvalidity]
    /// uidvalidity    = ";UIDVALIDITY=" nz-number
    /// iuid           = "/" iuid-only            ; iuid-only     = ";UID=" nz-number
    /// isection       = "/" isection-only        ; isection-only = ";SECTION=" enc-section
    /// ipartial       = "/" ipartial-only        ; ipartial-only = ";PARTIAL=" partial-range
    /// ```
    /// RFC 5092 §7.2 forbids paths relative to a mailbox, except those that begin with `;UID=`: RFC 5092 §9.1 has an
    /// example, and RFC 4469 §3 defines their base.
    fn from_str(url: &str) -> Result<Self, InvalidUrl> {
        if url.len() > MAX_URL {
            return Err(InvalidUrl);
        }
        let (path, parameters) = url.split_once(';').ok_or(InvalidUrl)?;
        let (mailbox, has_epoch) = match path.strip_suffix('/') {
            Some(path) => (path, false),
            None => (path, !path.is_empty()),
        };
        let mailbox = if path.is_empty() { None } else { Some(named(mailbox)?) };
        let mut parameters = parameters.split("/;");
        let uid_validity = match has_epoch {
            true => Some(parameters.next().and_then(|text| value(text, "UIDVALIDITY")).ok_or(InvalidUrl)?),
            false => None,
        };
        let uid_validity = uid_validity.map(number::<UidValidity>).transpose()?;
        let uid = number(parameters.next().and_then(|text| value(text, "UID")).ok_or(InvalidUrl)?)?;
        let mut next = parameters.next();
        let mut optional = |name| {
            let value = next.and_then(|text| value(text, name))?;
            next = parameters.next();
            Some(value)
        };
        let section = optional("SECTION").map(section).transpose()?;
        let partial = optional("PARTIAL").map(partial).transpose()?;
        if next.is_some() { Err(InvalidUrl) } else { Ok(Self { mailbox, uid_validity, uid, section, partial }) }
    }
}

/// The mailbox of an absolute path. RFC 5092 §8: in UTF-8, whatever encoding the session uses.
fn named(path: &str) -> Result<String, InvalidUrl> {
    let path = path.strip_prefix('/').filter(|path| !path.is_empty() && !path.starts_with('/')).ok_or(InvalidUrl)?;
    // RFC 5092 §7: these have a meaning in URLs and cannot be mailbox names.
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(InvalidUrl);
    }
    decoded(path)
}

/// The value of a parameter, whose name is case-insensitive.
fn value<'u>(parameter: &'u str, name: &str) -> Option<&'u str> {
    let (found, value) = parameter.split_once('=')?;
    found.eq_ignore_ascii_case(name).then_some(value)
}

fn number<T: TryFrom<u32>>(digits: &str) -> Result<T, InvalidUrl> {
    let bytes = Bytes::copy_from_slice(digits.as_bytes());
    let mut cursor = Cursor::new(&bytes);
    let number = cursor.nz_number("A number").map_err(|_| InvalidUrl)?;
    if cursor.at_end() { Ok(number) } else { Err(InvalidUrl) }
}

/// ```abnf
/// enc-section = 1*bchar ; %-encoded version of [IMAP4] "section-spec"
/// ```
fn section(encoded: &str) -> Result<Section, InvalidUrl> {
    let bytes = Bytes::from(format!("[{}]", decoded(encoded)?));
    let mut cursor = Cursor::new(&bytes);
    let section = Section::parse(&mut cursor).map_err(|_| InvalidUrl)?;
    if cursor.at_end() && !encoded.is_empty() { Ok(section) } else { Err(InvalidUrl) }
}

/// ```abnf
/// partial-range = number ["." nz-number]
/// ```
fn partial(range: &str) -> Result<Partial, InvalidUrl> {
    let (first, count) = match range.split_once('.') {
        Some((first, count)) => (first, u64::from(number::<std::num::NonZeroU32>(count)?.get())),
        None => (range, u64::MAX),
    };
    let bytes = Bytes::copy_from_slice(first.as_bytes());
    let mut cursor = Cursor::new(&bytes);
    let first = cursor.number("A number").map_err(|_| InvalidUrl)?;
    if cursor.at_end() { Ok(Partial { first: first.into(), count }) } else { Err(InvalidUrl) }
}

/// ```abnf
/// bchar       = achar / ":" / "@" / "/"
/// achar       = uchar / "&" / "="
/// pct-encoded = "%" HEXDIG HEXDIG
/// ```
fn decoded(encoded: &str) -> Result<String, InvalidUrl> {
    let mut octets = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(octet) = rest.next() {
        let octet = match octet {
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else { return Err(InvalidUrl) };
                // Two hexadecimal digits make an octet.
                (high * 16 + low) as u8
            }
            octet if octet.is_ascii_alphanumeric() || b"-._~!$'()*+,&=:@/".contains(&octet) => octet,
            _ => return Err(InvalidUrl),
        };
        octets.push(octet);
    }
    String::from_utf8(octets).map_err(|_| InvalidUrl)
}

#[cfg(test)]
mod tests {
    use super::super::fetch::{PartPath, SectionText};
    use super::*;

    fn url(text: &str) -> Option<MessageUrl> {
        text.parse().ok()
    }

    #[test]
    fn urls_of_messages() {
        let found = url("/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.MIME").unwrap();
        assert_eq!((found.mailbox.as_deref(), found.uid.get()), (Some("Drafts"), 20));
        assert_eq!(found.uid_validity.map(UidValidity::get), Some(385_759_045));
        assert_eq!(found.section, Some(Section { part: PartPath(vec![1]), text: SectionText::Mime }));
        let found = url("/Work/%C3%BCber%20%3B/;uid=7/;Partial=3.10").unwrap();
        assert_eq!((found.mailbox.as_deref(), found.uid_validity, found.section), (Some("Work/über ;"), None, None));
        assert_eq!(found.partial, Some(Partial { first: 3, count: 10 }));
        let found = url(";UID=7/;SECTION=HEADER.FIELDS%20(A%20B)/;PARTIAL=0").unwrap();
        let text = SectionText::HeaderFields(vec!["A".to_owned(), "B".to_owned()]);
        assert_eq!((found.mailbox, found.section), (None, Some(Section { part: PartPath(Vec::new()), text })));
        assert_eq!(found.partial, Some(Partial { first: 0, count: u64::MAX }));
    }

    #[test]
    fn other_urls() {
        for text in [
            "",
            "/",
            "/INBOX",
            "INBOX/;UID=1",
            "//host/INBOX/;UID=1",
            "imap://ann@example.test/INBOX/;UID=1",
            "/INBOX;UID=1",
            "/INBOX;UIDVALIDITY=1",
            "/INBOX/;UIDVALIDITY=1/;UID=1",
            "/INBOX/;UID=0",
            "/INBOX/;UID=1:2",
            "/INBOX/;UID=4294967296",
            "/INBOX/;UID=1/",
            "/INBOX/;UID=1/;SECTION=",
            "/INBOX/;UID=1/;SECTION=MIME",
            "/INBOX/;UID=1/;SECTION=1]",
            "/INBOX/;UID=1/;PARTIAL=1/;SECTION=1",
            "/INBOX/;UID=1/;PARTIAL=.5",
            "/INBOX/;UID=1/;PARTIAL=1.0",
            "/INBOX/;UID=1;URLAUTH=anonymous:INTERNAL:00",
            "/INBOX/;UID=1/;URLAUTH=anonymous",
            "/a b/;UID=1",
            "/a%2/;UID=1",
            "/%ff/;UID=1",
            "/ü/;UID=1",
            "/a/../b/;UID=1",
            "/;UID=1",
            "/;SECTION=1",
            "INBOX?SUBJECT%20x",
        ] {
            assert_eq!(url(text), None, "{text}");
        }
        assert_eq!(url(&format!("/{}/;UID=1", "a".repeat(MAX_URL))), None);
    }
}
