//! Header sections over raw bytes: where they end and which fields they hold, however malformed.
//!
//! Nothing is copied and nothing refused. A line that is no field (no colon, a name with blanks or control
//! characters) is kept as a field without a name: it stays in the bytes but no look-up finds it.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr3};

use super::encoded_words;

/// The header section of a message or part: everything up to and with the first empty line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderSection<'a> {
    lines: &'a [u8],
    body_start: usize,
}

impl<'a> HeaderSection<'a> {
    /// Finds the end of the header. Without an empty line all of it is header and the body is empty, as other
    /// servers read it too. Both CRLF and a bare LF end a line.
    pub fn of(bytes: &'a [u8]) -> Self {
        let mut start = 0;
        while start < bytes.len() {
            let end = line_end(bytes, start);
            if matches!(&bytes[start..end], b"\r\n" | b"\n") {
                return Self { lines: &bytes[..start], body_start: end };
            }
            start = end;
        }
        Self { lines: bytes, body_start: bytes.len() }
    }

    /// Whether a message begins with a header, which may be empty. One that does not is all body.
    pub fn begins(message: &[u8]) -> bool {
        let line = &message[..line_end(message, 0)];
        // Many a header follows the `From ` line of an mbox.
        matches!(line, b"" | b"\r\n" | b"\n") || line.starts_with(b"From ") || split_name(line).is_some()
    }

    /// The lines of the fields, without the empty line.
    pub const fn lines(&self) -> &'a [u8] {
        self.lines
    }

    /// Offset of the first octet of the body: after the empty line, or the end of the bytes.
    pub const fn body_start(&self) -> usize {
        self.body_start
    }

    /// The fields from top to bottom.
    pub const fn fields(&self) -> Fields<'a> {
        Fields::new(self.lines)
    }

    /// The topmost field of that name.
    pub fn first(&self, name: &str) -> Option<Field<'a>> {
        self.fields().find(|field| field.is(name))
    }

    /// All fields of that name from top to bottom.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = Field<'a>> + use<'a, 'n> {
        self.fields().filter(move |field| field.is(name))
    }
}

/// Offset just after the line that begins at `start`.
pub(super) fn line_end(bytes: &[u8], start: usize) -> usize {
    memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at + 1)
}

/// One field with its folded lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written; empty when the line is no field.
    pub name: &'a [u8],
    /// Everything after the colon, with folds and the final line end. All of the line when it is no field.
    pub body: &'a [u8],
    /// The whole field from name to line end.
    pub raw: &'a [u8],
    /// Where `raw` lies in the header section.
    pub range: Range<usize>,
}

impl<'a> Field<'a> {
    /// Whether this is a field of that name, in any case (RFC 5322 §1.2.2); a line that is no field has none.
    pub const fn is(&self, name: &str) -> bool {
        !self.name.is_empty() && self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value on one line: line ends of folds removed, blanks at both ends trimmed (RFC 5322 §2.2.3).
    pub fn value(&self) -> Cow<'a, [u8]> {
        unfold(self.body)
    }

    /// The value as text: unfolded, encoded words decoded (RFC 2047), raw UTF-8 taken as such (RFC 6532), at most
    /// [`encoded_words::MAX_TEXT`] octets long.
    pub fn text(&self) -> String {
        encoded_words::decode(&self.value())
    }
}

/// Removes the line ends of a folded value and the blanks around it; a tab that begins a line reads as a blank.
pub(super) fn unfold(body: &[u8]) -> Cow<'_, [u8]> {
    let body = body.trim_ascii();
    let Some(first) = memchr3(b'\r', b'\n', b'\n', body) else { return Cow::Borrowed(body) };
    let mut line = Vec::with_capacity(body.len());
    line.extend_from_slice(&body[..first]);
    let mut rest = &body[first..];
    while let Some(at) = memchr3(b'\r', b'\n', b'\n', rest) {
        line.extend_from_slice(&rest[..at]);
        let ends_line = rest[at] == b'\n' || rest.get(at + 1) == Some(&b'\n');
        if !ends_line {
            // A bare CR is no line end; it must not reach a client as one either.
            line.push(b' ');
        }
        rest = &rest[at + 1..];
        if ends_line && rest.first() == Some(&b'\t') {
            // quirk_tab_fold: some programs (Exchange among them) write CRLF and a tab where the text has a blank, which is what
            // people look for (2026).
            line.push(b' ');
            rest = &rest[1..];
        }
    }
    line.extend_from_slice(rest);
    Cow::Owned(line)
}

