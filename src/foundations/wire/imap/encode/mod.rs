//! Responses to bytes (RFC 9051 §7).
//!
//! Everything appends to an [`Out`]. Nothing here fails: whatever a text contains, the output is valid.

mod data;
mod fetch;
mod status;

pub use data::{ListAttributes, ListLine, StatusValue};
pub use fetch::FetchWriter;
pub use status::{Code, Condition};

use std::borrow::Cow;

use super::cursor::is_astring;
use super::name::{NameEncoding, encode_name};

/// Bytes on their way to a client.
#[derive(Debug, Default)]
pub struct Out {
    bytes: Vec<u8>,
    utf8_texts: bool,
}

/// Longest string that is written between quotation marks; longer ones become literals.
const MAX_QUOTED: usize = 1_000;

impl Out {
    /// An empty output.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), utf8_texts: false }
    }

    /// Whether human-readable texts may contain more than ASCII, as they may once a client has enabled IMAP4rev2 or
    /// UTF8=ACCEPT (RFC 9051 §9 `text`, RFC 6855 §3).
    pub const fn set_utf8_texts(&mut self, allowed: bool) {
        self.utf8_texts = allowed;
    }

    /// What has been written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How much has been written.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing has been written.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets what has been written, keeping the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Drops everything after this many octets.
    pub fn truncate(&mut self, octets: usize) {
        self.bytes.truncate(octets);
    }

    /// Releases the memory.
    pub fn release(&mut self) {
        self.bytes = Vec::new();
    }

    /// Takes the bytes, leaving nothing.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Appends text that is already valid.
    pub fn raw(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        self.bytes.extend_from_slice(text.as_ref());
        self
    }

    /// CRLF.
    pub fn line_end(&mut self) -> &mut Self {
        self.raw(b"\r\n")
    }

    /// A number.
    pub fn number(&mut self, value: impl Into<u64>) -> &mut Self {
        let mut value = value.into();
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            // A digit always fits.
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                return self.raw(&digits[at..]);
            }
        }
    }

    /// Any value whose written form has no special characters.
    pub fn display(&mut self, value: impl std::fmt::Display) -> &mut Self {
        use std::io::Write;
        // Writing to memory cannot fail.
        let _ = write!(self.bytes, "{value}");
        self
    }

    /// ```abnf
    /// string = quoted / literal
    /// ```
    /// Text outside ASCII becomes a literal, which every client understands.
    pub fn string(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        let text = text.as_ref();
        if text.len() <= MAX_QUOTED && text.iter().all(|b| matches!(b, b' '..=b'~')) {
            return self.quoted(text);
        }
        self.literal_header(text.len() as u64).raw(&*without_nul(text))
    }

    /// The text between quotation marks; it must not hold line ends.
    fn quoted(&mut self, text: &[u8]) -> &mut Self {
        self.raw(b"\"");
        let mut rest = text;
        while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
            self.raw(&rest[..at]).raw(b"\\").raw(&rest[at..=at]);
            rest = &rest[at + 1..];
        }
        self.raw(rest).raw(b"\"")
    }

    /// `{n}` and the line end; the caller appends exactly that many octets.
    pub fn literal_header(&mut self, octets: u64) -> &mut Self {
        self.raw(b"{").number(octets).raw(b"}\r\n")
    }

    /// `~{n}` and the line end (RFC 3516): the octets may hold NUL.
    pub fn literal8_header(&mut self, octets: u64) -> &mut Self {
        self.raw(b"~").literal_header(octets)
    }

    /// ```abnf
    /// astring = 1*ASTRING-CHAR / string
    /// ```
    pub fn astring(&mut self, text: &str) -> &mut Self {
        let bare = !text.is_empty() && text.bytes().all(is_astring) && !text.eq_ignore_ascii_case("NIL");
        if bare { self.raw(text) } else { self.string(text) }
    }

    /// A mailbox name in the session's encoding.
    pub fn mailbox(&mut self, name: &str, encoding: NameEncoding) -> &mut Self {
        let wire = encode_name(name, encoding);
        match encoding {
            // RFC 9051 §9: a quoted string may hold UTF-8 there.
            NameEncoding::Utf8 if !wire.is_ascii() && !wire.chars().any(char::is_control) => {
                self.quoted(wire.as_bytes())
            }
            NameEncoding::Utf8 | NameEncoding::ModifiedUtf7 => self.astring(&wire),
        }
    }

    /// `(a b c)`.
    pub fn list<T>(&mut self, elements: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) -> &mut Self {
        self.raw(b"(");
        for (n, element) in elements.into_iter().enumerate() {
            if n > 0 {
                self.raw(b" ");
            }
            write(self, element);
        }
        self.raw(b")")
    }

    /// `(a b c)` of words.
    pub fn words<'w>(&mut self, words: impl IntoIterator<Item = &'w str>) -> &mut Self {
        self.list(words, |out, word| {
            out.raw(word);
        })
    }

    /// Direct access, for writers of other modules.
    pub(super) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

/// Octets in the form allowed in a literal that is not a literal8 (RFC 9051 §4.3.1): 0x80 replaces NUL, so that the
/// length stays the same.
pub fn without_nul(octets: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(0, octets).is_none() {
        return Cow::Borrowed(octets);
    }
    Cow::Owned(octets.iter().map(|octet| if *octet == 0 { 0x80 } else { *octet }).collect())
}
