//! Cuts the client's bytes into whole commands.
//!
//! The framer knows lines and literals but not commands, with one exception: literals behind the mailbox name of an
//! APPEND are messages and may be large, so the caller decides about each before its octets are read.

use bytes::{Buf, Bytes, BytesMut};

/// Limits of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a command without its literals.
    pub line: usize,
    /// Octets of a literal that is not a message.
    pub literal: usize,
    /// Literals in one command.
    pub literals: usize,
    /// Most octets of a refused command that are skipped to find its end; beyond that the stream is lost.
    pub skip: u64,
}

/// The result of looking at the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framed {
    /// Nothing complete yet; at least this many further octets are needed.
    More(usize),
    /// The client waits for `+` before it sends a literal.
    Continue,
    /// A message literal of APPEND is announced: answer with [`Framer::grant`] or [`Framer::deny`].
    Message(Announced),
    /// A complete command without its line end, literals included.
    Command(Bytes),
    /// The command exceeds a limit. Answer it; the rest of it is being skipped.
    Refused(Fault),
    /// The end of a refused command is out of reach: say BYE and close.
    Lost,
}

/// A message that a client wants to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The command's tag, if valid.
    pub tag: Option<String>,
    /// Octets.
    pub size: u64,
    /// Octets of the messages that this command has already brought (RFC 3502 allows several).
    pub before: u64,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The command's tag, when it could be read.
    pub tag: Option<String>,
    /// The limit it exceeded.
    pub limit: LimitPassed,
}

/// The limits of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitPassed {
    /// [`Limits::line`].
    Line,
    /// [`Limits::literal`].
    Literal,
    /// [`Limits::literals`].
    Literals,
}

/// Whether a client waits for a continuation before it sends a literal (RFC 7888).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Synchronizing,
    NonSynchronizing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Looking for the end of a line.
    Line,
    /// The caller must answer about a message literal.
    Asked { size: u64, manner: Manner },
    /// Reading a literal up to this offset.
    Literal { end: usize },
    /// Skipping the rest of a line.
    SkipLine,
    /// Skipping this many octets of a literal.
    SkipLiteral { left: u64 },
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
    /// Octets of the command outside literals.
    line_octets: usize,
    literals: usize,
    message_octets: u64,
    skipped: u64,
}

impl Framer {
    /// At the start of a command.
    pub const fn new(limits: Limits) -> Self {
        Self {
            state: State::Line,
            limits,
            seen: 0,
            line: 0,
            line_octets: 0,
            literals: 0,
            message_octets: 0,
            skipped: 0,
        }
    }

    /// Other limits from the next command on, for instance after login.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether a command has begun but is not complete.
    pub fn in_command(&self, input: &BytesMut) -> bool {
        self.state != State::Line || !input.is_empty()
    }

