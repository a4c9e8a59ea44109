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
    header: String,
    body: Vec<String>,
}

impl Texts {
    /// Decodes at most `limit` octets.
    pub fn of(message: &[u8], limit: usize) -> Self {
        let header = text::header_text(HeaderSection::of(message).lines(), limit);
        let structure = Structure::of(message);
        Self(Arc::new(Found { header, body: text::texts(&structure, limit).collect() }))
    }

    /// Whether the body contains it.
    pub fn body_holds(&self, needle: &Needle) -> bool {
        self.0.body.iter().any(|text| needle.is_in(text))
    }

    /// Whether header or body contain it.
    pub fn header_or_body_holds(&self, needle: &Needle) -> bool {
        needle.is_in(&self.0.header) || self.body_holds(needle)
    }
}

/// Whether a field of that name contains the needle; an empty needle is in every field.
pub(super) fn header_holds(message: &[u8], name: &str, needle: &Needle) -> bool {
    HeaderSection::of(message).all(name).any(|field| needle.is_in(&field.text()))
}
