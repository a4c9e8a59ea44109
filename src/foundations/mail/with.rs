//! By which protocol a message came.

/// The protocol, as the Received field names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// None: this process made the message, or processes it further.
    Local,
    /// SMTP after HELO.
    Smtp,
    /// SMTP after EHLO.
    Esmtp(Extras),
    /// LMTP (RFC 2033).
    Lmtp(Extras),
    /// HTTP: the webmail.
    Http,
    /// The same under TLS.
    Https,
}

/// What was in use in addition to the protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extras {
    /// TLS.
    pub tls: bool,
    /// The client had logged in.
    pub login: bool,
    /// SMTPUTF8.
    pub utf8: bool,
}

impl With {
    /// Whether it came by SMTP.
    pub const fn is_smtp(self) -> bool {
        matches!(self, Self::Smtp | Self::Esmtp(_))
    }

    /// Whether it came by LMTP.
    pub const fn is_lmtp(self) -> bool {
        matches!(self, Self::Lmtp(_))
    }

    /// The keyword (RFC 3848, RFC 6531 §4.3).
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Smtp => "SMTP",
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Esmtp(Extras { tls, login, utf8 }) => match (utf8, tls, login) {
                (false, false, false) => "ESMTP",
                (false, false, true) => "ESMTPA",
                (false, true, false) => "ESMTPS",
                (false, true, true) => "ESMTPSA",
                (true, false, false) => "UTF8SMTP",
                (true, false, true) => "UTF8SMTPA",
                (true, true, false) => "UTF8SMTPS",
                (true, true, true) => "UTF8SMTPSA",
            },
            Self::Lmtp(Extras { tls, login, utf8 }) => match (utf8, tls, login) {
                (false, false, false) => "LMTP",
                (false, false, true) => "LMTPA",
                (false, true, false) => "LMTPS",
                (false, true, true) => "LMTPSA",
                (true, false, false) => "UTF8LMTP",
                (true, false, true) => "UTF8LMTPA",
                (true, true, false) => "UTF8LMTPS",
                (true, true, true) => "UTF8LMTPSA",
            },
        }
    }
}

impl std::fmt::Display for With {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.keyword())
    }
}
