//! Cuts the client's bytes into whole commands: lines, and the literals announced at their ends.

use bytes::{Buf, Bytes, BytesMut};

/// Limits of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a command outside its literals.
    pub line: usize,
    /// Octets of all its literals together.
    pub literals: usize,
    /// Most octets of a refused command that are skipped to find its end; beyond that the stream is lost.
    pub skip: u64,
}

/// The result of looking at the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framed {
    /// Nothing complete yet; at least this many further octets are needed.
    More(usize),
    /// A complete command without its last line end, literals included.
    Command(Bytes),
    /// A refused command; it has been removed from the input, up to its end.
    Refused(Fault),
    /// The end of a refused command is out of reach: say BYE and close.
    Lost,
}

/// Why a command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Longer than [`Limits::line`].
    #[error("The command line is too long")]
    Line,
    /// More in literals than [`Limits::literals`].
    #[error("The command's literals are too large")]
    Literals,
    /// A line that ends without a carriage return, or has one inside.
    #[error("Lines end in CRLF, and neither CR nor LF stands alone")]
    LoneControl,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Looking for the end of a line.
    Line,
    /// Reading a literal up to this offset.
    Literal { end: usize },
    /// Skipping the rest of a line.
    SkipLine(Fault),
    /// Skipping this many octets of a literal.
    SkipLiteral(Fault, u64),
    /// Nothing more can be read.
    Lost,
}

/// See the module.
#[derive(Debug)]
pub struct Framer {
    state: State,
    limits: Limits,
    /// Octets of the input that have been looked at.
    seen: usize,
    /// Where the current line, a part between two literals, begins.
    line: usize,
    line_octets: usize,
    literal_octets: usize,
    skipped: u64,
}

impl Framer {
    /// At the start of a command.
    pub const fn new(limits: Limits) -> Self {
        Self { state: State::Line, limits, seen: 0, line: 0, line_octets: 0, literal_octets: 0, skipped: 0 }
    }

    /// Other limits from the next command on, for instance after login.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Looks at what has arrived. `input` holds everything not yet taken; whole commands are split off its front.
    pub fn feed(&mut self, input: &mut BytesMut) -> Framed {
        loop {
            let step = match self.state {
                State::Line => self.scan_line(input),
                State::Literal { end } => self.read_literal(end, input),
                State::SkipLine(fault) => self.skip_line(fault, input),
                State::SkipLiteral(fault, left) => self.skip_literal(fault, left, input),
                State::Lost => Some(Framed::Lost),
            };
            if let Some(framed) = step {
                return framed;
            }
        }
    }

    fn scan_line(&mut self, input: &mut BytesMut) -> Option<Framed> {
        let Some(found) = memchr::memchr(b'\n', input.get(self.seen..).unwrap_or_default()) else {
            self.seen = input.len();
            if self.line_octets + (self.seen - self.line) > self.limits.line + 1 {
                self.state = State::SkipLine(Fault::Line);
                // Literals that have already been read are not lines.
                self.discard(self.line, input);
                return None;
            }
            return Some(Framed::More(1));
        };
        let at = self.seen + found;
        let line = &input[self.line..at];
        self.line_octets += line.len();
        let fault = match line.split_last() {
            _ if self.line_octets > self.limits.line + 1 => Some(Fault::Line),
            Some((b'\r', rest)) if memchr::memchr(b'\r', rest).is_none() => None,
            _ => Some(Fault::LoneControl),
        };
        let literal = literal_at_the_end(line);
        if let Some(fault) = fault {
            self.state = match literal {
                Some(size) => State::SkipLiteral(fault, size),
                None => State::SkipLine(fault),
            };
            // The text before the literal is discarded with the line; a line alone is skipped with its line feed.
            let skipped = if literal.is_some() { at + 1 } else { at };
            self.discard(skipped, input);
            return None;
        }
        self.seen = at + 1;
        match literal {
            None => {
                let mut command = input.split_to(at + 1);
                command.truncate(at - 1);
                self.begin();
                Some(Framed::Command(command.freeze()))
            }
            Some(size) => {
                let room = (self.limits.literals - self.literal_octets.min(self.limits.literals)) as u64;
                match usize::try_from(size) {
                    Ok(octets) if size <= room => {
                        self.literal_octets += octets;
                        self.state = State::Literal { end: self.seen + octets };
                    }
                    _ => {
                        self.state = State::SkipLiteral(Fault::Literals, size);
                        self.discard(self.seen, input);
                    }
                }
                None
            }
        }
    }

    fn read_literal(&mut self, end: usize, input: &BytesMut) -> Option<Framed> {
        if input.len() < end {
            self.seen = input.len();
            return Some(Framed::More(end - input.len()));
        }
        (self.seen, self.line, self.state) = (end, end, State::Line);
        None
    }

    fn skip_line(&mut self, fault: Fault, input: &mut BytesMut) -> Option<Framed> {
        let Some(at) = memchr::memchr(b'\n', input) else {
            // Kept in case a literal's size is still arriving.
            let rest = input.len().saturating_sub(LONGEST_SIZE);
            self.discard(rest, input);
            return Some(if self.state == State::Lost { Framed::Lost } else { Framed::More(1) });
        };
        let literal = literal_at_the_end(&input[..at]);
        self.discard(at + 1, input);
        if self.state == State::Lost {
            return None;
        }
        match literal {
            Some(size) => {
                self.state = State::SkipLiteral(fault, size);
                None
            }
            None => {
                self.begin();
                Some(Framed::Refused(fault))
            }
        }
    }