/// Iterates over the fields of a header section.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    lines: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// The fields in `lines`, which end where the slice does; see [`HeaderSection::of`] for finding that.
    pub const fn new(lines: &'a [u8]) -> Self {
        Self { lines, at: 0 }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.at >= self.lines.len() {
            return None;
        }
        let start = self.at;
        let mut end = line_end(self.lines, start);
        // RFC 5322 §2.2.3: a line that begins with a blank continues the one before.
        while self.lines.get(end).is_some_and(|b| matches!(b, b' ' | b'\t')) {
            end = line_end(self.lines, end);
        }
        self.at = end;
        let raw = &self.lines[start..end];
        let (name, body) = split_name(raw).unwrap_or((b"", raw));
        Some(Field { name, body, raw, range: start..end })
    }
}

/// Splits at the colon when what stands before it is a name: RFC 5322 §2.2 printable ASCII, with the obsolete
/// blanks before the colon (RFC 5322 §4.5).
fn split_name(raw: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = raw.iter().take(MAX_NAME).position(|b| *b == b':')?;
    let name = raw[..colon].trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    is_name.then(|| (name, &raw[colon + 1..]))
}

/// Longest field name looked for, in octets: a line cannot be longer than RFC 5322 §2.1.1 says.
const MAX_NAME: usize = 998;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_at_the_first_empty_line() {
        for (bytes, lines, body) in [
            ("A: 1\r\nB: 2\r\n\r\nbody", "A: 1\r\nB: 2\r\n", "body"),
            ("A: 1\nB: 2\n\nbody\n\n", "A: 1\nB: 2\n", "body\n\n"),
            ("\r\nbody", "", "body"),
            ("", "", ""),
            ("A: 1", "A: 1", ""),
            ("A: 1\r\n", "A: 1\r\n", ""),
            ("A: 1\r\n \r\n\r\nbody", "A: 1\r\n \r\n", "body"),
            ("A: 1\r\r\r\rB", "A: 1\r\r\r\rB", ""),
        ] {
            let section = HeaderSection::of(bytes.as_bytes());
            assert_eq!(section.lines(), lines.as_bytes(), "{bytes:?}");
            assert_eq!(&bytes[section.body_start()..], body, "{bytes:?}");
        }
    }

    #[test]
    fn what_begins_with_no_field_is_all_body() {
        for (message, begins) in [
            ("", true),
            ("\r\nbody", true),
            ("Subject: x\r\n\r\nbody", true),
            ("From x Mon\r\nSubject: x\r\n", true),
            ("hello\r\n", false),
            ("hello: you\r\n", true),
            ("hello you: \r\n", false),
            (" folded: x\r\n", false),
        ] {
            assert_eq!(HeaderSection::begins(message.as_bytes()), begins, "{message:?}");
        }
    }

    #[test]
    fn fields_keep_every_octet() {
        let lines = b"From x\r\nSubject : a\r\n\tb\r\n  c\r\nno field\r\n: y\r\nTo:\r\nbad name: z\r\nSUBJECT: d";
        let section = HeaderSection::of(lines);
        let together: Vec<u8> = section.fields().flat_map(|field| field.raw.to_vec()).collect();
        assert_eq!(together, lines);
        let names: Vec<_> = section.fields().map(|field| String::from_utf8_lossy(field.name).into_owned()).collect();
        assert_eq!(names, ["", "Subject", "", "", "To", "", "SUBJECT"]);
        assert_eq!(&*section.first("subject").unwrap().value(), b"a b  c");
        assert_eq!(section.all("Subject").map(|field| field.text()).collect::<Vec<_>>(), ["a b  c", "d"]);
        assert_eq!(&*section.first("to").unwrap().value(), b"");
        assert_eq!(section.first(""), None);
    }

    #[test]
    fn a_bare_cr_and_a_tab_at_a_fold_become_blanks() {
        assert_eq!(&*unfold(b" a\rb\r\n c\n\td \r\n"), b"a b c d");
    }
}
