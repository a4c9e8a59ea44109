//! Exchanging DKIM keys on a schedule, with overlap.
//!
//! For each domain of `spam.dkim.rotation` the server generates its keys itself. A new pair is created ahead of time and its DNS
//! records are announced (`postrider dkim list`, an event, a line in the log); the new pair signs only when the DNS shows them and
//! the old pair's time is over. The old pair's records stay until mail that it has signed has arrived, then its files are
//! deleted and its records may be removed.
//!
//! Promises: no key signs unless its record is in the DNS; if a pair's records are late, there is a daily warning, and the old pair goes on
//! signing. If a domain's state cannot be read, it keeps its last known keys, and other domains are not affected. The
//! state is in one file per domain, written durably before it takes effect; the command line and the server exclude each
//! other by a lock on the directory.

mod keeper;
mod plan;
mod state;

pub use keeper::{Error, Rotation, RotationParts, pairs};
pub use plan::Urgency;
pub use state::{KeyPairState, Phase, RotatedKey};
