//! What anybody may ask for over HTTP and HTTPS under the names of this server: the answers that authorities ask for
//! while a certificate is obtained (RFC 8555 §8.3), on port 80 the way to HTTPS, and there our policies on TLS
//! ([`crate::services::mta_sts`]), the settings that mail programs look for ([`crate::services::autoconfig`]), the page where
//! users choose their password ([`crate::services::set_up`]) and the pages it is given.
//!
//! Promises: nothing is changed but the password of the user whose link it is; it leads nobody to a host that is not this
//! one. Called by listeners of the protocols `http` and `https`. Takes no locks of its own.

mod serve;
mod set_up;

pub use serve::{Pages, Room, run};
