//! Header fields.

use std::borrow::Cow;
use std::cell::OnceCell;

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;

use super::{Limit, LimitSettings};
use crate::foundations::mail::encoded_words;

/// One field of the header.
#[derive(Debug)]
pub struct Field<'m> {
    /// The name as written.
    pub name: Cow<'m, [u8]>,
    /// The text after the colon, folded as received, without the final line end.
    pub raw: Cow<'m, [u8]>,
    decoded: OnceCell<String>,
    mailbox: OnceCell<Mailbox>,
}

#[derive(Debug, Default)]
struct Mailbox {
    name: String,
    address: String,
}

impl<'m> Field<'m> {
    /// Whether the field has this name.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value unfolded, encoded words (RFC 2047) decoded, without white space at its ends.
    pub fn decoded(&self) -> &str {
        self.decoded.get_or_init(|| decode(&self.raw))
    }

    /// The first mail address in the value, in lower case; empty when there is none.
    pub fn address(&self) -> &str {
        &self.mailbox().address
    }

    /// The display name before the first mail address; empty when there is none.
    pub fn display_name(&self) -> &str {
        &self.mailbox().name
    }

    /// Every mail address in the value, in lower case (at most a hundred).
    pub fn addresses(&self) -> Vec<String> {
        addresses_in(&self.raw)
    }

    /// The same, with its own copy of the octets.
    pub(super) fn into_owned<'o>(self) -> Field<'o> {
        let Self { name, raw, decoded, mailbox } = self;
        Field { name: Cow::Owned(name.into_owned()), raw: Cow::Owned(raw.into_owned()), decoded, mailbox }
    }

    fn mailbox(&self) -> &Mailbox {
        self.mailbox.get_or_init(|| {
            let value = terminated(&self.raw);
            let parsed = MessageStream::new(&value).parse_address();
            let HeaderValue::Address(list) = parsed else { return Mailbox::default() };
            list.first().map_or_else(Mailbox::default, |first| Mailbox {
                // The parser leaves words that stand inside other text, which mail programs decode.
                name: encoded_words::decode(first.name.as_deref().unwrap_or_default().trim().as_bytes()),
                address: first.address.as_deref().unwrap_or_default().trim().to_lowercase(),
            })
        })
    }
}

/// Every mail address in the value of a field, in lower case (at most a hundred).
pub fn addresses_in(raw: &[u8]) -> Vec<String> {
    let value = terminated(raw.trim_ascii_end());
    let parsed = MessageStream::new(&value).parse_address();
    let HeaderValue::Address(list) = parsed else { return Vec::new() };
    list.iter().filter_map(|a| a.address.as_ref()).take(100).map(|a| a.to_lowercase()).collect()
}

/// The parsers of field bodies require a final line end.
fn terminated(raw: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(raw.len() + 1);
    value.extend_from_slice(raw);
    value.push(b'\n');
    value
}

/// As mail programs show it.
fn decode(raw: &[u8]) -> String {
    let unfolded: Vec<u8> = raw.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n')).collect();
    encoded_words::decode(&unfolded).trim().to_owned()
}

/// Splits the header into its fields, and returns also where the body begins. Lines that belong to no field are skipped, as
/// mail programs do; without an empty line, the body begins at the first of them.
pub fn split<'m>(raw: &'m [u8], limits: &LimitSettings, reached: &mut Vec<Limit>) -> (Vec<Field<'m>>, usize) {
    let mut fields: Vec<Field<'m>> = Vec::with_capacity(32);
    let mut start: Option<(usize, usize)> = None;
    let mut stray = None;
    let mut end = 0;
    let mut at = 0;
    let close = |fields: &mut Vec<Field<'m>>, start: Option<(usize, usize)>, end: usize| {
        if let Some((name, colon)) = start.filter(|_| fields.len() < limits.fields) {
            fields.push(Field {
                name: Cow::Borrowed(raw[name..colon].trim_ascii_end()),
                raw: Cow::Borrowed(raw.get(colon + 1..end).unwrap_or_default()),
                decoded: OnceCell::new(),
                mailbox: OnceCell::new(),
            });
        }
    };
    while at < raw.len() {
        let next = memchr::memchr(b'\n', &raw[at..]).map_or(raw.len(), |n| at + n + 1);
        let line = &raw[at..next];
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.is_empty() {
            close(&mut fields, start, end);
            return (fields, next);
        }
        if next > limits.header.len() || fields.len() >= limits.fields {
            reached.push(if next > limits.header.len() { Limit::Header } else { Limit::Fields });
            close(&mut fields, start, end);
            return (fields, body_start(raw, next));
        }
        if !matches!(text[0], b' ' | b'\t') {
            close(&mut fields, start, end);
            start = field_name(text).map(|colon| (at, at + colon));
            if start.is_none() && !(at == 0 && text.starts_with(b"From ")) && !text.starts_with(b">From ") {
                stray.get_or_insert(at);
            }
        }
        end = at + text.len();
        at = next;
    }
    close(&mut fields, start, end);
    (fields, stray.unwrap_or(raw.len()))
}

/// Where the colon is when the line begins a field: printable ASCII without space before it (RFC 5322 §2.2).
fn field_name(line: &[u8]) -> Option<usize> {
    let colon = memchr::memchr(b':', line)?;
    let name = line[..colon].trim_ascii_end();
    (!name.is_empty() && name.len() <= 200 && name.iter().all(u8::is_ascii_graphic)).then_some(colon)
}

fn body_start(raw: &[u8], from: usize) -> usize {
    let rest = raw.get(from..).unwrap_or_default();
    let crlf = memchr::memmem::find(rest, b"\r\n\r\n").map(|n| n + 4);
    let lf = memchr::memmem::find(rest, b"\n\n").map(|n| n + 2);
    match (crlf, lf) {
        (Some(a), Some(b)) => from + a.min(b),
        (Some(n), None) | (None, Some(n)) => from + n,
        (None, None) => raw.len(),
    }
}
