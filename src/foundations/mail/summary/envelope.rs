//! ENVELOPE (RFC 9051 §7.5.2) and the fields that searches ask for.

use std::borrow::Cow;

use memchr::memmem;

use super::strings::{nstring, string};
use super::{SearchFields, join};
use crate::foundations::mail::addresses::{self, Entry};
use crate::foundations::mail::encoded_words;
use crate::foundations::mail::header::{Fields, unfold};

/// Most fields of one name that are joined.
const MAX_REPEATED: usize = 100;
/// Most message ids kept of References, and most octets of the field that are read, from its end.
const MAX_REFERENCES: usize = 1_000;
const MAX_REFERENCES_LENGTH: usize = 256 * 1024;

/// The bodies of the fields that make an envelope. Lists of addresses may be spread over several fields, though
/// RFC 5322 §3.6 allows one; of the others the topmost counts.
#[derive(Debug, Default)]
pub(super) struct EnvelopeFields<'a> {
    pub date: Option<&'a [u8]>,
    subject: Option<&'a [u8]>,
    in_reply_to: Option<&'a [u8]>,
    message_id: Option<&'a [u8]>,
    references: Option<&'a [u8]>,
    from: Vec<&'a [u8]>,
    sender: Vec<&'a [u8]>,
    reply_to: Vec<&'a [u8]>,
    to: Vec<&'a [u8]>,
    cc: Vec<&'a [u8]>,
    bcc: Vec<&'a [u8]>,
}

impl<'a> EnvelopeFields<'a> {
    /// Collects them from the lines of a header.
    pub fn of(lines: &'a [u8]) -> Self {
        let mut fields = Self::default();
        for field in Fields::new(lines) {
            let is = |name: &str| field.is(name);
            let list = match field.name.len() {
                2 if is("to") => &mut fields.to,
                2 if is("cc") => &mut fields.cc,
                3 if is("bcc") => &mut fields.bcc,
                4 if is("from") => &mut fields.from,
                6 if is("sender") => &mut fields.sender,
                8 if is("reply-to") => &mut fields.reply_to,
                _ => {
                    let single = match field.name.len() {
                        4 if is("date") => &mut fields.date,
                        7 if is("subject") => &mut fields.subject,
                        10 if is("message-id") => &mut fields.message_id,
                        10 if is("references") => &mut fields.references,
                        11 if is("in-reply-to") => &mut fields.in_reply_to,
                        _ => continue,
                    };
                    single.get_or_insert(field.body);
                    continue;
                }
            };
            if list.len() < MAX_REPEATED {
                list.push(field.body);
            }
        }
        fields
    }

    /// ```text
    /// envelope = "(" env-date SP env-subject SP env-from SP env-sender SP env-reply-to SP
    ///            env-to SP env-cc SP env-bcc SP env-in-reply-to SP env-message-id ")"      ; RFC 9051 §9
    /// ```
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b'(');
        unfolded(self.date, out);
        out.push(b' ');
        unfolded(self.subject, out);
        out.push(b' ');
        let start = out.len();
        list(&self.from, out);
        let from = out[start..].to_vec();
        for (bodies, default) in [
            // RFC 9051 §7.5.2: Sender and Reply-To are From when absent or empty.
            (&self.sender, &from[..]),
            (&self.reply_to, &from),
            (&self.to, b"NIL"),
            (&self.cc, b"NIL"),
            (&self.bcc, b"NIL"),
        ] {
            out.push(b' ');
            let start = out.len();
            list(bodies, out);
            if &out[start..] == b"NIL" {
                out.truncate(start);
                out.extend_from_slice(default);
            }
        }
        out.push(b' ');
        unfolded(self.in_reply_to, out);
        out.push(b' ');
        unfolded(self.message_id, out);
        out.push(b')');
    }

    /// The fields decoded, each at most `limit` octets long.
    pub fn search_fields(&self, limit: usize) -> SearchFields {
        SearchFields {
            from: texts(&self.from, limit),
            to: texts(&self.to, limit),
            cc: texts(&self.cc, limit),
            bcc: texts(&self.bcc, limit),
            subject: self.subject.map(|body| text(body, limit)).unwrap_or_default(),
            message_id: self.message_id.map(first_id).unwrap_or_default(),
            in_reply_to: self.in_reply_to.map(first_id).unwrap_or_default(),
            references: self.references.map(references).unwrap_or_default(),
        }
    }
}

fn unfolded(body: Option<&[u8]>, out: &mut Vec<u8>) {
    nstring(body.map(unfold).as_deref(), out);
}

