//! The line splitter.

use bytes::{Buf, BytesMut};

/// Why a line was refused. The line, up to and including its line feed, has been removed from the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// Longer than the limit.
    #[error("the line is too long")]
    TooLong,
    /// Ended by a line feed without a carriage return before it, or with a carriage return in the middle.
    #[error("lines must end in CRLF, without a bare CR or LF")]
    LoneControl,
    /// Too many octets without an end: close the connection.
    #[error("the line does not end")]
    Endless,
}

/// Splits lines off a growing buffer.
#[derive(Debug)]
pub struct Lines {
    limit: usize,
    patience: usize,
    scanned: usize,
    dropped: usize,
    /// The beginning of a server's line whose rest has been dropped.
    kept: BytesMut,
    peer: Peer,
}

/// Who sends the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    /// A client, which is told what is wrong with them.
    Client,
    /// A server, which must be understood regardless.
    Server,
}

impl Lines {
    /// Lines of at most `limit` octets without their CRLF. Of a longer one, 64 times as much is skipped to find its end.
    pub fn new(limit: usize) -> Self {
        let patience = limit.saturating_mul(64);
        Self { limit, patience, scanned: 0, dropped: 0, kept: BytesMut::new(), peer: Peer::Client }
    }

    /// The same for lines from a server: a line ends at its line feed whatever stands before it, a bare carriage return
    /// is part of it, and a longer line is cut.
    pub fn of_a_server(limit: usize) -> Self {
        Self { peer: Peer::Server, ..Self::new(limit) }
    }

    /// Whether no beginning of a line has been dropped from the buffer.
    pub const fn is_between(&self) -> bool {
        self.dropped == 0
    }

    /// Takes the next complete line out of the buffer, without its CRLF; `None` when more octets are needed.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Option<Result<BytesMut, BadLine>> {
        let Some(at) = memchr::memchr(b'\n', &buffer[self.scanned..]).map(|at| at + self.scanned) else {
            return self.wait(buffer);
        };
        let mut line = buffer.split_to(at + 1);
        let dropped = std::mem::take(&mut self.dropped);
        self.scanned = 0;
        line.truncate(at);
        if dropped + at > self.limit + 1 {
            return Some(self.too_long(line, dropped));
        }
        let ended = line.last() == Some(&b'\r');
        line.truncate(at - usize::from(ended));
        let alone = !ended || memchr::memchr(b'\r', &line).is_some();
        Some(if alone && self.peer == Peer::Client { Err(BadLine::LoneControl) } else { Ok(line) })
    }

    /// Of a server's line, the beginning.
    fn too_long(&mut self, mut line: BytesMut, dropped: usize) -> Result<BytesMut, BadLine> {
        if self.peer == Peer::Client {
            return Err(BadLine::TooLong);
        }
        let kept = std::mem::take(&mut self.kept);
        if dropped > 0 {
            return Ok(kept);
        }
        line.truncate(self.limit);
        Ok(line)
    }

    /// No end in sight: notes how far the buffer has been searched, and drops octets that can only belong to an
    /// overlong line.
    fn wait(&mut self, buffer: &mut BytesMut) -> Option<Result<BytesMut, BadLine>> {
        self.scanned = buffer.len();
        if self.dropped + self.scanned > self.limit + 1 {
            if self.peer == Peer::Server && self.dropped == 0 {
                self.kept = BytesMut::from(&buffer[..self.limit]);
            }
            self.dropped += buffer.len();
            buffer.advance(buffer.len());
            self.scanned = 0;
        }
        (self.dropped > self.patience).then_some(Err(BadLine::Endless))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(limit: usize, pieces: &[&str]) -> Vec<Result<String, BadLine>> {
        cut_by(Lines::new(limit), pieces)
    }

    fn cut_by(mut lines: Lines, pieces: &[&str]) -> Vec<Result<String, BadLine>> {
        let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece.as_bytes());
            while let Some(line) = lines.next(&mut buffer) {
                found.push(line.map(|line| String::from_utf8_lossy(&line).into_owned()));
                if found.last() == Some(&Err(BadLine::Endless)) {
                    return found;
                }
            }
        }
        found
    }

    #[test]
    fn cuts_whole_lines_however_they_arrive() {
        let wanted = [Ok("NOOP".to_owned()), Ok(String::new()), Ok("QUIT".to_owned())];
        assert_eq!(cut(10, &["NOOP\r\n\r\nQUIT\r\n"]), wanted);
        assert_eq!(cut(10, &["NO", "OP\r", "\n", "\r\nQ", "UIT", "\r\n"]), wanted);
    }

    #[test]
    fn lone_controls_spoil_only_their_line() {
        let wanted = [Err(BadLine::LoneControl), Ok("B".to_owned())];
        for text in ["A\nB\r\n", "A\rA\r\nB\r\n", "\nB\r\n", "A\r\r\nB\r\n"] {
            assert_eq!(cut(10, &[text]), wanted, "{text:?}");
        }
    }

    #[test]
    fn a_server_may_end_its_lines_otherwise() {
        let wanted = ["A", "B\rC", "", "D"].map(|line| Ok(line.to_owned()));
        assert_eq!(cut_by(Lines::of_a_server(4), &["A\nB\rC\r\n", "\n", "D\r", "\n"]), wanted);
        // Longer ones are cut, however they arrive.
        let wanted = ["1234", "5", "6789", "1"].map(|line| Ok(line.to_owned()));
        assert_eq!(cut_by(Lines::of_a_server(4), &["123456\n5\r\n67890123\r\n1\n"]), wanted);
        assert_eq!(cut_by(Lines::of_a_server(4), &["123456", "789", "\r", "\n5\n6", "789012", "3\n1\n"]), wanted);
        assert_eq!(cut_by(Lines::of_a_server(4), &["x".repeat(257).as_str()]), [Err(BadLine::Endless)]);
    }

    #[test]
    fn limit_is_exact_and_the_rest_of_the_line_is_skipped() {
        assert_eq!(cut(4, &["1234\r\n12345\r\n1\r\n"]), [Ok("1234".into()), Err(BadLine::TooLong), Ok("1".into())]);
        assert_eq!(cut(4, &["12345678", "9", "\r", "\n1\r\n"]), [Err(BadLine::TooLong), Ok("1".into())]);
        assert_eq!(cut(4, &["1234", "\r", "\n"]), [Ok("1234".into())]);
    }

    #[test]
    fn endless_lines_are_given_up() {
        assert_eq!(cut(4, &["x".repeat(200).as_str(), "x".repeat(200).as_str()]), [Err(BadLine::Endless)]);
    }
}
