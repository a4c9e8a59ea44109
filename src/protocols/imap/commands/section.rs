//! Sections of one message (RFC 9051 §6.4.5.1; RFC 3516).

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;

use crate::foundations::mail::{HeaderSection, Piece, Sections, content, transfer};
use crate::foundations::wire::imap::{PartPath, Partial, Section, SectionText};
use crate::storage::mailbox::{self, Body, Content};

/// One message to take sections from.
pub struct Source {
    content: Content,
    /// Where its parts lie; `None` when nobody has asked the store, which is enough while only the message's own
    /// header and body are wanted.
    sections: Option<Sections>,
}

/// What a section holds.
pub enum Found {
    /// There is no such part.
    Nothing,
    /// These octets of the message, as they stand.
    Range(Range<u64>),
    /// Octets made for the occasion.
    Made(Bytes),
}

/// Octets read at once from a message that is not in memory.
const PIECE: usize = 256 << 10;

impl Source {
    /// A message and, when they are known, its parts.
    pub const fn new(content: Content, sections: Option<Sections>) -> Self {
        Self { content, sections }
    }

    /// Whether the parts must be known to find a section: for parts, and for messages that are not in memory.
    pub fn needs_sections(content: &Content) -> bool {
        matches!(content, Content::Large(_))
    }

    /// Size in octets.
    pub fn size(&self) -> u64 {
        match &self.content {
            Content::Whole(bytes) => bytes.len() as u64,
            Content::Large(body) => body.size(),
        }
    }

    /// What a section holds, without the parts of it that a partial leaves out.
    pub async fn section(&mut self, section: &Section, partial: Option<Partial>) -> Result<Found, mailbox::Error> {
        let piece = match &section.text {
            SectionText::Whole => Piece::Whole,
            SectionText::Header | SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_) => Piece::Header,
            SectionText::Mime => Piece::Mime,
            SectionText::Text => Piece::Text,
        };
        let Some(range) = self.find(&section.part, piece) else { return Ok(Found::Nothing) };
        let (names, keep) = match &section.text {
            SectionText::HeaderFields(names) => (names, Keep::Named),
            SectionText::HeaderFieldsNot(names) => (names, Keep::Others),
            _ => return Ok(Found::Range(cut(range, partial))),
        };
        let header = self.read(range).await?;
        // One command may ask for this thousands of times, of a header of megabytes.
        tokio::task::yield_now().await;
        let fields = Bytes::from(choose_fields(&header, names, keep));
        let kept = cut(0..fields.len() as u64, partial);
        Ok(Found::Made(fields.slice(kept.start as usize..kept.end as usize)))
    }

    /// A part without its transfer encoding (RFC 3516 §4.3), cut to the partial.
    pub async fn binary(&mut self, part: &PartPath, partial: Option<Partial>) -> Result<Binary, mailbox::Error> {
        if part.0.is_empty() {
            return Ok(Binary::Found(Found::Range(cut(0..self.size(), partial))));
        }
        let (Some(mime), Some(body)) = (self.find(part, Piece::Mime), self.find(part, Piece::Whole)) else {
            return Ok(Binary::Found(Found::Nothing));
        };
        let header = self.read(mime).await?;
        let encoding = HeaderSection::of(&header).first("Content-Transfer-Encoding").map(|field| field.value());
        match encoding.as_deref().map_or(Encoding::Identity, Encoding::of) {
            Encoding::Identity => Ok(Binary::Found(Found::Range(cut(body, partial)))),
            Encoding::Unknown => Ok(Binary::UnknownEncoding),
            Encoding::Known => {
                let encoded = self.read(body).await?;
                let decoded = match transfer::decode(encoding.as_deref(), &encoded, usize::MAX) {
                    Cow::Owned(octets) => Bytes::from(octets),
                    Cow::Borrowed(_) => encoded.clone(),
                };
                let kept = cut(0..decoded.len() as u64, partial);
                Ok(Binary::Found(Found::Made(decoded.slice(kept.start as usize..kept.end as usize))))
            }
        }
    }

    /// The next octets of a range, at most [`PIECE`] of them when they must be read from a file.
    pub async fn piece(&mut self, range: &Range<u64>) -> Result<Bytes, mailbox::Error> {
        match &mut self.content {
            Content::Whole(bytes) => {
                let length = bytes.len() as u64;
                Ok(bytes.slice(range.start.min(length) as usize..range.end.min(length) as usize))
            }
            Content::Large(body) => read(body, range.start, range.end - range.start).await,
        }
    }

    /// A whole range in memory: a header, or a part to be decoded.
    async fn read(&mut self, range: Range<u64>) -> Result<Bytes, mailbox::Error> {
        if let Content::Whole(_) = self.content {
            return self.piece(&range).await;
        }
        let mut octets = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let piece = self.piece(&(at..range.end)).await?;
            if piece.is_empty() {
                break;
            }
            at += piece.len() as u64;
            octets.extend_from_slice(&piece);
        }
        Ok(octets.into())
    }

    fn find(&self, part: &PartPath, piece: Piece) -> Option<Range<u64>> {
        if let Some(sections) = &self.sections {
            return sections.find(&part.0, piece);
        }
        // Only reached for the message itself: see `needs_sections` and the plan of FETCH.
        let size = self.size();
        let bytes = match &self.content {
            Content::Whole(bytes) => bytes,
            Content::Large(_) => return (piece == Piece::Whole).then_some(0..size),
        };
        match piece {
            Piece::Whole => Some(0..size),
            Piece::Header => Some(0..HeaderSection::of(bytes).body_start() as u64),
            Piece::Text => Some(HeaderSection::of(bytes).body_start() as u64..size),
            Piece::Mime => None,
        }
    }
}

