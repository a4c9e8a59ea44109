//! The grammar of POP3 (RFC 1939, RFC 2449, RFC 2595, RFC 5034, RFC 6856), for the server's end of a connection.
//!
//! Promises: nothing here panics or grows without a bound, whatever the bytes; whatever [`Command::parse`] accepts,
//! [`Command::encode`] writes in a form that parses to the same value. No sockets, no clock, no session state. Called
//! by `protocols::pop3`.

mod command;
mod content;
mod reply;

pub use command::{BadCommand, Command, Number};
pub use content::{Sink, Stuffer, TopLines};
pub use reply::{Code, Reply};
