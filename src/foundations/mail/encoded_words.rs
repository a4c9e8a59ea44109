//! Encoded words (RFC 2047) in header fields.

use memchr::memmem;

use super::{charset, transfer};

/// Longest text in octets that [`decode`] returns; what goes beyond is cut.
pub const MAX_TEXT: usize = 64 * 1024;

/// Decodes an unfolded value: encoded words, raw UTF-8 (RFC 6532), and other raw octets as windows-1252.
///
/// Words that stand inside other text or in quotes are decoded too, though RFC 2047 §5 forbids them there, because
/// many programs write them. Neighbouring words in one charset are joined before decoding, so that a character whose
/// octets were split between two words survives.
pub fn decode(value: &[u8]) -> String {
    decode_within(value, MAX_TEXT)
}

/// Like [`decode`], with at most `limit` octets of text. A text that has been cut is at most three octets shorter.
pub fn decode_within(value: &[u8], limit: usize) -> String {
    let mut text = String::with_capacity(value.len().min(limit));
    let mut rest = value;
    let mut pending = Pending::default();
    while let Some(at) = memmem::find(rest, b"=?") {
        // Four octets of a word are at least one of text, except for escape sequences.
        if text.len() + pending.octets.len() / 4 >= limit {
            rest = &[];
            break;
        }
        let Some(word) = Word::read(&rest[at..]) else {
            pending.flush(&mut text);
            push(&mut text, &rest[..at + 2], limit);
            rest = &rest[at + 2..];
            continue;
        };
        // RFC 2047 §6.2: blanks between two encoded words are not shown.
        if !(pending.is_word && rest[..at].trim_ascii().is_empty()) {
            pending.flush(&mut text);
            push(&mut text, &rest[..at], limit);
        }
        pending.add(&word, &mut text);
        rest = &rest[at + word.length..];
    }
    pending.flush(&mut text);
    push(&mut text, rest, limit);
    cut(&mut text, limit);
    text
}

fn push(text: &mut String, octets: &[u8], limit: usize) {
    text.push_str(&charset::guess(&octets[..octets.len().min(limit)]));
}

/// Shortens a text to at most `limit` octets at a character's end.
pub(super) fn cut(text: &mut String, limit: usize) {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
    }
}

/// Octets of the words decoded so far whose text has not been written yet.
#[derive(Default)]
struct Pending<'a> {
    charset: &'a [u8],
    octets: Vec<u8>,
    is_word: bool,
}

impl<'a> Pending<'a> {
    fn add(&mut self, word: &Word<'a>, text: &mut String) {
        if self.is_word && !self.charset.eq_ignore_ascii_case(word.charset) {
            self.flush(text);
        }
        self.is_word = true;
        self.charset = word.charset;
        word.decode_into(&mut self.octets);
    }

    fn flush(&mut self, text: &mut String) {
        if self.is_word {
            // A word may hold line ends; shown on one line they are blanks.
            let decoded = charset::decode(self.charset, &self.octets);
            text.extend(decoded.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }));
            self.octets.clear();
            self.is_word = false;
        }
    }
}

/// ```text
/// encoded-word = "=?" charset "?" encoding "?" encoded-text "?="      ; RFC 2047 §2
/// ```
struct Word<'a> {
    charset: &'a [u8],
    encoding: Encoding,
    text: &'a [u8],
    length: usize,
}

#[derive(Clone, Copy)]
enum Encoding {
    Base64,
    Quoted,
}

impl<'a> Word<'a> {
    /// Reads the word that begins at the first octet. RFC 2047 §2 wants at most 75 octets; longer ones are common.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let bytes = &bytes[..bytes.len().min(MAX_WORD)];
        let charset_end = 2 + bytes[2..].iter().take(MAX_CHARSET).position(|b| *b == b'?')?;
        let charset = &bytes[2..charset_end];
        if charset.is_empty() || !charset.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let encoding = match (bytes.get(charset_end + 1)?, bytes.get(charset_end + 2)?) {
            (b'B' | b'b', b'?') => Encoding::Base64,
            (b'Q' | b'q', b'?') => Encoding::Quoted,
            _ => return None,
        };
        let start = charset_end + 3;
        let end = start + memmem::find(&bytes[start..], b"?=")?;
        Some(Self { charset, encoding, text: &bytes[start..end], length: end + 2 })
    }

    fn decode_into(&self, octets: &mut Vec<u8>) {
        match self.encoding {
            // RFC 2047 §4.1.
            Encoding::Base64 => transfer::decode_base64(self.text, MAX_WORD, octets),
            Encoding::Quoted => decode_quoted(self.text, octets),
        }
    }
}

