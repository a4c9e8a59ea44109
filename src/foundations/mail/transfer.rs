//! Decoding Content-Transfer-Encoding (RFC 2045 §6), up to the length a caller needs.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::{memchr, memrchr};

use super::charset::hex_octet;
use super::content;

/// Decodes a body to at most `limit` octets. Damaged content is decoded as far as possible; an unknown encoding counts
/// as none.
pub fn decode<'a>(encoding: Option<&[u8]>, body: &'a [u8], limit: usize) -> Cow<'a, [u8]> {
    let word = encoding.map(content::word).unwrap_or_default();
    if word.eq_ignore_ascii_case(b"base64") {
        let mut octets = Vec::new();
        decode_base64(body, limit, &mut octets);
        Cow::Owned(octets)
    } else if word.eq_ignore_ascii_case(b"quoted-printable") {
        Cow::Owned(decode_quoted_printable(body, limit))
    } else {
        Cow::Borrowed(&body[..body.len().min(limit)])
    }
}

/// How a nested message is really encoded when its field declares an encoding. RFC 2046 §5.2.1 forbids encoding it
/// again; RFC 6532 §3.5 allows it, some programs always do it, and some only declare it.
pub fn of_message<'e>(encoding: &'e [u8], body: &[u8]) -> Option<&'e [u8]> {
    let says_so = encoding.trim_ascii().eq_ignore_ascii_case(b"base64");
    let first_line = body.split(|octet| *octet == b'\n').next().unwrap_or_default();
    (!(says_so && first_line.contains(&b':'))).then_some(encoding)
}

/// Decodes a body that arrives piece by piece. All pieces together give the same result as [`decode`], unless a line
/// holds 64 KiB of nothing but blanks or `=`.
#[derive(Debug)]
pub struct Decoder(State);

#[derive(Debug)]
enum State {
    None,
    /// Digits of a quantum that is not complete.
    Base64(Vec<u8>),
    /// The line that is not complete.
    QuotedPrintable(Vec<u8>),
}

impl Decoder {
    /// For a body with this encoding.
    pub fn new(encoding: Option<&[u8]>) -> Self {
        let word = encoding.map(content::word).unwrap_or_default();
        Self(if word.eq_ignore_ascii_case(b"base64") {
            State::Base64(Vec::new())
        } else if word.eq_ignore_ascii_case(b"quoted-printable") {
            State::QuotedPrintable(Vec::new())
        } else {
            State::None
        })
    }

    /// Appends the decoded next piece, as far as it is determined yet.
    pub fn feed(&mut self, piece: &[u8], octets: &mut Vec<u8>) {
        match &mut self.0 {
            State::None => octets.extend_from_slice(piece),
            State::Base64(digits) => feed_base64(piece, digits, usize::MAX, octets),
            State::QuotedPrintable(line) => {
                line.extend_from_slice(piece);
                let whole = memrchr(b'\n', line).map(|at| at + 1).or_else(|| seam(line));
                if let Some(whole) = whole {
                    octets.extend(decode_quoted_printable(&line[..whole], usize::MAX));
                    line.drain(..whole);
                }
            }
        }
    }

    /// Appends the rest.
    pub fn finish(&mut self, octets: &mut Vec<u8>) {
        match &mut self.0 {
            State::None => {}
            State::Base64(digits) => decode_digits(digits, octets),
            State::QuotedPrintable(line) => octets.extend(decode_quoted_printable(&std::mem::take(line), usize::MAX)),
        }
    }
}

/// Appends what base64 text stands for, at most `limit` octets. Characters outside the alphabet are skipped (RFC 2045
/// §6.8), padding ends a quantum wherever it stands, and a cut-off end gives what it holds.
pub(super) fn decode_base64(text: &[u8], limit: usize, octets: &mut Vec<u8>) {
    let start = octets.len();
    let mut digits = Vec::with_capacity(CHUNK.min(text.len()));
    feed_base64(text, &mut digits, limit, octets);
    decode_digits(&mut digits, octets);
    octets.truncate(start + limit.min(octets.len() - start));
}

/// Decodes whole quanta; what is left over stays among the digits. Stops when there are `limit` octets or more.
fn feed_base64(text: &[u8], digits: &mut Vec<u8>, limit: usize, octets: &mut Vec<u8>) {
    let start = octets.len();
    for octet in text {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => digits.push(*octet),
            b'=' => decode_digits(digits, octets),
            _ => {}
        }
        if digits.len() == CHUNK {
            decode_digits(digits, octets);
        }
        if octets.len() - start >= limit {
            break;
        }
    }
}

/// Where a line that has no end yet can be cut without changing its meaning: not behind an `=` or blank that may
/// continue. `None` while it is short enough to wait for its end. Lines of quoted-printable have at most 76 characters
/// (RFC 2045 §6.7 (5)).
fn seam(line: &[u8]) -> Option<usize> {
    let plain = |octet: u8| !matches!(octet, b'=' | b' ' | b'\t' | b'\r');
    let is_seam = |at: &usize| plain(line[at - 1]) && line[at - 2] != b'=';
    (line.len() >= LONGEST_LINE).then(|| (2..line.len()).rev().find(is_seam).unwrap_or(line.len()))
}

/// Most octets of a line that are kept until its end has come.
const LONGEST_LINE: usize = 64 << 10;

/// Digits decoded at once; whole quanta.
const CHUNK: usize = 4096;

