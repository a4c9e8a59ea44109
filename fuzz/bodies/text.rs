//! Texts of parts: charsets, transfer encodings, HTML, and searching in them.

use postrider::foundations::mail::text::{Needle, casemap};
use postrider::foundations::mail::{charset, encoded_words, html, transfer};

pub fn run(data: &[u8]) {
    let mut pieces = data.splitn(2, |b| *b == b'\n');
    let (label, octets) = (pieces.next().unwrap_or_default(), pieces.next().unwrap_or_default());
    let text = charset::decode(label, octets);
    let shown = html::to_text(&text);
    // An entity of two octets, `&lt`, cannot become longer than what it stood for; markup only vanishes.
    assert!(shown.len() <= 2 * text.len() + 8, "{} {}", shown.len(), text.len());
    for encoding in [&b"base64"[..], b"quoted-printable", b"8bit", label] {
        for limit in [0, 10, octets.len()] {
            assert!(transfer::decode(Some(encoding), octets, limit).len() <= limit);
        }
    }
    encoded_words::decode(data);
    let needle = Needle::new(&text[..text.floor_char_boundary(20)]);
    assert!(needle.is_in(&text) || !text.is_ascii(), "a text holds its own beginning");
    assert_eq!(casemap(&casemap(&text)), casemap(&text));
}
