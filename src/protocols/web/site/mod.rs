//! What anybody may request over HTTP and HTTPS under the names of this server: challenge responses for certificate
//! authorities (RFC 8555 §8.3), on port 80 the redirect to HTTPS, and there our MTA-STS policies
//! ([`crate::services::mta_sts`]), the settings that mail programs look for ([`crate::services::autoconfig`]), the page where
//! users choose their password ([`crate::services::set_up`]) and the pages it is given.
//!
//! Promises: it changes only the password of the link's user, and redirects only to this
//! host. Called by listeners of the protocols `http` and `https`. Takes no locks of its own.

mod serve;
mod set_up;

pub use serve::{Pages, Room, run};