fn decode_digits(digits: &mut Vec<u8>, octets: &mut Vec<u8>) {
    if digits.len() % 4 == 1 {
        // One digit over is less than an octet.
        digits.pop();
    }
    // Cannot fail: there are only digits, in a valid number, and padding and trailing bits do not matter.
    let decoded = LENIENT.decode_vec(&*digits, octets);
    debug_assert!(decoded.is_ok(), "{decoded:?}");
    digits.clear();
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// RFC 2045 §6.7; an `=` that begins nothing stands for itself.
fn decode_quoted_printable(body: &[u8], limit: usize) -> Vec<u8> {
    let mut octets = Vec::with_capacity(body.len().min(limit));
    let mut rest = body;
    while octets.len() < limit {
        let Some(at) = memchr(b'=', rest) else {
            push_lines(&mut octets, rest);
            break;
        };
        push_lines(&mut octets, &rest[..at]);
        rest = &rest[at..];
        let taken = match *rest {
            [_, b'\n', ..] => 2,
            // RFC 2045 §6.7 (3): blanks after a soft line break's `=` were added on the way.
            [_, b' ' | b'\t' | b'\r', ..] => match soft_break(rest) {
                Some(taken) => taken,
                None => {
                    octets.push(b'=');
                    1
                }
            },
            [_, high, low, ..] if hex_octet(high, low).is_some() => {
                octets.extend(hex_octet(high, low));
                3
            }
            [_] => 1,
            _ => {
                octets.push(b'=');
                1
            }
        };
        rest = &rest[taken..];
    }
    octets.truncate(limit);
    octets
}

/// RFC 2045 §6.7 (3): blanks at the end of a line were added on the way, and are left out.
fn push_lines(octets: &mut Vec<u8>, literal: &[u8]) {
    for line in literal.split_inclusive(|octet| *octet == b'\n') {
        let end = match line {
            [.., b'\r', b'\n'] => 2,
            [.., b'\n'] => 1,
            _ => {
                octets.extend_from_slice(line);
                continue;
            }
        };
        let (text, end) = line.split_at(line.len() - end);
        let blanks = text.iter().rev().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
        octets.extend_from_slice(&text[..text.len() - blanks]);
        octets.extend_from_slice(end);
    }
}

/// Length of `=`, blanks and a line end.
fn soft_break(rest: &[u8]) -> Option<usize> {
    let blanks = rest[1..].iter().take(MAX_PADDING).take_while(|b| matches!(b, b' ' | b'\t')).count();
    match rest[1 + blanks..] {
        [b'\r', b'\n', ..] => Some(blanks + 3),
        [b'\n', ..] => Some(blanks + 2),
        _ => None,
    }
}

/// Most blanks looked through for the line end of a soft break.
const MAX_PADDING: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes() {
        for (encoding, body, wanted) in [
            ("base64", "aGVs\r\nbG8=\r\n", "hello"),
            ("BASE64", "aGVsbG8", "hello"),
            ("base64", "aGVsbG", "hell"),
            ("base64", "a", ""),
            ("base64", "aGk=aGk=", "hihi"),
            ("base64", "!a*G,k-", "hi"),
            ("base64", "====", ""),
            ("quoted-printable", "gr=C3=BCn=20\r\nx =\r\ny= \t\r\nz=\nw", "grün \r\nx yzw"),
            ("quoted-printable", "=ZZ = a=", "=ZZ = a"),
            (" Quoted-Printable (x)", "=41", "A"),
            ("8bit", "=41", "=41"),
            ("nonsense", "=41", "=41"),
        ] {
            let decoded = decode(Some(encoding.as_bytes()), body.as_bytes(), 100);
            assert_eq!(String::from_utf8_lossy(&decoded), wanted, "{encoding} {body:?}");
        }
    }

    #[test]
    fn stops_at_the_limit() {
        let long = b"QUJD".repeat(10_000);
        for encoding in ["base64", "quoted-printable", "7bit"] {
            for limit in [0, 1, 7, 5_000] {
                assert_eq!(decode(Some(encoding.as_bytes()), &long, limit).len(), limit);
            }
        }
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let blanks = " ".repeat(50_000);
        let escapes = "=C3=BC".repeat(20_000);
        let bodies = [
            "aGVs\r\nbG8=\r\naGVsbG8".to_owned(),
            "aGk=aGk=!a*G,k-=".to_owned(),
            "gr=C3=BCn=20\r\nx =\r\ny= \t\r\nz=\nw \t ".to_owned(),
            "=ZZ = a=".to_owned(),
            escapes.clone() + "\n" + &escapes,
            format!("a{blanks}\nb"),
            "x".repeat(200_000) + "=",
        ];
        for encoding in ["base64", "Quoted-Printable", "7bit"] {
            for body in &bodies {
                let whole = decode(Some(encoding.as_bytes()), body.as_bytes(), usize::MAX);
                for length in [1, 2, 3, 5, 70_000].into_iter().filter(|length| *length > 4 || body.len() < 1000) {
                    let (mut decoder, mut octets) = (Decoder::new(Some(encoding.as_bytes())), Vec::new());
                    body.as_bytes().chunks(length).for_each(|piece| decoder.feed(piece, &mut octets));
                    decoder.finish(&mut octets);
                    assert!(octets == *whole, "{encoding}, {length} octets of {:.40}", body);
                }
            }
        }
    }
}
