//! SASL exchanges as SMTP, IMAP and POP3 carry them: PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login).
//!
//! Pure: base64 lines in, the next challenge or the credentials out. Checking the credentials is `services::login`'s
//! business. Whether the mechanism may be used at all (TLS or not) is the session's.

mod exchange;

pub use exchange::{Credentials, Error, Exchange, MAX_LINE, Mechanism, Step};
