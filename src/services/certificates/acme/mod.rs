//! Certificates that the server obtains and renews itself, by ACME (RFC 8555).
//!
//! Each one is a file in `tls.acme_state` with its chain and its key. Until it exists, a temporary certificate that
//! nobody trusts is served in its place ([`super::Certificates`] makes it), so that every listener works from the start.
//! Only the process with the `mta` role talks to authorities; the others notice that the files change.
//!
//! Promises: a certificate in force is only replaced by one that is valid, matches its key, and covers all its names, or at its
//! end those that the authority accepts;
//! keys are never world-readable; after a failure, attempts pause, longer each time;
//! every attempt leaves an event of kind `certificate`.

mod account;
mod challenges;
mod error;
mod http;
mod order;
mod schedule;
mod settings;
mod time;
mod worker;

pub use challenges::Challenges;
pub use error::{Error, Refused};
pub use settings::{AcmeCertificate, AcmeChallenge};
pub use time::told_time;
pub use worker::{Acme, Renewal, RenewalRequest};
