//! The filter together with external programs: scanners, milters, signers.

mod clamd;
mod digest;
mod helpers;
mod imported;
mod languages;
mod learned;
mod lessons;
mod milters;
mod quarantine;
mod reputation;
mod rotate_command;
mod rotation;
mod signatures;
