//! Commands of a client.

use std::num::NonZeroU32;

use crate::foundations::secret::Secret;
use crate::foundations::wire::sasl::Mechanism;

/// A message number (RFC 1939 §4): from 1, in the order of the maildrop.
pub type Number = NonZeroU32;

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// AUTH without arguments: a request for the mechanisms. (Not in RFC 5034, but clients send it.)
    AuthList,
    /// AUTH (RFC 5034 §4).
    Auth {
        /// The mechanism.
        mechanism: Mechanism,
        /// The initial response in base64, `=` for an empty one.
        initial: Option<Secret<Vec<u8>>>,
    },
    /// CAPA (RFC 2449 §5).
    Capa,
    /// DELE: mark as deleted.
    Dele(Number),
    /// LAST: the highest number accessed (RFC 1460; dropped from RFC 1939, still asked for by old clients).
    Last,
    /// LIST: the size of one message, or of all.
    List(Option<Number>),
    /// NOOP.
    Noop,
    /// PASS: everything after the blank, blanks included (RFC 1939 §7).
    Pass(Secret<String>),
    /// QUIT.
    Quit,
    /// RETR: the whole message.
    Retr(Number),
    /// RSET: unmark all.
    Rset,
    /// STAT: how many, and how large.
    Stat,
    /// STLS (RFC 2595 §4).
    Stls,
    /// TOP: header and the first lines of the body.
    Top {
        /// The message.
        number: Number,
        /// How many lines of the body.
        lines: u32,
    },
    /// UIDL: the unique id of one message, or of all.
    Uidl(Option<Number>),
    /// USER: a mailbox name, which may hold blanks.
    User(String),
    /// UTF8 (RFC 6856 §2).
    Utf8,
}

/// Why a line is not a valid command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCommand {
    /// Unknown keyword. Also APOP, which would need plain-text passwords on the server.
    #[error("Unknown command")]
    Unknown,
    /// AUTH with a mechanism that is not offered (RFC 5034 §4).
    #[error("Unknown authentication mechanism")]
    Mechanism,
    /// Arguments that are missing, too many, or not numbers.
    #[error("Wrong arguments: {0} is wanted")]
    Arguments(&'static str),
}

impl Command {
    /// Reads a line without its CRLF.
    ///
    /// ```text
    /// command = keyword *(SP param) CRLF      ; RFC 2449 §4
    /// keyword = 3*4VCHAR
    /// ```
    pub fn parse(line: &[u8]) -> Result<Self, BadCommand> {
        let (keyword, argument) = match line.iter().position(|b| *b == b' ') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &b""[..]),
        };
        let is = |word: &str| keyword.eq_ignore_ascii_case(word.as_bytes());
        match keyword.len() {
            3 if is("TOP") => top(argument),
            4 if is("AUTH") => auth(argument),
            4 if is("CAPA") => alone(argument, Self::Capa, "CAPA"),
            4 if is("DELE") => one(argument, "DELE number").map(Self::Dele),
            4 if is("LAST") => alone(argument, Self::Last, "LAST"),
            4 if is("LIST") => one_or_all(argument, "LIST, or LIST number,").map(Self::List),
            4 if is("NOOP") => alone(argument, Self::Noop, "NOOP"),
            4 if is("PASS") => text(argument, "PASS password").map(|password| Self::Pass(Secret::new(password))),
            4 if is("QUIT") => alone(argument, Self::Quit, "QUIT"),
            4 if is("RETR") => one(argument, "RETR number").map(Self::Retr),
            4 if is("RSET") => alone(argument, Self::Rset, "RSET"),
            4 if is("STAT") => alone(argument, Self::Stat, "STAT"),
            4 if is("STLS") => alone(argument, Self::Stls, "STLS"),
            4 if is("UIDL") => one_or_all(argument, "UIDL, or UIDL number,").map(Self::Uidl),
            4 if is("USER") => text(argument.trim_ascii(), "USER name").map(Self::User),
            4 if is("UTF8") => alone(argument, Self::Utf8, "UTF8"),
            _ => Err(BadCommand::Unknown),
        }
    }

    /// Appends the line with its CRLF.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut line = match self {
            Self::AuthList => "AUTH".to_owned(),
            Self::Auth { mechanism, .. } => format!("AUTH {}", mechanism.name()),
            Self::Capa => "CAPA".to_owned(),
            Self::Dele(number) => format!("DELE {number}"),
            Self::Last => "LAST".to_owned(),
            Self::List(None) => "LIST".to_owned(),
            Self::List(Some(number)) => format!("LIST {number}"),
            Self::Noop => "NOOP".to_owned(),
            // The password belongs on the wire.
            Self::Pass(password) => format!("PASS {}", password.expose()),
            Self::Quit => "QUIT".to_owned(),
            Self::Retr(number) => format!("RETR {number}"),
            Self::Rset => "RSET".to_owned(),
            Self::Stat => "STAT".to_owned(),
            Self::Stls => "STLS".to_owned(),
            Self::Top { number, lines } => format!("TOP {number} {lines}"),
            Self::Uidl(None) => "UIDL".to_owned(),
            Self::Uidl(Some(number)) => format!("UIDL {number}"),
            Self::User(name) => format!("USER {name}"),
            Self::Utf8 => "UTF8".to_owned(),
        }
        .into_bytes();
        if let Self::Auth { initial: Some(initial), .. } = self {
            line.push(b' ');
            // As above.
            line.extend_from_slice(initial.expose());
        }
        out.extend_from_slice(&line);
        out.extend_from_slice(b"\r\n");
    }
}

