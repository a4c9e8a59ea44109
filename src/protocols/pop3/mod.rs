//! The conversation with POP3 clients (RFC 1939 and its extensions).
//!
//! Promises: messages are deleted only by QUIT, and its `+OK` is said only when they are gone from the disk; a maildrop
//! belongs to one session at a time and its numbers do not change under it; unique ids survive restarts, and after a
//! takeover from Dovecot they are those it gave. Whatever a client sent before a TLS handshake is ignored after it. A
//! session holds 24 octets for each message of the maildrop, bounded buffers and, while its client fetches one message
//! after another, what the store reads ahead.
//!
//! [`run`] is the driver and the room's only I/O. [`Session`] is pure: it takes commands and says what to do next.
//! `daemon` calls [`run`] for each connection; the services called are guard and login. What other sessions deliver or
//! expunge meanwhile goes unnoticed, except that RETR reports a message that is gone. In the log: a line when a session
//! ends for any reason but QUIT or the client leaving.

mod maildrop;
mod maildrops;
mod reading;
mod serve;
mod session;
mod settings;

pub use maildrop::{Left, Listing, Maildrop};
pub use maildrops::Maildrops;
pub use serve::{Needs, Room, resume, run};
pub use session::{Profile, Session, Step};
pub use settings::{MarkSeen, Pop3Settings, UidlFormat};
