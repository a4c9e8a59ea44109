//! Properties that hold for the structure of any octets.

use postrider::foundations::mail::{HeaderSection, Kind, Piece, Structure, Summary, text};
use proptest::prelude::*;

/// Pieces of messages, so that random messages have structure.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "Content-Type: multipart/mixed; boundary=a\r\n",
            "Content-Type: multipart/digest; boundary=\"a b\"\r\n",
            "Content-Type: multipart/mixed; boundary=aa\r\n",
            "Content-Type: message/rfc822\r\n",
            "Content-Type: text/html; charset=utf-7; name*0=x; name*1*=%41\r\n",
            "Content-Transfer-Encoding: base64\r\n",
            "From: A (b) <c@d>, e: f@g;\r\n",
            "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n",
            "Subject: =?utf-8?q?a?=\r\n =?utf-8?b?Yg==?=\r\n",
            "\r\n", "\n", "\r", "--a\r\n", "--a--\r\n", "--a b\r\n", "--a b--\r\n", "--aa\n", "--aa--", "--", "text\r\n", "\0",
        ]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn parts_are_nested_and_in_order(message in message()) {
        let structure = Structure::of(&message);
        let parts = structure.parts();
        prop_assert_eq!((parts[0].start, parts[0].end, parts[0].next), (0, message.len(), parts.len()));
        for (index, part) in parts.iter().enumerate() {
            prop_assert!(part.start <= part.body && part.body <= part.end && part.next > index);
            prop_assert_eq!(part.lines, structure.body(part).iter().filter(|b| **b == b'\n').count());
            let children: Vec<_> = structure.children(index).collect();
            match part.kind {
                Kind::Leaf => prop_assert!(children.is_empty()),
                Kind::Message => {
                    prop_assert_eq!(children.len(), 1);
                    prop_assert_eq!((parts[children[0]].start, parts[children[0]].end), (part.body, part.end));
                }
                Kind::Multipart => prop_assert!(!children.is_empty()),
            }
            let mut at = part.body;
            for child in children {
                prop_assert!(parts[child].start >= at && parts[child].end <= part.end, "{:?}", parts[child]);
                at = parts[child].end;
            }
        }
    }

    #[test]
    fn sections_are_slices_of_the_message(message in message(), path in prop::collection::vec(0_u32..4, 0..4)) {
        let summary = Summary::of(&message);
        let slice = |piece| {
            let range = summary.sections.find(&path, piece)?;
            message.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
        };
        for piece in [Piece::Whole, Piece::Header, Piece::Mime, Piece::Text] {
            prop_assert_eq!(slice(piece).is_some(), summary.sections.find(&path, piece).is_some());
        }
        if let (Some(whole), Some(header), Some(text)) = (slice(Piece::Whole), slice(Piece::Header), slice(Piece::Text)) {
            prop_assert_eq!([header, text].concat(), whole);
        }
        if path.is_empty() {
            let header = HeaderSection::of(&message);
            prop_assert_eq!(slice(Piece::Header).map(<[u8]>::len), Some(header.body_start()));
        }
    }

    #[test]
    fn summaries_are_well_formed_and_survive_storage(message in message()) {
        let summary = Summary::of(&message);
        for value in [&summary.envelope, &summary.body, &summary.body_structure] {
            prop_assert!(is_one_list(value), "{}", value.escape_ascii());
        }
        let mut stored = Vec::new();
        summary.write(&mut stored);
        prop_assert_eq!(Summary::read(&stored), Some(summary));
        for cut in 0..stored.len() {
            prop_assert_eq!(Summary::read(&stored[..cut]), None);
        }
        text::texts(&Structure::of(&message), 1_000).for_each(drop);
    }

    #[test]
    fn damaged_storage_never_panics(message in message(), at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let mut stored = Vec::new();
        Summary::of(&message).write(&mut stored);
        let at = at.index(stored.len());
        stored[at] = octet;
        if let Some(summary) = Summary::read(&stored) {
            for path in [&[][..], &[1], &[1, 1], &[2, 1], &[1, 1, 1]] {
                let _ = summary.sections.find(path, Piece::Header);
            }
        }
    }
}

/// Whether the bytes are exactly one parenthesised list of strings, numbers, NILs and lists.
fn is_one_list(value: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < value.len() {
        match value[at] {
            b'(' => depth += 1,
            b')' if depth == 0 => return false,
            b')' => depth -= 1,
            b'"' => loop {
                at += 1;
                match value.get(at) {
                    Some(b'"') => break,
                    Some(b'\\') => at += 1,
                    Some(0x20..=0x7e | b'\t') => {}
                    _ => return false,
                }
            },
            b'{' => {
                let Some(end) = value[at..].windows(3).position(|window| window == b"}\r\n") else { return false };
                let Ok(length) = String::from_utf8_lossy(&value[at + 1..at + end]).parse::<usize>() else {
                    return false;
                };
                at += end + 2 + length;
                if at >= value.len() {
                    return false;
                }
            }
            b' ' | b'0'..=b'9' | b'N' | b'I' | b'L' => {}
            _ => return false,
        }
        at += 1;
        if depth == 0 {
            return at == value.len();
        }
    }
    false
}
