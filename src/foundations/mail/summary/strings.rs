//! Strings as IMAP writes them (RFC 9051 §9 `string`).

/// Longest string of an envelope or structure in octets; what goes beyond is cut, so that a header of megabytes does
/// not become a line of megabytes.
const MAX_STRING: usize = 32 * 1024;

/// Writes a quoted string where it can be one, else a literal. A NUL can be in neither and becomes a blank.
pub(super) fn string(octets: &[u8], out: &mut Vec<u8>) {
    let octets = &octets[..octets.len().min(MAX_STRING)];
    // RFC 9051 §9: a quoted string holds no CR, LF or NUL; only UTF8=ACCEPT allows octets above 127 in it, and
    // literals suit every client.
    let is_quotable = octets.iter().all(|b| matches!(b, 0x20..=0x7e | b'\t'));
    if is_quotable {
        out.push(b'"');
        for octet in octets {
            if matches!(octet, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(*octet);
        }
        out.push(b'"');
    } else {
        number(octets.len(), b"{", out);
        out.extend_from_slice(b"}\r\n");
        out.extend(octets.iter().map(|octet| if *octet == 0 { b' ' } else { *octet }));
    }
}

/// Writes a string or `NIL`.
pub(super) fn nstring(octets: Option<&[u8]>, out: &mut Vec<u8>) {
    match octets {
        Some(octets) => string(octets, out),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Writes `before` and a decimal number.
pub(super) fn number(number: usize, before: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(before);
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        // The remainder of a division by ten is one digit.
        digits[start] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_or_counts() {
        let written = |octets: &[u8]| {
            let mut out = Vec::new();
            string(octets, &mut out);
            out.escape_ascii().to_string()
        };
        assert_eq!(written(b""), "\\\"\\\"");
        assert_eq!(written(b"a\"b\\c"), r#"\"a\\\"b\\\\c\""#);
        assert_eq!(written("ü".as_bytes()), r"{2}\r\n\xc3\xbc");
        assert_eq!(written(b"a\0b"), r"{3}\r\na b");
        assert_eq!(written(&[b'x'; MAX_STRING + 1]).len(), MAX_STRING + 4);
    }
}