    fn skip_literal(&mut self, fault: Fault, left: u64, input: &mut BytesMut) -> Option<Framed> {
        if self.skipped.saturating_add(left) > self.limits.skip {
            self.state = State::Lost;
            input.clear();
            return None;
        }
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        self.discard(now, input);
        let left = left - now as u64;
        if left == 0 {
            self.state = State::SkipLine(fault);
            return None;
        }
        self.state = State::SkipLiteral(fault, left);
        Some(Framed::More(usize::try_from(left).unwrap_or(usize::MAX)))
    }

    /// Skips octets of a refused command, and gives up when there are too many.
    fn discard(&mut self, octets: usize, input: &mut BytesMut) {
        input.advance(octets);
        self.skipped = self.skipped.saturating_add(octets as u64);
        if self.skipped > self.limits.skip {
            self.state = State::Lost;
            input.clear();
        }
    }

    const fn begin(&mut self) {
        *self = Self::new(self.limits);
    }
}

/// Most digits of a size that are looked at: no valid number has more.
const DIGITS: usize = 20;

/// Octets of `{` number `+}` and CR, with a digit too many.
const LONGEST_SIZE: usize = DIGITS + 5;

/// The size of the literal that a line, with its carriage return, announces (RFC 5804 §4):
///
/// ```text
/// literal-c2s = "{" number "+}" CRLF *OCTET
/// ```
fn literal_at_the_end(line: &[u8]) -> Option<u64> {
    let inner = line.strip_suffix(b"\r").unwrap_or(line).strip_suffix(b"+}")?;
    let count = inner.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
    // More digits than any number has exceed every limit. Where the number begins does not matter: of a line that is
    // skipped in pieces only the end is known.
    if count > DIGITS {
        return Some(u64::MAX);
    }
    let (before, digits) = inner.split_at(inner.len() - count);
    let digits = str::from_utf8(digits).ok()?;
    (count > 0 && before.ends_with(b"{")).then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { line: 20, literals: 10, skip: 100 };

    fn frame(pieces: &[&str]) -> Vec<Framed> {
        let (mut framer, mut input, mut found) = (Framer::new(LIMITS), BytesMut::new(), Vec::new());
        for piece in pieces {
            input.extend_from_slice(piece.as_bytes());
            loop {
                match framer.feed(&mut input) {
                    Framed::More(_) => break,
                    Framed::Lost => {
                        found.push(Framed::Lost);
                        return found;
                    }
                    framed => found.push(framed),
                }
            }
        }
        found
    }

    fn command(text: &'static str) -> Framed {
        Framed::Command(Bytes::from_static(text.as_bytes()))
    }

    /// The same text whole, in single octets, and cut in two at every place.
    fn however_it_arrives(text: &str, wanted: &[Framed]) {
        assert_eq!(frame(&[text]), wanted, "{text:?}");
        let octets: Vec<&str> = text.split_inclusive(|_| true).collect();
        assert_eq!(frame(&octets), wanted, "{text:?}");
        for cut in 0..text.len() {
            assert_eq!(frame(&[&text[..cut], &text[cut..]]), wanted, "{text:?} at {cut}");
        }
    }

    #[test]
    fn cuts_commands_with_their_literals() {
        however_it_arrives("NOOP\r\nLOGOUT\r\n", &[command("NOOP"), command("LOGOUT")]);
        let put = "PUT {2+}\r\na\n {4+}\r\n\r\n{1\r\nNOOP\r\n";
        however_it_arrives(put, &[command("PUT {2+}\r\na\n {4+}\r\n\r\n{1"), command("NOOP")]);
        however_it_arrives("A {0+}\r\n\r\nB\r\n", &[command("A {0+}\r\n"), command("B")]);
        however_it_arrives("A {3}\r\nB\r\n", &[command("A {3}"), command("B")]);
    }

    #[test]
    fn refuses_and_finds_the_end() {
        let (line, literals) = (Framed::Refused(Fault::Line), Framed::Refused(Fault::Literals));
        however_it_arrives("12345678901234567890\r\n", &[command("12345678901234567890")]);
        however_it_arrives("123456789012345678901\r\nB\r\n", &[line.clone(), command("B")]);
        however_it_arrives("P {11+}\r\n12345678901\r\nB\r\n", &[literals.clone(), command("B")]);
        however_it_arrives("P {6+}\r\n123456 {5+}\r\n12345\r\nB\r\n", &[literals, command("B")]);
        however_it_arrives("123456789012345678901 {2+}\r\n\r\n\r\nB\r\n", &[line, command("B")]);
        however_it_arrives("A\nB\r\n", &[Framed::Refused(Fault::LoneControl), command("B")]);
        however_it_arrives("A\rA\r\nB\r\n", &[Framed::Refused(Fault::LoneControl), command("B")]);
    }

    #[test]
    fn gives_up_where_no_end_is_in_reach() {
        assert_eq!(frame(&["P {101+}\r\n", "x"]), [Framed::Lost]);
        assert_eq!(frame(&["P {99999999999999999999999+}\r\n"]), [Framed::Lost]);
        assert_eq!(frame(&[&"x".repeat(200), &"x".repeat(200)]), [Framed::Lost]);
        let line = "x".repeat(21);
        for size in ["{00000000000000000000005+}", "{18446744073709551616+}", &format!("{{{}+}}", "4".repeat(40))] {
            however_it_arrives(&format!("{line} {size}\r\nA\r\n"), &[Framed::Lost]);
            however_it_arrives(&format!("P {size}\r\nA\r\n"), &[Framed::Lost]);
        }
    }
}
