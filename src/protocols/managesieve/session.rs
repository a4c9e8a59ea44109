//! The states of a session (RFC 5804 §1.2): commands in, steps out.

use crate::foundations::net::{Plaintext, StartTls};
use crate::foundations::secret::Secret;
use crate::foundations::wire::managesieve::{BadCommand, Code, Command, Reply, response, string};
use crate::foundations::wire::sasl::{self, Credentials, Exchange, Mechanism};
use crate::storage::scripts::{InvalidName, ScriptName};

/// What holds for a session from its beginning.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Whether passwords may come in the clear.
    pub plaintext: Plaintext,
    /// Whether STARTTLS is offered.
    pub start_tls: StartTls,
    /// Failed logins until the session is closed.
    pub failed_logins: u32,
    /// The extensions of the engine, with blanks.
    pub sieve: String,
    /// The methods of `notify`, with blanks.
    pub notify: String,
    /// How many addresses a script may redirect a message to.
    pub max_redirects: u32,
}

/// What the driver does next.
#[derive(Debug)]
pub enum Step {
    /// Send this.
    Reply(Reply),
    /// Send these lines and this.
    Lines(Vec<u8>, Reply),
    /// Send this challenge, base64 already, as a string on a line.
    Challenge(&'static str),
    /// Check the credentials and tell [`Session::logged_in`].
    LogIn(Credentials),
    /// Send this, drop what has been read, begin TLS, tell [`Session::secured`] and send what it gives.
    StartTls(Reply),
    /// Do this with the scripts of the account and send the result.
    Perform(Wish),
    /// Forget who the client is.
    Forget(Reply),
    /// Send this and close the connection.
    Close(Reply),
}

/// What a client wants done with its scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Say whether a script is without mistakes.
    Check(Vec<u8>),
    /// Delete a script.
    Delete(ScriptName),
    /// Send a script.
    Get(ScriptName),
    /// Say whether a script of this size could be stored.
    HaveSpace(ScriptName, u32),
    /// List the scripts.
    List,
    /// Store a script.
    Put(ScriptName, Vec<u8>),
    /// Give a script another name.
    Rename(ScriptName, ScriptName),
    /// Make a script the active one, or none.
    SetActive(Option<ScriptName>),
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
    Unauthenticated,
    /// In the middle of AUTHENTICATE.
    Exchange(Exchange),
    /// Logged in as this account.
    Authenticated(String),
    Over,
}

impl Session {
    /// A session on a connection in the clear.
    pub const fn new(profile: Profile) -> Self {
        Self { profile, encrypted: false, failures: 0, state: State::Unauthenticated }
    }

    /// The greeting: the capabilities (RFC 5804 §1.7).
    pub fn greeting(&self) -> Step {
        Step::Lines(self.capabilities(), Reply::ok("Postrider is ready"))
    }

    /// The connection is encrypted from now on; what was said before does not count. The capabilities are sent again
    /// (RFC 5804 §2.2).
    pub fn secured(&mut self) -> Step {
        self.encrypted = true;
        self.state = State::Unauthenticated;
        Step::Lines(self.capabilities(), Reply::ok("TLS is active"))
    }

    /// Whether the client has logged in.
    pub const fn is_authenticated(&self) -> bool {
        matches!(self.state, State::Authenticated(_))
    }

    /// Takes a command as the framer cuts it.
    pub fn command(&mut self, octets: &[u8]) -> Step {
        if let State::Exchange(exchange) = &mut self.state {
            let step = match response(octets) {
                Some(line) => exchange.respond(line.expose()),
                None => Err(sasl::Error::Malformed),
            };
            return self.exchange(step);
        }
        match Command::parse(octets) {
            Ok(command) => self.perform(command),
            Err(error @ (BadCommand::Unknown | BadCommand::Arguments(_))) => Step::Reply(Reply::no(error.to_string())),
        }
    }

    /// A command was not accepted, and the client is told so. If it answered a challenge (RFC 5804 §2.1), the exchange
    /// is over and a command comes next.
    pub fn refused(&mut self) {
        if matches!(self.state, State::Exchange(_)) {
            self.state = State::Unauthenticated;
        }
    }

    fn perform(&mut self, command: Command) -> Step {
        match command {
            Command::Capability => Step::Lines(self.capabilities(), Reply::ok("")),
            Command::Logout => {
                self.state = State::Over;
                Step::Close(Reply::ok("Goodbye"))
            }
            // RFC 5804 §2.13.
            Command::Noop(None) => Step::Reply(Reply::ok("Done")),
            Command::Noop(Some(tag)) => Step::Reply(Reply::ok("Done").coded(Code::Tag(tag))),
            command if self.is_authenticated() => self.manage(command),
            Command::StartTls => self.start_tls(),
            Command::Authenticate { mechanism, initial } => self.authenticate(&mechanism, initial.as_ref()),
            _ => Step::Reply(Reply::no("Log in first")),
        }
    }

