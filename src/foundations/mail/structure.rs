//! The parts of a message (RFC 2045, RFC 2046), computed in one pass over its lines.
//!
//! Never fails and takes time linear in the size of the message: each octet of a header is looked at a few times, each
//! octet of a body once for line ends and once for `\n--`. Only a line that begins with `--` is compared with the
//! boundaries that are open, of which there are at most [`MAX_DEPTH`].
//!
//! Where the message is broken:
//! - a multipart in which no delimiter is found has one part without a header: all of its body, as text/plain;
//! - a missing closing delimiter is replaced by the delimiter of an outer multipart or the end of the message;
//! - a header without an empty line ends at a delimiter or at the end;
//! - anything nested deeper than [`MAX_DEPTH`] is a leaf of type application/octet-stream, whatever it declares;
//! - after [`MAX_PARTS`] parts no more are told apart: the last one holds the rest of the message.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memchr_iter;
use memchr::memmem::Finder;

use super::content::{Container, ContentType};
use super::header::{Fields, line_end};
use super::section::{Entry, Kind, Sections};

/// Deepest nesting of multiparts and messages that is looked into.
pub const MAX_DEPTH: usize = 100;

/// Most parts of one message, counting multiparts and nested messages.
pub const MAX_PARTS: usize = 10_000;

/// Longest boundary in octets; RFC 2046 §5.1.1 allows 70. A multipart with a longer one has no delimiters.
pub const MAX_BOUNDARY: usize = 256;

/// All parts of one message, depth first; the first is the message itself.
#[derive(Debug, Clone)]
pub struct Structure<'a> {
    bytes: &'a [u8],
    parts: Vec<Part<'a>>,
}

/// One part: the message itself, a part of a multipart, or the message inside a message/rfc822 part.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// Offset of the header.
    pub start: usize,
    /// Offset of the body, just after the header's empty line.
    pub body: usize,
    /// Offset after the body. The line end before a delimiter belongs to the delimiter (RFC 2046 §5.1.1).
    pub end: usize,
    /// Number of line ends in the body.
    pub lines: usize,
    /// What is inside.
    pub kind: Kind,
    /// Index of the first part that is not inside this one.
    pub next: usize,
    /// The type, its default when there is none or it cannot be read.
    pub content: ContentType<'a>,
    /// The other MIME fields, bodies as written.
    pub fields: MimeFields<'a>,
}

/// Bodies of the MIME fields of one part, each the topmost of its name, with folds.
#[derive(Debug, Clone, Copy, Default)]
pub struct MimeFields<'a> {
    /// Content-Transfer-Encoding.
    pub encoding: Option<&'a [u8]>,
    /// Content-ID.
    pub id: Option<&'a [u8]>,
    /// Content-Description.
    pub description: Option<&'a [u8]>,
    /// Content-Disposition.
    pub disposition: Option<&'a [u8]>,
    /// Content-Language (RFC 3282).
    pub language: Option<&'a [u8]>,
    /// Content-Location (RFC 2557).
    pub location: Option<&'a [u8]>,
    /// Content-MD5 (RFC 1864).
    pub md5: Option<&'a [u8]>,
}

impl<'a> Structure<'a> {
    /// Reads a message.
    pub fn of(bytes: &'a [u8]) -> Self {
        let mut scanner =
            Scanner { bytes, parts: Vec::with_capacity(4), open: Vec::new(), lines: LineCounter::default() };
        scanner.run();
        Self { bytes, parts: scanner.parts }
    }

    /// The message it was read from.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// All parts, depth first; never empty.
    pub fn parts(&self) -> &[Part<'a>] {
        &self.parts
    }

