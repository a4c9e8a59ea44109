//! Behaviour of the whole server, tested as clients see it, and the project's own rules.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer to what must not happen")]

mod accounts;
mod backup;
mod clients;
mod cluster;
mod crash;
mod faults;
mod filter;
mod fuzz;
mod guard;
mod harness;
mod host;
mod house;
mod imap;
mod mail;
mod pop3;
mod queue;
mod reports;
mod sentences;
mod sieve;
mod smtp;
