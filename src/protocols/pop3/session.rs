//! The states of a session (RFC 1939 §3): commands in, steps out.

use crate::foundations::counted::counted;
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::mail::Uid;
use crate::foundations::net::{Plaintext, StartTls};
use crate::foundations::secret::Secret;
use crate::foundations::wire::pop3::{BadCommand, Code, Command, Number, Reply};
use crate::foundations::wire::sasl::{self, Credentials, Exchange, Mechanism};

use super::maildrop::{Left, Listing, Maildrop};
use super::settings::UidlFormat;

/// What holds for a session from its beginning.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// Whether passwords may come in the clear.
    pub plaintext: Plaintext,
    /// Whether STLS is offered.
    pub start_tls: StartTls,
    /// Failed logins until the session is closed.
    pub failed_logins: u32,
    /// How unique ids look.
    pub uidl_format: UidlFormat,
}

/// What the driver does next.
#[derive(Debug)]
pub enum Step {
    /// Send this line.
    Reply(Reply),
    /// Send this line, these lines, and a line with a dot.
    Lines(Reply, String),
    /// Send this line and then what [`Maildrop::list`] gives.
    List(Reply, Listing),
    /// Send this line and then the message, or of its body only so many lines; then call [`Session::sent`].
    Send {
        /// The line before it.
        reply: Reply,
        /// Its number.
        number: Number,
        /// Its UID.
        uid: Uid,
        /// TOP's number of lines; all of the message without it.
        lines: Option<u32>,
    },
    /// Check the credentials, take the maildrop, and tell [`Session::logged_in`].
    LogIn(Credentials),
    /// Remove these messages and tell [`Session::updated`].
    Update(Vec<Uid>),
    /// Send this line, drop what has been read, begin TLS, and tell [`Session::secured`].
    StartTls(Reply),
    /// Send this line and close the connection.
    Close(Reply),
}

/// One session.
#[derive(Debug)]
pub struct Session {
    profile: Profile,
    encrypted: bool,
    failures: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    /// AUTHORIZATION, with the argument of USER.
    Authorization(Option<String>),
    /// AUTHORIZATION, in the middle of AUTH.
    Exchange(Exchange),
    /// TRANSACTION.
    Transaction(Maildrop),
    /// UPDATE, and after it.
    Over,
}

impl Session {
    /// A session on a connection in the clear.
    pub const fn new(profile: Profile) -> Self {
        Self { profile, encrypted: false, failures: 0, state: State::Authorization(None) }
    }

    /// The connection is encrypted from now on; what was said before does not count (RFC 2595 §4).
    pub fn secured(&mut self) {
        self.encrypted = true;
        self.state = State::Authorization(None);
    }

    /// The first line. It holds no timestamp in angle brackets, for there is no APOP.
    pub fn greeting(&self) -> Reply {
        Reply::ok("Postrider is ready")
    }

    /// The messages, once the client has logged in.
    pub const fn maildrop(&self) -> Option<&Maildrop> {
        match &self.state {
            State::Transaction(maildrop) => Some(maildrop),
            State::Authorization(_) | State::Exchange(_) | State::Over => None,
        }
    }

    /// Takes a line of the client, without its CRLF.
    pub fn line(&mut self, line: &[u8]) -> Step {
        if let State::Exchange(exchange) = &mut self.state {
            let step = exchange.respond(line);
            return self.exchange(step);
        }
        match Command::parse(line) {
            Ok(command) => self.command(command),
            // RFC 5034 §4: an unknown mechanism gets an error, and the session stays where it is.
            Err(BadCommand::Mechanism) => Step::Reply(Reply::err("No such authentication mechanism here; try PLAIN")),
            Err(error) => Step::Reply(Reply::err(error.to_string())),
        }
    }

    /// A line was not accepted, and the client is told so. If it answered a challenge (RFC 5034 §4), the exchange is
    /// over and the next line is a command.
    pub fn line_refused(&mut self) {
        if matches!(self.state, State::Exchange(_)) {
            self.state = State::Authorization(None);
        }
    }

