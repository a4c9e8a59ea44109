//! Mail filters of others, asked as Sendmail and Postfix ask them (milter protocol, version 6).
//!
//! A [`Conversation`] with a milter is about one message. It begins with the sender (connection, greeting and MAIL), goes on with each
//! recipient, and ends with the message, so that whoever has a client on the line can give it each answer at its own
//! command. What a milter wants changed is applied before the next one is told the message. Promises: a packet from a milter
//! is at most [`packet::MAX_PACKET`] octets, its changes together at most [`change::MAX_CHANGES`]; one that does not answer, or talks
//! nonsense, is an [`Error`] in bounded time.

mod change;
mod client;
mod macros;
mod packet;

pub use change::{Change, apply};
pub use client::{Answer, Conversation, Error, Told};

#[cfg(test)]
mod tests;