fn alone(argument: &[u8], command: Command, wanted: &'static str) -> Result<Command, BadCommand> {
    if argument.trim_ascii().is_empty() { Ok(command) } else { Err(BadCommand::Arguments(wanted)) }
}

fn text(argument: &[u8], wanted: &'static str) -> Result<String, BadCommand> {
    match std::str::from_utf8(argument) {
        Ok(text) if !text.is_empty() && !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(BadCommand::Arguments(wanted)),
    }
}

fn number(argument: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(argument).ok()?;
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

fn one(argument: &[u8], wanted: &'static str) -> Result<Number, BadCommand> {
    number(argument.trim_ascii()).and_then(Number::new).ok_or(BadCommand::Arguments(wanted))
}

fn one_or_all(argument: &[u8], wanted: &'static str) -> Result<Option<Number>, BadCommand> {
    if argument.trim_ascii().is_empty() { Ok(None) } else { one(argument, wanted).map(Some) }
}

fn top(argument: &[u8]) -> Result<Command, BadCommand> {
    let wanted = BadCommand::Arguments("TOP number lines");
    let mut words = argument.split(|b| *b == b' ').filter(|word| !word.is_empty());
    let (Some(message), Some(lines), None) = (words.next(), words.next(), words.next()) else { return Err(wanted) };
    let number_of = number(message).and_then(Number::new).ok_or(wanted)?;
    // RFC 1939 §7: more than there are means all of them, however many.
    let too_many = || lines.iter().all(u8::is_ascii_digit).then_some(u32::MAX);
    Ok(Command::Top { number: number_of, lines: number(lines).or_else(too_many).ok_or(wanted)? })
}

/// ```text
/// auth-command = "AUTH" SP auth-type [SP (base64 / "=")]      ; RFC 5034 §6
/// ```
fn auth(argument: &[u8]) -> Result<Command, BadCommand> {
    let mut words = argument.split(|b| *b == b' ').filter(|word| !word.is_empty());
    let Some(name) = words.next() else { return Ok(Command::AuthList) };
    let initial = words.next().map(|initial| Secret::new(initial.to_vec()));
    if words.next().is_some() {
        return Err(BadCommand::Arguments("AUTH mechanism, with or without a response,"));
    }
    let mechanism = std::str::from_utf8(name).ok().and_then(Mechanism::from_name).ok_or(BadCommand::Mechanism)?;
    Ok(Command::Auth { mechanism, initial })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(number: u32) -> Number {
        Number::new(number).unwrap()
    }

    #[test]
    fn reads_commands() {
        let plain = |initial: Option<&str>| Command::Auth {
            mechanism: Mechanism::Plain,
            initial: initial.map(|text| Secret::new(text.as_bytes().to_vec())),
        };
        for (line, command) in [
            ("STAT", Command::Stat),
            ("stat ", Command::Stat),
            ("LIST", Command::List(None)),
            ("list 12", Command::List(Some(n(12)))),
            ("UIDL 4294967295", Command::Uidl(Some(n(u32::MAX)))),
            ("RETR  1 ", Command::Retr(n(1))),
            ("TOP 1 0", Command::Top { number: n(1), lines: 0 }),
            ("TOP 1 99999999999", Command::Top { number: n(1), lines: u32::MAX }),
            ("USER ann@example.test", Command::User("ann@example.test".to_owned())),
            ("PASS  a b ", Command::Pass(Secret::new(" a b ".to_owned()))),
            ("AUTH", Command::AuthList),
            ("AUTH plain", plain(None)),
            ("AUTH PLAIN =", plain(Some("="))),
            ("UTF8", Command::Utf8),
        ] {
            let parsed = Command::parse(line.as_bytes()).unwrap();
            assert_eq!(parsed, command, "{line}");
            let mut encoded = Vec::new();
            parsed.encode(&mut encoded);
            assert_eq!(Command::parse(encoded.strip_suffix(b"\r\n").unwrap()).unwrap(), parsed);
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for line in ["", " ", "STATS", "APOP ann 0123", "ST", "\0\0\0\0", "\u{fc}ser"] {
            assert_eq!(Command::parse(line.as_bytes()), Err(BadCommand::Unknown), "{line}");
        }
        for line in [
            "STAT 1",
            "RETR",
            "RETR 0",
            "RETR -1",
            "RETR +1",
            "RETR 4294967296",
            "RETR 1 2",
            "TOP 1",
            "TOP 1 -1",
            "TOP 1 2 3",
            "USER ",
            "PASS",
        ] {
            assert!(matches!(Command::parse(line.as_bytes()), Err(BadCommand::Arguments(_))), "{line}");
        }
        assert_eq!(Command::parse(b"AUTH CRAM-MD5"), Err(BadCommand::Mechanism));
        assert!(matches!(Command::parse(b"PASS \xff"), Err(BadCommand::Arguments(_))));
    }
}
