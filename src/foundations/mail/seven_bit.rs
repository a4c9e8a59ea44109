//! Conversion of a message for hosts that take only 7-bit lines (RFC 6152 §3, RFC 3030 §3).
//!
//! [`SevenBit::of`] decides what is copied, encoded and rewritten, and [`SevenBit::blocks`] produces the result piece
//! by piece, so that a long message is in memory only once. The decoded content of every part stays the same, octet for
//! octet. The cost is linear in the length.
//!
//! Octets outside ASCII in *header fields* stay: 8BITMIME does not allow them either, encoding a body does not help,
//! and a sender who wants them read as UTF-8 needs SMTPUTF8.

use std::ops::Range;

use bytes::Bytes;

use super::content::{self, ContentType};
use super::header::HeaderSection;
use super::line_ends::{CutInLines, cut_in_lines};
use super::section::Kind;
use super::structure::{MAX_PARTS, Part, Structure};

mod blocks;

pub use blocks::Blocks;

/// A message with every body in 7-bit lines.
#[derive(Debug, Clone)]
pub struct SevenBit {
    bytes: Bytes,
    segments: Vec<Segment>,
    len: usize,
}

/// Why a message cannot be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unconvertible {
    /// RFC 1847 §2.1, §2.2: what is signed or encrypted must arrive as it was made.
    #[error("a signed or encrypted part must not be changed")]
    Secured,
    /// RFC 2046 §5.2: parts of type message, except whole messages, are 7-bit and have no encoding.
    #[error("a part whose type allows no encoding holds octets outside ASCII")]
    Message,
    /// It claims an encoding but is not encoded, or uses an unknown one.
    #[error("a part declares a transfer encoding and still holds octets outside ASCII")]
    Encoded,
    /// The parts cannot be told apart.
    #[error("its parts are too deeply nested, too many, or cannot be told apart")]
    Structure,
    /// NUL or a stray CR or LF where nothing can be encoded.
    #[error("its header or the text between its parts is not made of lines")]
    Lines,
}

/// A stretch of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// Copied unchanged.
    Copied(Range<usize>),
    /// The text around the parts of a multipart, which nobody reads (RFC 2046 §5.1.1): `?` for octets outside ASCII.
    Masked(Range<usize>),
    /// Quoted-printable.
    Text(Range<usize>),
    /// Base64.
    Octets(Range<usize>),
    /// Lines of a header.
    Added(Vec<u8>),
}

impl SevenBit {
    /// Decides how a message is converted. Fields of its own header in the ranges `without`, which are in order, are left out.
    pub fn of(bytes: Bytes, without: &[Range<usize>]) -> Result<Self, Unconvertible> {
        let structure = Structure::of(&bytes);
        if structure.parts().len() >= MAX_PARTS {
            return Err(Unconvertible::Structure);
        }
        let mut plan = Plan { bytes: &bytes, segments: Vec::new(), at: 0, without };
        plan.run(&structure)?;
        let segments = plan.segments;
        let mut result = Self { bytes, segments, len: 0 };
        result.len = result.blocks().map(|block| block.len()).sum();
        Ok(result)
    }

    /// The result, in pieces of any length.
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks::new(self)
    }

    /// Length of the result in octets.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the result is empty.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Changes to the header of a part.
#[derive(Default)]
struct Edits {
    /// The new Content-Transfer-Encoding.
    encoding: Option<&'static str>,
    /// Complete fields to be added at the end.
    added: String,
}

struct Plan<'a> {
    bytes: &'a [u8],
    segments: Vec<Segment>,
    /// How far the message is accounted for.
    at: usize,
    without: &'a [Range<usize>],
}

