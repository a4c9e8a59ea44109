//! The receiving side of DATA and BDAT.

use bytes::BytesMut;

crate::words! {
    /// What happens to a message with a carriage return or line feed that stands alone.
    pub enum LineEndings {
        /// It is refused with 554 5.6.0 after its true end.
        Refuse = "refuse",
        /// A lone line feed becomes CRLF, a lone carriage return is removed. Neither can end the message.
        Normalise = "normalise",
    }
}

/// How the end of the content is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// DATA: by CRLF `.` CRLF, with dots at line starts doubled.
    Dots,
    /// BDAT: by counting; the content is lines of text.
    CountedText,
    /// BDAT with BODY=BINARYMIME: by counting; the content is any octets.
    CountedBinary,
}

/// What is wrong with the content; the first fault counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// A bare carriage return or line feed, where that is refused.
    #[error("the message holds a bare CR or LF")]
    LoneControl,
    /// The caller has no memory for more of it.
    #[error("there is not enough memory for the message")]
    NoRoom,
    /// More octets than the limit.
    #[error("the message is too large")]
    TooLarge,
}

/// Receives the content of one message as it arrives.
///
/// Only CRLF `.` CRLF ends DATA (RFC 5321 §4.1.1.4). After a fault nothing more is kept, but the end is still found
/// where the client put it, so that no part of the message is ever taken for a command.
#[derive(Debug)]
pub struct BodyReader {
    framing: Framing,
    line_endings: LineEndings,
    limit: usize,
    at: At,
    content: BytesMut,
    fault: Option<BodyFault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// After CRLF, or at the very start.
    LineStart,
    /// After anything else.
    Text,
    /// After a carriage return, which has not been kept yet.
    Cr,
    /// After a dot at the start of a line, which has not been kept.
    Dot,
    /// After such a dot and a carriage return.
    DotCr,
}

impl BodyReader {
    /// Content of at most `limit` octets.
    pub fn new(framing: Framing, line_endings: LineEndings, limit: usize) -> Self {
        Self { framing, line_endings, limit, at: At::LineStart, content: BytesMut::new(), fault: None }
    }

    /// Reserves room for this many octets.
    pub fn reserve(&mut self, octets: usize) {
        self.content.reserve(octets.min(self.limit.saturating_sub(self.content.len())));
    }

    /// How many octets are kept so far.
    pub fn len(&self) -> usize {
        self.content.len()
    }

    /// Whether no octet is kept so far.
    pub fn is_empty(&self) -> bool {
        self.content.is_empty()
    }

    /// The first fault found so far.
    pub const fn fault(&self) -> Option<BodyFault> {
        self.fault
    }

    /// Takes the next piece of DATA. `Some(n)` when the message ended after `n` octets of it.
    pub fn take_data(&mut self, piece: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < piece.len() {
            if self.at == At::DotCr && piece[at] == b'\n' {
                self.at = At::LineStart;
                return Some(at + 1);
            }
            at += self.advance(&piece[at..]);
        }
        None
    }

    /// Takes octets of a chunk, which the caller has counted.
    pub fn take_chunk(&mut self, piece: &[u8]) {
        if self.framing == Framing::CountedBinary {
            return self.keep(piece);
        }
        let mut at = 0;
        while at < piece.len() {
            at += self.advance(&piece[at..]);
        }
    }

    /// The content, or what is wrong with it. To be called at the end of the message.
    pub fn finish(mut self) -> Result<BytesMut, BodyFault> {
        if self.at == At::Cr {
            self.lone_control(b"");
        }
        self.fault.map_or(Ok(self.content), Err)
    }

    /// Takes at least one octet; returns how many were consumed.
    fn advance(&mut self, piece: &[u8]) -> usize {
        match (self.at, piece[0]) {
            (At::LineStart, b'.') if self.framing == Framing::Dots => {
                self.at = At::Dot;
                1
            }
            (At::LineStart | At::Text, _) => self.text(piece),
            (At::Cr, b'\n') => {
                self.keep(b"\r\n");
                self.at = At::LineStart;
                1
            }
            (At::Dot, b'\r') => {
                self.at = At::DotCr;
                1
            }
            // RFC 5321 §4.5.2: a leading dot followed by other characters is deleted.
            (At::Dot, _) => self.text(piece),
            // The carriage return was no part of a line end, whatever comes now: CR CR LF ends no line, and CRLF . CR
            // CR LF no message.
            (At::Cr | At::DotCr, b'\r') => {
                self.lone_control(b"");
                self.at = At::Cr;
                1
            }
            (At::Cr | At::DotCr, _) => {
                self.lone_control(b"");
                self.at = At::Text;
                self.text(piece)
            }
        }
    }

    /// Keeps octets up to and including the next control; returns how many were consumed.
    fn text(&mut self, piece: &[u8]) -> usize {
        let Some(end) = memchr::memchr2(b'\r', b'\n', piece) else {
            self.keep(piece);
            self.at = At::Text;
            return piece.len();
        };
        if piece[end] == b'\n' {
            self.keep(&piece[..end]);
            self.lone_control(b"\r\n");
            // Not a line start: a dot after a bare line feed is text and cannot end the message.
            self.at = At::Text;
            return end + 1;
        }
        if piece.get(end + 1) == Some(&b'\n') {
            self.keep(&piece[..end + 2]);
            self.at = At::LineStart;
            return end + 2;
        }
        self.keep(&piece[..end]);
        self.at = At::Cr;
        end + 1
    }

