//! Line ends: messages travel with CRLF, files that others wrote may hold LF.

use std::borrow::Cow;

use memchr::memchr_iter;

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

/// Appends what [`crlf`] makes of these bytes.
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

/// Length of what [`crlf`] makes of these bytes: RFC822.SIZE of a file with any line ends.
pub fn crlf_len(bytes: &[u8]) -> usize {
    bytes.len() + memchr_iter(b'\n', bytes).filter(|at| *at == 0 || bytes[at - 1] != b'\r').count()
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
}
