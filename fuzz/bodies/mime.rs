//! The structure of messages: parts are nested and in order, sections are slices, stored summaries read back.

use postrider::foundations::mail::structure::Part;
use postrider::foundations::mail::{
    HeaderSection, Kind, ListedNames, Piece, SevenBit, Structure, Summary, crlf, crlf_len, text, tnef, transfer,
};

pub fn run(data: &[u8]) {
    // The output, in base64, is only a little larger than the input.
    assert!(tnef::message(data, &HeaderSection::of(b"\r\n")).is_none_or(|made| made.len() < 200 * data.len() + 1000));
    let structure = Structure::of(data);
    let parts = structure.parts();
    assert_eq!((parts[0].start, parts[0].end, parts[0].next), (0, data.len(), parts.len()));
    for (index, part) in parts.iter().enumerate() {
        assert!(part.start <= part.body && part.body <= part.end && part.next > index);
        assert_eq!(part.lines, structure.body(part).iter().filter(|b| **b == b'\n').count());
        let mut at = part.body;
        let mut count = 0;
        for child in structure.children(index) {
            assert!(parts[child].start >= at && parts[child].end <= part.end);
            at = parts[child].end;
            count += 1;
        }
        assert_eq!(count == 0, part.kind == Kind::Leaf);
        assert!(part.kind != Kind::Message || count == 1);
    }
    let summary = Summary::of(data);
    let header = summary.sections.find(&[], Piece::Header).unwrap();
    assert_eq!(header.end, HeaderSection::of(data).body_start() as u64);
    let mut stored = Vec::new();
    summary.write(&mut stored);
    assert_eq!(Summary::read(&stored).as_ref(), Some(&summary));
    let kept = Summary::stored(&stored).unwrap();
    assert_eq!((kept.envelope, kept.body, kept.preview), (&summary.envelope[..], &summary.body[..], &*summary.preview));
    if let Some(listed) = kept.listed {
        for names in [&["subject"][..], &["TO", "From", "X-Priority"], &["List-Id", "Date", "Cc"]] {
            let mut answer = Vec::new();
            listed.write(ListedNames::of(names.iter().copied()).unwrap(), &mut answer);
            assert_eq!(answer, chosen(data, names));
        }
    }
    for value in [&summary.envelope, &summary.body, &summary.body_structure] {
        assert_eq!(list(value, 0), value.len(), "{}", value.escape_ascii());
    }
    let limit = 1_000;
    let read: usize = text::texts(&structure, limit).map(|text| text.len()).sum();
    // A character of a legacy charset grows to at most three octets in UTF-8.
    assert!(read <= 4 * limit, "{read}");
    assert_eq!(crlf(data).len(), crlf_len(data));
    let lines = crlf(data).into_owned();
    seven_bit(&lines);
}

/// A message converted to 7-bit lines has the same parts with the same octets.
fn seven_bit(message: &[u8]) {
    let Ok(converted) = SevenBit::of(message.to_vec().into(), &[]) else { return };
    let made: Vec<u8> = converted.blocks().flatten().collect();
    assert_eq!(made.len(), converted.len());
    let (before, after) = (Structure::of(message), Structure::of(&made));
    // A message/global is one part now.
    if before.parts().iter().any(|part| part.content.is_exactly("message", "global")) {
        return;
    }
    assert_eq!(before.parts().len(), after.parts().len());
    for (old, new) in before.parts().iter().zip(after.parts()) {
        assert_eq!(old.kind, new.kind);
        if old.kind == Kind::Leaf {
            let decoded = |structure: &Structure<'_>, part: &Part<'_>| {
                transfer::decode(part.fields.encoding, structure.body(part), usize::MAX).into_owned()
            };
            assert!(after.body(new).is_ascii());
            assert_eq!(decoded(&before, old), decoded(&after, new));
        }
    }
}

/// The fields of these names as they are in a message, and an empty line.
fn chosen(message: &[u8], names: &[&str]) -> Vec<u8> {
    let mut fields = Vec::new();
    for field in HeaderSection::of(message).fields().filter(|field| names.iter().any(|name| field.is(name))) {
        fields.extend_from_slice(field.raw);
        fields.extend_from_slice(if field.raw.ends_with(b"\n") { b"" } else { b"\r\n" });
    }
    fields.extend_from_slice(b"\r\n");
    fields
}

/// Reads one parenthesised list of IMAP values and gives the offset after it.
fn list(value: &[u8], start: usize) -> usize {
    assert_eq!(value[start], b'(');
    let mut at = start + 1;
    loop {
        at = match value[at] {
            b')' => return at + 1,
            b'(' => list(value, at),
            b'"' => quoted(value, at + 1),
            b'{' => literal(value, at + 1),
            b' ' | b'0'..=b'9' => at + 1,
            b'N' => {
                assert_eq!(&value[at..at + 3], b"NIL");
                at + 3
            }
            other => panic!("{}", other.escape_ascii()),
        };
    }
}

fn quoted(value: &[u8], mut at: usize) -> usize {
    loop {
        match value[at] {
            b'"' => return at + 1,
            b'\\' => {
                assert!(matches!(value[at + 1], b'"' | b'\\'));
                at += 2;
            }
            b'\r' | b'\n' | 0 | 0x7f.. => panic!("not in a quoted string"),
            _ => at += 1,
        }
    }
}

fn literal(value: &[u8], at: usize) -> usize {
    let digits = value[at..].iter().take_while(|b| b.is_ascii_digit()).count();
    let length: usize = std::str::from_utf8(&value[at..at + digits]).unwrap().parse().unwrap();
    let start = at + digits + 3;
    assert_eq!(&value[at + digits..start], b"}\r\n");
    assert!(!value[start..start + length].contains(&0));
    start + length
}
