//! Mailbox names on the wire: modified UTF-7 in IMAP4rev1 (RFC 3501 §5.1.3), UTF-8 in IMAP4rev2 (RFC 9051 §5.1).

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// How mailbox names travel in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameEncoding {
    /// Until the client enables something better.
    #[default]
    ModifiedUtf7,
    /// After ENABLE IMAP4rev2 or UTF8=ACCEPT (RFC 6855 §3).
    Utf8,
}

/// The name is not valid in the session's encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// A `&` that does not begin a valid, shortest sequence (RFC 3501 §5.1.3).
    #[error("the mailbox name is not valid modified UTF-7")]
    ModifiedUtf7,
    /// Control characters.
    #[error("a mailbox name cannot hold control characters")]
    Control,
}

/// A mailbox name or list pattern as the client wrote it, not yet decoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RawName(pub(super) String);

impl RawName {
    /// The name in Unicode. A name with characters outside ASCII is taken as UTF-8 in any session: modified UTF-7 never
    /// contains them, and clients do send them.
    pub fn decode(&self, encoding: NameEncoding) -> Result<Cow<'_, str>, InvalidName> {
        if self.0.chars().any(char::is_control) {
            return Err(InvalidName::Control);
        }
        let name = match encoding {
            NameEncoding::ModifiedUtf7 if self.0.is_ascii() => decode_utf7(&self.0).ok_or(InvalidName::ModifiedUtf7)?,
            NameEncoding::ModifiedUtf7 | NameEncoding::Utf8 => Cow::Borrowed(self.0.as_str()),
        };
        if name.chars().any(char::is_control) { Err(InvalidName::Control) } else { Ok(name) }
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for RawName {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

/// The wire form of a name.
pub fn encode_name(name: &str, encoding: NameEncoding) -> Cow<'_, str> {
    match encoding {
        NameEncoding::Utf8 => Cow::Borrowed(name),
        NameEncoding::ModifiedUtf7 => encode_utf7(name),
    }
}

/// Decodes modified UTF-7. `None` for anything but the one canonical form of a text, so that no two wire names
/// mean the same mailbox.
pub fn decode_utf7(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('&') {
        return printable(text).then_some(Cow::Borrowed(text));
    }
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        decoded.push_str(&rest[..start]);
        let end = start + rest[start..].find('-')?;
        match &rest[start + 1..end] {
            "" => decoded.push('&'),
            shifted => decoded.push_str(&decode_shifted(shifted)?),
        }
        rest = &rest[end + 1..];
    }
    decoded.push_str(rest);
    (encode_utf7(&decoded) == text).then_some(Cow::Owned(decoded))
}

/// Encodes as modified UTF-7.
pub fn encode_utf7(name: &str) -> Cow<'_, str> {
    if printable(name) && !name.contains('&') {
        return Cow::Borrowed(name);
    }
    let mut encoded = String::with_capacity(name.len() + 16);
    let mut shifted: Vec<u8> = Vec::new();
    let mut units = [0u16; 2];
    for c in name.chars() {
        if matches!(c, ' '..='~') {
            flush_shifted(&mut shifted, &mut encoded);
            encoded.push(c);
            if c == '&' {
                encoded.push('-');
            }
        } else {
            shifted.extend(c.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    flush_shifted(&mut shifted, &mut encoded);
    Cow::Owned(encoded)
}

fn flush_shifted(shifted: &mut Vec<u8>, encoded: &mut String) {
    if !shifted.is_empty() {
        encoded.push('&');
        BASE64.encode_string(&*shifted, encoded);
        encoded.push('-');
        shifted.clear();
    }
}

fn decode_shifted(text: &str) -> Option<String> {
    let octets = BASE64.decode(text).ok()?;
    if octets.len() % 2 != 0 {
        return None;
    }
    let units = octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).collect::<Result<String, _>>().ok()
}

fn printable(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' '..=b'~'))
}

/// RFC 3501 §5.1.3: base 64 with `,` instead of `/` and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &IMAP_MUTF7,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn modified_utf7() {
        for (name, wire) in [
            ("INBOX", "INBOX"),
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("A&B", "A&-B"),
            ("&", "&-"),
            ("😀", "&2D3eAA-"),
        ] {
            assert_eq!(encode_utf7(name), wire);
            assert_eq!(decode_utf7(wire).as_deref(), Some(name));
        }
    }

    #[test]
    fn only_the_canonical_form_is_read() {
        // Unterminated, shifted ASCII, adjacent shifts, half a surrogate, odd octets, padding, wrong alphabet.
        for wire in ["&", "A&B", "&AGE-", "&U,BTFw-&ZeVnLIqe-", "&2D0-", "&AA-", "&APw=-", "&U/BTFw-", "a\u{7f}", "ü"]
        {
            assert_eq!(decode_utf7(wire), None, "{wire}");
        }
    }

    #[test]
    fn names_are_decoded_by_the_session() {
        let name = RawName::from("Entw&APw-rfe");
        assert_eq!(name.decode(NameEncoding::ModifiedUtf7).as_deref(), Ok("Entwürfe"));
        assert_eq!(name.decode(NameEncoding::Utf8).as_deref(), Ok("Entw&APw-rfe"));
        assert_eq!(RawName::from("Entwürfe").decode(NameEncoding::ModifiedUtf7).as_deref(), Ok("Entwürfe"));
        assert_eq!(RawName::from("a\nb").decode(NameEncoding::Utf8), Err(InvalidName::Control));
        assert_eq!(RawName::from("&AAo-").decode(NameEncoding::ModifiedUtf7), Err(InvalidName::Control));
    }

    proptest! {
        #[test]
        fn round_trips(name in "\\PC{0,30}") {
            let wire = encode_utf7(&name).into_owned();
            prop_assert!(wire.is_ascii());
            let decoded = decode_utf7(&wire);
            prop_assert_eq!(decoded.as_deref(), Some(name.as_str()));
        }

        #[test]
        fn never_panics(wire in "[&A-Za-z,+=-]{0,20}") {
            let _ = decode_utf7(&wire);
        }
    }
}
