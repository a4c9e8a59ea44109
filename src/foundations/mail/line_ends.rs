//! Line ends: messages travel with CRLF, files that others wrote may hold LF.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memchr2_iter};

/// The bytes with every bare LF turned into CRLF; borrowed when there is none. A bare CR stays as it is.
pub fn crlf(bytes: &[u8]) -> Cow<'_, [u8]> {
    let length = crlf_len(bytes);
    if length == bytes.len() {
        return Cow::Borrowed(bytes);
    }
    let mut result = Vec::with_capacity(length);
    crlf_onto(bytes, &mut result);
    Cow::Owned(result)
}

/// Appends the result of [`crlf`] for these bytes.
pub fn crlf_onto(bytes: &[u8], out: &mut Vec<u8>) {
    let mut copied = 0;
    for at in memchr_iter(b'\n', bytes) {
        if at == 0 || bytes[at - 1] != b'\r' {
            out.extend_from_slice(&bytes[copied..at]);
            out.extend_from_slice(b"\r\n");
            copied = at + 1;
        }
    }
    out.extend_from_slice(&bytes[copied..]);
}

/// Length of the result of [`crlf`]: RFC822.SIZE of a file with any line ends.
pub fn crlf_len(bytes: &[u8]) -> usize {
    bytes.len() + memchr_iter(b'\n', bytes).filter(|at| *at == 0 || bytes[at - 1] != b'\r').count()
}

/// Longest line without CRLF (RFC 5321 §4.5.3.1.6).
const LONGEST_LINE: usize = 998;

/// Whether octets are what DATA can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutInLines {
    /// They are, the last line with or without its end.
    Yes,
    /// Every line has an end, but some line is longer than hosts must take.
    TooLong,
    /// There is a NUL, or a CR or LF alone.
    No,
}

/// Looks for what cannot stand in lines that end in CRLF.
pub fn cut_in_lines(bytes: &[u8]) -> CutInLines {
    if memchr(0, bytes).is_some() {
        return CutInLines::No;
    }
    let (mut start, mut longest) = (0, 0);
    for at in memchr2_iter(b'\r', b'\n', bytes) {
        let alone = match bytes[at] {
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => at == 0 || bytes[at - 1] != b'\r',
        };
        if alone {
            return CutInLines::No;
        }
        if bytes[at] == b'\n' {
            longest = longest.max(at - 1 - start);
            start = at + 1;
        }
    }
    if longest.max(bytes.len() - start) > LONGEST_LINE { CutInLines::TooLong } else { CutInLines::Yes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_lf_changes() {
        for (from, to) in
            [("", ""), ("a", "a"), ("\n", "\r\n"), ("a\nb\r\nc\rd\n", "a\r\nb\r\nc\rd\r\n"), ("\r\r\n\n", "\r\r\n\r\n")]
        {
            assert_eq!(&*crlf(from.as_bytes()), to.as_bytes());
            assert_eq!(crlf_len(from.as_bytes()), to.len());
        }
        assert!(matches!(crlf(b"a\r\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn lines_are_told_from_other_octets() {
        let long = "x".repeat(998);
        for (bytes, wanted) in [
            ("", CutInLines::Yes),
            ("a\r\n\r\nb", CutInLines::Yes),
            (&format!("{long}\r\n{long}"), CutInLines::Yes),
            (&format!("a\r\n{long}x"), CutInLines::TooLong),
            (&format!("{long}x\r\n"), CutInLines::TooLong),
            (&format!("{long}x\r\n\n"), CutInLines::No),
            ("\n", CutInLines::No),
            ("a\rb\r\n", CutInLines::No),
            ("a\r", CutInLines::No),
            ("a\0\r\n", CutInLines::No),
        ] {
            assert_eq!(cut_in_lines(bytes.as_bytes()), wanted, "{bytes:?}");
        }
    }
}
