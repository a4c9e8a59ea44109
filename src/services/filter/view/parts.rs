//! MIME parts.

use std::borrow::Cow;

use super::fields::{self, Field};
use super::{Limit, LimitSettings, archive, decode, unpack, uuencode};
use crate::foundations::mail::content::{self, ContentType, Disposition, Parameters};
use crate::foundations::mail::unseen::{is_joiner, is_unseen};
use crate::foundations::mail::{tnef, transfer};

/// One part of a message.
#[derive(Debug, Default)]
pub struct Part<'m> {
    /// `type/subtype` in lower case; what RFC 2045 §5.2 says when there is none, and message/rfc822 for files that are opened as such.
    pub media_type: String,
    /// The charset parameter in lower case.
    pub charset: Option<String>,
    /// The file name in Content-Disposition or the name in Content-Type, decoded.
    pub file_name: Option<String>,
    /// Whether Content-Disposition says attachment.
    pub attachment: bool,
    /// Whether it is in a page that was saved in the form of a message (RFC 2557), which a browser shows, and no mail program.
    pub saved: bool,
    /// Content-Transfer-Encoding in lower case.
    pub encoding: String,
    /// The content, encoded as received; empty for a part of an encoded message that contains others.
    pub content: Cow<'m, [u8]>,
    /// Its depth; the message itself is at 0.
    pub depth: usize,
    /// Raw Content-Type fields and the like, for rules on MIME headers.
    pub header: Vec<Field<'m>>,
    /// Whether the multipart's boundary is missing from the content.
    pub unterminated: bool,
}

impl Part<'_> {
    /// Whether it has this media type.
    pub fn is(&self, media_type: &str) -> bool {
        self.media_type == media_type
    }

    /// Whether it is text that is shown to the reader.
    pub fn is_text(&self) -> bool {
        self.media_type.starts_with("text/") && !self.attachment && !self.saved
    }

    /// What readers see of it in a browser, if it is a file that they open there: by its name, or by its media type if it is not shown.
    /// What is shown as other text can be opened as well.
    pub fn page(&self) -> Option<Page> {
        if self.is_container() || (self.is_text() && self.is("text/html")) {
            return None;
        }
        let by_name = Page::of(&extension(self.file_name.as_deref().unwrap_or_default()));
        let by_type = match self.media_type.as_str() {
            "text/html" | "application/xhtml+xml" => Some(Page::Html),
            "image/svg+xml" => Some(Page::Drawing),
            _ => None,
        };
        by_name.or(by_type)
    }

    /// Whether it is an archive, or something that programs open like one. Books are such archives, but no browser opens them.
    pub fn is_archive(&self) -> bool {
        let extension = extension(self.file_name.as_deref().unwrap_or_default());
        let is_called = || {
            unpack::is_archive_name(&extension)
                || matches!(self.media_type.as_str(), "application/zip" | "application/x-zip-compressed")
        };
        !self.is_container() && extension != "epub" && (is_called() || unpack::is_archive(&self.octets(unpack::HEAD)))
    }

    /// Whether it contains other parts.
    pub fn is_container(&self) -> bool {
        self.media_type.starts_with("multipart/") || self.is_message()
    }

    /// Whether it is a file that programs open as a message, or as a page saved in the form of one (RFC 2557), whatever its media type.
    fn is_message_file(&self) -> bool {
        let extension = extension(self.file_name.as_deref().unwrap_or_default());
        !self.is_container() && !self.is_text() && (extension == "eml" || self.is_saved_page())
    }

    fn is_saved_page(&self) -> bool {
        let extension = extension(self.file_name.as_deref().unwrap_or_default());
        matches!(extension.as_str(), "mht" | "mhtml")
    }

    /// RFC 6532 §3.7: message/global is message/rfc822 with UTF-8 in its header.
    fn is_message(&self) -> bool {
        matches!(self.media_type.as_str(), "message/rfc822" | "message/global")
    }

    /// Whether it is text that files may be written in. Programs look for them only in what is not encoded.
    fn may_hold_files(&self) -> bool {
        self.is_text() && self.is("text/plain") && matches!(self.encoding.as_str(), "" | "7bit" | "8bit" | "binary")
    }

    /// The decoded content as text, at most `room` octets of it.
    pub fn decode(&self, room: usize) -> String {
        let octets = self.octets(room);
        match &self.charset {
            label if self.page().is_some() => decode::file(&octets, label.as_deref()),
            None if self.is("text/html") => decode::page(&octets),
            label => decode::text(&octets, label.as_deref()),
        }
    }

    /// The decoded content, at most `room` octets of it.
    pub fn octets(&self, room: usize) -> Vec<u8> {
        match self.encoding.as_str() {
            "base64" => decode::base64(&self.content, room),
            "quoted-printable" => decode::quoted_printable(&self.content, room),
            _ => self.content[..self.content.len().min(room)].to_vec(),
        }
    }

    /// The same, with octets of its own.
    fn into_owned<'o>(self) -> Part<'o> {
        let content: Cow<'o, [u8]> =
            if self.is_container() { Cow::Borrowed(&[]) } else { Cow::Owned(self.content.into_owned()) };
        Part {
            media_type: self.media_type,
            charset: self.charset,
            file_name: self.file_name,
            attachment: self.attachment,
            saved: self.saved,
            encoding: self.encoding,
            content,
            depth: self.depth,
            header: self.header.into_iter().map(Field::into_owned).collect(),
            unterminated: self.unterminated,
        }
    }
}

