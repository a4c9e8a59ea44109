//! A message as the filter sees it: parsed once, for all rules, signals and the classifier.
//!
//! Promises: never fails, whatever the bytes are; reads at most what [`LimitSettings`](super::LimitSettings) allow and
//! says which limit was reached; time is linear in the message, memory in what is read. Line ends may be CRLF or LF.

mod archive;
mod decode;
mod elements;
mod fields;
mod html;
mod links;
mod markup;
mod parts;
mod rar;
mod received;
mod seven;
mod sheet;
mod style;
mod tar;
mod unpack;
mod uuencode;

pub use archive::{Contents, Kind};
pub use fields::{Field, addresses_in};
pub use html::HtmlFacts;
pub use links::{Link, LinkKind, host_of, lines_for_rules, link_of};
pub use parts::{Page, Part, extension, saved_name};
pub use received::{Hop, hop, is_public};

use std::ops::Range;

use super::LimitSettings;

/// Which limit was reached while a message was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Octets of the message.
    Message,
    /// Octets of the header.
    Header,
    /// Number of header fields.
    Fields,
    /// Depth of nesting.
    Depth,
    /// Number of parts.
    Parts,
    /// Octets of decoded text.
    Decoded,
    /// The same already by what is shown of the message itself, and HTML is among the rest.
    Text,
    /// Number of links.
    Links,
}

/// A piece of the text that the author did not write for this message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Where in the text.
    pub range: Range<usize>,
    /// What it is.
    pub kind: AsideKind,
}

/// Kinds of such pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsideKind {
    /// Text that is replied to or forwarded.
    Quote,
    /// A signature, or the footer of a list.
    Signature,
    /// Attached pages.
    Attachment,
}

/// A parsed message.
#[derive(Debug)]
pub struct View<'m> {
    /// The bytes, as far as they are read as a whole.
    pub raw: &'m [u8],
    /// The header fields in order.
    pub fields: Vec<Field<'m>>,
    /// The parts in order, multiparts before their content.
    pub parts: Vec<Part<'m>>,
    /// Subject and text as a reader sees it: one line per paragraph, white space folded, HTML rendered. At the end, the text of attached
    /// pages: HTML files and drawings (SVG), which browsers show, by themselves or in ZIP archives.
    pub body: String,
    /// Where in `body` the text of attached files begins.
    pub attached_from: usize,
    /// Where `body` contains text that the author did not write for this message: quotes, signatures, forwarded messages. In
    /// order; of more than a thousand pieces, the last one covers the rest.
    pub aside: Vec<Aside>,
    /// Decoded text of all text parts, HTML not rendered; without attached files.
    pub rawbody: String,
    /// Text that the HTML of the message hides from the reader.
    pub hidden: String,
    /// Links in text and HTML.
    pub links: Vec<Link>,
    /// Where in `links` those of attached files begin.
    pub attached_links_from: usize,
    /// How many there are of each kind.
    link_counts: [usize; LinkKind::COUNT],
    /// What was noticed in the HTML of the message.
    pub html: HtmlFacts,
    /// What was noticed in attached pages, except in archives of many files.
    pub attached_html: HtmlFacts,
    /// What is in attached archives.
    pub archived: Contents,
    /// Limits that were reached.
    pub reached: Vec<Limit>,
}

/// Most links of each kind that are collected from one message.
const MAX_LINKS: usize = 1000;

impl<'m> View<'m> {
    /// Reads a message.
    pub fn new(bytes: &'m [u8], limits: &LimitSettings) -> Self {
        let (mut view, body_at) = Self::begun(bytes, limits);
        let mut walk = parts::Walk::new(limits);
        // Programs show a text wherever it is: a large attachment before it must not hide it.
        walk.run(&view.fields, bytes.get(body_at..).unwrap_or_default());
        view.parts = walk.parts;
        view.reached.extend(walk.reached);
        view.render(limits.decoded.len());
        view
    }

    /// Reads only the header of a message: there are no parts, no text and no links.
    pub fn header(bytes: &'m [u8], limits: &LimitSettings) -> Self {
        Self::begun(bytes, limits).0
    }

    /// With the header, and where the body begins.
    fn begun(bytes: &'m [u8], limits: &LimitSettings) -> (Self, usize) {
        let mut reached = Vec::new();
        let raw = if bytes.len() > limits.message.len() {
            reached.push(Limit::Message);
            &bytes[..limits.message.len()]
        } else {
            bytes
        };
        let (fields, body_at) = fields::split(bytes, limits, &mut reached);
        let view = Self {
            raw,
            fields,
            parts: Vec::new(),
            body: String::new(),
            attached_from: 0,
            aside: Vec::new(),
            rawbody: String::new(),
            hidden: String::new(),
            links: Vec::new(),
            attached_links_from: 0,
            link_counts: [0; LinkKind::COUNT],
            html: HtmlFacts::default(),
            attached_html: HtmlFacts::default(),
            archived: Contents::default(),
            reached,
        };
        (view, body_at)
    }

