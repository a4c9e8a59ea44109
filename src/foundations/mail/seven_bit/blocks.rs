//! Writing the converted message piece by piece.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{Segment, SevenBit};

/// About how many octets a piece has.
const BLOCK: usize = 64 * 1024;

/// Longest line of an encoded body, without CRLF (RFC 2045 §6.7 (5), §6.8).
const LINE: usize = 76;

/// Octets that one line of base64 holds.
const OCTETS: usize = LINE / 4 * 3;

/// The pieces of a [`SevenBit`], in order.
#[derive(Debug)]
pub struct Blocks<'a> {
    of: &'a SevenBit,
    segment: usize,
    /// How much of the segment has been read.
    at: usize,
    /// Length of the line of quoted-printable that is being written.
    column: usize,
}

impl<'a> Blocks<'a> {
    pub(super) const fn new(of: &'a SevenBit) -> Self {
        Self { of, segment: 0, at: 0, column: 0 }
    }
}

impl Iterator for Blocks<'_> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let SevenBit { bytes, segments, .. } = self.of;
        loop {
            let (range, segment) = match segments.get(self.segment)? {
                Segment::Added(lines) => {
                    self.segment += 1;
                    return Some(Bytes::copy_from_slice(lines));
                }
                segment @ (Segment::Copied(range)
                | Segment::Masked(range)
                | Segment::Text(range)
                | Segment::Octets(range)) => (range.clone(), segment),
            };
            let start = range.start + self.at;
            if start >= range.end {
                (self.segment, self.at, self.column) = (self.segment + 1, 0, 0);
                continue;
            }
            let end = range.end.min(start + BLOCK / OCTETS * OCTETS);
            // After the last part nothing adds the line end that elsewhere belongs to a delimiter.
            let is_last = range.end == bytes.len();
            self.at = end - range.start;
            return Some(match segment {
                Segment::Copied(_) | Segment::Added(_) => bytes.slice(start..end),
                Segment::Masked(_) => {
                    bytes[start..end].iter().map(|octet| if octet.is_ascii() { *octet } else { b'?' }).collect()
                }
                Segment::Octets(_) => base64(&bytes[start..end], end < range.end || is_last),
                Segment::Text(_) => {
                    let mut out = Vec::with_capacity(2 * (end - start));
                    let taken = self.quoted_printable(&bytes[start..range.end], end - start, &mut out);
                    self.at = start + taken - range.start;
                    if is_last && self.at == range.len() && self.column > 0 {
                        // RFC 2045 §6.7 (5): a soft line break adds nothing to a last line that had no end.
                        out.extend_from_slice(b"=\r\n");
                    }
                    out.into()
                }
            });
        }
    }
}

impl Blocks<'_> {
    /// Encodes about `wanted` octets of a text whose line ends are CRLF (RFC 2045 §6.7); gives how many it were.
    fn quoted_printable(&mut self, text: &[u8], wanted: usize, out: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while at < wanted.min(text.len()) {
            let rest = &text[at..];
            if rest.starts_with(b"\r\n") {
                out.extend_from_slice(b"\r\n");
                (at, self.column) = (at + 2, 0);
                continue;
            }
            let octet = rest[0];
            let ends_line = rest[1..].starts_with(b"\r\n");
            let is_plain = match octet {
                b' ' | b'\t' => !ends_line && rest.len() > 1,
                // No line may look like a delimiter, the end of DATA, or the start of the next message in an mbox (RFC
                // 2049 §3).
                b'-' | b'.' => self.column > 0,
                b'F' => self.column > 0 || !rest.starts_with(b"From "),
                b'=' => false,
                _ => octet.is_ascii_graphic(),
            };
            let width = if is_plain { 1 } else { 3 };
            // One place is for the sign of a soft line break.
            let room = if ends_line { LINE } else { LINE - 1 };
            if self.column + width > room {
                out.extend_from_slice(b"=\r\n");
                self.column = 0;
                continue;
            }
            if is_plain {
                out.push(octet);
            } else {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                out.extend([b'=', DIGITS[usize::from(octet >> 4)], DIGITS[usize::from(octet & 15)]]);
            }
            (at, self.column) = (at + 1, self.column + width);
        }
        at
    }
}

/// Lines of base64, all but the last one whole; the last has its end only where `ends`.
fn base64(octets: &[u8], ends: bool) -> Bytes {
    let mut out = String::with_capacity(octets.len().div_ceil(OCTETS) * (LINE + 2));
    for line in octets.chunks(OCTETS) {
        if !out.is_empty() {
            out.push_str("\r\n");
        }
        STANDARD.encode_string(line, &mut out);
    }
    if ends {
        out.push_str("\r\n");
    }
    out.into()
}
