//! Changes requested by milters, and applying them.

use bytes::{Bytes, BytesMut};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A field at the end of the header.
    Add(String, String),
    /// A field at a position, 0 being the top.
    Insert(usize, String, String),
    /// A new value for the nth field of a name, counted from 1; an empty one removes it.
    Replace(usize, String, String),
    /// Another body.
    Body(Vec<u8>),
    /// An additional recipient.
    AddRecipient(String),
    /// Removal of a recipient.
    RemoveRecipient(String),
    /// Another envelope sender; empty for none.
    Sender(String),
}

impl Change {
    /// Whether it is about the envelope rather than the message.
    pub const fn is_of_envelope(&self) -> bool {
        matches!(self, Self::AddRecipient(_) | Self::RemoveRecipient(_) | Self::Sender(_))
    }

    /// Whether it depends on the existing fields.
    const fn counts_fields(&self) -> bool {
        matches!(self, Self::Insert(..) | Self::Replace(..))
    }

    /// The field or the body that it contains.
    fn text(&self) -> Bytes {
        match self {
            Self::Add(name, value) | Self::Insert(_, name, value) | Self::Replace(_, name, value) => field(name, value),
            Self::Body(new) => whole_lines(new),
            Self::AddRecipient(_) | Self::RemoveRecipient(_) | Self::Sender(_) => Bytes::new(),
        }
    }
}

/// Most changes of one milter.
pub const MAX_CHANGES: usize = 1000;

/// The message with the changes of header and body applied in order. Line ends in new fields and bodies become CRLF. With
/// a large header this takes a while: not for a thread on which others wait.
pub fn apply(message: &Bytes, changes: &[Change]) -> Bytes {
    let made: Vec<Bytes> = changes.iter().map(Change::text).collect();
    let (header, mut body) = split(message);
    let mut held: Vec<&[u8]> = Vec::new();
    if changes.iter().any(Change::counts_fields) {
        held.reserve_exact(fields(header).count() + changes.len());
        held.extend(fields(header));
    } else {
        held.push(header);
    }
    for (change, text) in changes.iter().zip(&made) {
        match change {
            Change::Add(..) => held.push(text),
            Change::Insert(at, ..) => held.insert((*at).min(held.len()), text),
            Change::Replace(nth, name, value) => {
                let found = (0..held.len()).filter(|n| is_named(held[*n], name)).nth(nth.saturating_sub(1));
                match found {
                    Some(at) if value.is_empty() => drop(held.remove(at)),
                    Some(at) => held[at] = text,
                    None if !value.is_empty() => held.push(text),
                    None => {}
                }
            }
            Change::Body(_) => body = text,
            Change::AddRecipient(_) | Change::RemoveRecipient(_) | Change::Sender(_) => {}
        }
    }
    let size = held.iter().map(|f| f.len()).sum::<usize>() + 2 + body.len();
    let mut out = BytesMut::with_capacity(size);
    for field in &held {
        out.extend_from_slice(field);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out.freeze()
}

/// The header of a message without the empty line that ends it, and the body.
pub fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while at < message.len() {
        let end = at + line(&message[at..]).len();
        if matches!(&message[at..end], b"\r\n" | b"\n") {
            return (&message[..at], &message[end..]);
        }
        at = end;
    }
    (message, &[])
}

/// The fields of a header, each with its lines. Senders choose their number, so they are not copied.
pub fn fields(mut header: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let mut end = line(header).len();
        while header[end..].starts_with(b" ") || header[end..].starts_with(b"\t") {
            end += line(&header[end..]).len();
        }
        let (field, rest) = header.split_at(end);
        header = rest;
        (end > 0).then_some(field)
    })
}

/// The first line, with its end.
fn line(text: &[u8]) -> &[u8] {
    &text[..memchr::memchr(b'\n', text).map_or(text.len(), |n| n + 1)]
}

/// A body in which every CR and every LF is part of a CRLF (RFC 5322 §2.3).
fn whole_lines(body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(body.len() + 2);
    let mut rest = body;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(b"\r\n");
        let end = if rest[at..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[at + end..];
    }
    out.extend_from_slice(rest);
    out.freeze()
}

fn is_named(field: &[u8], name: &str) -> bool {
    field.split_at_checked(name.len()).is_some_and(|(own, rest)| {
        own.eq_ignore_ascii_case(name.as_bytes()) && rest.trim_ascii_start().starts_with(b":")
    })
}

/// A field that cannot become two: the name is reduced to valid characters, lines of the value are folded, and a bare CR
/// or LF counts as a line end (RFC 5322 §2.3).
fn field(name: &str, value: &str) -> Bytes {
    let name: String = name.chars().filter(|c| c.is_ascii_graphic() && *c != ':').collect();
    let mut out = format!("{name}: ");
    let mut lines = value.split(['\r', '\n']);
    out.push_str(lines.next().unwrap_or_default().trim_start());
    for line in lines.filter(|l| !l.trim().is_empty()) {
        out.push_str("\r\n");
        if !line.starts_with([' ', '\t']) {
            out.push('\t');
        }
        out.push_str(line);
    }
    out.push_str("\r\n");
    out.retain(|c| c != '\0');
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_body_has_whole_line_ends() {
        let message = Bytes::from_static(b"Subject: x\r\n\r\nold\r\n");
        for (body, wanted) in [
            (&b"a\nb\r\nc\rd\r\r\n\n"[..], &b"a\r\nb\r\nc\r\nd\r\n\r\n\r\n"[..]),
            (b"a\r", b"a\r\n"),
            (b"whole\r\n", b"whole\r\n"),
            (b"", b""),
        ] {
            let changed = apply(&message, &[Change::Body(body.to_vec())]);
            assert_eq!(changed.strip_prefix(b"Subject: x\r\n\r\n"), Some(wanted), "{body:?}");
        }
    }

    #[test]
    fn a_field_has_whole_line_ends() {
        let message = Bytes::from_static(b"Subject: x\r\n\r\nbody\r\n");
        for value in ["a\rBcc: b", "a\r\r\nBcc: b", "a\nBcc: b\r", "\ra\n\n\rBcc: b"] {
            for change in [Change::Add("X".into(), value.into()), Change::Insert(9, "X".into(), value.into())] {
                let changed = apply(&message, &[change]);
                let header = changed.strip_prefix(b"Subject: x\r\nX: ").unwrap();
                let header = header.strip_suffix(b"\tBcc: b\r\n\r\nbody\r\n").unwrap();
                assert!(matches!(header, b"a\r\n" | b"\r\na\r\n" | b"\r\n\ta\r\n"), "{value:?}: {changed:?}");
            }
        }
    }

    #[test]
    fn fields_are_cut_as_they_stand() {
        let (header, body) = split(b"A: 1\r\n 2\r\nB : 3\n\t4\nno field\r\n\r\nx\r\n\r\n");
        let found: Vec<&[u8]> = fields(header).collect();
        assert_eq!(found, [&b"A: 1\r\n 2\r\n"[..], b"B : 3\n\t4\n", b"no field\r\n"]);
        assert_eq!(body, b"x\r\n\r\n");
        assert!(is_named(found[1], "b") && !is_named(found[1], "") && !is_named(found[2], "no field"));
        for short in ["", "\r\n", "\n"] {
            assert_eq!(
                (fields(split(short.as_bytes()).0).count(), split(short.as_bytes()).1),
                (0, &[][..]),
                "{short:?}"
            );
        }
        assert_eq!(fields(split(b" odd").0).collect::<Vec<_>>(), [b" odd"]);
    }
}
