//! The greeting: what the client said, what we answer, and what it makes of the session.

use super::profile::{Auth, Mode, Profile, StartTls};
use crate::foundations::wire::sasl::Mechanism;
use crate::foundations::wire::smtp::{Hello, Reply};

/// What the client greeted us with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Greeting {
    /// Its name.
    pub name: Hello,
    /// Whether extensions may be used.
    pub extended: Extended,
}

/// Whether extensions may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extended {
    /// After EHLO or LHLO.
    Yes,
    /// After HELO.
    No,
}

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    Plain,
    Tls,
}

/// The reply to EHLO and LHLO (RFC 5321 §4.1.1.1).
pub(super) fn extensions(profile: &Profile, security: Security, auth: Auth) -> Reply {
    let size = profile.message_size;
    let mut reply = Reply::plain(250, profile.hostname.to_string())
        .line("PIPELINING")
        .line(format!("SIZE {size}"))
        .line("8BITMIME")
        .line("SMTPUTF8")
        .line("CHUNKING")
        .line("BINARYMIME")
        .line("DSN")
        .line("ENHANCEDSTATUSCODES")
        // RFC 9422 §4
        .line(format!("LIMITS MAILMAX={} RCPTMAX={}", profile.messages, profile.recipients));
    match security {
        Security::Plain if profile.start_tls == StartTls::Offered => reply = reply.line("STARTTLS"),
        Security::Plain => {}
        // RFC 8689 §2: only under TLS.
        Security::Tls => reply = reply.line("REQUIRETLS"),
    }
    if profile.vouches {
        reply = reply.line("AUTH EXTERNAL");
    } else if auth == Auth::Always || (auth == Auth::UnderTls && security == Security::Tls) {
        let names: Vec<&str> = Mechanism::ALL.iter().map(|mechanism| mechanism.name()).collect();
        reply = reply.line(format!("AUTH {}", names.join(" ")));
    }
    reply
}

/// The keyword for the Received field: RFC 3848, RFC 6531 §4.3, RFC 2033.
pub(super) const fn with(mode: Mode, extended: Extended, security: Security, login: bool, utf8: bool) -> &'static str {
    match (mode, extended, security, login, utf8) {
        (Mode::Lmtp, _, Security::Plain, _, false) => "LMTP",
        (Mode::Lmtp, _, Security::Tls, false, false) => "LMTPS",
        (Mode::Lmtp, _, Security::Tls, true, false) => "LMTPSA",
        (Mode::Lmtp, _, Security::Plain, _, true) => "UTF8LMTP",
        (Mode::Lmtp, _, Security::Tls, false, true) => "UTF8LMTPS",
        (Mode::Lmtp, _, Security::Tls, true, true) => "UTF8LMTPSA",
        (_, Extended::No, _, _, _) => "SMTP",
        (_, _, Security::Plain, false, false) => "ESMTP",
        (_, _, Security::Plain, true, false) => "ESMTPA",
        (_, _, Security::Tls, false, false) => "ESMTPS",
        (_, _, Security::Tls, true, false) => "ESMTPSA",
        (_, _, Security::Plain, false, true) => "UTF8SMTP",
        (_, _, Security::Plain, true, true) => "UTF8SMTPA",
        (_, _, Security::Tls, false, true) => "UTF8SMTPS",
        (_, _, Security::Tls, true, true) => "UTF8SMTPSA",
    }
}