/// Files that are opened in a browser, where their scripts run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// HTML.
    Html,
    /// A picture in SVG: XML that may have scripts, links and HTML in it.
    Drawing,
}

impl Page {
    /// What a file with this extension is opened as.
    pub fn of(extension: &str) -> Option<Self> {
        match extension {
            "html" | "htm" | "shtml" | "xhtml" | "xht" => Some(Self::Html),
            "svg" => Some(Self::Drawing),
            _ => None,
        }
    }
}

/// The extension, in lower case, of the name under which programs save a file.
pub fn extension(name: &str) -> String {
    saved_name(name).rsplit_once('.').map_or_else(String::new, |(_, extension)| extension.to_lowercase())
}

/// Traverses the parts.
pub struct Walk<'l, 'm> {
    limits: &'l LimitSettings,
    pub parts: Vec<Part<'m>>,
    pub reached: Vec<Limit>,
    /// Parts found before this traversal.
    before: usize,
    /// Octets that messages may have which have to be decoded.
    room: usize,
    /// Whether it is inside a saved page.
    in_page: bool,
}

impl<'l, 'm> Walk<'l, 'm> {
    pub fn new(limits: &'l LimitSettings) -> Self {
        Self { limits, parts: Vec::new(), reached: Vec::new(), before: 0, room: limits.message.len(), in_page: false }
    }

