//! Grammars only: bytes to values and back. No async, no clock, no files, no sockets.

pub mod imap;
pub mod line;
pub mod managesieve;
pub mod pop3;
pub mod sasl;
pub mod smtp;
