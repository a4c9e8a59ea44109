//! From octets to steps: cuts what the client sends into what the session can use. Pure.

use bytes::{Buf, BytesMut};

use super::profile::Profile;
use super::session::{Session, Step, Wants};
use super::settings::EarlyInput;
use super::verbs::{EndsGroup, Rule};
use crate::foundations::wire::line::{BadLine, Lines};
use crate::foundations::wire::smtp::{Command, EnhancedStatus, Reply, Verb};

/// A session together with the cutting of its input.
#[derive(Debug)]
pub struct Conversation {
    lines: Lines,
    early_input: EarlyInput,
    session: Session,
}

impl Conversation {
    /// A conversation that has just begun, with command lines of at most `longest_line` octets.
    pub fn new(profile: Profile, longest_line: usize, early_input: EarlyInput) -> Self {
        Self { lines: Lines::new(longest_line), early_input, session: Session::new(profile) }
    }

    /// The session.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// The session, for answers.
    pub const fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Whether the octets of a message are being received.
    pub fn in_content(&self) -> bool {
        self.session.wants() == Wants::Content
    }

    /// Uses up input until there is something to do; `None` when more input is needed first.
    pub fn advance(&mut self, input: &mut BytesMut) -> Option<Step> {
        match self.session.wants() {
            Wants::Nothing => None,
            Wants::Content => {
                while !input.is_empty() {
                    let (used, step) = self.session.content(input);
                    input.advance(used);
                    if step.is_some() {
                        return step;
                    }
                }
                None
            }
            Wants::Command => Some(match self.lines.next(input)? {
                Ok(line) => self.command(&line, input),
                Err(bad) => self.bad_line(bad),
            }),
            Wants::Response => Some(match self.lines.next(input)? {
                Ok(line) => self.session.respond(&line),
                // RFC 4954 §4: an exchange with such a line has failed.
                Err(bad) => {
                    self.session.respond(b"*");
                    self.bad_line(bad)
                }
            }),
        }
    }

    fn command(&mut self, line: &[u8], input: &mut BytesMut) -> Step {
        if is_foreign(line) {
            let text = "This is a mail server; another protocol was spoken";
            return self.session.close(Reply::new(554, EnhancedStatus::new(5, 5, 1), text));
        }
        let command = Command::parse(line);
        if let Ok(command) = &command {
            let verb = command.verb();
            let early = Rule::of(verb).ends_group == EndsGroup::Yes && !input.is_empty();
            if early && verb != Verb::StartTls && self.early_input == EarlyInput::Refuse {
                return self.session.close(early_talker());
            }
        }
        let step = self.session.step(command);
        if matches!(step, Step::StartTls(_)) {
            // RFC 3207 §4.2, CVE-2011-0411: what came before the handshake must not be taken for what comes inside it.
            input.clear();
        }
        step
    }

    fn bad_line(&mut self, bad: BadLine) -> Step {
        match bad {
            BadLine::TooLong => Step::Reply(Reply::new(500, EnhancedStatus::new(5, 5, 2), "Line too long")),
            BadLine::LoneControl => {
                let text = "Lines must end in CRLF; a bare CR or LF is not allowed";
                Step::Reply(Reply::new(500, EnhancedStatus::new(5, 5, 2), text))
            }
            BadLine::Endless => {
                let reply = Reply::new(500, EnhancedStatus::new(5, 5, 2), "The line does not end");
                self.session.close(reply)
            }
        }
    }
}

/// Whether a line belongs to HTTP or to a TLS handshake. A browser that was tricked into talking to this port sends its
/// user's words as lines of a body, some of which could pass for commands; so the first line must be the last.
fn is_foreign(line: &[u8]) -> bool {
    const METHODS: [&[u8]; 7] = [b"CONNECT ", b"DELETE ", b"GET ", b"HEAD ", b"OPTIONS ", b"POST ", b"PUT "];
    METHODS.iter().any(|method| line.starts_with(method)) || line.starts_with(b"\x16\x03")
}

/// The reply to a client that speaks before it may.
pub(super) fn early_talker() -> Reply {
    Reply::new(554, EnhancedStatus::new(5, 5, 1), "You sent data before the greeting")
}