/// ```text
/// env-from = "(" 1*address ")" / nil
/// address  = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"      ; RFC 9051 §9
/// ```
fn list(bodies: &[&[u8]], out: &mut Vec<u8>) {
    let start = out.len();
    let mut left = addresses::MAX_ENTRIES;
    for body in bodies {
        for entry in addresses::read(body) {
            if left == 0 {
                break;
            }
            left -= 1;
            if out.len() == start {
                out.push(b'(');
            }
            address(&entry, out);
        }
    }
    if out.len() == start {
        out.extend_from_slice(b"NIL");
    } else {
        out.push(b')');
    }
}

/// RFC 9051 §7.5.2: a NIL host marks a group, so an address without one has an empty host.
fn address(entry: &Entry, out: &mut Vec<u8>) {
    match entry {
        Entry::GroupStart(name) => {
            out.extend_from_slice(b"(NIL NIL ");
            string(name, out);
            out.extend_from_slice(b" NIL)");
        }
        Entry::GroupEnd => out.extend_from_slice(b"(NIL NIL NIL NIL)"),
        Entry::Mailbox(mailbox) => {
            out.push(b'(');
            nstring(mailbox.name.as_deref(), out);
            out.push(b' ');
            nstring(mailbox.route.as_deref(), out);
            out.push(b' ');
            string(&mailbox.local, out);
            out.push(b' ');
            string(&mailbox.domain, out);
            out.push(b')');
        }
    }
}

fn text(body: &[u8], limit: usize) -> String {
    encoded_words::decode_within(&unfold(body), limit)
}

fn texts(bodies: &[&[u8]], limit: usize) -> String {
    match bodies {
        [] => String::new(),
        [one] => searchable(one, limit),
        several => several.iter().fold(String::new(), |mut joined, body| {
            join(&mut joined, &searchable(body, limit), limit);
            joined
        }),
    }
}

/// A list of addresses as text, with the names and addresses of ENVELOPE (RFC 9051 §6.4.4) where the text does not
/// hold them: a search for `ann@example.test` must find `ann (she) @ example . test`.
fn searchable(body: &[u8], limit: usize) -> String {
    let mut text = text(body, limit);
    if REWRITTEN.iter().any(|marks| memmem::find(body, marks).is_some()) {
        for entry in addresses::read(body) {
            let Entry::Mailbox(mailbox) = entry else { continue };
            let name = mailbox.name.as_deref().map(encoded_words::decode).unwrap_or_default();
            for shown in [name, mailbox.address()] {
                if memmem::find(text.as_bytes(), shown.as_bytes()).is_none() {
                    join(&mut text, &shown, limit);
                }
            }
        }
    }
    text
}

/// Only where one of these stands, an envelope shows names and addresses otherwise than they are written.
const REWRITTEN: [&[u8]; 7] = [b"(", b"\\", b"\"@", b" @", b"@ ", b" .", b". "];

/// What stands in the first angle brackets; without any, the whole value.
fn first_id(body: &[u8]) -> String {
    let value = unfold(body);
    let id = ids(&value).next().unwrap_or(&value);
    String::from_utf8_lossy(&id[..id.len().min(MAX_ID)]).into_owned()
}

fn references(body: &[u8]) -> Vec<String> {
    let body = &body[body.len().saturating_sub(MAX_REFERENCES_LENGTH)..];
    let value = unfold(body);
    let mut found: Vec<Cow<'_, str>> =
        ids(&value).filter(|id| id.len() <= MAX_ID).map(String::from_utf8_lossy).collect();
    found.drain(..found.len().saturating_sub(MAX_REFERENCES));
    found.into_iter().map(Cow::into_owned).collect()
}

/// The non-empty texts between `<` and `>`.
fn ids(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b'<').skip(1).filter_map(|rest| {
        let id = rest.split(|b| *b == b'>').next()?.trim_ascii();
        (!id.is_empty() && rest.len() > id.len()).then_some(id)
    })
}

/// Longest message id in octets: what fits on a line (RFC 5322 §2.1.1).
const MAX_ID: usize = 998;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_hold_what_the_envelope_shows() {
        for (list, shown) in [
            ("ann (she) @ example . test", "ann@example.test"),
            ("ann @ example.test", "ann@example.test"),
            ("Ann (she) Lee <a@b.test>", "Ann Lee"),
            (r#""Ann \"A\" Lee" <a@b.test>"#, r#"Ann "A" Lee"#),
            (r#""ann lee"@b.test"#, "ann lee@b.test"),
        ] {
            let text = searchable(list.as_bytes(), 1000);
            assert!(text.starts_with(list) && text.contains(shown), "{text}");
        }
        for list in ["J. R. Lee <a@b.test>, \"Ann (x)\" <c@d.test>, Bob", "Ann Lee <a@b.test>"] {
            assert_eq!(searchable(list.as_bytes(), 1000), list);
        }
    }
}
