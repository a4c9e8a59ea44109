//! Mail of our own users on its way out or to each other: whose name it bears, what is missing in it, and how much of it
//! there may be.
//!
//! Promises: From and Sender name addresses of the account that has logged in; Bcc and Return-Path never leave; what
//! RFC 5322 demands and the client has left out (Date, Message-ID, From) is added and nothing else is changed
//! (RFC 6409 §8). Programs of this machine are known by their system user: [`Submission::program`]. Called by `protocols::smtp` between the message and `intake`,
//! and through [`Submitter`] by the webmail. Asks acceptance whose addresses they are.

mod prepare;
mod programs;
mod repair;
mod settings;
mod submit;

pub use prepare::{Submission, SubmissionParts};
pub use settings::{HeaderFrom, ProgramSettings, SubmissionSettings};
pub use submit::Submitter;
