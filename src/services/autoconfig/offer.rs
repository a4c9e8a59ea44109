use crate::foundations::address::Domain;

/// What a server does for a mail program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// Mail is read, and stays there.
    Imap,
    /// Mail is fetched.
    Pop3,
    /// Mail is sent.
    Smtp,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// TLS from the first octet.
    Immediate,
    /// TLS after a command.
    StartTls,
}

/// A server that a mail program can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// For what.
    pub kind: ServerKind,
    /// Its port.
    pub port: u16,
    /// How it is protected.
    pub protection: Protection,
}

/// What this host has for mail programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The name of the host.
    pub hostname: Domain,
    /// Its servers. A program takes the first of each kind, so those with TLS from the start stand first (RFC 8314 §3).
    pub servers: Vec<Server>,
    /// The port at which calendars and contacts are served over TLS, if they are.
    pub dav: Option<u16>,
}

/// Text between tags.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&apos;")
}

#[cfg(test)]
pub(super) fn example() -> Offer {
    let server = |kind, port, protection| Server { kind, port, protection };
    Offer {
        hostname: "mail.example.test".parse().unwrap(),
        servers: vec![
            server(ServerKind::Imap, 993, Protection::Immediate),
            server(ServerKind::Smtp, 465, Protection::Immediate),
            server(ServerKind::Smtp, 587, Protection::StartTls),
        ],
        dav: Some(443),
    }
}
