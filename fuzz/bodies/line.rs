//! Splitting input into lines: the pieces in which it arrives do not matter, and limits hold.

use bytes::BytesMut;
use postrider::foundations::wire::line::{BadLine, Lines};

const LIMIT: usize = 50;

pub fn run(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let (whole, pieces) = (lines(bytes, bytes.len().max(1)), lines(bytes, usize::from(*cut) + 1));
    // When an endless line is given up depends on how much of it arrives at once.
    if bytes.split(|b| *b == b'\n').all(|line| line.len() < 64 * LIMIT) {
        assert_eq!(whole, pieces);
    }
}

fn lines(bytes: &[u8], piece: usize) -> Vec<Result<Vec<u8>, BadLine>> {
    let (mut lines, mut input, mut seen) = (Lines::new(LIMIT), BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        input.extend_from_slice(piece);
        while let Some(line) = lines.next(&mut input) {
            if let Ok(line) = &line {
                assert!(line.len() <= LIMIT && !line.contains(&b'\n') && !line.contains(&b'\r'));
            }
            if line == Err(BadLine::Endless) {
                return seen;
            }
            seen.push(line.map(|line| line.to_vec()));
        }
    }
    seen
}
