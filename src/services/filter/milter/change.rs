//! What milters want changed, and changing it.

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
    /// Another recipient.
    AddRecipient(String),
    /// A recipient less.
    RemoveRecipient(String),
    /// Another sender of the envelope; empty for none.
    Sender(String),
}

impl Change {
    /// Whether it is about the envelope, and not about the message.
    pub const fn is_of_envelope(&self) -> bool {
        matches!(self, Self::AddRecipient(_) | Self::RemoveRecipient(_) | Self::Sender(_))
    }
}

/// Most changes of one milter.
pub const MAX_CHANGES: usize = 1000;

/// The message with the changes of header and body applied in order. Line ends in new fields and bodies are made CRLF.
pub fn apply(message: &Bytes, changes: &[Change]) -> Bytes {
    if changes.iter().all(Change::is_of_envelope) {
        return message.clone();
    }
    let (mut fields, body) = split(message);
    let mut body = Bytes::copy_from_slice(body);
    for change in changes {
        match change {
            Change::Add(name, value) => fields.push(field(name, value)),
            Change::Insert(at, name, value) => fields.insert((*at).min(fields.len()), field(name, value)),
            Change::Replace(nth, name, value) => {
                let found = (0..fields.len()).filter(|n| is_named(&fields[*n], name)).nth(nth.saturating_sub(1));
                match found {
                    Some(at) if value.is_empty() => drop(fields.remove(at)),
                    Some(at) => fields[at] = field(name, value),
                    None if !value.is_empty() => fields.push(field(name, value)),
                    None => {}
                }
            }
            Change::Body(new) => body = whole_lines(new),
            Change::AddRecipient(_) | Change::RemoveRecipient(_) | Change::Sender(_) => {}
        }
    }
    let mut out = BytesMut::with_capacity(message.len() + 1024);
    for field in &fields {
        out.extend_from_slice(field);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&body);
    out.freeze()
}

/// The fields of a message, each with its lines, and the body.
pub fn split(message: &[u8]) -> (Vec<Vec<u8>>, &[u8]) {
    let mut fields: Vec<Vec<u8>> = Vec::new();
    let mut at = 0;
    while at < message.len() {
        let end = memchr::memchr(b'\n', &message[at..]).map_or(message.len(), |n| at + n + 1);
        let line = &message[at..end];
        if matches!(line, b"\r\n" | b"\n") {
            return (fields, &message[end..]);
        }
        match fields.last_mut() {
            Some(last) if line.starts_with(b" ") || line.starts_with(b"\t") => last.extend_from_slice(line),
            _ => fields.push(line.to_vec()),
        }
        at = end;
    }
    (fields, &[])
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
    let end = memchr::memchr(b':', field).unwrap_or(0);
    field[..end].trim_ascii_end().eq_ignore_ascii_case(name.as_bytes())
}

/// A field that cannot become two: the name is reduced to what a name may hold, lines of the value are folded.
fn field(name: &str, value: &str) -> Vec<u8> {
    let name: String = name.chars().filter(|c| c.is_ascii_graphic() && *c != ':').collect();
    let mut out = format!("{name}: ");
    let mut lines = value.split('\n').map(|l| l.trim_end_matches('\r'));
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
    out.into_bytes()
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
}
