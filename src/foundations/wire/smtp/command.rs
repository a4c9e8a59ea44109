//! Commands.

use bytes::BytesMut;

use super::{MailParameters, RcptParameters, SyntaxError, path};
use crate::foundations::address::{Domain, ForwardPath, ReversePath};
use crate::foundations::secret::Secret;

/// The name of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// AUTH (RFC 4954).
    Auth,
    /// BDAT (RFC 3030).
    Bdat,
    /// DATA.
    Data,
    /// EHLO.
    Ehlo,
    /// ETRN (RFC 1985), not carried out.
    Etrn,
    /// EXPN, not carried out.
    Expn,
    /// HELO.
    Helo,
    /// HELP.
    Help,
    /// LHLO (RFC 2033).
    Lhlo,
    /// MAIL.
    Mail,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
    /// RCPT.
    Rcpt,
    /// RSET.
    Rset,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// TURN and its relatives (RFC 821), not carried out.
    Turn,
    /// VRFY.
    Vrfy,
}

/// The name a client gives itself: what an atom may hold (RFC 5322 §3.2.3), `.`, `:`, `[`, `]` and letters that are not ASCII, at
/// most 255 octets.
///
/// Wider than a domain, because good mail comes from hosts with odd names, such as `[IPv6:fe80::1%wlan0]` or `M?LLER-PC`; narrow
/// enough to stand in a Received field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello(String);

impl Hello {
    /// The text as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a domain or address literal, when it is one.
    pub fn domain(&self) -> Option<Domain> {
        self.0.parse().ok()
    }

    fn parse(text: &str) -> Option<Self> {
        let allowed = |c: char| {
            c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.:[]".contains(c) || (!c.is_ascii() && c.is_alphanumeric())
        };
        let fine = (1..=255).contains(&text.len()) && text.chars().all(allowed);
        fine.then(|| Self(text.to_owned()))
    }
}

/// One command of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Begin a login (RFC 4954 §4).
    Auth {
        /// The mechanism in upper case.
        mechanism: String,
        /// The initial response, still in base 64; empty for `=`.
        initial: Option<Secret<String>>,
    },
    /// A chunk of the message follows directly (RFC 3030 §2).
    Bdat {
        /// Its length in octets.
        size: u64,
        /// Whether it is the last of the message.
        last: bool,
    },
    /// The message follows after a 354.
    Data,
    /// A greeting that asks for extensions.
    Ehlo(Hello),
    /// Greeting.
    Helo(Hello),
    /// A request for help.
    Help,
    /// Greeting of LMTP.
    Lhlo(Hello),
    /// Begin a transaction.
    Mail {
        /// The sender.
        path: ReversePath,
        /// Whether the sender was written with octets outside ASCII.
        international: bool,
        /// The rest.
        parameters: MailParameters,
    },
    /// No operation.
    Noop,
    /// The end.
    Quit,
    /// One more recipient.
    Rcpt {
        /// The recipient.
        path: ForwardPath,
        /// Whether the recipient was written with octets outside ASCII.
        international: bool,
        /// The rest.
        parameters: RcptParameters,
    },
    /// Forget the transaction.
    Rset,
    /// Begin TLS.
    StartTls,
    /// Asks whether an address exists.
    Vrfy,
}

impl Command {
    /// Reads one line without its CRLF.
    pub fn parse(line: &[u8]) -> Result<Self, SyntaxError> {
        let text = std::str::from_utf8(line).map_err(|_| SyntaxError::Characters)?;
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(SyntaxError::Characters);
        }
        // RFC 5321 §4.1.1: receivers tolerate white space before the end of the line.
        let text = text.trim_end_matches([' ', '\t']);
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let verb = Verb::parse(word).ok_or(SyntaxError::UnknownVerb)?;
        match verb {
            Verb::Auth => parse_auth(rest),
            Verb::Bdat => parse_bdat(rest),
            Verb::Data => bare(Self::Data, rest, "DATA"),
            Verb::Ehlo => Hello::parse(rest).map(Self::Ehlo).ok_or(SyntaxError::Arguments("EHLO domain")),
            Verb::Helo => Hello::parse(rest).map(Self::Helo).ok_or(SyntaxError::Arguments("HELO domain")),
            Verb::Lhlo => Hello::parse(rest).map(Self::Lhlo).ok_or(SyntaxError::Arguments("LHLO domain")),
            // RFC 5321 §4.1.1.8, §4.1.1.9: both may have an argument, which is ignored.
            Verb::Help => Ok(Self::Help),
            Verb::Noop => Ok(Self::Noop),
            Verb::Mail => parse_mail(rest),
            Verb::Rcpt => parse_rcpt(rest),
            Verb::Quit => bare(Self::Quit, rest, "QUIT"),
            Verb::Rset => bare(Self::Rset, rest, "RSET"),
            // RFC 3207 §4: no parameters, else 501.
            Verb::StartTls => bare(Self::StartTls, rest, "STARTTLS"),
            Verb::Vrfy if rest.trim().is_empty() => Err(SyntaxError::Arguments("VRFY address")),
            Verb::Vrfy => Ok(Self::Vrfy),
            Verb::Etrn | Verb::Expn | Verb::Turn => Err(SyntaxError::NotImplemented(verb)),
        }
    }

    /// The name of the command.
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Auth { .. } => Verb::Auth,
            Self::Bdat { .. } => Verb::Bdat,
            Self::Data => Verb::Data,
            Self::Ehlo(_) => Verb::Ehlo,
            Self::Helo(_) => Verb::Helo,
            Self::Help => Verb::Help,
            Self::Lhlo(_) => Verb::Lhlo,
            Self::Mail { .. } => Verb::Mail,
            Self::Noop => Verb::Noop,
            Self::Quit => Verb::Quit,
            Self::Rcpt { .. } => Verb::Rcpt,
            Self::Rset => Verb::Rset,
            Self::StartTls => Verb::StartTls,
            Self::Vrfy => Verb::Vrfy,
        }
    }

    /// Writes the command as a client sends it, with CRLF. AUTH is written with its secret.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut line = String::with_capacity(80);
        match self {
            Self::Auth { mechanism, initial } => {
                line.push_str("AUTH ");
                line.push_str(mechanism);
                if let Some(initial) = initial {
                    line.push(' ');
                    line.push_str(if initial.expose().is_empty() { "=" } else { initial.expose() });
                }
            }
            Self::Bdat { size, last } => line = format!("BDAT {size}{}", if *last { " LAST" } else { "" }),
            Self::Data => line.push_str("DATA"),
            Self::Ehlo(name) => line = format!("EHLO {}", name.0),
            Self::Helo(name) => line = format!("HELO {}", name.0),
            Self::Help => line.push_str("HELP"),
            Self::Lhlo(name) => line = format!("LHLO {}", name.0),
            Self::Mail { path, parameters, .. } => {
                line = format!("MAIL FROM:{path}");
                parameters.write(&mut line);
            }
            Self::Noop => line.push_str("NOOP"),
            Self::Quit => line.push_str("QUIT"),
            Self::Rcpt { path, parameters, .. } => {
                line = format!("RCPT TO:{path}");
                parameters.write(&mut line);
            }
            Self::Rset => line.push_str("RSET"),
            Self::StartTls => line.push_str("STARTTLS"),
            Self::Vrfy => line.push_str("VRFY postmaster"),
        }
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

