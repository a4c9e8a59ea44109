//! Stored summaries from a damaged index: read or refused, and never a panic when they are used.

use postrider::foundations::mail::{Piece, Sections, Summary};

pub fn run(data: &[u8]) {
    if let Some(summary) = Summary::read(data) {
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
