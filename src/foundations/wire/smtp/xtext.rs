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
            // RFC 6533 §3 lets UTF-8 stand for itself once SMTPUTF8 is in force.
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

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        // quirk_lower_case_hex: the grammar wants upper case, some gateways send lower.
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
    fn refuses_what_is_malformed() {
        for text in ["+", "+4", "+GG", "a=b", "a b", "+0D+0A", "+FF"] {
            assert_eq!(decode_xtext(text), None, "{text}");
        }
    }
}