impl Verb {
    /// The verb of a word, in any case (RFC 5321 §2.4).
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_uppercase().as_str() {
            "AUTH" => Self::Auth,
            "BDAT" => Self::Bdat,
            "DATA" => Self::Data,
            "EHLO" => Self::Ehlo,
            "ETRN" => Self::Etrn,
            "EXPN" => Self::Expn,
            "HELO" => Self::Helo,
            "HELP" => Self::Help,
            "LHLO" => Self::Lhlo,
            "MAIL" => Self::Mail,
            "NOOP" => Self::Noop,
            "QUIT" => Self::Quit,
            "RCPT" => Self::Rcpt,
            "RSET" => Self::Rset,
            "STARTTLS" => Self::StartTls,
            "TURN" | "ATRN" | "SEND" | "SOML" | "SAML" => Self::Turn,
            "VRFY" => Self::Vrfy,
            _ => return None,
        })
    }
}

fn bare(command: Command, rest: &str, usage: &'static str) -> Result<Command, SyntaxError> {
    if rest.is_empty() { Ok(command) } else { Err(SyntaxError::Arguments(usage)) }
}

// RFC 4954 §4
// auth-command = "AUTH" SP sasl-mech [SP initial-response]
// initial-response = base64 / "="
fn parse_auth(rest: &str) -> Result<Command, SyntaxError> {
    const USAGE: SyntaxError = SyntaxError::Arguments("AUTH mechanism [initial-response]");
    let mut words = rest.split(' ');
    let mechanism = words.next().unwrap_or_default();
    // RFC 4422 §3.1: sasl-mech = 1*20mech-char
    let mech_char = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !(1..=20).contains(&mechanism.len()) || !mechanism.bytes().all(mech_char) {
        return Err(USAGE);
    }
    let initial = match (words.next(), words.next()) {
        (None, _) => None,
        (Some("="), None) => Some(Secret::new(String::new())),
        (Some(text), None) if !text.is_empty() => Some(Secret::new(text.to_owned())),
        _ => return Err(USAGE),
    };
    Ok(Command::Auth { mechanism: mechanism.to_ascii_uppercase(), initial })
}

// RFC 3030 §2
// bdat-cmd ::= "BDAT" SP chunk-size [ SP end-marker ] CR LF
// chunk-size ::= 1*DIGIT
// end-marker ::= "LAST"
fn parse_bdat(rest: &str) -> Result<Command, SyntaxError> {
    let mut words = rest.split(' ');
    let digits = words.next().filter(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()));
    let size = digits.and_then(|word| word.parse().ok()).ok_or(SyntaxError::ChunkSize)?;
    match (words.next(), words.next()) {
        (None, _) => Ok(Command::Bdat { size, last: false }),
        (Some(word), None) if word.eq_ignore_ascii_case("LAST") => Ok(Command::Bdat { size, last: true }),
        _ => Err(SyntaxError::ChunkSize),
    }
}

fn strip<'a>(rest: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, tail) = rest.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(tail)
}

// RFC 5321 §4.1.1.2
// mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF
fn parse_mail(rest: &str) -> Result<Command, SyntaxError> {
    let text = strip(rest, "FROM:").ok_or(SyntaxError::Arguments("MAIL FROM:<address> [parameters]"))?;
    let (path, tail) = path::reverse_path(text).map_err(SyntaxError::ReversePath)?;
    let international = !text[..text.len() - tail.len()].is_ascii();
    Ok(Command::Mail { path, international, parameters: MailParameters::parse(tail)? })
}

// RFC 5321 §4.1.1.3
// rcpt = "RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path ) [SP Rcpt-parameters] CRLF
fn parse_rcpt(rest: &str) -> Result<Command, SyntaxError> {
    let text = strip(rest, "TO:").ok_or(SyntaxError::Arguments("RCPT TO:<address> [parameters]"))?;
    let (path, tail) = path::forward_path(text).map_err(SyntaxError::ForwardPath)?;
    let international = !text[..text.len() - tail.len()].is_ascii();
    Ok(Command::Rcpt { path, international, parameters: RcptParameters::parse(tail)? })
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
