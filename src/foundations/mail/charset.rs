//! Octets in a named charset to text.

use std::borrow::Cow;

use encoding_rs::{EUC_KR, Encoding, GBK, REPLACEMENT, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Decodes; what cannot be decoded becomes U+FFFD. An unknown charset is read as [`guess`] does.
pub fn decode(label: &[u8], octets: &[u8]) -> String {
    // RFC 2231 §5: an encoded word's charset may carry a language after an asterisk.
    let label = label.split(|b| *b == b'*').next().unwrap_or_default().trim_ascii();
    if label.eq_ignore_ascii_case(b"us-ascii") || label.eq_ignore_ascii_case(b"utf-8") {
        return guess(octets).into_owned();
    }
    match Encoding::for_label(label) {
        // Browsers no longer decode it because it can hide markup; here markup is looked for after decoding.
        Some(encoding) if encoding == REPLACEMENT => of_seven_bits(label, octets),
        // RFC 2781 §4.1: the mark at the beginning says in which order the octets are.
        Some(encoding) if encoding == UTF_16LE || encoding == UTF_16BE => encoding.decode(octets).0.into_owned(),
        Some(encoding) => encoding.decode_without_bom_handling(octets).0.into_owned(),
        // Unknown to the web but used in mail: UTF-7 and code pages.
        None => match mail_parser::decoders::charsets::map::charset_decoder(label) {
            Some(decoder) => decoder(octets),
            None => guess(octets).into_owned(),
        },
    }
}

/// Octets of unknown charset: UTF-8 when they are valid UTF-8, even if cut within the last character or damaged here
/// and there; else windows-1252.
pub fn guess(octets: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(octets) {
        Ok(text) => Cow::Borrowed(text),
        // When everything before is ASCII, nothing indicates UTF-8: this may be the last letter of a word in
        // windows-1252.
        Err(error) if error.error_len().is_none() && !octets[..error.valid_up_to()].is_ascii() => {
            String::from_utf8_lossy(octets)
        }
        Err(_) if is_mostly_utf8(octets) => String::from_utf8_lossy(octets),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(octets).0,
    }
}

/// The charset that a page names in its head, unless it is UTF-8. Browsers look this far (HTML §13.2.3.2).
pub fn declared(octets: &[u8]) -> Option<&[u8]> {
    if std::str::from_utf8(octets).is_ok() {
        return None;
    }
    let head = octets[..octets.len().min(1024)].to_ascii_lowercase();
    let at = memchr::memmem::find(&head, b"charset=")? + b"charset=".len();
    let rest = &octets[at..head.len()];
    let rest = rest.strip_prefix(b"\"").or_else(|| rest.strip_prefix(b"'")).unwrap_or(rest);
    let is_label = |b: &u8| b.is_ascii_alphanumeric() || b"-_:.".contains(b);
    let end = rest.iter().position(|b| !is_label(b))?;
    Some(&rest[..end])
}

/// Whether more characters beyond ASCII are valid than are not: letters of windows-1252 rarely look like UTF-8.
fn is_mostly_utf8(octets: &[u8]) -> bool {
    let (mut valid, mut broken) = (0_usize, 0_usize);
    for chunk in octets.utf8_chunks() {
        valid += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    valid > broken
}

/// Charsets of seven bits that switch between ASCII and a set of two octets: ISO-2022-KR (RFC 1557) and HZ (RFC 1843).
fn of_seven_bits(label: &[u8], octets: &[u8]) -> String {
    if label.eq_ignore_ascii_case(b"iso-2022-kr") || label.eq_ignore_ascii_case(b"csiso2022kr") {
        // The designator says which set SO shifts to; there is one only.
        let plain: Vec<u8> = octets.split(|b| *b == b'\x1b').enumerate().fold(Vec::new(), |mut plain, (n, piece)| {
            plain.extend_from_slice(if n > 0 { piece.strip_prefix(b"$)C").unwrap_or(piece) } else { piece });
            plain
        });
        return shifted(&plain, b"\x0e", b"\x0f", EUC_KR);
    }
    if label.eq_ignore_ascii_case(b"hz-gb-2312") {
        return shifted(octets, b"~{", b"~}", GBK);
    }
    guess(octets).into_owned()
}

/// Moves the text between two shifts into the upper half, where the eight-bit charset has it. Each line ends in ASCII.
fn shifted(octets: &[u8], into: &[u8], out: &[u8], encoding: &'static Encoding) -> String {
    let mut lifted = Vec::with_capacity(octets.len());
    let (mut rest, mut is_lifted) = (octets, false);
    while let Some(&octet) = rest.first() {
        if let Some(after) = rest.strip_prefix(if is_lifted { out } else { into }) {
            (rest, is_lifted) = (after, !is_lifted);
            continue;
        }
        rest = &rest[1..];
        is_lifted &= octet != b'\n';
        lifted.push(if is_lifted && octet > b' ' { octet | 0x80 } else { octet });
    }
    encoding.decode_without_bom_handling(&lifted).0.into_owned()
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
            ("iso-2022-kr", b"\x1b$)C\n\x0e>H3g\x0f ok", "\n안녕 ok"),
            ("hz-gb-2312", b"a ~{<:Ky2;~} b", "a 己所不 b"),
            ("iso-2022-cn", b"plain", "plain"),
            ("utf-16", b"\xff\xfeg\0\xfc\0", "gü"),
            ("utf-16", b"\xfe\xff\0g\0\xfc", "gü"),
            // Cut within a character.
            ("utf-8", b"\xd0\xbf\xd1\x80\xd0", "пр\u{fffd}"),
            ("us-ascii", b"\xd0\xbf\xd1\x80\xd0", "пр\u{fffd}"),
            ("utf-8", b"caf\xc9", "cafÉ"),
            // One damaged octet does not make it another charset, nor do two that resemble UTF-8 by chance make it
            // UTF-8.
            ("utf-8", b"gr\xc3\xbcn \xff bl\xc3\xa4u", "grün \u{fffd} bläu"),
            ("x-nonsense", b"\xd0\xbf\xd1\x80\xd0... \xd0\xbf", "пр\u{fffd}... п"),
            ("utf-8", b"MEN\xdc\x94 f\xfcr \xe9", "MENÜ” für é"),
            ("x-nonsense", b"gr\xfcn", "grün"),
            ("", b"x", "x"),
        ] {
            assert_eq!(decode(label.as_bytes(), octets), text, "{label}");
        }
    }
}
