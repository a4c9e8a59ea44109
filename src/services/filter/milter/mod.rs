//! Mail filters of others, asked as Sendmail and Postfix ask them (milter protocol, version 6).
//!
//! A milter is asked once the message is there: every stage is told to it in order, its answers at each stage are heeded,
//! and what it wants changed is applied before the next one is asked. A milter that refuses one recipient of several
//! removes that recipient; intake decides what that means where the client gets one answer for all. Promises: a packet from a milter is at most [`packet::MAX_PACKET`] octets, its changes
//! together at most [`change::MAX_CHANGES`]; one that does not answer, or talks nonsense, gives the answer the settings
//! name.

mod change;
mod client;
mod macros;
mod packet;

pub use change::{Change, apply};
pub use client::{Answer, Error, Surroundings, ask};

#[cfg(test)]
mod tests;