    /// Looks at what has arrived. `input` holds everything not yet taken; whole commands are split off its front.
    pub fn feed(&mut self, input: &mut BytesMut) -> Framed {
        loop {
            let step = match self.state {
                State::Line => self.scan_line(input),
                State::Literal { end } => self.read_literal(end, input),
                State::SkipLine => self.skip_line(input),
                State::SkipLiteral { left } => self.skip_literal(left, input),
                State::Asked { .. } => Some(Framed::More(0)),
                State::Lost => Some(Framed::Lost),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// Takes one line that is not a command: a response in AUTHENTICATE, or DONE. `None` when it is not complete.
    pub fn feed_line(&mut self, input: &mut BytesMut) -> Option<Framed> {
        match memchr::memchr(b'\n', &input[self.seen..]) {
            Some(at) if self.seen + at < self.limits.line => Some(Framed::Command(self.take(self.seen + at, input))),
            None if input.len() < self.limits.line => {
                self.seen = input.len();
                None
            }
            _ => {
                self.restart(State::SkipLine);
                Some(Framed::Refused(Fault { tag: None, limit: LimitPassed::Line }))
            }
        }
    }

    /// Accepts the announced message. Gives [`Framed::Continue`] when the client waits for it.
    pub fn grant(&mut self, input: &mut BytesMut) -> Option<Framed> {
        let State::Asked { size, manner } = self.state else { return None };
        self.message_octets += size;
        self.await_literal(size, input);
        (manner == Manner::Synchronizing).then_some(Framed::Continue)
    }

    /// Refuses the announced message; the caller answers the command.
    pub fn deny(&mut self, input: &mut BytesMut) {
        if let State::Asked { size, manner } = self.state {
            self.abandon(size, manner, input);
        }
    }

    fn restart(&mut self, state: State) {
        *self = Self { state, ..Self::new(self.limits) };
    }

    fn take(&mut self, newline: usize, input: &mut BytesMut) -> Bytes {
        self.restart(State::Line);
        let end = if input[..newline].ends_with(b"\r") { newline - 1 } else { newline };
        if end <= COPIED {
            // A long-running command such as IDLE must not hold on to a large buffer.
            let command = Bytes::copy_from_slice(&input[..end]);
            input.advance(newline + 1);
            return command;
        }
        let mut command = input.split_to(newline + 1);
        command.truncate(end);
        command.freeze()
    }

    fn scan_line(&mut self, input: &mut BytesMut) -> Option<Framed> {
        let Some(newline) = memchr::memchr(b'\n', &input[self.seen..]).map(|at| self.seen + at) else {
            self.seen = input.len();
            if self.line_octets + (input.len() - self.line) > self.limits.line {
                return Some(self.refuse_line(input));
            }
            return Some(Framed::More(1));
        };
        if self.line_octets + (newline - self.line) > self.limits.line {
            return Some(self.refuse_line(input));
        }
        let Some((size, manner)) = announced_literal(&input[self.line..newline]) else {
            return Some(Framed::Command(self.take(newline, input)));
        };
        let (before, first) = (&input[..newline], self.literals == 0);
        self.line_octets += newline + 1 - self.line;
        self.literals += 1;
        if is_message(before, first) {
            self.seen = newline + 1;
            self.state = State::Asked { size, manner };
            return Some(Framed::Message(Announced { tag: tag(input), size, before: self.message_octets }));
        }
        let limit = if self.literals > self.limits.literals {
            LimitPassed::Literals
        } else if size > self.limits.literal as u64 {
            LimitPassed::Literal
        } else {
            self.seen = newline + 1;
            self.await_literal(size, input);
            return (manner == Manner::Synchronizing).then_some(Framed::Continue);
        };
        let fault = Fault { tag: tag(input), limit };
        self.seen = newline + 1;
        self.abandon(size, manner, input);
        Some(Framed::Refused(fault))
    }

    fn refuse_line(&mut self, input: &mut BytesMut) -> Framed {
        let fault = Fault { tag: tag(input), limit: LimitPassed::Line };
        let line = self.line;
        self.restart(State::SkipLine);
        // The current line must be seen whole once more: it may end by announcing a literal.
        let _ = input.split_to(line);
        Framed::Refused(fault)
    }

    /// Starts to read a literal whose announcement ends at `seen`.
    fn await_literal(&mut self, size: u64, input: &mut BytesMut) {
        // A caller that grants more than can be addressed has no memory budget; the literal then never ends.
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let end = self.seen.saturating_add(size);
        input.reserve(end.saturating_sub(input.len()));
        self.state = State::Literal { end };
    }

    /// Drops the command whose literal, announced just before `seen`, is refused.
    fn abandon(&mut self, size: u64, manner: Manner, input: &mut BytesMut) {
        let _ = input.split_to(self.seen);
        match manner {
            // RFC 7888 §4: the client waits and will not send it.
            Manner::Synchronizing => self.restart(State::Line),
            Manner::NonSynchronizing => self.restart(State::SkipLiteral { left: size }),
        }
    }

    fn read_literal(&mut self, end: usize, input: &BytesMut) -> Option<Framed> {
        if input.len() < end {
            return Some(Framed::More(end - input.len()));
        }
        self.seen = end;
        self.line = end;
        self.state = State::Line;
        None
    }

    fn skip_literal(&mut self, left: u64, input: &mut BytesMut) -> Option<Framed> {
        // A literal longer than the octets we are ready to skip is not waited for at all.
        if self.skipped.saturating_add(left) > self.limits.skip {
            self.state = State::Lost;
            return None;
        }
        let now = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let _ = input.split_to(now);
        self.skipped += now as u64;
        let left = left - now as u64;
        if left > 0 {
            self.state = State::SkipLiteral { left };
            return Some(Framed::More(1));
        }
        self.state = State::SkipLine;
        None
    }

    fn skip_line(&mut self, input: &mut BytesMut) -> Option<Framed> {
        let Some(newline) = memchr::memchr(b'\n', input) else {
            // Enough of the end is kept to recognise the announcement of a literal.
            let drop = input.len().saturating_sub(ANNOUNCEMENT);
            let _ = input.split_to(drop);
            self.skipped += drop as u64;
            if self.skipped > self.limits.skip {
                self.state = State::Lost;
                return None;
            }
            return Some(Framed::More(1));
        };
        let line = input.split_to(newline + 1);
        self.skipped += line.len() as u64;
        match announced_literal(&line[..newline]) {
            Some((left, Manner::NonSynchronizing)) => self.state = State::SkipLiteral { left },
            // A synchronizing literal gets no `+`, so the client stops here.
            Some((_, Manner::Synchronizing)) | None => self.restart(State::Line),
        }
        None
    }
}

/// Commands up to this length are copied out of the input.
const COPIED: usize = 1024;

/// Longest announcement of a literal: `{`, digits, `+}`, CR; with some room for leading zeros.
const ANNOUNCEMENT: usize = 64;

/// The literal announced at the end of a line without its LF.
fn announced_literal(line: &[u8]) -> Option<(u64, Manner)> {
    // No more than `skip_line` keeps, so that it does not matter in which pieces the line arrives.
    let line = &line[line.len().saturating_sub(ANNOUNCEMENT)..];
    let line = line.strip_suffix(b"\r").unwrap_or(line).strip_suffix(b"}")?;
    let (line, manner) = match line.strip_suffix(b"+") {
        Some(line) => (line, Manner::NonSynchronizing),
        None => (line, Manner::Synchronizing),
    };
    let open = memchr::memrchr(b'{', line)?;
    let digits = std::str::from_utf8(&line[open + 1..]).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok().map(|size| (size, manner))
}

/// Whether the literal announced at the end of `before` is a message: the command is APPEND (or REPLACE, RFC 8508)
/// and the literal is not its mailbox name.
fn is_message(before: &[u8], first_literal: bool) -> bool {
    let mut words = before.split(|b| *b == b' ').skip(1);
    let verb = words.next().unwrap_or_default();
    let is_uid = verb.eq_ignore_ascii_case(b"UID");
    let verb = if is_uid { words.next().unwrap_or_default() } else { verb };
    let name = if verb.eq_ignore_ascii_case(b"APPEND") && !is_uid {
        words.next()
    } else if verb.eq_ignore_ascii_case(b"REPLACE") {
        // The mailbox follows the message that is replaced.
        words.nth(1)
    } else {
        return false;
    };
    // `tag APPEND {4}`: the announcement itself stands in the place of the name.
    !(first_literal && name.is_some_and(|name| name.first() == Some(&b'{')))
}

/// The tag at the start of a command, when there is a valid one.
fn tag(command: &[u8]) -> Option<String> {
    let end = command.iter().position(|b| *b == b' ')?;
    super::Tag::parse(&command[..end]).map(|tag| tag.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { line: 60, literal: 20, literals: 2, skip: 1000 };

    /// Feeds the octets in pieces of every size and returns what was found, granting messages up to 100 octets.
    fn frames(bytes: &[u8]) -> Vec<String> {
        let run = |size: usize| {
            let mut framer = Framer::new(LIMITS);
            let mut input = BytesMut::new();
            let mut found = Vec::new();
            for piece in bytes.chunks(size) {
                input.extend_from_slice(piece);
                loop {
                    match framer.feed(&mut input) {
                        Framed::More(_) => break,
                        Framed::Continue => found.push("+".to_owned()),
                        Framed::Command(command) => found.push(String::from_utf8_lossy(&command).into_owned()),
                        Framed::Refused(fault) => found.push(format!("{:?} {:?}", fault.tag, fault.limit)),
                        Framed::Message(announced) if announced.size <= 100 => {
                            found.push(format!("message {} after {}", announced.size, announced.before));
                            found.extend(framer.grant(&mut input).map(|_| "+".to_owned()));
                        }
                        Framed::Message(announced) => {
                            found.push(format!("denied {:?}", announced.tag));
                            framer.deny(&mut input);
                        }
                        Framed::Lost => {
                            found.push("lost".to_owned());
                            return found;
                        }
                    }
                }
            }
            found
        };
        let whole = run(bytes.len());
        for size in 1..bytes.len().min(50) {
            assert_eq!(run(size), whole, "in pieces of {size}");
        }
        whole
    }

    #[test]
    fn lines_and_literals() {
        assert_eq!(frames(b"a NOOP\r\nb NOOP\n"), ["a NOOP", "b NOOP"]);
        assert_eq!(
            frames(b"a LOGIN {3}\r\nann {2+}\r\npw\r\nb NOOP\r\n"),
            ["+", "a LOGIN {3}\r\nann {2+}\r\npw", "b NOOP"]
        );
        assert_eq!(frames(b"a LOGIN {0}\r\n {0+}\r\n\r\n"), ["+", "a LOGIN {0}\r\n {0+}\r\n"]);
        assert_eq!(
            frames(b"a SEARCH TEXT {5}\r\na\r\n{3\r\nb NOOP\r\n"),
            ["+", "a SEARCH TEXT {5}\r\na\r\n{3", "b NOOP"]
        );
    }

    #[test]
    fn messages_are_asked_about() {
        assert_eq!(
            frames(b"a append {5}\r\nINBOX (\\Seen) ~{3+}\r\nx\0y {2}\r\nab\r\n"),
            [
                "+",
                "message 3 after 0",
                "message 2 after 3",
                "+",
                "a append {5}\r\nINBOX (\\Seen) ~{3+}\r\nx\0y {2}\r\nab"
            ]
        );
        assert_eq!(frames(b"a APPEND x {101}\r\nb NOOP\r\n"), ["denied Some(\"a\")", "b NOOP"]);
        let mut long = b"a APPEND x {101+}\r\n".to_vec();
        long.extend([b'\n'; 101]);
        long.extend(b" {3+}\r\na\nb\r\nb NOOP\r\n");
        assert_eq!(frames(&long), ["denied Some(\"a\")", "b NOOP"]);
    }

    #[test]
    fn large_things_are_refused_and_skipped() {
        let line = [b"a NOOP ".to_vec(), vec![b'x'; 100], b"\r\nb NOOP\r\n".to_vec()].concat();
        assert_eq!(frames(&line), ["Some(\"a\") Line", "b NOOP"]);
        let line = [b"a NOOP ".to_vec(), vec![b'x'; 100], b"{4+}\r\n\r\n\r\n \r\nb NOOP\r\n".to_vec()].concat();
        assert_eq!(frames(&line), ["Some(\"a\") Line", "b NOOP"]);
        let line = [b"a NOOP ".to_vec(), vec![b'x'; 100], b"{4}\r\nb NOOP\r\n".to_vec()].concat();
        assert_eq!(frames(&line), ["Some(\"a\") Line", "b NOOP"]);
        assert_eq!(frames(b"a LOGIN {21}\r\nb NOOP\r\n"), ["Some(\"a\") Literal", "b NOOP"]);
        assert_eq!(frames(b"a X {1+}\r\na {1+}\r\nb {1+}\r\n\n z\r\nb NOOP\r\n"), ["Some(\"a\") Literals", "b NOOP"]);
        assert_eq!(frames(b"a X {1+}\r\na {99+}\r\n"), ["Some(\"a\") Literal"]);
        assert_eq!(frames(b"a X {2000+}\r\n"), ["Some(\"a\") Literal", "lost"]);
        assert_eq!(frames(&vec![b'x'; 1100]), ["None Line", "lost"]);
        assert_eq!(frames(b"a LOGIN {99999999999999999999}\r\n"), ["a LOGIN {99999999999999999999}"]);
        assert_eq!(frames(b"a X {18446744073709551615+}\r\n"), ["Some(\"a\") Literal", "lost"]);
    }

    #[test]
    fn bare_lines() {
        let mut framer = Framer::new(LIMITS);
        let mut input = BytesMut::from(&b"DO"[..]);
        assert_eq!(framer.feed_line(&mut input), None);
        input.extend_from_slice(b"NE {3}\r\nb NOOP\r\n");
        assert_eq!(framer.feed_line(&mut input), Some(Framed::Command(Bytes::from_static(b"DONE {3}"))));
        assert_eq!(framer.feed(&mut input), Framed::Command(Bytes::from_static(b"b NOOP")));
    }
}