    /// The fields of this name (ASCII case ignored), in order.
    pub fn all<'v>(&'v self, name: &'v str) -> impl Iterator<Item = &'v Field<'m>> + use<'v, 'm> {
        self.fields.iter().filter(move |f| f.is(name))
    }

    /// The first field of this name.
    pub fn field(&self, name: &str) -> Option<&Field<'m>> {
        self.fields.iter().find(|f| f.is(name))
    }

    /// The decoded value of the first field of this name; empty when there is none.
    pub fn value(&self, name: &str) -> &str {
        self.field(name).map_or("", Field::decoded)
    }

    /// The address in the first From field, in lower case; empty when there is none.
    pub fn from_address(&self) -> &str {
        self.field("From").map_or("", |f| f.address())
    }

    /// Subject and text of the message itself, without attached files.
    pub fn own_text(&self) -> &str {
        &self.body[..self.attached_from]
    }

    /// The links of the message itself, without those of attached files.
    pub fn own_links(&self) -> &[Link] {
        &self.links[..self.attached_links_from]
    }

    /// The length of the own text in octets, without what stands in place of pictures.
    pub fn written(&self) -> usize {
        self.attached_from.saturating_sub(self.html.alternatives)
    }

    fn render(&mut self, mut room: usize) {
        let subject = self.value("Subject").to_owned();
        push_folded(&mut self.body, &subject);
        self.body.push('\n');
        let parts = std::mem::take(&mut self.parts);
        let mut is_unread = false;
        for part in parts.iter().filter(|p| p.is_text()) {
            let text = self.decoded(part, &mut room);
            // Only HTML can seem shorter than it is. Who does not scroll to the end of a long plain text does not see it, either.
            is_unread |= room == 0 && part.is("text/html");
            let Some(text) = text else { continue };
            push_lines(&mut self.rawbody, &text);
            if !text.ends_with('\n') {
                self.rawbody.push('\n');
            }
            if part.is("text/html") {
                html::render(&text, self);
            } else {
                links::from_text(&text, LinkKind::Text, self);
                push_paragraphs(&mut self.body, &text, &mut self.aside);
            }
        }
        if is_unread {
            self.reached.push(Limit::Text);
        }
        (self.attached_from, self.attached_links_from) = (self.body.len(), self.links.len());
        // The author need not have written what is attached, quotes in it included.
        let aside = std::mem::take(&mut self.aside);
        for (part, page) in parts.iter().filter_map(|part| Some((part, part.page()?))) {
            let Some(text) = self.decoded(part, &mut room) else { break };
            html::render_file(&text, page, self);
        }
        self.unpack(&parts, &mut room);
        self.aside = aside;
        if self.attached_from < self.body.len() {
            set_aside(&mut self.aside, self.attached_from..self.body.len(), AsideKind::Attachment);
        }
        self.parts = parts;
        if self.link_counts.iter().any(|count| *count >= MAX_LINKS) {
            self.reached.push(Limit::Links);
        }
        self.reached.dedup();
    }

    /// The text of a part, as far as there is room for it; `None` if there is none left.
    fn decoded(&mut self, part: &Part<'_>, room: &mut usize) -> Option<String> {
        let text = if *room == 0 { None } else { Some(part.decode(*room)) };
        let length = text.as_ref().map_or(0, String::len);
        if length >= *room {
            self.reached.push(Limit::Decoded);
        }
        *room = room.saturating_sub(length);
        text
    }
}

/// Appends a text with every run of white space folded into one space.
fn push_folded(out: &mut String, text: &str) {
    let mut words = text.split_whitespace();
    if let Some(first) = words.next() {
        out.push_str(first);
    }
    for word in words {
        out.push(' ');
        out.push_str(word);
    }
}

/// Appends a text with its line ends as LF.
fn push_lines(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find("\r\n") {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

/// Notes a piece of the text that is not the author's own.
fn set_aside(aside: &mut Vec<Aside>, range: Range<usize>, kind: AsideKind) {
    let is_full = aside.len() >= MAX_ASIDE;
    match aside.last_mut() {
        // White space between two pieces belongs to neither the author nor others.
        Some(last) if is_full || (last.kind == kind && range.start <= last.range.end + 1) => last.range.end = range.end,
        _ => aside.push(Aside { range, kind }),
    }
}

/// Most pieces that are noted.
const MAX_ASIDE: usize = 1000;

/// What everything from this line on is, if it is not the author's own.
fn rest_from(line: &str) -> Option<AsideKind> {
    let inner = line.trim_matches('-');
    let is_framed = line.starts_with("-----") && line.ends_with("-----") && !inner.is_empty() && inner.len() < 60;
    if is_framed && !is_armour(inner) {
        // `-----Original Message-----`, in whatever language.
        return Some(AsideKind::Quote);
    }
    // RFC 3676 §4.3; programs that strip trailing white space leave two hyphens. Mailing lists draw a line.
    let is_line = line.len() >= 20 && line.bytes().all(|b| b == b'_');
    (matches!(line, "-- " | "--") || is_line).then_some(AsideKind::Signature)
}

/// A line of PGP (RFC 9580 §6.2), which begins or ends what the author has signed.
fn is_armour(inner: &str) -> bool {
    inner.starts_with("BEGIN ") || inner.starts_with("END ")
}

/// Appends a text with one line per paragraph.
fn push_paragraphs(out: &mut String, text: &str, aside: &mut Vec<Aside>) {
    let mut open = false;
    let mut rest = None;
    for line in text.lines() {
        rest = rest.or_else(|| rest_from(line));
        let kind = if line.starts_with('>') { Some(AsideKind::Quote) } else { rest };
        let line = line.trim();
        if line.is_empty() {
            if open {
                out.push('\n');
                open = false;
            }
            continue;
        }
        if open {
            out.push(' ');
        }
        let start = out.len();
        push_folded(out, line);
        if let Some(kind) = kind {
            set_aside(aside, start..out.len(), kind);
        }
        open = true;
    }
    if open {
        out.push('\n');
    }
}

#[cfg(test)]
mod page_tests;
#[cfg(test)]
mod tests;
