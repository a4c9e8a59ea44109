//! One authentication exchange.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::foundations::secret::Secret;

/// Longest base64 line of a response, in octets without its line end. RFC 4616 §2 sets no limit; RFC 4954 §4 asks for
/// at least 12,288 for all mechanisms.
pub const MAX_LINE: usize = 12_288;

/// A mechanism that can be requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// User name and password in two steps; kept for old clients.
    Login,
    /// RFC 4616: both in one response.
    Plain,
}

impl Mechanism {
    /// All of them, in the order in which they are offered.
    pub const ALL: &'static [Self] = &[Self::Plain, Self::Login];

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Login => "LOGIN",
            Self::Plain => "PLAIN",
        }
    }

    /// The mechanism of that name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }
}

/// What the client has presented.
#[derive(Debug)]
pub struct Credentials {
    /// The identity to act as (RFC 4616 `authzid`), when given and different from the one below.
    pub authorization: Option<String>,
    /// The identity whose password is given (RFC 4616 `authcid`).
    pub username: String,
    /// The password.
    pub password: Secret<String>,
}

/// Why an exchange ended without credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The client sent `*`: 501 5.0.0, `BAD`, `-ERR`. Does not count as a failed attempt.
    #[error("Authentication cancelled")]
    Cancelled,
    /// Not base64.
    #[error("Invalid base64")]
    Base64,
    /// The line is longer than [`MAX_LINE`].
    #[error("Authentication line too long")]
    TooLong,
    /// Base64 of something that the mechanism does not allow: missing NULs, not UTF-8, an empty name or password.
    #[error("Malformed authentication response")]
    Malformed,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Send this challenge, base64 already, after `334 ` or `+ `; then give the client's line to [`Exchange::respond`].
    Challenge(&'static str),
    /// The exchange is complete.
    Done(Credentials),
}

/// An exchange that waits for the client's next line.
#[derive(Debug)]
pub struct Exchange {
    state: State,
}

#[derive(Debug)]
enum State {
    Plain,
    LoginUsername,
    LoginPassword(String),
}

/// `Username:` in base64, the prompt that clients of LOGIN wait for.
const USERNAME: &str = "VXNlcm5hbWU6";
/// `Password:` in base64.
const PASSWORD: &str = "UGFzc3dvcmQ6";

impl Exchange {
    /// Begins. `initial` is the argument after the mechanism's name, base64, with `=` for an empty response
    /// (RFC 4954 §4, RFC 9051 §6.2.2, RFC 5034 §4); `None` when the client gave none.
    pub fn begin(mechanism: Mechanism, initial: Option<&[u8]>) -> Result<(Self, Step), Error> {
        let mut exchange = Self {
            state: match mechanism {
                Mechanism::Plain => State::Plain,
                Mechanism::Login => State::LoginUsername,
            },
        };
        let step = match (initial, mechanism) {
            (Some(b"="), _) => exchange.take(Vec::new())?,
            (Some(line), _) => exchange.take(decode(line)?)?,
            (None, Mechanism::Plain) => Step::Challenge(""),
            (None, Mechanism::Login) => Step::Challenge(USERNAME),
        };
        Ok((exchange, step))
    }

    /// Takes the client's answer to a challenge: the line without its CRLF.
    pub fn respond(&mut self, line: &[u8]) -> Result<Step, Error> {
        if line == b"*" {
            return Err(Error::Cancelled);
        }
        self.take(decode(line)?)
    }

    fn take(&mut self, response: Vec<u8>) -> Result<Step, Error> {
        match std::mem::replace(&mut self.state, State::LoginUsername) {
            State::Plain => plain(&response).map(Step::Done),
            State::LoginUsername => {
                self.state = State::LoginPassword(text(&response)?);
                Ok(Step::Challenge(PASSWORD))
            }
            State::LoginPassword(username) => {
                let password = Secret::new(text(&response)?);
                Ok(Step::Done(Credentials { authorization: None, username, password }))
            }
        }
    }
}

