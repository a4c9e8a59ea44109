//! The text of a message as people read it: transfer encoding undone, charset turned into UTF-8, HTML stripped.
//!
//! Used by SEARCH BODY and TEXT, previews and the spam filter. Everything is bounded by what the caller allows.

use std::borrow::Cow;

use memchr::memmem::Finder;
use unicode_normalization::UnicodeNormalization as _;

use super::encoded_words::{self, cut};
use super::header::{Fields, unfold};
use super::section::Kind;
use super::structure::{Part, Structure};
use super::{charset, html, transfer};

/// Most characters of a preview (RFC 8970 §3.1 recommends 200).
pub const PREVIEW_LENGTH: usize = 200;

/// Decoded octets read for a preview; enough to get past the head of an HTML page.
const PREVIEW_READ: usize = 8 * 1024;

/// The texts of a message, part by part: text/plain and other text types as they are, text/html without tags, scripts
/// and styles, reports such as message/delivery-status, and the headers of nested messages. Attachments that are not
/// text are left out.
///
/// At most `limit` decoded octets are read in all; the last text is cut there.
pub fn texts<'s, 'a>(structure: &'s Structure<'a>, limit: usize) -> impl Iterator<Item = String> + use<'s, 'a> {
    let mut left = limit;
    structure.parts().iter().enumerate().filter_map(move |(index, part)| {
        if left == 0 {
            return None;
        }
        let after_message = index > 0 && structure.parts()[index - 1].kind == Kind::Message;
        let mut text = String::new();
        if after_message {
            text = header_text(structure.header(part), left);
            left -= text.len().min(left);
        }
        if is_text(part) || is_report(part) {
            let (read, body) = body_text(structure, part, left);
            left -= read.min(left);
            text.push_str(&body);
        }
        (!text.is_empty()).then_some(text)
    })
}

/// A header as text: each field on one line with its name, encoded words decoded; at most about `limit` octets.
pub fn header_text(lines: &[u8], limit: usize) -> String {
    let mut text = String::new();
    for field in Fields::new(lines) {
        let left = limit.saturating_sub(text.len());
        if left == 0 {
            break;
        }
        let line = match field.name {
            b"" if field.raw.trim_ascii().is_empty() => continue,
            b"" => charset::guess(field.raw.trim_ascii()).into_owned(),
            name => format!("{}: {}", name.escape_ascii(), encoded_words::decode_within(&unfold(field.body), left)),
        };
        text.push_str(&line);
        text.push('\n');
    }
    cut(&mut text, limit);
    text
}

/// The headers of a message and of all its parts as text; at most about `limit` octets.
pub fn headers_text(structure: &Structure<'_>, limit: usize) -> String {
    let mut text = String::new();
    for part in structure.parts() {
        text.push_str(&header_text(structure.header(part), limit.saturating_sub(text.len())));
    }
    text
}

/// The beginning of the first text on one line, at most [`PREVIEW_LENGTH`] characters (RFC 8970 §3.1).
pub fn preview(structure: &Structure<'_>) -> String {
    let is_shown = |part: &&Part<'_>| is_text(part) && !is_attachment(part);
    let Some(part) = structure.parts().iter().find(is_shown) else { return String::new() };
    let (_, text) = body_text(structure, part, PREVIEW_READ);
    let mut preview = String::new();
    let mut count = 0;
    for word in text.split_whitespace() {
        if count > 0 {
            preview.push(' ');
            count += 1;
        }
        for character in word.chars().filter(|c| !c.is_control()) {
            if count >= PREVIEW_LENGTH {
                return preview;
            }
            preview.push(character);
            count += 1;
        }
    }
    preview
}

fn is_text(part: &Part<'_>) -> bool {
    part.kind == Kind::Leaf && part.content.is("text")
}

/// Whether it is of a type such as message/delivery-status (RFC 3464 §2.1), whose lines look like a header.
fn is_report(part: &Part<'_>) -> bool {
    part.kind == Kind::Leaf && part.content.is("message")
}

fn is_attachment(part: &Part<'_>) -> bool {
    let word = part.fields.disposition.map(super::content::word);
    word.is_some_and(|word| word.eq_ignore_ascii_case(b"attachment"))
}

/// How many decoded octets were read, and the text they are.
fn body_text(structure: &Structure<'_>, part: &Part<'_>, limit: usize) -> (usize, String) {
    let octets = transfer::decode(part.fields.encoding, structure.body(part), limit);
    let label = part.content.parameters.raw("charset").unwrap_or(b"us-ascii");
    let text = charset::decode(label, &octets);
    let text = if part.content.is_exactly("text", "html") { html::to_text(&text) } else { text };
    (octets.len(), text)
}

