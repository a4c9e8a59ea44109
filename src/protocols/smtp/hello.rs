//! The greeting: what the client said, what we answer, and what it makes of the session.

use super::profile::{Auth, Mode, Profile};
use crate::foundations::mail::{Extras, With};
use crate::foundations::net::StartTls;
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
    // A program learns here what it is called.
    let program = profile.program.as_ref().map(|login| format!(" {}", login.address)).unwrap_or_default();
    let mut reply = Reply::plain(250, format!("{}{program}", profile.hostname))
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
    if security == Security::Plain && profile.start_tls == StartTls::Offered {
        reply = reply.line("STARTTLS");
    }
    if takes_require_tls(profile, security) {
        reply = reply.line("REQUIRETLS");
    }
    if profile.vouches {
        reply = reply.line("AUTH EXTERNAL");
    } else if auth == Auth::Always || (auth == Auth::UnderTls && security == Security::Tls) {
        let names: Vec<&str> = Mechanism::ALL.iter().map(|mechanism| mechanism.name()).collect();
        reply = reply.line(format!("AUTH {}", names.join(" ")));
    }
    reply
}

/// Whether a message may require TLS (RFC 8689 §2: only if the session itself has it). LMTP serves our own processes, and
/// front ends in networks that the administrator has named: the way from there counts as a part of this server, so a message that
/// came to it over TLS must not be returned because of that way.
pub(super) fn takes_require_tls(profile: &Profile, security: Security) -> bool {
    security == Security::Tls || profile.mode == Mode::Lmtp
}

/// What the client speaks, for the Received field.
pub(super) const fn with(mode: Mode, extended: Extended, extras: Extras) -> With {
    match (mode, extended) {
        (Mode::Lmtp, _) => With::Lmtp(extras),
        (_, Extended::No) => With::Smtp,
        (_, Extended::Yes) => With::Esmtp(extras),
    }
}