    fn command(&mut self, command: Command) -> Step {
        match (command, &mut self.state) {
            (Command::Capa, _) => Step::Lines(Reply::ok("Capability list follows"), self.capabilities()),
            (Command::Quit, _) => self.quit(),
            (command, State::Transaction(maildrop)) => transact(command, maildrop, self.profile.uidl_format),
            (command, State::Authorization(_)) => self.authorize(command),
            (_, State::Exchange(_) | State::Over) => Step::Reply(Reply::err("Not allowed now")),
        }
    }

    fn may_log_in(&self) -> bool {
        self.encrypted || self.profile.plaintext == Plaintext::Allowed
    }

    fn start_tls_offered(&self) -> bool {
        !self.encrypted && self.profile.start_tls == StartTls::Offered
    }

    /// RFC 2449 §6, RFC 3206 §6, RFC 5034 §3, RFC 6856 §2.
    fn capabilities(&self) -> String {
        let mut lines =
            String::from("TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\nUTF8 USER\r\n");
        let in_transaction = self.maildrop().is_some();
        if !in_transaction && self.may_log_in() {
            lines.push_str("USER\r\nSASL PLAIN LOGIN\r\n");
        }
        if !in_transaction && self.start_tls_offered() {
            lines.push_str("STLS\r\n");
        }
        lines.push_str("IMPLEMENTATION Postrider\r\n");
        lines
    }

    fn authorize(&mut self, command: Command) -> Step {
        match command {
            Command::Stls if self.start_tls_offered() => Step::StartTls(Reply::ok("Begin TLS negotiation now")),
            Command::Stls if self.encrypted => Step::Reply(Reply::err("TLS is active already")),
            Command::Stls => Step::Reply(Reply::err("TLS is not available here")),
            // RFC 6856 §2.1: messages go out as they are stored, in either mode.
            Command::Utf8 => Step::Reply(Reply::ok("UTF-8 it is")),
            Command::AuthList | Command::Auth { .. } | Command::User(_) | Command::Pass(_) if !self.may_log_in() => {
                Step::Reply(Reply::err("Passwords are accepted only under TLS: use STLS first"))
            }
            Command::AuthList => {
                let names: String =
                    Mechanism::ALL.iter().map(|mechanism| format!("{}\r\n", mechanism.name())).collect();
                Step::Lines(Reply::ok("Mechanisms follow"), names)
            }
            Command::Auth { mechanism, initial } => self.begin(mechanism, initial.as_ref()),
            Command::User(name) => {
                self.state = State::Authorization(Some(name));
                // The same for every name, so that nobody learns which exist.
                Step::Reply(Reply::ok("Send your password"))
            }
            Command::Pass(password) => match &mut self.state {
                State::Authorization(user @ Some(_)) => {
                    let username = user.take().unwrap_or_default();
                    Step::LogIn(Credentials { authorization: None, username, password })
                }
                _ => Step::Reply(Reply::err("USER comes first")),
            },
            _ => Step::Reply(Reply::err("Log in first")),
        }
    }

    fn begin(&mut self, mechanism: Mechanism, initial: Option<&Secret<Vec<u8>>>) -> Step {
        match Exchange::begin(mechanism, initial.map(|initial| initial.expose().as_slice())) {
            Ok((exchange, step)) => {
                self.state = State::Exchange(exchange);
                self.exchange(Ok(step))
            }
            Err(error) => self.exchange(Err(error)),
        }
    }

    fn exchange(&mut self, step: Result<sasl::Step, sasl::Error>) -> Step {
        match step {
            Ok(sasl::Step::Challenge(challenge)) => Step::Reply(Reply::challenge(challenge)),
            Ok(sasl::Step::Done(credentials)) => {
                self.state = State::Authorization(None);
                Step::LogIn(credentials)
            }
            Err(error) => {
                self.state = State::Authorization(None);
                Step::Reply(Reply::err(error.to_string()))
            }
        }
    }

    /// The answer to [`Step::LogIn`]: the maildrop, or why there is none.
    pub fn logged_in(&mut self, result: Result<Maildrop, Reply>) -> Step {
        match result {
            Ok(maildrop) => {
                let left = maildrop.left();
                self.state = State::Transaction(maildrop);
                Step::Reply(Reply::ok(maildrop_size(left)))
            }
            Err(reply) => {
                self.failures += 1;
                if self.failures >= self.profile.failed_logins {
                    self.state = State::Over;
                    return Step::Close(reply);
                }
                Step::Reply(reply)
            }
        }
    }

