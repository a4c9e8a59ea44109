//! Policies by which domains insist on TLS for the mail they take (RFC 8461).
//!
//! A domain announces its policy in the DNS and gives it over HTTPS with a certificate that must be valid; once seen,
//! it holds for as long as it says, even when somebody on the wire removes the announcement. DANE takes precedence.

mod fetch;
mod policies;
mod policy;

pub(super) use fetch::{FetchError, fetch};
pub(super) use policies::{Certainty, Policies};
pub(super) use policy::{Mode, Policy};
