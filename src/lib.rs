//! Postrider: a complete mail server in one binary.
//!
//! The house has four floors and a roof, and one way through them: protocols → services → storage → foundations.
//! A file may name only its own floor or lower ones; `cli`, `config` and `daemon` are the roof and may name all.
//! `ARCHITECTURE.md` walks a message through it.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod foundations;
pub mod protocols;
pub mod services;
pub mod storage;
