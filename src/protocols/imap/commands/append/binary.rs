//! Messages with binary parts, made fit for clients that know nothing of them (RFC 3516 §4.2).

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use crate::foundations::mail::structure::Part;
use crate::foundations::mail::{HeaderSection, Kind, Structure, content};

/// Octets of a line of base 64 (RFC 2045 §6.8: 76 characters).
const LINE: usize = 57;

/// Gives parts that say `Content-Transfer-Encoding: binary` and hold NUL the encoding base64, so that `BODY[]` never has
/// to send NUL, and leaves every other message alone. BINARY undoes it.
pub fn without_nul(message: Bytes) -> Bytes {
    if memchr::memchr(0, &message).is_none() {
        return message;
    }
    let structure = Structure::of(&message);
    let mut fit = Vec::with_capacity(message.len() / 2 * 3);
    let mut copied = 0;
    for part in structure.parts() {
        let body = structure.body(part);
        if part.kind != Kind::Leaf || !is_binary(part) || memchr::memchr(0, body).is_none() {
            continue;
        }
        fit.extend_from_slice(&message[copied..part.start]);
        fit.extend_from_slice(&relabelled(&message[part.start..part.body]));
        for line in body.chunks(LINE) {
            fit.extend_from_slice(BASE64_STANDARD.encode(line).as_bytes());
            fit.extend_from_slice(b"\r\n");
        }
        copied = part.end;
    }
    if copied == 0 {
        return message;
    }
    fit.extend_from_slice(&message[copied..]);
    fit.into()
}

fn is_binary(part: &Part<'_>) -> bool {
    part.fields.encoding.is_some_and(|value| content::word(value).eq_ignore_ascii_case(b"binary"))
}

/// The header with its encoding called base64.
fn relabelled(header: &[u8]) -> Cow<'_, [u8]> {
    let section = HeaderSection::of(header);
    let Some(field) = section.first("Content-Transfer-Encoding") else { return Cow::Borrowed(header) };
    let mut relabelled = header[..field.range.start].to_vec();
    relabelled.extend_from_slice(b"Content-Transfer-Encoding: base64\r\n");
    relabelled.extend_from_slice(&header[field.range.end..]);
    Cow::Owned(relabelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_parts_are_encoded() {
        let message = Bytes::from_static(b"A: b\r\nContent-Transfer-Encoding: BINARY\r\nC: d\r\n\r\n\0\x01\x02");
        let want = b"A: b\r\nContent-Transfer-Encoding: base64\r\nC: d\r\n\r\nAAEC\r\n";
        assert_eq!(&without_nul(message)[..], want);
        let commented = Bytes::from_static(b"Content-Transfer-Encoding: binary (x)\r\n\r\n\0");
        assert_eq!(&without_nul(commented)[..], b"Content-Transfer-Encoding: base64\r\n\r\nAA==\r\n");
    }

    #[test]
    fn parts_without_nul_or_not_binary_stay_as_they_are() {
        for message in [&b"A: b\r\n\r\n\0"[..], b"Content-Transfer-Encoding: binary\r\n\r\nx", b"\0", b""] {
            let message = Bytes::from_static(message);
            assert_eq!(without_nul(message.clone()), message);
        }
    }

    #[test]
    fn parts_keep_their_places() {
        let message = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\r\n--x\r\n\r\nplain\r\n--x--\r\n";
        let fit = without_nul(Bytes::from_static(message));
        let want = "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n\r\n--x\r\n\r\nplain\r\n--x--\r\n";
        assert_eq!(String::from_utf8_lossy(&fit), want);
    }
}