/// A text to be looked for in others, ignoring case.
///
/// i;unicode-casemap (RFC 5051): case is ignored in all scripts, and compatibility forms and composed letters equal
/// their parts.
#[derive(Debug, Clone)]
pub struct Needle {
    finder: Finder<'static>,
}

impl Needle {
    /// Prepares a search for `text`.
    pub fn new(text: &str) -> Self {
        Self { finder: Finder::new(casemap(text).as_bytes()).into_owned() }
    }

    /// Whether `text` holds the needle. An empty needle is in every text.
    pub fn is_in(&self, text: &str) -> bool {
        self.finder.find(casemap(text).as_bytes()).is_some()
    }
}

/// A text in which many needles are looked for.
#[derive(Debug)]
pub struct Haystack(String);

impl Haystack {
    /// Prepares a text.
    pub fn of(text: &str) -> Self {
        Self(casemap(text).into_owned())
    }

    /// Whether the text holds the needle.
    pub fn holds(&self, needle: &Needle) -> bool {
        needle.finder.find(self.0.as_bytes()).is_some()
    }
}

/// The form of a text whose octets are compared under i;unicode-casemap (RFC 5051 §2): each character in title case
/// and decomposed by compatibility. Decomposing comes first as well, so that ligatures ignore case too.
pub fn casemap(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return if text.bytes().any(|b| b.is_ascii_lowercase()) {
            Cow::Owned(text.to_ascii_uppercase())
        } else {
            Cow::Borrowed(text)
        };
    }
    Cow::Owned(text.nfkd().map(title_case).nfkd().collect())
}

/// The simple title case mapping, which for all but a few digraphs is the upper case when that is one character.
fn title_case(character: char) -> char {
    let mut upper = character.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(only), None) => only,
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needles_ignore_case() {
        for (needle, text, found) in [
            ("", "", true),
            ("", "x", true),
            ("World", "hello wORLd", true),
            ("worlds", "hello world", false),
            ("GRÜN", "das grüne", true),
            ("gru\u{308}n", "GRÜN", true),
            ("σ", "Σας", true),
            ("straße", "Straße", true),
            ("ﬁne", "fine", true),
            ("ПРИВЕТ", "скажи привет", true),
            ("x", "привет", false),
        ] {
            let needle = Needle::new(needle);
            assert_eq!((needle.is_in(text), Haystack::of(text).holds(&needle)), (found, found), "{needle:?} {text}");
        }
    }

    #[test]
    fn texts_of_all_parts() {
        let message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\ngr=FCn\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>a<b>b</b></p>\r\n\
            --b\r\nContent-Type: image/png\r\n\r\nxyz\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: =?utf-8?q?inn=65r?=\r\n\r\n\
            deep\r\n--b--\r\n";
        let structure = Structure::of(message.as_bytes());
        let all: Vec<_> = texts(&structure, 1000).collect();
        assert_eq!(all, ["grün", "ab\n", "Subject: inner\ndeep"]);
        assert_eq!(texts(&structure, 2).collect::<Vec<_>>(), ["gr"]);
        assert_eq!(preview(&structure), "grün");
    }

    #[test]
    fn reports_are_texts() {
        let message = "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nsorry\r\n--b\r\n\
            Content-Type: message/delivery-status\r\n\r\nStatus: 5.1.1\r\n--b--\r\n";
        let structure = Structure::of(message.as_bytes());
        assert_eq!(texts(&structure, 1000).collect::<Vec<_>>(), ["sorry", "Status: 5.1.1"]);
        assert_eq!(preview(&Structure::of(b"Content-Type: message/delivery-status\r\n\r\nStatus: 5.1.1\r\n")), "");
    }

    #[test]
    fn headers_of_all_parts() {
        let message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n\
            Content-Type: image/png; name=\"=?utf-8?q?gr=C3=BCn?=\"\r\n\r\ny\r\n--b--\r\n";
        let structure = Structure::of(message.as_bytes());
        let all = "Content-Type: multipart/mixed; boundary=b\nContent-Type: image/png; name=\"grün\"\n";
        assert_eq!(headers_text(&structure, 1000), all);
        assert_eq!(headers_text(&structure, 20), all[..20]);
    }

    #[test]
    fn previews() {
        let preview = |message: &str| super::preview(&Structure::of(message.as_bytes()));
        assert_eq!(preview("\r\n  a\r\n\r\n b\tc \r\n"), "a b c");
        assert_eq!(preview("Content-Type: text/html\r\n\r\n<style>x</style><h1>A</h1>b"), "A b");
        assert_eq!(preview("Content-Type: image/png\r\n\r\nx"), "");
        assert_eq!(preview(&format!("\r\n{}", "ü".repeat(500))).chars().count(), PREVIEW_LENGTH);
    }
}
