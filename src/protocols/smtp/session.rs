//! The session: order of commands, state, and what to do next. Pure: values in, values out.

mod content;
mod envelope;
mod login;
pub(super) mod replies;

use bytes::Bytes;

use self::replies::{closing, ok, sequence};
use super::hello::{self, Extended, Greeting, Security};
use super::profile::{Auth, Mode, Profile};
use super::transaction::Transaction;
use super::verbs::{After, Rule};
use crate::foundations::address::ReversePath;
use crate::foundations::failure::Refusal;
use crate::foundations::mail::{Envelope, Login, Recipient, With};
use crate::foundations::secret::Secret;
use crate::foundations::wire::sasl::{Credentials, Exchange};
use crate::foundations::wire::smtp::{Command, EnhancedStatus, Hello, Reply, SyntaxError};
use crate::services::intake::Receipt;

/// What the driver has to do next.
#[derive(Debug)]
pub enum Step {
    /// Write the reply and go on.
    Reply(Reply),
    /// Write the replies and go on.
    Replies(Vec<Reply>),
    /// Ask the services and give their answer to [`Session::answer`].
    Ask(Box<Question>),
    /// Write the reply, drop everything the client has sent, shake hands, then call [`Session::secured`].
    StartTls(Reply),
    /// Write the reply and close the connection.
    Close(Reply),
    /// Write nothing and go on reading.
    Continue,
}

/// What only the services can answer.
#[derive(Debug)]
pub enum Question {
    /// Are these credentials right?
    Login(Credentials),
    /// May this sender send?
    Sender {
        /// MAIL FROM.
        path: ReversePath,
        /// The client's name for itself.
        hello: String,
        /// What the client speaks.
        with: With,
    },
    /// May this recipient be written to?
    Recipient {
        /// RCPT TO with its parameters.
        recipient: Recipient,
        /// MAIL FROM of the transaction.
        sender: ReversePath,
        /// The SIZE parameter of MAIL.
        size: Option<u64>,
    },
    /// Is there memory for so many octets more?
    Memory(usize),
    /// Take responsibility for this message.
    Message(Completed),
}

/// A whole message with its envelope.
#[derive(Debug)]
pub struct Completed {
    /// Sender and recipients.
    pub envelope: Envelope,
    /// The content as received.
    pub content: Bytes,
    /// The client's name for itself.
    pub hello: String,
    /// What the client speaks.
    pub with: With,
}

/// The answer to a [`Question`] of the same name.
#[derive(Debug)]
pub enum Answer {
    /// To [`Question::Login`].
    Login(Result<Login, Refusal>),
    /// To [`Question::Sender`].
    Sender(Result<(), Refusal>),
    /// To [`Question::Recipient`].
    Recipient(Result<(), Refusal>),
    /// To [`Question::Memory`].
    Memory(Result<(), Refusal>),
    /// To [`Question::Message`]: one result for all recipients.
    Message(Result<Receipt, Refusal>),
    /// To [`Question::Message`]: one result for each recipient (LMTP).
    Each(Vec<Result<Receipt, Refusal>>),
}

/// What kind of input the session can use now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// A command line, for [`Session::step`].
    Command,
    /// A line of an authentication exchange, for [`Session::respond`].
    Response,
    /// Octets of a message, for [`Session::content`].
    Content,
    /// None: an answer, a handshake or the end comes first.
    Nothing,
}

/// One session with one client.
#[derive(Debug)]
pub struct Session {
    profile: Profile,
    security: Security,
    greeting: Option<Greeting>,
    login: Option<Login>,
    transaction: Option<Transaction>,
    state: State,
    tally: Tally,
}

#[derive(Debug)]
enum State {
    Commands,
    Sasl(Exchange),
    Asked(Asked),
    Data,
    Chunk(Chunk),
    Handshake,
    Closed,
}

/// What the pending question was about.
#[derive(Debug)]
enum Asked {
    Login,
    Sender(Box<Transaction>),
    Recipient(Box<Recipient>),
    /// For so many octets of memory.
    Data(usize),
    Chunk(Chunk),
    Message(usize),
}

/// A chunk on its way.
#[derive(Debug)]
struct Chunk {
    left: u64,
    size: u64,
    last: Last,
    /// What to say after throwing it away.
    instead: Option<Reply>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Yes,
    No,
}