    fn start_tls(&self) -> Step {
        match (self.encrypted, self.profile.start_tls) {
            (true, _) => Step::Reply(Reply::no("TLS is active already")),
            (false, StartTls::Offered) => Step::StartTls(Reply::ok("Begin TLS negotiation now")),
            (false, StartTls::Unavailable) => Step::Reply(Reply::no("TLS is not available here")),
        }
    }

    fn may_log_in(&self) -> bool {
        self.encrypted || self.profile.plaintext == Plaintext::Allowed
    }

    /// RFC 5804 §1.7. Without TLS the list of mechanisms is empty, where passwords are refused.
    fn capabilities(&self) -> Vec<u8> {
        let mechanisms: Vec<&str> = match self.may_log_in() {
            true => Mechanism::ALL.iter().map(|mechanism| mechanism.name()).collect(),
            false => Vec::new(),
        };
        let mut out = Vec::with_capacity(600);
        let mut line = |name: &str, value: Option<&str>| {
            string(name.as_bytes(), &mut out);
            if let Some(value) = value {
                out.push(b' ');
                string(value.as_bytes(), &mut out);
            }
            out.extend_from_slice(b"\r\n");
        };
        line("IMPLEMENTATION", Some("Postrider"));
        line("VERSION", Some("1.0"));
        line("SIEVE", Some(&self.profile.sieve));
        line("NOTIFY", Some(&self.profile.notify));
        line("SASL", Some(&mechanisms.join(" ")));
        line("MAXREDIRECTS", Some(&self.profile.max_redirects.to_string()));
        line("UNAUTHENTICATE", None);
        if let State::Authenticated(account) = &self.state {
            line("OWNER", Some(account));
        } else if !self.encrypted && self.profile.start_tls == StartTls::Offered {
            line("STARTTLS", None);
        }
        out
    }

    fn authenticate(&mut self, mechanism: &str, initial: Option<&Secret<Vec<u8>>>) -> Step {
        let Some(mechanism) = Mechanism::from_name(mechanism) else {
            return Step::Reply(Reply::no("This mechanism is not supported"));
        };
        if !self.may_log_in() {
            let reply = Reply::no("Passwords are accepted only under TLS: use STARTTLS first");
            return Step::Reply(reply.coded(Code::EncryptNeeded));
        }
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
            Ok(sasl::Step::Challenge(challenge)) => Step::Challenge(challenge),
            Ok(sasl::Step::Done(credentials)) => {
                self.state = State::Unauthenticated;
                Step::LogIn(credentials)
            }
            Err(error) => {
                self.state = State::Unauthenticated;
                Step::Reply(Reply::no(error.to_string()))
            }
        }
    }

    /// The answer to [`Step::LogIn`]: the account, or why not.
    pub fn logged_in(&mut self, result: Result<String, Reply>) -> Step {
        match result {
            Ok(account) => {
                self.state = State::Authenticated(account);
                Step::Reply(Reply::ok("Logged in"))
            }
            Err(reply) => {
                self.failures += 1;
                if self.failures >= self.profile.failed_logins {
                    self.state = State::Over;
                    return Step::Close(Reply::bye("Too many failed logins"));
                }
                Step::Reply(reply)
            }
        }
    }

    /// What only somebody who is logged in may say.
    fn manage(&mut self, command: Command) -> Step {
        let wish = match command {
            Command::CheckScript(source) => Ok(Wish::Check(source)),
            Command::DeleteScript(name) => name.parse().map(Wish::Delete),
            Command::GetScript(name) => name.parse().map(Wish::Get),
            Command::HaveSpace(name, size) => name.parse().map(|name| Wish::HaveSpace(name, size)),
            Command::ListScripts => Ok(Wish::List),
            Command::PutScript(name, source) => name.parse().map(|name| Wish::Put(name, source)),
            Command::RenameScript(from, to) => renaming(&from, &to),
            Command::SetActive(None) => Ok(Wish::SetActive(None)),
            Command::SetActive(Some(name)) => name.parse().map(|name| Wish::SetActive(Some(name))),
            Command::Unauthenticate => {
                self.state = State::Unauthenticated;
                return Step::Forget(Reply::ok("You are logged out"));
            }
            Command::Authenticate { .. } | Command::StartTls => {
                return Step::Reply(Reply::no("You are logged in already"));
            }
            Command::Capability | Command::Logout | Command::Noop(_) => {
                return Step::Reply(Reply::no("Not allowed now"));
            }
        };
        match wish {
            Ok(wish) => Step::Perform(wish),
            Err(error) => Step::Reply(Reply::no(error.to_string())),
        }
    }
}

