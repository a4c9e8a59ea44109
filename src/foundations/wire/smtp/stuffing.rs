//! The sending side of DATA.

use bytes::BytesMut;

/// Doubles the dots at line starts and closes the message (RFC 5321 §4.5.2), piece by piece.
///
/// Nothing but CRLF may end a line: a bare CR or LF could let the receiver see an end where there is none, so such
/// octets are written as CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DotStuffer {
    at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    Text,
    Cr,
}

impl Default for DotStuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl DotStuffer {
    /// At the start of a message.
    pub const fn new() -> Self {
        Self { at: At::LineStart }
    }

    /// Appends the next piece of the message in its wire form.
    pub fn write(&mut self, mut piece: &[u8], out: &mut BytesMut) {
        out.reserve(piece.len() + 16);
        while let Some(first) = piece.first() {
            match self.at {
                At::Cr => {
                    out.extend_from_slice(b"\r\n");
                    self.at = At::LineStart;
                    if *first == b'\n' {
                        piece = &piece[1..];
                    }
                }
                At::LineStart | At::Text => {
                    if self.at == At::LineStart && *first == b'.' {
                        out.extend_from_slice(b".");
                    }
                    let end = memchr::memchr2(b'\r', b'\n', piece);
                    let text = end.unwrap_or(piece.len());
                    out.extend_from_slice(&piece[..text]);
                    self.at = match end.map(|end| piece[end]) {
                        None => At::Text,
                        Some(b'\r') => At::Cr,
                        Some(_) => {
                            out.extend_from_slice(b"\r\n");
                            At::LineStart
                        }
                    };
                    piece = &piece[(text + 1).min(piece.len())..];
                }
            }
        }
    }

    /// Appends the end of the message: `.` CRLF, after a CRLF if the last line has none.
    pub fn finish(self, out: &mut BytesMut) {
        out.extend_from_slice(if self.at == At::LineStart { b".\r\n" } else { b"\r\n.\r\n" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stuff(pieces: &[&str]) -> String {
        let (mut stuffer, mut out) = (DotStuffer::new(), BytesMut::new());
        for piece in pieces {
            stuffer.write(piece.as_bytes(), &mut out);
        }
        stuffer.finish(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn doubles_dots_and_ends() {
        assert_eq!(stuff(&[]), ".\r\n");
        assert_eq!(stuff(&["a\r\n"]), "a\r\n.\r\n");
        assert_eq!(stuff(&["a"]), "a\r\n.\r\n");
        assert_eq!(stuff(&[".\r\n..\r\na.\r\n"]), "..\r\n...\r\na.\r\n.\r\n");
        assert_eq!(stuff(&["a\r", "\n.", "b\r\n"]), "a\r\n..b\r\n.\r\n");
    }

    #[test]
    fn no_lone_control_leaves() {
        assert_eq!(stuff(&["a\n.\nb\r.\rc"]), "a\r\n..\r\nb\r\n..\r\nc\r\n.\r\n");
        assert_eq!(stuff(&["a\r\r\nb"]), "a\r\n\r\nb\r\n.\r\n");
        assert_eq!(stuff(&["a\r"]), "a\r\n.\r\n");
    }
}