    /// The header lines of a part, with the empty line.
    pub fn header(&self, part: &Part<'a>) -> &'a [u8] {
        &self.bytes[part.start..part.body]
    }

    /// The body of a part as it stands in the message, transfer encoding and all.
    pub fn body(&self, part: &Part<'a>) -> &'a [u8] {
        &self.bytes[part.body..part.end]
    }

    /// Indices of the parts directly inside a part.
    pub fn children(&self, index: usize) -> impl Iterator<Item = usize> {
        let end = self.parts[index].next;
        let first = (index + 1 < end).then_some(index + 1);
        std::iter::successors(first, move |at| Some(self.parts[*at].next).filter(|next| *next < end))
    }

    /// The offsets alone, for answering sections.
    pub fn sections(&self) -> Sections {
        let entry = |part: &Part<'_>| Entry {
            start: part.start as u64,
            body: part.body as u64,
            end: part.end as u64,
            kind: part.kind,
            next: u32::try_from(part.next).unwrap_or(u32::MAX),
        };
        Sections { entries: self.parts.iter().map(entry).collect() }
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    parts: Vec<Part<'a>>,
    /// The parts that contain the present position, outermost first.
    open: Vec<Open<'a>>,
    lines: LineCounter,
}

struct Open<'a> {
    index: usize,
    /// The boundary of a multipart that has not seen its closing delimiter.
    boundary: Option<Cow<'a, [u8]>>,
}

/// A line that delimits parts.
struct Delimiter {
    /// Index in `Scanner::open` of the multipart it belongs to.
    owner: usize,
    closing: bool,
    start: usize,
    end: usize,
}

impl<'a> Scanner<'a> {
    fn run(&mut self) {
        let mut at = self.begin(0, Container::Other);
        while let Some(delimiter) = self.find_delimiter(at) {
            if self.parts.len() >= MAX_PARTS && !delimiter.closing {
                break;
            }
            self.close(delimiter.owner + 1, content_end(self.bytes, delimiter.start));
            at = delimiter.end;
            let owner = &mut self.open[delimiter.owner];
            if delimiter.closing {
                owner.boundary = None;
            } else {
                let is_digest = self.parts[owner.index].content.is_exactly("multipart", "digest");
                at = self.begin(at, if is_digest { Container::Digest } else { Container::Other });
            }
        }
        self.close(0, self.bytes.len());
    }

    /// Opens the part whose header begins at `start`, and the messages directly inside it; gives the offset where
    /// the search for a delimiter goes on.
    fn begin(&mut self, mut start: usize, mut container: Container) -> usize {
        loop {
            let (lines_end, body) = self.header_end(start);
            let mut part = read_header(&self.bytes[start..lines_end], container);
            (part.start, part.body) = (start, body);
            part.lines = self.lines.up_to(self.bytes, body);
            let boundary = part.content.parameters.raw("boundary").map(<[u8]>::trim_ascii_end).map(<[u8]>::to_vec);
            let too_much = self.open.len() >= MAX_DEPTH || self.parts.len() + 1 >= MAX_PARTS;
            part.kind = match &part.content {
                content if content.is("multipart") => Kind::Multipart,
                content if is_message(content) => Kind::Message,
                _ => Kind::Leaf,
            };
            if too_much && part.kind != Kind::Leaf {
                part.kind = Kind::Leaf;
                part.content = ContentType { media: b"application", subtype: b"octet-stream", ..part.content };
            }
            let kind = part.kind;
            let boundary = boundary.filter(|b| kind == Kind::Multipart && !b.is_empty() && b.len() <= MAX_BOUNDARY);
            self.open.push(Open { index: self.parts.len(), boundary: boundary.map(Cow::Owned) });
            self.parts.push(part);
            if kind != Kind::Message {
                return body;
            }
            (start, container) = (body, Container::Other);
        }
    }

    /// Where the lines of the header that begins at `start` end, and where its body begins.
    fn header_end(&self, start: usize) -> (usize, usize) {
        let mut at = start;
        while at < self.bytes.len() {
            let end = line_end(self.bytes, at);
            if matches!(&self.bytes[at..end], b"\r\n" | b"\n") {
                return (at, end);
            }
            if self.bytes[at..].starts_with(b"--") && self.match_line(at, end).is_some() {
                return (at, at);
            }
            at = end;
        }
        (at, at)
    }

    /// The next delimiter at or after `at`, which is the beginning of a line.
    fn find_delimiter(&self, at: usize) -> Option<Delimiter> {
        if self.open.iter().all(|open| open.boundary.is_none()) {
            return None;
        }
        let mut start = at;
        if !self.bytes[start..].starts_with(b"--") {
            start += DASHES.find(&self.bytes[start..])? + 1;
        }
        loop {
            let end = line_end(self.bytes, start);
            if let Some((owner, closing)) = self.match_line(start, end) {
                return Some(Delimiter { owner, closing, start, end });
            }
            // From the line end on, because the next line may begin with dashes too.
            start = end.checked_sub(1)?;
            start += DASHES.find(&self.bytes[start..])? + 1;
        }
    }