/// ```text
/// message = [authzid] UTF8NUL authcid UTF8NUL passwd      ; RFC 4616 §2
/// ```
fn plain(response: &[u8]) -> Result<Credentials, Error> {
    let mut pieces = response.split(|b| *b == 0);
    let (Some(authorization), Some(username), Some(password), None) =
        (pieces.next(), pieces.next(), pieces.next(), pieces.next())
    else {
        return Err(Error::Malformed);
    };
    let authorization = std::str::from_utf8(authorization).map_err(|_| Error::Malformed)?;
    let (username, password) = (text(username)?, text(password)?);
    let authorization = (!authorization.is_empty() && authorization != username).then(|| authorization.to_owned());
    Ok(Credentials { authorization, username, password: Secret::new(password) })
}

/// Non-empty UTF-8 without NUL.
fn text(bytes: &[u8]) -> Result<String, Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(Error::Malformed),
    }
}

fn decode(line: &[u8]) -> Result<Vec<u8>, Error> {
    if line.len() > MAX_LINE {
        return Err(Error::TooLong);
    }
    BASE64.decode(line).map_err(|_| Error::Base64)
}

/// Padding may be missing: some clients leave it out, and nothing becomes ambiguous.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(step: Step) -> (Option<String>, String, String) {
        match step {
            Step::Done(credentials) => {
                (credentials.authorization, credentials.username, credentials.password.expose().clone())
            }
            Step::Challenge(challenge) => panic!("another challenge: {challenge}"),
        }
    }

    fn base64(text: &str) -> Vec<u8> {
        base64::engine::general_purpose::STANDARD.encode(text).into_bytes()
    }

    #[test]
    fn plain_with_an_initial_response() {
        for (message, authorization) in
            [("\0ann\0secret", None), ("ann\0ann\0secret", None), ("boss\0ann\0secret", Some("boss".to_owned()))]
        {
            let (_, step) = Exchange::begin(Mechanism::Plain, Some(&base64(message))).unwrap();
            assert_eq!(finish(step), (authorization, "ann".to_owned(), "secret".to_owned()));
        }
    }

    #[test]
    fn plain_asks_when_nothing_was_given() {
        let (mut exchange, step) = Exchange::begin(Mechanism::Plain, None).unwrap();
        assert!(matches!(step, Step::Challenge("")));
        let step = exchange.respond(&base64("\0ann@example.test\0pä ss")).unwrap();
        assert_eq!(finish(step), (None, "ann@example.test".to_owned(), "pä ss".to_owned()));
    }

    #[test]
    fn login_in_two_steps_or_one() {
        let (mut exchange, step) = Exchange::begin(Mechanism::Login, None).unwrap();
        assert!(matches!(step, Step::Challenge(USERNAME)));
        assert!(matches!(exchange.respond(&base64("ann")).unwrap(), Step::Challenge(PASSWORD)));
        assert_eq!(finish(exchange.respond(&base64("secret")).unwrap()).2, "secret");
        let (mut exchange, step) = Exchange::begin(Mechanism::Login, Some(&base64("ann"))).unwrap();
        assert!(matches!(step, Step::Challenge(PASSWORD)));
        assert_eq!(finish(exchange.respond(&base64("x")).unwrap()).1, "ann");
    }

    #[test]
    fn padding_may_be_missing() {
        let (_, step) = Exchange::begin(Mechanism::Plain, Some(b"AGFubgBzZWNyZXQ")).unwrap();
        assert_eq!(finish(step).1, "ann");
    }

    #[test]
    fn refusals() {
        let begin = |line: &[u8]| Exchange::begin(Mechanism::Plain, Some(line)).map(drop).unwrap_err();
        assert_eq!(begin(b"="), Error::Malformed);
        assert_eq!(begin(b"!!!"), Error::Base64);
        assert_eq!(begin(&base64("ann\0secret")), Error::Malformed);
        assert_eq!(begin(&base64("\0ann\0secret\0more")), Error::Malformed);
        assert_eq!(begin(&base64("\0\0secret")), Error::Malformed);
        assert_eq!(begin(&base64("\0ann\0")), Error::Malformed);
        assert_eq!(begin(b"AP8A/w=="), Error::Malformed);
        assert_eq!(begin(&[b'A'; MAX_LINE + 4]), Error::TooLong);
        let (mut exchange, _) = Exchange::begin(Mechanism::Login, None).unwrap();
        assert_eq!(exchange.respond(b"*").map(drop).unwrap_err(), Error::Cancelled);
        assert_eq!(exchange.respond(b"").map(drop).unwrap_err(), Error::Malformed);
    }
}
