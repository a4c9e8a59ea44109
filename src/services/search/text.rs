//! Texts to search for, and texts to search in.

use std::sync::Arc;

use encoding_rs::Encoding;

use super::Problem;
use crate::foundations::mail::text::Needle;
use crate::foundations::mail::{HeaderSection, Structure, text};

/// The text of a search key in Unicode. UTF-8 unless the client names another charset (RFC 9051 §6.4.4).
pub(super) fn decode(octets: &[u8], charset: Option<&str>) -> Result<String, Problem> {
    let encoding = match charset {
        None => encoding_rs::UTF_8,
        Some(label) => charset_of(label).ok_or(Problem::UnknownCharset)?,
    };
    let decoded = encoding.decode_without_bom_handling_and_without_replacement(octets);
    decoded.map(std::borrow::Cow::into_owned).ok_or(Problem::NotInCharset)
}

/// Whether a charset is known here.
pub(super) fn is_charset(label: &str) -> bool {
    charset_of(label).is_some()
}

/// Excludes charsets that are known by name but cannot be decoded, such as ISO-2022-KR: a search in them fails with NO, not
/// BAD (RFC 9051 §6.4.4).
fn charset_of(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label_no_replacement(label.as_bytes())
}

/// Everything in a message that TEXT and BODY search.
#[derive(Debug, Clone)]
pub(super) struct Texts(Arc<Found>);

#[derive(Debug)]
struct Found {
    headers: String,
    body: Vec<String>,
}

impl Texts {
    /// Decodes at most `limit` octets of the headers, and as many of the body.
    pub fn of(message: &[u8], limit: usize) -> Self {
        let structure = Structure::of(message);
        // RFC 9051 §6.4.4: the header that TEXT searches includes the MIME header fields, those of parts too.
        let headers = text::headers_text(&structure, limit);
        Self(Arc::new(Found { headers, body: text::texts(&structure, limit).collect() }))
    }

    /// Whether the body contains it. An empty needle is in every body, also in one without text.
    pub fn body_holds(&self, needle: &Needle) -> bool {
        needle.is_in("") || self.0.body.iter().any(|text| needle.is_in(text))
    }

    /// Whether headers or body contain it.
    pub fn header_or_body_holds(&self, needle: &Needle) -> bool {
        needle.is_in(&self.0.headers) || self.body_holds(needle)
    }
}

/// Whether a field of that name contains the needle; an empty needle is in every field.
pub(super) fn header_holds(message: &[u8], name: &str, needle: &Needle) -> bool {
    HeaderSection::of(message).all(name).any(|field| needle.is_in(&field.text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH_FILE: &str = "Subject: trip\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n\
        Content-Type: image/png; name=beach.png\r\n\r\nx\r\n--b--\r\n";

    #[test]
    fn text_includes_the_headers_of_parts() {
        let texts = Texts::of(WITH_FILE.as_bytes(), 1000);
        for (needle, in_text, in_body) in
            [("trip", true, false), ("beach.png", true, false), ("hello", true, true), ("sea", false, false)]
        {
            let prepared = Needle::new(needle);
            let found = (texts.header_or_body_holds(&prepared), texts.body_holds(&prepared));
            assert_eq!(found, (in_text, in_body), "{needle}");
        }
    }

    #[test]
    fn nothing_is_in_every_body() {
        let texts = Texts::of(b"Content-Type: image/png\r\n\r\nx", 1000);
        assert!(texts.body_holds(&Needle::new("")));
        assert!(!texts.body_holds(&Needle::new("x")));
    }
}
