//! Our own policies by which others insist on TLS when they send to us (MTA-STS, RFC 8461).
//!
//! Promises: `https://mta-sts.DOMAIN/.well-known/mta-sts.txt` answers with the policy of a configured domain, and
//! nothing else is served. Called by the site of `protocols::web`, whose TLS shows the certificate for the name, and by
//! `records`. Takes no locks, keeps nothing.

mod policy;
mod settings;

pub use policy::{Announcement, announcements, policy};
pub use settings::{PolicyMode, PolicySettings, PublishedSettings};