/// What the limits of a session count.
#[derive(Debug, Default)]
struct Tally {
    messages: u32,
    refused: u32,
    idle: u32,
    failed_logins: u32,
}

impl Session {
    /// A session that has just been connected, over TLS from the start if `secured` is called before anything else.
    pub fn new(profile: Profile) -> Self {
        Self {
            security: Security::Plain,
            greeting: None,
            login: profile.program.clone(),
            profile,
            transaction: None,
            state: State::Commands,
            tally: Tally::default(),
        }
    }

    /// The first reply.
    pub fn greeting(&self) -> Reply {
        let name = if self.profile.mode == Mode::Lmtp { "LMTP" } else { "ESMTP" };
        Reply::plain(220, format!("{} {name} Postrider", self.profile.hostname))
    }

    /// The reply with which the server ends a session on its own account.
    pub fn farewell(&self, text: &'static str) -> Reply {
        closing(4, 3, 2, format!("{} {text}", self.profile.hostname))
    }

    /// The reply to a client that says nothing for too long (RFC 3463 §3.5: 4.4.2).
    pub fn too_slow(&self) -> Reply {
        closing(4, 4, 2, format!("{} has waited too long for you", self.profile.hostname))
    }

    /// The account that has logged in.
    pub const fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// The rules of the session.
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What kind of input can be used now.
    pub const fn wants(&self) -> Wants {
        match self.state {
            State::Commands => Wants::Command,
            State::Sasl(_) => Wants::Response,
            State::Data | State::Chunk(_) => Wants::Content,
            State::Asked(_) | State::Handshake | State::Closed => Wants::Nothing,
        }
    }

    /// Octets of messages the session holds in memory.
    pub fn held(&self) -> usize {
        self.transaction.as_ref().map_or(0, Transaction::held)
    }

    /// The handshake is over. Everything learnt before it is forgotten (RFC 3207 §4.2).
    pub fn secured(&mut self) {
        self.security = Security::Tls;
        self.greeting = None;
        self.login = None;
        self.transaction = None;
        self.state = State::Commands;
    }

    /// Takes a command, or what was wrong with the line.
    pub fn step(&mut self, command: Result<Command, SyntaxError>) -> Step {
        let command = match command {
            Ok(command) => command,
            // Where the chunk ends cannot be known, and its octets must not be taken for commands.
            Err(SyntaxError::ChunkSize) => return self.close(SyntaxError::ChunkSize.reply()),
            Err(error) => return Step::Reply(error.reply()),
        };
        if let Err(reply) = self.admit(&command) {
            return match command {
                Command::Bdat { size, last } => self.discard(size, last, reply),
                _ => Step::Reply(reply),
            };
        }
        match command {
            Command::Auth { mechanism, initial } => self.auth(&mechanism, initial.as_ref().map(Secret::expose)),
            Command::Bdat { size, last } => self.bdat(size, if last { Last::Yes } else { Last::No }),
            Command::Data => self.data(),
            Command::Ehlo(name) | Command::Lhlo(name) => self.hello(name, Extended::Yes),
            Command::Helo(name) => self.hello(name, Extended::No),
            Command::Help => self.idle(Reply::new(214, EnhancedStatus::new(2, 0, 0), "See RFC 5321 for the commands")),
            Command::Mail { path, international, parameters } => {
                self.mail(path, Characters::of(international), parameters)
            }
            Command::Noop => self.idle(ok("Nothing done")),
            Command::Quit => {
                let text = format!("{} says goodbye", self.profile.hostname);
                self.close(Reply::new(221, EnhancedStatus::new(2, 0, 0), text))
            }
            Command::Rcpt { path, international, parameters } => {
                self.rcpt(path, Characters::of(international), parameters)
            }
            Command::Rset => {
                self.transaction = None;
                self.idle(ok("Forgotten"))
            }
            Command::StartTls => self.start_tls(),
            // RFC 5321 §3.5.3: neither confirmed nor denied.
            Command::Vrfy => self.idle(Reply::new(252, EnhancedStatus::new(2, 0, 0), "Send mail to find out")),
        }
    }