    /// A message has been sent, all of it or what TOP asked for.
    pub fn sent(&mut self, number: Number, lines: Option<u32>) {
        if let (State::Transaction(maildrop), None) = (&mut self.state, lines) {
            maildrop.retrieve(number);
        }
    }

    fn quit(&mut self) -> Step {
        match &self.state {
            State::Transaction(maildrop) if !maildrop.deleted().is_empty() => Step::Update(maildrop.deleted()),
            _ => Step::Close(Reply::ok("Goodbye")),
        }
    }

    /// The answer to [`Step::Update`]: all messages are gone from the disk, or why not (RFC 1939 §6).
    pub fn updated(&mut self, result: Result<(), Reply>) -> Step {
        Step::Close(match result {
            Ok(()) => Reply::ok("Goodbye; the deleted messages are gone"),
            Err(reply) => reply,
        })
    }
}

/// RFC 1939 §5.
fn transact(command: Command, maildrop: &mut Maildrop, format: UidlFormat) -> Step {
    let none = || Step::Reply(Reply::err("There is no message with that number"));
    Step::Reply(match command {
        Command::Stat => {
            let Left { messages, octets } = maildrop.left();
            Reply::ok(format!("{messages} {octets}"))
        }
        Command::List(None) => return Step::List(Reply::ok(maildrop_size(maildrop.left())), Listing::SIZES),
        Command::Uidl(None) => return Step::List(Reply::ok(""), Listing::unique_ids(format)),
        Command::List(Some(number)) => match maildrop.get(number) {
            Some((_, size)) => Reply::ok(format!("{number} {size}")),
            None => return none(),
        },
        Command::Uidl(Some(number)) => match maildrop.get(number) {
            Some((uid, _)) => Reply::ok(format!("{number} {}", maildrop.unique_id(uid, format))),
            None => return none(),
        },
        Command::Retr(number) => match maildrop.get(number) {
            Some((uid, size)) => {
                return Step::Send { reply: Reply::ok(counted(size, "octet")), number, uid, lines: None };
            }
            None => return none(),
        },
        Command::Top { number, lines } => match maildrop.get(number) {
            Some((uid, _)) => return Step::Send { reply: Reply::ok(""), number, uid, lines: Some(lines) },
            None => return none(),
        },
        Command::Dele(number) if maildrop.delete(number) => Reply::ok("Marked as deleted"),
        Command::Dele(_) => return none(),
        Command::Rset => {
            maildrop.reset();
            Reply::ok(maildrop_size(maildrop.left()))
        }
        Command::Last => Reply::ok(maildrop.last().to_string()),
        Command::Noop => Reply::ok(""),
        Command::Auth { .. } | Command::AuthList | Command::Pass(_) | Command::User(_) => {
            Reply::err("You are logged in already")
        }
        // RFC 2595 §4, RFC 6856 §2.1: only before the login.
        Command::Stls | Command::Utf8 | Command::Capa | Command::Quit => Reply::err("Not allowed after login"),
    })
}

/// What a client reads when it may not log in, or the maildrop is not available.
pub(super) fn refusal(refusal: &Refusal) -> Reply {
    let code = match refusal.kind {
        // RFC 3206 §4.
        Kind::AuthenticationFailed | Kind::NotFound | Kind::NoPermission | Kind::Invalid => Code::Auth,
        Kind::Corrupt => Code::SysPerm,
        Kind::Exists | Kind::NoSpace | Kind::OverQuota | Kind::Temporary | Kind::TooLarge | Kind::TooMany => {
            Code::SysTemp
        }
    };
    Reply::coded(code, refusal.public.clone())
}

/// How much is there, in the words of RFC 1939's examples.
fn maildrop_size(Left { messages, octets }: Left) -> String {
    format!("{} ({})", counted(messages, "message"), counted(octets, "octet"))
}

#[cfg(test)]
mod tests;
