//! Octets in a named charset to text.

use std::borrow::Cow;

use encoding_rs::{Encoding, WINDOWS_1252};

/// Decodes; what cannot be decoded becomes U+FFFD. An unknown charset is read as [`guess`] does.
pub fn decode(label: &[u8], octets: &[u8]) -> String {
    // RFC 2231 §5: an encoded word's charset may carry a language after an asterisk.
    let label = label.split(|b| *b == b'*').next().unwrap_or_default().trim_ascii();
    if label.eq_ignore_ascii_case(b"us-ascii") || label.eq_ignore_ascii_case(b"utf-8") {
        return guess(octets).into_owned();
    }
    match Encoding::for_label(label) {
        Some(encoding) => encoding.decode_without_bom_handling(octets).0.into_owned(),
        // What the web does not know but mail has: UTF-7 and code pages.
        None => match mail_parser::decoders::charsets::map::charset_decoder(label) {
            Some(decoder) => decoder(octets),
            None => guess(octets).into_owned(),
        },
    }
}

/// Octets of unknown charset: UTF-8 when they are valid UTF-8, else windows-1252.
pub fn guess(octets: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(octets) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(octets).0,
    }
}

/// The octet of two hexadecimal digits in any case.
pub(super) fn hex_octet(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown() {
        for (label, octets, text) in [
            ("utf-8", &b"gr\xc3\xbcn"[..], "grün"),
            ("UTF-8", b"gr\xfcn", "grün"),
            ("us-ascii", b"gr\xc3\xbcn", "grün"),
            ("iso-8859-1", b"gr\xfcn", "grün"),
            ("ISO-8859-15*de", b"\xa4", "€"),
            ("koi8-r", b"\xd0\xd2\xc9\xd7\xc5\xd4", "привет"),
            ("iso-2022-jp", b"\x1b$B$3$s\x1b(B", "こん"),
            ("utf-7", b"gr+APw-n", "grün"),
            ("x-nonsense", b"gr\xfcn", "grün"),
            ("", b"x", "x"),
        ] {
            assert_eq!(decode(label.as_bytes(), octets), text, "{label}");
        }
    }
}
