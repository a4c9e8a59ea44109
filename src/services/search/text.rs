//! Texts to search for, and texts to search in.

use std::cell::OnceCell;

use encoding_rs::Encoding;

use super::Problem;
use super::condition::Field;
use crate::foundations::mail::encoded_words;
use crate::foundations::mail::text::{Haystack, Needle};
use crate::foundations::mail::{HeaderSection, SearchFields, Structure, text};

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

/// A message that is searched, decoded when that is first needed.
#[derive(Debug)]
pub(super) struct Message<'a> {
    octets: &'a [u8],
    /// Decoded octets of the headers, of the body and of each field that are searched.
    limit: usize,
    texts: OnceCell<Texts>,
    fields: OnceCell<[Haystack; 5]>,
}

impl<'a> Message<'a> {
    pub const fn new(octets: &'a [u8], limit: usize) -> Self {
        Self { octets, limit, texts: OnceCell::new(), fields: OnceCell::new() }
    }

    /// What TEXT and BODY search.
    pub fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| Texts::of(self.octets, self.limit))
    }

    /// Whether a field contains the needle, also beyond what its summary keeps.
    pub fn field_holds(&self, field: Field, needle: &Needle) -> bool {
        let fields = self.fields.get_or_init(|| {
            let fields = SearchFields::of(HeaderSection::of(self.octets).lines(), self.limit);
            Field::ALL.map(|field| Haystack::of(field.of(&fields)))
        });
        fields[field as usize].holds(needle)
    }

    /// Whether a field of that name contains the needle; an empty needle is in every field.
    pub fn header_holds(&self, name: &str, needle: &Needle) -> bool {
        let text = |value: &[u8]| encoded_words::decode_within(value, self.limit);
        HeaderSection::of(self.octets).all(name).any(|field| needle.is_in(&text(&field.value())))
    }
}

/// Everything in a message that TEXT and BODY search.
#[derive(Debug)]
pub(super) struct Texts {
    headers: String,
    body: Vec<String>,
}

impl Texts {
    /// Decodes at most `limit` octets of the headers, and as many of the body.
    pub fn of(message: &[u8], limit: usize) -> Self {
        let structure = Structure::of(message);
        // RFC 9051 §6.4.4: the header that TEXT searches includes the MIME header fields, those of parts too.
        let headers = text::headers_text(&structure, limit);
        Self { headers, body: text::texts(&structure, limit).collect() }
    }

    /// Whether the body contains it. An empty needle is in every body, also in one without text.
    pub fn body_holds(&self, needle: &Needle) -> bool {
        needle.is_in("") || self.body.iter().any(|text| needle.is_in(text))
    }

    /// Whether headers or body contain it.
    pub fn header_or_body_holds(&self, needle: &Needle) -> bool {
        needle.is_in(&self.headers) || self.body_holds(needle)
    }
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
    fn fields_are_searched_to_their_end() {
        let padding = "x ".repeat(100_000);
        let octets = format!("To: {padding}a@b.test\r\nSubject: {padding}end\r\nX-Long: {padding}end\r\n\r\n");
        let message = Message::new(octets.as_bytes(), 1 << 20);
        let (end, address) = (Needle::new("END"), Needle::new("a@b.test"));
        assert!(message.field_holds(Field::Subject, &end) && !message.field_holds(Field::To, &end));
        assert!(message.field_holds(Field::To, &address) && !message.field_holds(Field::Cc, &address));
        assert!(message.header_holds("x-long", &end) && !message.header_holds("to", &end));
        assert!(message.texts().header_or_body_holds(&end));
    }

    #[test]
    fn nothing_is_in_every_body() {
        let texts = Texts::of(b"Content-Type: image/png\r\n\r\nx", 1000);
        assert!(texts.body_holds(&Needle::new("")));
        assert!(!texts.body_holds(&Needle::new("x")));
    }
}
