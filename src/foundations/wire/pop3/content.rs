//! Messages on the wire: dots doubled, an end marked, and the beginning that TOP sends.

use memchr::{memchr, memmem};

/// Byte-stuffs a message piece by piece (RFC 1939 §3).
///
/// No other octets are changed: the content should have CRLF line ends, and everything else it holds is sent unchanged.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stuffer {
    /// The last two octets written, for finding line starts and the final line end.
    last: [u8; 2],
    begun: bool,
}

impl Stuffer {
    /// At the start of a message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the next piece in its wire form.
    pub fn write(&mut self, piece: &[u8], out: &mut impl Sink) {
        let Some(first) = piece.first() else { return };
        if *first == b'.' && (!self.begun || self.last[1] == b'\n') {
            out.put(b".");
        }
        self.begun = true;
        let mut copied = 0;
        for at in memmem::find_iter(piece, b"\n.") {
            out.put(&piece[copied..=at]);
            out.put(b".");
            copied = at + 1;
        }
        out.put(&piece[copied..]);
        self.last = match piece {
            [.., before, last] => [*before, *last],
            [last] => [self.last[1], *last],
            [] => self.last,
        };
    }

    /// Appends the end of the message: a line with a dot, after a CRLF if the last line has none.
    pub fn finish(self, out: &mut impl Sink) {
        out.put(if !self.begun || self.last == *b"\r\n" { b".\r\n" } else { b"\r\n.\r\n" });
    }
}

/// Something that octets can be appended to.
pub trait Sink {
    /// Appends.
    fn put(&mut self, octets: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, octets: &[u8]) {
        self.extend_from_slice(octets);
    }
}

impl Sink for bytes::BytesMut {
    fn put(&mut self, octets: &[u8]) {
        self.extend_from_slice(octets);
    }
}

/// Finds the end of TOP's output: the header, its empty line and the given number of body lines (RFC 1939 §7).
#[derive(Debug, Clone, Copy)]
pub struct TopLines {
    left: u32,
    in_body: bool,
    line: Line,
}

/// What has been read of the current line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Nothing,
    Cr,
    Something,
}

impl TopLines {
    /// At the start of a message, for this many lines of its body.
    pub const fn new(lines: u32) -> Self {
        Self { left: lines, in_body: false, line: Line::Nothing }
    }

    /// How many octets of the next piece belong to the output; less than all of it at the end.
    pub fn take(&mut self, piece: &[u8]) -> usize {
        let mut at = 0;
        while at < piece.len() {
            if self.is_done() {
                return at;
            }
            let Some(end) = memchr(b'\n', &piece[at..]) else {
                self.line = match (self.line, &piece[at..]) {
                    (Line::Nothing, b"\r") => Line::Cr,
                    _ => Line::Something,
                };
                return piece.len();
            };
            let is_empty = matches!((self.line, &piece[at..at + end]), (Line::Nothing, b"" | b"\r") | (Line::Cr, b""));
            if self.in_body {
                self.left -= 1;
            } else {
                self.in_body = is_empty;
            }
            self.line = Line::Nothing;
            at += end + 1;
        }
        at
    }

    /// Whether the output is complete.
    const fn is_done(&self) -> bool {
        self.in_body && self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stuffed(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut stuffer, mut out) = (Stuffer::new(), Vec::new());
        pieces.iter().for_each(|piece| stuffer.write(piece, &mut out));
        stuffer.finish(&mut out);
        out
    }

    #[test]
    fn doubles_dots_and_ends() {
        for (pieces, wanted) in [
            (&[&b""[..]][..], &b".\r\n"[..]),
            (&[b"a\r\n"], b"a\r\n.\r\n"),
            (&[b"a"], b"a\r\n.\r\n"),
            (&[b".\r\n..\r\na.\r\n"], b"..\r\n...\r\na.\r\n.\r\n"),
            (&[b"a\r\n", b".b\r", b"\n"], b"a\r\n..b\r\n.\r\n"),
            (&[b"a\r", b"\n", b"."], b"a\r\n..\r\n.\r\n"),
            (&[b"a\n"], b"a\n\r\n.\r\n"),
        ] {
            assert_eq!(stuffed(pieces), wanted, "{pieces:?}");
        }
    }

    #[test]
    fn top_counts_lines_of_the_body() {
        let message = b"A: 1\r\nB: 2\r\n\r\none\r\ntwo\r\nthree";
        for (lines, wanted) in [(0, 14), (1, 19), (2, 24), (3, 29), (9, 29)] {
            for cut in 0..message.len() {
                let mut top = TopLines::new(lines);
                let (first, second) = message.split_at(cut);
                let mut taken = top.take(first);
                if taken == first.len() {
                    taken += top.take(second);
                }
                assert_eq!(taken, wanted, "{lines} lines, cut at {cut}");
            }
        }
        assert_eq!(TopLines::new(0).take(b"no end of the header"), 20);
        assert_eq!(TopLines::new(1).take(b"\r\nx\r\ny"), 5);
    }

    proptest! {
        #[test]
        fn unstuffing_gives_the_message_back(message in "[.\r\na]{0,40}", cuts in prop::collection::vec(0_usize..40, 0..5)) {
            // Messages here have no bare LF; see the type.
            let message = message.replace('\n', "\r\n").into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(message.len())).collect();
            cuts.extend([0, message.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &message[pair[0]..pair[1]]).collect();
            let text = String::from_utf8(stuffed(&pieces)).unwrap();
            let inner = text.strip_suffix(".\r\n").unwrap();
            let lines = format!("\r\n{inner}");
            prop_assert!(!lines.contains("\r\n.\r\n"));
            let plain: String = inner
                .split_inclusive('\n')
                .map(|line| line.strip_prefix('.').unwrap_or(line))
                .collect();
            let wanted = String::from_utf8(message).unwrap();
            prop_assert!(plain == wanted || plain == format!("{wanted}\r\n"), "{plain:?} {wanted:?}");
        }
    }
}