/// RFC 2047 §4.2.
fn decode_quoted(text: &[u8], octets: &mut Vec<u8>) {
    let mut at = 0;
    while at < text.len() {
        let escaped = match text[at..] {
            [b'=', high, low, ..] => charset::hex_octet(high, low),
            _ => None,
        };
        match (escaped, text[at]) {
            (Some(octet), _) => octets.push(octet),
            (None, b'_') => octets.push(b' '),
            (None, octet) => octets.push(octet),
        }
        at += if escaped.is_some() { 3 } else { 1 };
    }
}

/// Longest encoded word that is read, in octets.
const MAX_WORD: usize = 4096;
/// Longest charset name in a word, in octets.
const MAX_CHARSET: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes() {
        for (value, text) in [
            ("plain", "plain"),
            ("=?utf-8?q?gr=C3=BCn?=", "grün"),
            ("=?UTF-8?B?Z3LDvG4=?= x", "grün x"),
            ("=?utf-8?b?Z3LDvG4?=", "grün"),
            ("a =?iso-8859-1?q?=FC?= =?iso-8859-1*de?Q?=E4_b?= c", "a üä b c"),
            ("=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
            // One character in two words.
            ("=?utf-8?q?gr=C3?= =?utf-8?q?=BCn?=", "grün"),
            // Not quite words.
            ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
            ("=?utf-8?q?never ends", "=?utf-8?q?never ends"),
            ("=?", "=?"),
            ("=?=?=?", "=?=?=?"),
            ("=??q?a?=", "=??q?a?="),
            // Words with blanks inside, next to text, truncated base64.
            ("=?utf-8?q?a b?=c", "a bc"),
            ("=?utf-8?b?Z3LDvG?=", "gr\u{fffd}"),
            ("=?utf-8?b?Z?=", ""),
            ("=?utf-8?q?a=0D=0ABcc:_x?=", "a  Bcc: x"),
            ("=?utf-8?q?=ZZ=?=", "=ZZ="),
        ] {
            let shown = decode(value.as_bytes());
            if text.contains('\u{fffd}') {
                assert!(shown.starts_with("gr"), "{value}");
            } else {
                assert_eq!(shown, text, "{value}");
            }
        }
        // Cut within a character, by a program that then wrote dots.
        assert_eq!(decode(b"=?utf-8?q?gr=C3=BCn_bl=C3=A4u_=C3...?="), "grün bläu \u{fffd}...");
        assert_eq!(decode(b"gr\xfcn"), "grün");
        assert_eq!(decode("grün".as_bytes()), "grün");
    }

    #[test]
    fn is_linear_and_bounded() {
        assert!(decode(&b"=?".repeat(200_000)).len() <= MAX_TEXT);
        assert!(decode(&b"=?utf-8?q?".repeat(50_000)).len() <= MAX_TEXT);
        assert!(decode(&b"=?utf-7?q?a?= ".repeat(50_000)).len() <= MAX_TEXT);
        assert_eq!(decode(&b"=?utf-8?q??=".repeat(50_000)), "");
    }

    #[test]
    fn only_the_text_is_limited() {
        let words = [&b"=?utf-8?b?YQ==?= ".repeat(MAX_TEXT / 2)[..], b"the end"].concat();
        assert!(decode(&words).ends_with("a the end"));
        assert_eq!(decode_within(&words, 2), "aa");
        let long = [&b"x ".repeat(MAX_TEXT)[..], b"the end"].concat();
        assert_eq!(decode(&long).len(), MAX_TEXT);
        assert!(decode_within(&long, 4 * MAX_TEXT).ends_with("x the end"));
    }
}