impl Plan<'_> {
    fn run(&mut self, structure: &Structure<'_>) -> Result<(), Unconvertible> {
        let parts = structure.parts();
        let must_change = must_change(structure);
        let mut index = 0;
        while let Some(part) = parts.get(index) {
            self.between(part.start)?;
            // The part itself, or the message that it is, begins with a header of its own.
            let is_message = index == 0 || parts[index - 1].kind == Kind::Message;
            let mut edits = Edits::default();
            if is_message
                && must_change[index]
                && HeaderSection::of(structure.header(part)).first("MIME-Version").is_none()
            {
                edits.added.push_str("MIME-Version: 1.0\r\n");
            }
            index = match part.kind {
                _ if is_secured(&part.content) => {
                    if must_change[index] {
                        return Err(Unconvertible::Secured);
                    }
                    self.header(part, &edits)?;
                    self.copy(part.end)?;
                    part.next
                }
                Kind::Message if is_global(&part.content) => {
                    self.leaf(structure, part, must_change[index], edits)?;
                    part.next
                }
                Kind::Leaf => {
                    self.leaf(structure, part, must_change[index], edits)?;
                    part.next
                }
                Kind::Multipart | Kind::Message => {
                    edits.encoding = relabelled(part)?;
                    self.header(part, &edits)?;
                    index + 1
                }
            };
        }
        self.between(self.bytes.len())
    }

    /// What stands between parts: delimiters, and text that nobody reads.
    fn between(&mut self, end: usize) -> Result<(), Unconvertible> {
        let range = self.at..end.max(self.at);
        if self.bytes[range.clone()].is_ascii() {
            return self.copy(end);
        }
        self.in_lines(&range)?;
        let mut lines = self.bytes[range.clone()].split(|octet| *octet == b'\n');
        if lines.any(|line| line.starts_with(b"--") && !line.is_ascii()) {
            return Err(Unconvertible::Structure);
        }
        self.at = range.end;
        self.segments.push(Segment::Masked(range));
        Ok(())
    }

    /// A leaf part.
    fn leaf(
        &mut self,
        structure: &Structure<'_>,
        part: &Part<'_>,
        must_change: bool,
        mut edits: Edits,
    ) -> Result<(), Unconvertible> {
        let header = HeaderSection::of(structure.header(part));
        if !must_change {
            edits.encoding = relabelled(part).unwrap_or(None);
            self.header(part, &edits)?;
            return self.copy(part.end);
        }
        if part.start == part.body {
            // A multipart without delimiters: no part's header could name an encoding.
            return Err(Unconvertible::Structure);
        }
        encoding_of(part)?;
        let declared = header.first("Content-Type").and_then(|field| ContentType::read(field.body));
        match &declared {
            Some(declared) if declared.is("multipart") => return Err(Unconvertible::Structure),
            Some(declared) if declared.is("message") && !is_global(declared) => return Err(Unconvertible::Message),
            _ => {}
        }
        if header.first("Content-Type").is_none() {
            // RFC 1428 §3: the name for octets whose charset nobody has declared.
            edits.added.push_str("Content-Type: text/plain; charset=unknown-8bit\r\n");
        }
        let body = part.body..part.end;
        let is_text = part.content.is("text") && cut_in_lines(&self.bytes[body.clone()]) != CutInLines::No;
        edits.encoding = Some(if is_text { "quoted-printable" } else { "base64" });
        self.header(part, &edits)?;
        self.at = part.end;
        self.segments.push(if is_text { Segment::Text(body) } else { Segment::Octets(body) });
        Ok(())
    }

    /// The header of a part, from its start to its body.
    fn header(&mut self, part: &Part<'_>, edits: &Edits) -> Result<(), Unconvertible> {
        let lines = HeaderSection::of(&self.bytes[part.start..part.body]);
        let without = if part.start == 0 { self.without } else { &[] };
        let mut encoding = edits.encoding;
        for field in lines.fields() {
            let range = part.start + field.range.start..part.start + field.range.end;
            let replaced = edits.encoding.is_some() && field.is("Content-Transfer-Encoding");
            if replaced || without.contains(&range) {
                self.copy(range.start)?;
                self.at = range.end;
            }
            if let Some(encoding) = encoding.take_if(|_| replaced) {
                self.add(format!("Content-Transfer-Encoding: {encoding}\r\n"));
            }
        }
        let mut added = edits.added.clone();
        if let Some(encoding) = encoding {
            added.push_str(&format!("Content-Transfer-Encoding: {encoding}\r\n"));
        }
        if !added.is_empty() {
            self.copy(part.start + lines.lines().len())?;
            self.add(added);
        }
        self.copy(part.body)
    }

    fn add(&mut self, lines: String) {
        self.segments.push(Segment::Added(lines.into_bytes()));
    }

    fn copy(&mut self, end: usize) -> Result<(), Unconvertible> {
        let range = self.at..end.max(self.at);
        self.in_lines(&range)?;
        self.at = range.end;
        match self.segments.last_mut() {
            Some(Segment::Copied(last)) if last.end == range.start => last.end = range.end,
            _ if range.is_empty() => {}
            _ => self.segments.push(Segment::Copied(range)),
        }
        Ok(())
    }

    /// Long lines are let through: they are harmless, and most hosts take them.
    fn in_lines(&self, range: &Range<usize>) -> Result<(), Unconvertible> {
        match cut_in_lines(&self.bytes[range.clone()]) {
            CutInLines::No => Err(Unconvertible::Lines),
            CutInLines::Yes | CutInLines::TooLong => Ok(()),
        }
    }
}

