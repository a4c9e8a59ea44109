//! STARTTLS and AUTH.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::replies::{closing, sequence};
use super::{Asked, Question, Session, State, Step};
use crate::foundations::failure::Refusal;
use crate::foundations::mail::Login;
use crate::foundations::net::StartTls;
use crate::foundations::wire::sasl::{self, Exchange, Mechanism};
use crate::foundations::wire::smtp::{EnhancedStatus, Reply};
use crate::protocols::smtp::hello::Security;
use crate::protocols::smtp::profile::Auth;

impl Session {
    pub(super) fn start_tls(&mut self) -> Step {
        if self.security == Security::Tls {
            return Step::Reply(sequence("TLS is in use already"));
        }
        if self.profile.start_tls == StartTls::Unavailable {
            return Step::Reply(Reply::new(502, EnhancedStatus::new(5, 5, 1), "TLS is not offered here"));
        }
        self.state = State::Handshake;
        Step::StartTls(Reply::new(220, EnhancedStatus::new(2, 0, 0), "Begin the handshake"))
    }

    pub(super) fn auth(&mut self, mechanism: &str, initial: Option<&String>) -> Step {
        if self.profile.vouches && mechanism.eq_ignore_ascii_case("EXTERNAL") && self.login.is_none() {
            return self.vouched(initial.map_or("", String::as_str));
        }
        match (self.profile.auth, self.security) {
            (Auth::No, _) => {
                return Step::Reply(Reply::new(
                    502,
                    EnhancedStatus::new(5, 5, 1),
                    "Authentication is not offered here",
                ));
            }
            (Auth::UnderTls, Security::Plain) => {
                let text = "Passwords are taken only under TLS";
                return Step::Reply(Reply::new(538, EnhancedStatus::new(5, 7, 11), text));
            }
            _ => {}
        }
        // RFC 4954 §4: once a session, and not within a transaction.
        if self.login.is_some() || self.transaction.is_some() {
            return Step::Reply(sequence("Not allowed now"));
        }
        let Some(mechanism) = Mechanism::from_name(mechanism) else {
            return Step::Reply(Reply::new(504, EnhancedStatus::new(5, 5, 4), "Mechanism not supported"));
        };
        let initial = initial.map(|text| if text.is_empty() { b"=".as_slice() } else { text.as_bytes() });
        let begun = Exchange::begin(mechanism, initial);
        self.exchange(begun)
    }

    /// RFC 4422 appendix A.1: the client names the account it acts for; who it is itself is known from outside.
    fn vouched(&mut self, initial: &str) -> Step {
        let named = STANDARD.decode(initial).ok().and_then(|octets| String::from_utf8(octets).ok());
        match named.and_then(|name| name.parse().ok()) {
            Some(address) => self.login_answered(Ok(Login::user(address))),
            None => Step::Reply(Reply::new(501, EnhancedStatus::new(5, 5, 2), "Send an account's address in base64")),
        }
    }

    pub(super) fn exchange(&mut self, next: Result<(Exchange, sasl::Step), sasl::Error>) -> Step {
        match next {
            Ok((exchange, sasl::Step::Challenge(challenge))) => {
                self.state = State::Sasl(exchange);
                Step::Reply(Reply::plain(334, challenge))
            }
            Ok((_, sasl::Step::Done(credentials))) => self.ask(Asked::Login, Question::Login(credentials)),
            Err(error @ sasl::Error::TooLong) => {
                Step::Reply(Reply::new(500, EnhancedStatus::new(5, 5, 6), error.to_string()))
            }
            Err(error) => Step::Reply(Reply::new(501, EnhancedStatus::new(5, 5, 2), error.to_string())),
        }
    }

    pub(super) fn login_answered(&mut self, result: Result<Login, Refusal>) -> Step {
        match result {
            Ok(login) => {
                self.login = Some(login);
                Step::Reply(Reply::new(235, EnhancedStatus::new(2, 7, 0), "Welcome"))
            }
            Err(refusal) => {
                self.tally.failed_logins += 1;
                if self.tally.failed_logins >= self.profile.failed_logins {
                    return self.close(closing(4, 7, 0, "Too many failed logins; try again later"));
                }
                Step::Reply(Reply::from(&refusal))
            }
        }
    }
}
