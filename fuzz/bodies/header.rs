//! Header sections and the grammars of fields.

use postrider::foundations::mail::addresses;
use postrider::foundations::mail::compose::{self, Charset};
use postrider::foundations::mail::content::{ContentType, Disposition};
use postrider::foundations::mail::{Fields, HeaderDate, HeaderSection, encoded_words};

pub fn run(data: &[u8]) {
    let header = HeaderSection::of(data);
    assert!(header.lines().len() <= header.body_start() && header.body_start() <= data.len());
    let mut end = 0;
    for field in header.fields() {
        assert_eq!(field.range.start, end, "fields follow each other");
        assert_eq!(&header.lines()[field.range.clone()], field.raw);
        end = field.range.end;
        let value = field.value();
        assert!(!value.contains(&b'\n') && !value.contains(&b'\r'));
        assert!(field.text().len() <= encoded_words::MAX_TEXT);
        assert!(addresses::read(field.body).len() <= addresses::MAX_ENTRIES + 1);
        HeaderDate::read(&value);
        if let Some(content) = ContentType::read(field.body) {
            content.parameters.text("name");
            content.parameters.text("boundary");
        }
        if let Some(disposition) = Disposition::read(field.body) {
            disposition.parameters.text("filename");
        }
    }
    assert_eq!(end, header.lines().len(), "no octet is lost");
    compose_and_read(data);
}

/// Any text in a field stays one field, and reads back unchanged if it has no blanks that are joined.
fn compose_and_read(data: &[u8]) {
    let text = String::from_utf8_lossy(&data[..data.len().min(4096)]);
    for charset in [Charset::Ascii, Charset::Utf8] {
        let written = compose::field("Subject", &text, charset);
        assert!(charset == Charset::Utf8 || written.is_ascii());
        let mut fields = Fields::new(written.as_bytes());
        let field = fields.next().unwrap();
        assert!(fields.next().is_none() && field.is("Subject"));
        if charset == Charset::Ascii {
            let words = |text: &str| {
                text.split(|c: char| c.is_whitespace() || c.is_control())
                    .filter(|w| !w.is_empty())
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            assert_eq!(words(&field.text()), words(&text), "{written}");
        }
    }
}
