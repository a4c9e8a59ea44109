//! xtext: how DSN parameters carry arbitrary text (RFC 3461 §4).

use std::fmt::Write as _;

// RFC 3461 §4
// xtext = *( xchar / hexchar )
// xchar = any ASCII CHAR between "!" (33) and "~" (126) inclusive, except for "+" and "=".
// hexchar = ASCII "+" immediately followed by two upper case hexadecimal digits

/// Decodes xtext. `None` when it is malformed or does not give UTF-8 free of control characters.
pub fn decode_xtext(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match first {
            b'+' => {
                let (pair, tail) = tail.split_at_checked(2)?;
                octets.push((hex(pair[0])? << 4) | hex(pair[1])?);
                tail
            }
            b'=' => return None,
            b'!'..=b'~' => {
                octets.push(*first);
                tail
            }
            // RFC 6533 §3 allows literal UTF-8 once SMTPUTF8 is in force.
            0x80.. => {
                octets.push(*first);
                tail
            }
            _ => return None,
        };
    }
    let decoded = String::from_utf8(octets).ok()?;
    (!decoded.chars().any(char::is_control)).then_some(decoded)
}

/// Encodes any text as xtext in ASCII.
pub fn encode_xtext(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'+' | b'=' | ..=b' ' | 0x7f.. => {
                // Writing to a String cannot fail.
                let _ = write!(encoded, "+{octet:02X}");
            }
            _ => encoded.push(char::from(octet)),
        }
    }
    encoded
}

// RFC 6533 §3
// EmbeddedUnicodeChar = %x5C.78 "{" HEXPOINT "}"    ; starts with "\x"

/// Decodes the `\x{…}` in the address of a recipient of the type `utf-8`. `None` when one of them is no character.
pub fn decode_embedded_unicode(text: &str) -> Option<String> {
    let mut pieces = text.split("\\x{");
    let mut decoded = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_once('}').filter(|(digits, _)| digits.len() <= 6)?;
        decoded.push(u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).filter(|c| !c.is_control())?);
        decoded.push_str(rest);
    }
    Some(decoded)
}

/// Encodes such an address in ASCII.
pub fn encode_embedded_unicode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '!'..='~' if !matches!(c, '\\' | '+' | '=') => encoded.push(c),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(encoded, "\\x{{{:02X}}}", u32::from(c));
            }
        }
    }
    encoded
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        // quirk_lower_case_hex: the grammar demands upper case, some gateways send lower.
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for text in ["", "QQ314159", "a+b=c d", "ann@example.test", "jos\u{e9}"] {
            assert_eq!(decode_xtext(&encode_xtext(text)).as_deref(), Some(text));
        }
        assert_eq!(encode_xtext("a+b c"), "a+2Bb+20c");
    }

    #[test]
    fn embedded_characters_round_trip() {
        for text in ["", "ann@example.test", "jos\u{e9}@one.test", "a\\b+c=d e", "\u{1f4e7}@x"] {
            let encoded = encode_embedded_unicode(text);
            assert!(encoded.is_ascii(), "{encoded}");
            assert_eq!(decode_embedded_unicode(&encoded).as_deref(), Some(text));
        }
        assert_eq!(encode_embedded_unicode("jos\u{e9}"), "jos\\x{E9}");
        for text in ["\\x{", "\\x{zz}", "\\x{110000}", "\\x{D800}", "\\x{0A}"] {
            assert_eq!(decode_embedded_unicode(text), None, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_malformed() {
        for text in ["+", "+4", "+GG", "a=b", "a b", "+0D+0A", "+FF"] {
            assert_eq!(decode_xtext(text), None, "{text}");
        }
    }
}