    fn lone_control(&mut self, instead: &[u8]) {
        match self.line_endings {
            LineEndings::Refuse => self.fail(BodyFault::LoneControl),
            LineEndings::Normalise => self.keep(instead),
        }
    }

    fn keep(&mut self, octets: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        if self.content.len() + octets.len() > self.limit {
            return self.fail(BodyFault::TooLarge);
        }
        self.content.extend_from_slice(octets);
    }

    /// Keeps nothing more of the message; an earlier fault still counts first.
    pub fn fail(&mut self, fault: BodyFault) {
        self.fault.get_or_insert(fault);
        self.content = BytesMut::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content and what was left behind the end, fed in one piece and octet by octet.
    fn data(line_endings: LineEndings, wire: &str) -> Option<(Result<String, BodyFault>, String)> {
        let read = |size: usize| {
            let mut reader = BodyReader::new(Framing::Dots, line_endings, 1000);
            let mut used = 0;
            for piece in wire.as_bytes().chunks(size) {
                if let Some(end) = reader.take_data(piece) {
                    let content = reader.finish().map(|content| String::from_utf8(content.to_vec()).unwrap());
                    return Some((content, wire[used + end..].to_owned()));
                }
                used += piece.len();
            }
            None
        };
        let (whole, single) = (read(wire.len()), read(1));
        assert_eq!(whole, single, "{wire:?}");
        whole
    }

    #[test]
    fn unstuffs_and_ends() {
        for (wire, content, rest) in [
            (".\r\n", "", ""),
            ("a\r\n.\r\nQUIT\r\n", "a\r\n", "QUIT\r\n"),
            ("..\r\n.\r\n", ".\r\n", ""),
            ("...a\r\n.\r\n", "..a\r\n", ""),
            (".a\r\n.\r\n", "a\r\n", ""),
            ("a.\r\n.\r\n", "a.\r\n", ""),
            ("\r\n\r\n.\r\n.\r\n", "\r\n\r\n", ".\r\n"),
        ] {
            let wanted = Some((Ok(content.to_owned()), rest.to_owned()));
            assert_eq!(data(LineEndings::Refuse, wire), wanted, "{wire:?}");
            assert_eq!(data(LineEndings::Normalise, wire), wanted, "{wire:?}");
        }
    }

    #[test]
    fn nothing_else_ends_it() {
        for (wire, normalised) in [
            ("a\n.\n", "a\r\n.\r\n"),
            ("a\n.\r\n", "a\r\n.\r\n"),
            ("a\r\n.\n", "a\r\n\r\n"),
            ("a\r\n.\r\r\n", "a\r\n\r\n"),
            ("a\r.\r\n", "a.\r\n"),
            ("a\r\n\r.\r\n", "a\r\n.\r\n"),
            ("a\r\n.\rx\r\n", "a\r\nx\r\n"),
            ("a\r\r\n", "a\r\n"),
            ("a\0\n.\0\r\n", "a\0\r\n.\0\r\n"),
            ("a\r\n.\r.\r\n", "a\r\n.\r\n"),
        ] {
            assert_eq!(data(LineEndings::Refuse, wire), None, "{wire:?}");
            let ended = format!("{wire}\r\n.\r\nRSET\r\n");
            let refused = Some((Err(BodyFault::LoneControl), "RSET\r\n".to_owned()));
            assert_eq!(data(LineEndings::Refuse, &ended), refused, "{wire:?}");
            let normalised = Some((Ok(format!("{normalised}\r\n")), "RSET\r\n".to_owned()));
            assert_eq!(data(LineEndings::Normalise, &ended), normalised, "{wire:?}");
        }
    }

    #[test]
    fn too_large_is_read_to_its_end() {
        let wire = format!("{}\r\n.\r\nRSET\r\n", "x".repeat(1000));
        assert_eq!(data(LineEndings::Refuse, &wire), Some((Err(BodyFault::TooLarge), "RSET\r\n".to_owned())));
        let wire = format!("{}\r\n.\r\n", "x".repeat(998));
        assert!(data(LineEndings::Refuse, &wire).unwrap().0.is_ok());
    }

    #[test]
    fn chunks_keep_dots_and_check_lines() {
        let chunks = |framing, pieces: &[&str]| {
            let mut reader = BodyReader::new(framing, LineEndings::Refuse, 100);
            pieces.iter().for_each(|piece| reader.take_chunk(piece.as_bytes()));
            reader.finish().map(|content| String::from_utf8(content.to_vec()).unwrap())
        };
        assert_eq!(chunks(Framing::CountedText, &[".a\r", "\n.\r\nb"]), Ok(".a\r\n.\r\nb".to_owned()));
        assert_eq!(chunks(Framing::CountedText, &["a\r"]), Err(BodyFault::LoneControl));
        assert_eq!(chunks(Framing::CountedText, &["a\n"]), Err(BodyFault::LoneControl));
        assert_eq!(chunks(Framing::CountedBinary, &["a\n", "\r.\r\n"]), Ok("a\n\r.\r\n".to_owned()));
        assert_eq!(chunks(Framing::CountedBinary, &["a"; 101]), Err(BodyFault::TooLarge));
    }
}
