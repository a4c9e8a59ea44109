//! What anybody may ask for over HTTP and HTTPS under the names of this server: the answers that authorities ask for
//! while a certificate is obtained (RFC 8555 §8.3), on port 80 the way to HTTPS, and there our policies on TLS
//! ([`crate::services::mta_sts`]) and the settings that mail programs look for ([`crate::services::autoconfig`]).
//!
//! Promises: nothing it does changes anything; it leads nobody to a host that is not this one. Called by listeners of the
//! protocols `http` and `https`. Takes no locks of its own.

mod serve;

pub use serve::{Room, run};
