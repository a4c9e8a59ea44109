//! External mail filters, used as by Sendmail and Postfix (milter protocol, version 6).
//!
//! A [`Conversation`] with a milter is about one message. It begins with the sender (connection, greeting and MAIL), goes on with each
//! recipient, and ends with the message, so that during an SMTP dialogue the client can get each answer at its own
//! command. A milter's changes are applied before the next one gets the message. Promises: a packet from a milter
//! has at most [`packet::MAX_PACKET`] octets, and all its changes together at most [`change::MAX_CHANGES`]; a milter that does not
//! answer, or violates the protocol, is an [`Error`] in bounded time.

mod change;
mod client;
mod macros;
mod packet;

pub use change::{Change, apply};
pub use client::{Answer, Conversation, Error, Told};

#[cfg(test)]
mod tests;