async fn read(body: &mut Body, offset: u64, length: u64) -> Result<Bytes, mailbox::Error> {
    body.read(offset, PIECE.min(usize::try_from(length).unwrap_or(PIECE))).await
}

/// What BINARY holds.
pub enum Binary {
    /// Octets, or nothing.
    Found(Found),
    /// RFC 3516 §4.3: UNKNOWN-CTE.
    UnknownEncoding,
}

/// How a part is encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// The octets stand as they are.
    Identity,
    /// They can be decoded.
    Known,
    /// They cannot.
    Unknown,
}

impl Encoding {
    /// What the value of a Content-Transfer-Encoding field says; comments may stand in it (RFC 2045 §6.1, RFC 822 §3.1.4).
    fn of(value: &[u8]) -> Self {
        match content::word(value).to_ascii_lowercase().as_slice() {
            b"7bit" | b"8bit" | b"binary" | b"" => Self::Identity,
            b"base64" | b"quoted-printable" => Self::Known,
            _ => Self::Unknown,
        }
    }
}

/// The octets of a range that a partial lets through (RFC 9051 §6.4.5.1).
pub fn cut(range: Range<u64>, partial: Option<Partial>) -> Range<u64> {
    let Some(Partial { first, count }) = partial else { return range };
    let start = range.start.saturating_add(first).min(range.end);
    start..start.saturating_add(count).min(range.end)
}

/// Which fields of a header are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Named,
    Others,
}

/// The chosen fields and the empty line, which is there in any case (RFC 9051 §6.4.5.1).
fn choose_fields(header: &[u8], names: &[String], keep: Keep) -> Vec<u8> {
    let mut chosen = Vec::new();
    let names: HashSet<Vec<u8>> = names.iter().map(|name| name.to_ascii_lowercase().into_bytes()).collect();
    for field in HeaderSection::of(header).fields() {
        let named = names.contains(&field.name.to_ascii_lowercase());
        if named == (keep == Keep::Named) {
            chosen.extend_from_slice(field.raw);
            if !field.raw.ends_with(b"\n") {
                chosen.extend_from_slice(b"\r\n");
            }
        }
    }
    chosen.extend_from_slice(b"\r\n");
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partials_stay_inside() {
        for (first, count, want) in [(0, 5, 10..15), (8, 5, 18..20), (10, 1, 20..20), (u64::MAX, u64::MAX, 20..20)] {
            assert_eq!(cut(10..20, Some(Partial { first, count })), want);
        }
    }

    #[test]
    fn encodings_may_have_comments() {
        for (value, want) in [
            (&b"Base64 (as \\) ever)"[..], Encoding::Known),
            (b"(x) quoted-printable", Encoding::Known),
            (b" 7bit\t", Encoding::Identity),
            (b"", Encoding::Identity),
            (b"x-uuencode", Encoding::Unknown),
        ] {
            assert!(Encoding::of(value) == want, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn fields_are_chosen() {
        let header = b"To: a\r\n b\r\nX: c\r\nto: d\r\n\r\n";
        let names = ["TO".to_owned()];
        assert_eq!(choose_fields(header, &names, Keep::Named), b"To: a\r\n b\r\nto: d\r\n\r\n");
        assert_eq!(choose_fields(header, &names, Keep::Others), b"X: c\r\n\r\n");
        assert_eq!(choose_fields(b"To: a", &names, Keep::Named), b"To: a\r\n\r\n");
        assert_eq!(choose_fields(b"", &names, Keep::Named), b"\r\n");
    }
}
