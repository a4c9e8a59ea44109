//! What a session has to know about its surroundings.

use crate::foundations::address::Domain;
use crate::foundations::mail::Login;
use crate::foundations::net::StartTls;
use crate::foundations::wire::smtp::LineEndings;

/// Whom a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Other hosts (port 25).
    Relay,
    /// Our users (ports 587 and 465).
    Submission,
    /// Programs of this machine, over a socket that shows which user they run as.
    Programs,
    /// A front end of ours (RFC 2033).
    Lmtp,
}

/// When a client may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Never on this listener.
    No,
    /// Under TLS.
    UnderTls,
    /// Always.
    Always,
}

/// The rules of one session, fixed when it begins.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Whom the listener serves.
    pub mode: Mode,
    /// Our name.
    pub hostname: Domain,
    /// Whether TLS can be had.
    pub start_tls: StartTls,
    /// When a client may log in.
    pub auth: Auth,
    /// Whom a program of this machine sends for. It need not log in.
    pub program: Option<Login>,
    /// Whether the client may say for whom it speaks (SASL EXTERNAL): opening this socket has shown who the client is.
    pub vouches: bool,
    /// Largest message in octets.
    pub message_size: usize,
    /// Largest header of a message in octets.
    pub header_size: usize,
    /// Recipients of one message.
    pub recipients: u32,
    /// Messages in one session.
    pub messages: u32,
    /// Refused recipients in one session.
    pub refused_recipients: u32,
    /// Commands without use in a row.
    pub idle_commands: u32,
    /// Failed logins in one session.
    pub failed_logins: u32,
    /// What to do about lone CR and LF in a message.
    pub line_endings: LineEndings,
}
