//! Transfer encodings and character sets, decoded tolerantly and no further than asked.

use crate::foundations::mail::charset;

/// The octets that base64 text stands for; what is not of its alphabet is passed over, at most `room` octets.
pub fn base64(text: &[u8], room: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity((text.len() / 4 * 3).min(room) + 3);
    let (mut bits, mut count) = (0u32, 0u8);
    for byte in text {
        let digit = BASE64[usize::from(*byte)];
        if digit == PAD {
            // Several encodings one after the other begin again after the padding.
            (bits, count) = (0, 0);
            continue;
        }
        if digit == SKIP {
            continue;
        }
        bits = (bits << 6) | u32::from(digit);
        count += 1;
        match count {
            2 => out.push((bits >> 4) as u8),
            3 => out.push((bits >> 2) as u8),
            4 => {
                out.push(bits as u8);
                (bits, count) = (0, 0);
            }
            _ => {}
        }
        if out.len() >= room {
            break;
        }
    }
    out
}

const SKIP: u8 = 255;
const PAD: u8 = 254;
const BASE64: [u8; 256] = {
    let mut table = [SKIP; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut n = 0;
    while n < 64 {
        table[alphabet[n] as usize] = n as u8;
        n += 1;
    }
    table[b'=' as usize] = PAD;
    table
};

/// The octets that quoted-printable text stands for (RFC 2045 §6.7); a broken escape stands for itself.
pub fn quoted_printable(text: &[u8], room: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len().min(room));
    let mut rest = text;
    while out.len() < room {
        let left = room - out.len();
        let Some(at) = memchr::memchr(b'=', rest) else {
            out.extend_from_slice(&rest[..rest.len().min(left)]);
            break;
        };
        out.extend_from_slice(&rest[..at.min(left)]);
        rest = &rest[at + 1..];
        match rest {
            [b'\r', b'\n', tail @ ..] | [b'\n', tail @ ..] => rest = tail,
            [high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push((hex(*high) << 4) | hex(*low));
                rest = tail;
            }
            _ => {
                // White space between the soft line break and the line end is allowed to have crept in.
                let blank = rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r')).count();
                match rest.get(blank) {
                    Some(b'\n') => rest = &rest[blank + 1..],
                    _ => out.push(b'='),
                }
            }
        }
    }
    out.truncate(room);
    out
}

const fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

/// Octets in a character set as text, as readers are shown it.
pub fn text(bytes: &[u8], label: Option<&str>) -> String {
    charset::decode(label.unwrap_or_default().as_bytes(), bytes)
}

/// A page without a label as text, in the character set that it names.
pub fn page(bytes: &[u8]) -> String {
    charset::declared(bytes).map_or_else(|| charset::guess(bytes).into_owned(), |label| charset::decode(label, bytes))
}

/// A file as text as a browser reads it: a mark at its beginning outweighs all else (HTML §13.2.3.2).
pub fn file(bytes: &[u8], label: Option<&str>) -> String {
    match (encoding_rs::Encoding::for_bom(bytes), label) {
        (Some((encoding, _)), _) => encoding.decode(bytes).0.into_owned(),
        (None, Some(_)) => text(bytes, label),
        (None, None) => page(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_decoded_beyond_what_is_asked_for() {
        let long = "a".repeat(1 << 20);
        for text in [long.clone(), format!("{long}=41"), format!("a=41{long}"), format!("=3D=\n{long}")] {
            for decoded in [quoted_printable(text.as_bytes(), 4), base64(text.as_bytes(), 4)] {
                assert!(decoded.len() >= 3 && decoded.len() <= 4 && decoded.capacity() < 100);
            }
        }
        assert_eq!(quoted_printable(b"a=41b=\r\nc", 4), b"aAbc");
    }
}
