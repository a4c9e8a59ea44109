//! Stored summaries from a damaged index: read or refused, and using them never panics.

use postrider::foundations::mail::{AddressField, BaseSubject, ListedNames, Piece, Sections, Summary, message_ids};

pub fn run(data: &[u8]) {
    let heading = Summary::heading(data);
    if let Some(heading) = &heading {
        for field in [AddressField::From, AddressField::To, AddressField::Cc] {
            let _ = heading.first(field).map(|first| (first.mailbox().len(), first.display()));
        }
        assert!(heading.references().all(|id| id.contains(&b'@')));
        let ids = [heading.message_id(), heading.in_reply_to()];
        assert!(ids.iter().flatten().flat_map(|value| message_ids(value)).all(|id| id.contains(&b'@')));
        assert!(BaseSubject::of(heading.subject).key().len() <= heading.subject.len() * 20);
    }
    if let Some(kept) = Summary::stored(data) {
        let mut fields = Vec::new();
        if let Some(listed) = kept.listed {
            listed.write(ListedNames::all(), &mut fields);
        }
        assert!(fields.len() <= data.len() + 2);
    }
    if let Some(summary) = Summary::read(data) {
        assert!(heading.is_some_and(|heading| heading.subject == summary.fields.subject));
        let mut written = Vec::new();
        summary.write(&mut written);
        assert_eq!(Summary::read(&written), Some(summary));
    }
    if let Some(sections) = Sections::read(data) {
        for path in [&[][..], &[1], &[2], &[1, 1], &[2, 1], &[1, 2, 3], &[u32::MAX, 1], &[0]] {
            for piece in [Piece::Whole, Piece::Header, Piece::Mime, Piece::Text] {
                assert!(sections.find(path, piece).is_none_or(|range| range.start <= range.end));
            }
        }
    }
}
