//! The grammar of ManageSieve (RFC 5804), for the server's end of a connection.
//!
//! Promises: nothing here panics or grows without a bound, whatever the bytes; whatever [`Command::parse`] accepts,
//! [`Command::encode`] writes in a form that parses to the same value. No sockets, no clock, no session state. Called
//! by `protocols::managesieve`.

mod command;
mod framer;
mod reply;

pub use command::{BadCommand, Command, response};
pub use framer::{Fault, Framed, Framer, Limits};
pub use reply::{Code, Condition, Reply, string};