    /// Takes a line of an authentication exchange.
    pub fn respond(&mut self, line: &[u8]) -> Step {
        match std::mem::replace(&mut self.state, State::Commands) {
            State::Sasl(mut exchange) => {
                let next = exchange.respond(line);
                self.exchange(next.map(|next| (exchange, next)))
            }
            other => {
                self.state = other;
                Step::Continue
            }
        }
    }

    /// Takes the answer to the pending question.
    pub fn answer(&mut self, answer: Answer) -> Step {
        let State::Asked(asked) = std::mem::replace(&mut self.state, State::Commands) else {
            return Step::Continue;
        };
        match (asked, answer) {
            (Asked::Login, Answer::Login(result)) => self.login_answered(result),
            (Asked::Sender(transaction), Answer::Sender(Ok(()))) => {
                self.transaction = Some(*transaction);
                Step::Reply(Reply::new(250, EnhancedStatus::new(2, 1, 0), "Sender accepted"))
            }
            (Asked::Recipient(recipient), Answer::Recipient(result)) => self.recipient_answered(*recipient, result),
            (Asked::Data(octets), Answer::Memory(Ok(()))) => self.take_data(octets),
            (Asked::Chunk(chunk), Answer::Memory(result)) => {
                let instead = result.err().map(|refusal| Reply::from(&refusal));
                self.take_chunk(Chunk { instead, ..chunk })
            }
            (Asked::Message(_), Answer::Message(result)) => self.finished(vec![result]),
            (Asked::Message(count), Answer::Each(results)) if results.len() == count => self.finished(results),
            (_, Answer::Sender(Err(refusal)) | Answer::Memory(Err(refusal))) => Step::Reply(Reply::from(&refusal)),
            _ => self.close(self.farewell("has lost its thread")),
        }
    }

    /// The command table, and what holds for all commands.
    fn admit(&self, command: &Command) -> Result<(), Reply> {
        let rule = Rule::of(command.verb());
        if !rule.is_known(self.profile.mode) {
            return Err(SyntaxError::UnknownVerb.reply());
        }
        if rule.after == After::Nothing {
            return Ok(());
        }
        if self.greeting.is_none() {
            let wanted = if self.profile.mode == Mode::Lmtp { "LHLO" } else { "EHLO" };
            return Err(sequence(format!("Greet with {wanted} first")));
        }
        if rule.after == After::GreetingAndLogin && self.profile.mode == Mode::Submission && self.login.is_none() {
            // RFC 4954 §6; RFC 3207 §4 for clients that could not log in anyway.
            let hidden = self.security == Security::Plain && self.profile.auth == Auth::UnderTls;
            let text = if hidden { "STARTTLS and authentication required" } else { "Authentication required" };
            return Err(Reply::new(530, EnhancedStatus::new(5, 7, 0), text));
        }
        Ok(())
    }

    fn hello(&mut self, name: Hello, extended: Extended) -> Step {
        self.transaction = None;
        self.greeting = Some(Greeting { name, extended });
        let auth = if self.login.is_some() { Auth::No } else { self.profile.auth };
        self.idle(match extended {
            Extended::Yes => hello::extensions(&self.profile, self.security, auth),
            Extended::No => Reply::plain(250, self.profile.hostname.to_string()),
        })
    }

    /// Answers a command that moves no mail, as long as there are not too many of them.
    fn idle(&mut self, reply: Reply) -> Step {
        self.tally.idle += 1;
        if self.tally.idle > self.profile.idle_commands {
            return self.close(closing(4, 7, 0, "Too many commands without a message"));
        }
        Step::Reply(reply)
    }

    fn ask(&mut self, about: Asked, question: Question) -> Step {
        self.state = State::Asked(about);
        Step::Ask(Box::new(question))
    }

    /// Ends the session with this reply.
    pub(super) fn close(&mut self, reply: Reply) -> Step {
        self.state = State::Closed;
        self.transaction = None;
        Step::Close(reply)
    }
}

/// The characters of an address as the client has written it (RFC 6531).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Characters {
    Ascii,
    International,
}

impl Characters {
    const fn of(international: bool) -> Self {
        if international { Self::International } else { Self::Ascii }
    }
}

#[cfg(test)]
mod tests;
