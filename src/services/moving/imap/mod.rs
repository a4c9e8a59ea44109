//! Mail from another server over IMAP (RFC 3501, RFC 9051), as a client that only reads.
//!
//! Promises: mailboxes there are opened with EXAMINE, and messages are read with PEEK, so that nothing changes there. A
//! server that sends something other than IMAP, or too much of it, ends the import with an error.

mod connection;
mod fetched;
mod identity;
mod naming;
mod origin;
mod remote;
mod response;

pub use naming::Listed;
pub use remote::{Remote, Security, Server};

use crate::foundations::failure::Kind;

/// Why the other server could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection cannot be established, or broke.
    #[error("the connection to `{server}`")]
    Connection {
        /// The server.
        server: String,
        /// What happened.
        source: std::io::Error,
    },
    /// This machine does not trust its certificate for the host.
    #[error(
        "the certificate of `{server}` cannot be trusted: say the host as its certificate has it, or name the authority that \
         vouches for it with `--authority`"
    )]
    Untrusted {
        /// The server.
        server: String,
        /// What is wrong with it.
        source: std::io::Error,
    },
    /// It takes too long to answer.
    #[error("`{0}` has not answered for two minutes")]
    Silent(String),
    /// It refuses a command.
    #[error("`{server}` refuses {command}: {answer}")]
    Refused {
        /// The server.
        server: String,
        /// What was asked.
        command: String,
        /// What it said.
        answer: String,
    },
    /// It sends something that is not IMAP.
    #[error("`{server}` sent something that is not understood: {what}")]
    Syntax {
        /// The server.
        server: String,
        /// What.
        what: String,
    },
    /// It has no TLS on this port.
    #[error("`{0}` offers no STARTTLS, and passwords are only sent encrypted: use port 993")]
    NoTls(String),
    /// It sends nothing before TLS.
    #[error("`{server}` does not greet without TLS; if it expects TLS from the start, use `--tls implicit`")]
    NoGreeting {
        /// The server.
        server: String,
        /// What happened instead.
        source: Box<Error>,
    },
}

impl Error {
    /// The error for a failed handshake: a broken connection may recover, a bad certificate does not.
    fn of_handshake(server: &str, source: std::io::Error) -> Self {
        let server = server.to_owned();
        let tls = source.get_ref().and_then(|error| error.downcast_ref());
        if matches!(tls, Some(rustls::Error::InvalidCertificate(_))) {
            Self::Untrusted { server, source }
        } else {
            Self::Connection { server, source }
        }
    }

    /// The kind of failure.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Connection { .. } | Self::Silent(_) | Self::NoGreeting { .. } => Kind::Temporary,
            Self::Refused { .. } | Self::NoTls(_) | Self::Untrusted { .. } => Kind::NoPermission,
            Self::Syntax { .. } => Kind::Invalid,
        }
    }
}