fn renaming(from: &str, to: &str) -> Result<Wish, InvalidName> {
    Ok(Wish::Rename(from.parse()?, to.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(plaintext: Plaintext, start_tls: StartTls) -> Session {
        Session::new(Profile {
            plaintext,
            start_tls,
            failed_logins: 2,
            sieve: "fileinto vacation".to_owned(),
            notify: "mailto".to_owned(),
            max_redirects: 4,
        })
    }

    fn said(step: Step) -> String {
        let (mut out, reply) = match step {
            Step::Lines(lines, reply) => (lines, reply),
            Step::Reply(reply) | Step::Close(reply) | Step::StartTls(reply) | Step::Forget(reply) => {
                (Vec::new(), reply)
            }
            other => panic!("{other:?}"),
        };
        reply.encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tls_comes_before_passwords() {
        let mut session = session(Plaintext::UnderTls, StartTls::Offered);
        let greeting = said(session.greeting());
        assert!(greeting.contains("\"SASL\" \"\"\r\n") && greeting.contains("\"STARTTLS\"\r\n"), "{greeting}");
        assert!(greeting.ends_with("OK \"Postrider is ready\"\r\n") && greeting.contains("\"VERSION\" \"1.0\""));
        let refused = said(session.command(b"AUTHENTICATE \"PLAIN\" \"AGFubgB4\""));
        assert!(refused.starts_with("NO (ENCRYPT-NEEDED) "), "{refused}");
        assert!(matches!(session.command(b"STARTTLS"), Step::StartTls(_)));
        let again = said(session.secured());
        assert!(again.contains("\"SASL\" \"PLAIN LOGIN\"") && !again.contains("STARTTLS"), "{again}");
        assert!(said(session.command(b"starttls")).starts_with("NO "));
        assert!(matches!(session.command(b"AUTHENTICATE \"PLAIN\" \"AGFubgB4\""), Step::LogIn(_)));
    }

    #[test]
    fn exchanges_are_strings() {
        let mut session = session(Plaintext::Allowed, StartTls::Unavailable);
        assert!(matches!(session.command(b"AUTHENTICATE \"plain\""), Step::Challenge("")));
        assert!(said(session.command(b"\"*\"")).contains("cancelled"));
        assert!(matches!(session.command(b"AUTHENTICATE \"PLAIN\""), Step::Challenge("")));
        assert!(said(session.command(b"NOOP")).starts_with("NO "));
        assert!(matches!(session.command(b"AUTHENTICATE \"PLAIN\""), Step::Challenge("")));
        let Step::LogIn(credentials) = session.command(b"{8+}\r\nAGFubgB4") else { panic!() };
        assert_eq!((credentials.username.as_str(), credentials.password.expose().as_str()), ("ann", "x"));
        assert!(matches!(session.logged_in(Err(Reply::no("wrong"))), Step::Reply(_)));
        assert!(matches!(session.logged_in(Err(Reply::no("wrong"))), Step::Close(_)));
    }

    #[test]
    fn scripts_are_for_those_who_are_logged_in() {
        let mut session = session(Plaintext::Allowed, StartTls::Unavailable);
        for line in ["LISTSCRIPTS", "PUTSCRIPT \"a\" \"keep;\"", "SETACTIVE \"\"", "UNAUTHENTICATE"] {
            assert_eq!(said(session.command(line.as_bytes())), "NO \"Log in first\"\r\n", "{line}");
        }
        assert_eq!(said(session.command(b"NOOP \"x\"")), "OK (TAG \"x\") \"Done\"\r\n");
        session.logged_in(Ok("ann@example.test".to_owned()));
        assert!(said(session.command(b"CAPABILITY")).contains("\"OWNER\" \"ann@example.test\""));
        let Step::Perform(Wish::Put(name, source)) = session.command(b"PUTSCRIPT \"a\" \"keep;\"") else { panic!() };
        assert_eq!((name.as_str(), source.as_slice()), ("a", b"keep;".as_slice()));
        assert!(matches!(session.command(b"SETACTIVE \"\""), Step::Perform(Wish::SetActive(None))));
        assert!(said(session.command(b"GETSCRIPT \"../x\"")).starts_with("NO "));
        assert!(said(session.command(b"STARTTLS")).starts_with("NO "));
        assert!(matches!(session.command(b"UNAUTHENTICATE"), Step::Forget(_)));
        assert!(!session.is_authenticated());
        assert!(matches!(session.command(b"LOGOUT"), Step::Close(_)));
    }
}
