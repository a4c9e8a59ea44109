//! Exchanging DKIM keys on a schedule, with overlap.
//!
//! For each domain of `spam.dkim.rotation` the server makes its keys itself. A new pair is made some time ahead and its DNS
//! records are shown (`postrider dkim list`, an event, a line in the log); only when the DNS shows them, and the old pair has had its
//! time, the new pair signs. The old pair's records stay until mail that it has signed has arrived, then its files are
//! deleted and its records may go.
//!
//! Promises: no key signs whose record is not in the DNS; a pair that is late is waited for, with a daily warning, and the old one goes on. A state
//! that cannot be read leaves its domain with the keys that were known last, and the others alone. What
//! has happened is in one file per domain, written durably before it counts; the command line and the server exclude each
//! other by a lock on the directory.

mod keeper;
mod plan;
mod state;

pub use keeper::{Error, Rotation, RotationParts, pairs};
pub use plan::Urgency;
pub use state::{KeyPairState, Phase, RotatedKey};