/// For each part, whether its body holds something that 7-bit lines cannot.
fn must_change(structure: &Structure<'_>) -> Vec<bool> {
    let parts = structure.parts();
    let mut found = vec![false; parts.len()];
    for (index, part) in parts.iter().enumerate().rev() {
        let body = structure.body(part);
        found[index] = match part.kind {
            Kind::Leaf => is_beyond(body) || is_too_long(part, body),
            // An unchanged part is checked together with everything between its parts. Such parts do not nest: only the
            // outermost is checked twice.
            _ if is_secured(&part.content) || is_global(&part.content) => false,
            _ => structure.children(index).any(|child| found[child]),
        };
    }
    let mut index = 0;
    while let Some(part) = parts.get(index) {
        let is_whole = is_secured(&part.content) || (part.kind == Kind::Message && is_global(&part.content));
        if is_whole && is_beyond(structure.body(part)) {
            found[index] = true;
            for above in 0..index {
                found[above] |= parts[above].next > index;
            }
        }
        index = if is_whole { part.next } else { index + 1 };
    }
    found
}

fn is_beyond(body: &[u8]) -> bool {
    !body.is_ascii() || cut_in_lines(body) == CutInLines::No
}

/// Lines longer than hosts must take, where an encoding can break them.
fn is_too_long(part: &Part<'_>, body: &[u8]) -> bool {
    !part.content.is("message") && encoding_of(part).is_ok() && cut_in_lines(body) == CutInLines::TooLong
}

/// Parts that must arrive exactly as they were made.
fn is_secured(content: &ContentType<'_>) -> bool {
    content.is_exactly("multipart", "signed") || content.is_exactly("multipart", "encrypted")
}

/// message/global and related types, which may have any encoding (RFC 6532 §3.7, RFC 6533 §6).
fn is_global(content: &ContentType<'_>) -> bool {
    let subtype = content.subtype;
    content.is("message") && subtype.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"global"))
}

/// A part's declared encoding, which must be one that leaves octets as they are.
fn encoding_of<'a>(part: &Part<'a>) -> Result<&'a [u8], Unconvertible> {
    let word = part.fields.encoding.map(content::word).unwrap_or_default();
    let is_none = ["", "7bit", "8bit", "binary"].iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()));
    if is_none { Ok(word) } else { Err(Unconvertible::Encoded) }
}

/// The new label of a part that is 7-bit now but declares more.
fn relabelled(part: &Part<'_>) -> Result<Option<&'static str>, Unconvertible> {
    let word = encoding_of(part)?;
    Ok((word.eq_ignore_ascii_case(b"8bit") || word.eq_ignore_ascii_case(b"binary")).then_some("7bit"))
}

#[cfg(test)]
mod tests;
