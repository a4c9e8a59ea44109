//! Certificates that the server gets and renews by itself, by ACME (RFC 8555).
//!
//! Each one is a file in `tls.acme_state` with its chain and its key. Until it is there, a temporary certificate that
//! nobody trusts is shown in its place ([`super::Certificates`] makes it), so that every listener works from the start.
//! Only the process with the `mta` role talks to authorities; the others see the files change.
//!
//! Promises: a certificate that is in force is only replaced by one that is for all its names, valid, and fits its key;
//! keys are never readable by everybody; an authority is not asked again and again (attempts rest, longer each time);
//! every attempt leaves an event of kind `certificate`.

mod account;
mod challenges;
mod error;
mod http;
mod order;
mod schedule;
mod settings;
mod worker;

pub use challenges::Challenges;
pub use error::Error;
pub use settings::{AcmeCertificate, AcmeChallenge};
pub use worker::{Acme, Renewal, RenewalWish};