    /// Whether a line that begins with `--` is a delimiter of an open multipart, and of which. The whole line must
    /// match but for blanks at its end: so one boundary may be the beginning of another. The innermost one wins.
    ///
    /// ```text
    /// delimiter       := CRLF "--" boundary transport-padding      ; RFC 2046 §5.1.1
    /// close-delimiter := delimiter "--"
    /// ```
    fn match_line(&self, start: usize, end: usize) -> Option<(usize, bool)> {
        let line = self.bytes[start + 2..end].trim_ascii_end();
        if line.len() > MAX_BOUNDARY + 2 {
            return None;
        }
        let stem = line.strip_suffix(b"--");
        self.open.iter().enumerate().rev().find_map(|(owner, open)| {
            let boundary = open.boundary.as_deref()?;
            if boundary == line { Some((owner, false)) } else { (Some(boundary) == stem).then_some((owner, true)) }
        })
    }

    /// Closes all open parts from `open[keep]` inwards at `content_end`, the innermost first.
    fn close(&mut self, keep: usize, content_end: usize) {
        let mut end = content_end;
        while self.open.len() > keep {
            let Some(Open { index, .. }) = self.open.pop() else { return };
            let part = &mut self.parts[index];
            // The line end before a delimiter may be the last one of the header; then the body is empty, and no
            // enclosing part may end before it.
            end = end.max(part.body);
            part.end = end;
            part.lines = self.lines.up_to(self.bytes, end) - part.lines;
            if part.kind == Kind::Multipart && index + 1 == self.parts.len() {
                self.adopt_body(index);
            }
            self.parts[index].next = self.parts.len();
        }
    }

    /// Gives a multipart without parts the one part that every multipart must have.
    fn adopt_body(&mut self, index: usize) {
        let Part { body, end, lines, .. } = self.parts[index];
        let part = Part {
            start: body,
            body,
            end,
            lines,
            kind: Kind::Leaf,
            next: index + 2,
            content: ContentType::default_in(Container::Other),
            fields: MimeFields::default(),
        };
        self.parts.push(part);
    }
}

/// The end of the content before a delimiter line, excluding the line end that belongs to the delimiter.
fn content_end(bytes: &[u8], delimiter: usize) -> usize {
    match &bytes[..delimiter] {
        [.., b'\r', b'\n'] => delimiter - 2,
        [.., b'\n'] => delimiter - 1,
        _ => delimiter,
    }
}

/// RFC 9051 §7.5.2 gives message/rfc822 and message/global an envelope and a body of their own.
fn is_message(content: &ContentType<'_>) -> bool {
    content.is("message") && [&b"rfc822"[..], b"global"].iter().any(|s| content.subtype.eq_ignore_ascii_case(s))
}

/// Collects the MIME fields of a header; offsets are left at zero.
fn read_header<'a>(lines: &'a [u8], container: Container) -> Part<'a> {
    let mut fields = MimeFields::default();
    let mut content = None;
    for field in Fields::new(lines) {
        let Some((prefix, rest)) = field.name.split_at_checked(8) else { continue };
        if prefix.eq_ignore_ascii_case(b"content-")
            && let Some(slot) = fields.slot(rest, &mut content)
        {
            slot.get_or_insert(field.body);
        }
    }
    let content = content.and_then(ContentType::read).unwrap_or_else(|| ContentType::default_in(container));
    Part { start: 0, body: 0, end: 0, lines: 0, kind: Kind::Leaf, next: 0, content, fields }
}

impl<'a> MimeFields<'a> {
    /// Where the body of the field `content-<rest>` is kept.
    fn slot<'s>(&'s mut self, rest: &[u8], content: &'s mut Option<&'a [u8]>) -> Option<&'s mut Option<&'a [u8]>> {
        let is = |name: &str| rest.eq_ignore_ascii_case(name.as_bytes());
        match rest.len() {
            4 if is("type") => Some(content),
            17 if is("transfer-encoding") => Some(&mut self.encoding),
            2 if is("id") => Some(&mut self.id),
            11 if is("description") => Some(&mut self.description),
            11 if is("disposition") => Some(&mut self.disposition),
            8 if is("language") => Some(&mut self.language),
            8 if is("location") => Some(&mut self.location),
            3 if is("md5") => Some(&mut self.md5),
            _ => None,
        }
    }
}

/// Counts line ends up to positions that only grow, so that all counts together read the message once.
#[derive(Default)]
struct LineCounter {
    position: usize,
    lines: usize,
}

impl LineCounter {
    fn up_to(&mut self, bytes: &[u8], position: usize) -> usize {
        self.lines += memchr_iter(b'\n', &bytes[self.position..position]).count();
        self.position = position;
        self.lines
    }
}

/// Looks for a line that begins with two dashes.
static DASHES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\n--"));