    pub fn run(&mut self, fields: &[Field<'m>], content: &'m [u8]) {
        // Recursion is bounded by the depth limit; every octet is looked at once per level.
        self.part(fields, content, 0, "text/plain");
    }

    fn part(&mut self, fields: &[Field<'m>], content: &'m [u8], depth: usize, default: &str) {
        if self.is_full() {
            return;
        }
        let content_type = fields.iter().find(|f| f.is("Content-Type")).map(|f| &*f.raw);
        // How a part is parsed, and its name, is decided as in mail programs.
        let content_type = content_type.and_then(ContentType::read);
        let disposition = fields.iter().find(|f| f.is("Content-Disposition")).and_then(|f| Disposition::read(&f.raw));
        let given = disposition.as_ref().and_then(|given| name(&given.parameters, "filename"));
        let encoding = fields.iter().find(|f| f.is("Content-Transfer-Encoding")).map(|f| &*f.raw);
        let parameter = |name: &str| content_type.as_ref().and_then(|given| given.parameters.raw(name));
        let boundary = parameter("boundary");
        let index = self.parts.len();
        self.parts.push(Part {
            charset: parameter("charset").map(lower),
            file_name: given.or_else(|| name(&content_type.as_ref()?.parameters, "name")),
            attachment: disposition.is_some_and(|given| given.word.eq_ignore_ascii_case(b"attachment")),
            saved: self.in_page,
            media_type: content_type
                .as_ref()
                .map_or_else(|| default.to_owned(), |given| format!("{}/{}", lower(given.media), lower(given.subtype))),
            encoding: encoding.map_or_else(String::new, |given| lower(content::word(given))),
            content: Cow::Borrowed(content),
            depth,
            header: Vec::new(),
            unterminated: false,
        });
        if self.parts[index].is_message_file() {
            self.parts[index].media_type = "message/rfc822".to_owned();
        }
        let part = &self.parts[index];
        if !part.is_container() {
            if !part.is_text() && tnef::is_container(&part.octets(4)) {
                let octets = part.octets(archive::ROOM);
                self.files(&octets, depth + 1);
            } else if part.may_hold_files() {
                for (name, octets) in uuencode::files(content) {
                    self.file(name, octets, depth);
                }
            }
            return;
        }
        if depth >= self.limits.depth {
            self.reach(Limit::Depth);
            self.parts[index].media_type = "text/plain".to_owned();
            return;
        }
        if part.is_message() {
            let in_page = self.in_page || part.is_saved_page();
            let outside = std::mem::replace(&mut self.in_page, in_page);
            let encoding = encoding.and_then(|given| transfer::of_message(given, content));
            match transfer::decode(encoding, content, self.room) {
                Cow::Borrowed(_) => self.entity(content, depth + 1, "text/plain"),
                Cow::Owned(message) => self.decoded(&message, depth + 1),
            }
            self.in_page = outside;
            return;
        }
        let default = if part.is("multipart/digest") { "message/rfc822" } else { "text/plain" };
        match boundary.map(<[u8]>::trim_ascii_end) {
            Some(boundary) if !boundary.is_empty() => self.multipart(index, content, boundary, depth, default),
            _ => {
                self.parts[index].unterminated = true;
                self.undivided(content, depth + 1);
            }
        }
    }

    fn entity(&mut self, bytes: &'m [u8], depth: usize, default: &str) {
        let mut reached = Vec::new();
        let (fields, body) = fields::split(bytes, self.limits, &mut reached);
        self.reached.append(&mut reached);
        let index = self.parts.len();
        self.part(&fields, bytes.get(body..).unwrap_or_default(), depth, default);
        if let Some(part) = self.parts.get_mut(index) {
            part.header = fields;
        }
    }

    /// A message that was encoded, against RFC 2045 §6.4. Mail programs show it nevertheless.
    fn decoded(&mut self, message: &[u8], depth: usize) {
        if message.len() >= self.room {
            self.reach(Limit::Message);
        }
        let room = self.room.saturating_sub(message.len());
        let before = self.before + self.parts.len();
        let (parts, reached, in_page) = (Vec::new(), Vec::new(), self.in_page);
        let mut walk = Walk { limits: self.limits, parts, reached, before, room, in_page };
        walk.entity(message, depth, "text/plain");
        self.room = walk.room;
        for limit in walk.reached {
            self.reach(limit);
        }
        for part in walk.parts {
            self.parts.push(part.into_owned());
        }
    }

    /// The files in what Outlook sends instead of a multipart. Its text is mostly the same as that beside it.
    fn files(&mut self, octets: &[u8], depth: usize) {
        if depth > self.limits.depth {
            self.reach(Limit::Depth);
            return;
        }
        for (name, content) in tnef::files(octets).into_iter().flatten() {
            if self.is_full() {
                return;
            }
            if tnef::is_container(content) {
                self.files(content, depth + 1);
                continue;
            }
            self.file(name, content.to_vec(), depth);
        }
    }

    /// A file that is no part of its own.
    fn file(&mut self, name: String, content: Vec<u8>, depth: usize) {
        if self.is_full() {
            return;
        }
        self.parts.push(Part {
            media_type: "application/octet-stream".to_owned(),
            file_name: Some(name).filter(|name| !name.trim().is_empty()),
            attachment: true,
            saved: self.in_page,
            content: Cow::Owned(content),
            depth,
            ..Part::default()
        });
    }

    /// The content of a multipart without delimiters: mail programs show it as text.
    fn undivided(&mut self, content: &'m [u8], depth: usize) {
        if !content.trim_ascii().is_empty() {
            self.part(&[], content, depth, "text/plain");
        }
    }

    /// RFC 2046 §5.1.1. The text after the end is read too: if a nested multipart has the same boundary, programs that look for the innermost
    /// take this for the end of the nested one.
    fn multipart(&mut self, index: usize, content: &'m [u8], boundary: &[u8], depth: usize, default: &str) {
        let mut delimiter = Vec::with_capacity(boundary.len() + 2);
        delimiter.extend_from_slice(b"--");
        delimiter.extend_from_slice(boundary);
        let finder = memchr::memmem::Finder::new(&delimiter);
        let mut open: Option<usize> = None;
        let (mut divided, mut closed, mut is_past) = (false, false, false);
        let mut at = 0;
        while let Some(found) = content.get(at..).and_then(|rest| finder.find(rest)) {
            let found = at + found;
            at = found + delimiter.len();
            if found > 0 && content[found - 1] != b'\n' {
                continue;
            }
            let line_end = memchr::memchr(b'\n', &content[at..]).map_or(content.len(), |n| at + n + 1);
            let tail = content[at..line_end].trim_ascii_end();
            if !tail.is_empty() && tail != b"--" {
                continue;
            }
            if let Some(start) = open.replace(line_end) {
                let piece = without_line_end(&content[start..found.max(start)]);
                if !(is_past && piece.trim_ascii().is_empty()) {
                    self.entity(piece, depth + 1, default);
                }
                if self.is_full() {
                    return;
                }
            }
            is_past = !tail.is_empty();
            closed |= is_past;
            divided |= !is_past;
            at = line_end;
        }
        match open.filter(|_| divided).map(|start| &content[start.min(content.len())..]) {
            Some(rest) if is_past && rest.trim_ascii().is_empty() => {}
            Some(rest) => self.entity(rest, depth + 1, default),
            None => self.undivided(content, depth + 1),
        }
        self.parts[index].unterminated = !closed;
    }

    /// Whether there are as many parts as may be opened.
    fn is_full(&mut self) -> bool {
        let is_full = self.before + self.parts.len() >= self.limits.parts;
        if is_full {
            self.reach(Limit::Parts);
        }
        is_full
    }

    fn reach(&mut self, limit: Limit) {
        if !self.reached.contains(&limit) {
            self.reached.push(limit);
        }
    }
}

/// The name under which programs save a file: without what nobody sees, what file systems do not take, and the dots and blanks that
/// Windows leaves out at the end.
pub fn saved_name(name: &str) -> String {
    let is_dropped = |c: char| is_unseen(c) || is_joiner(c) || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*');
    let kept: String = name.chars().filter(|c| !is_dropped(*c)).collect();
    kept.trim_end_matches(|c: char| c == '.' || c.is_whitespace()).to_owned()
}

/// A file name that is not empty.
fn name(parameters: &Parameters<'_>, parameter: &str) -> Option<String> {
    parameters.text(parameter).filter(|name| !name.trim().is_empty())
}

fn lower(word: &[u8]) -> String {
    String::from_utf8_lossy(word).to_ascii_lowercase()
}

/// The line end before a delimiter belongs to the delimiter (RFC 2046 §5.1.1).
fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// What percent-encoding stands for; a broken escape stands for itself.
pub fn percent_octets(value: &str) -> Vec<u8> {
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes.get(at + 1..at + 3).and_then(|p| std::str::from_utf8(p).ok());
        match pair.and_then(|p| u8::from_str_radix(p, 16).ok()) {
            Some(octet) if bytes[at] == b'%' => {
                out.push(octet);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}
