//! The top floor: conversations with clients. May use services, storage and foundations; rooms here never name each other.

pub mod cluster;
pub mod imap;
pub mod managesieve;
pub mod metrics;
pub mod pop3;
pub mod smtp;
pub mod web;
