//! Data for reports, and received reports: results of DMARC checks and of TLS sessions counted by day and domain, and
//! the reports received about our own domains.
//!
//! Promises: [`Reports::note`] never waits and never fails its caller; counts are kept in memory, bounded by the room's
//! settings, and added to the tables every minute and at the end, so a crash loses the counts of at most a minute. A
//! commit's additions count once, even if its answer is lost. A day's counts of a domain are claimed before they are
//! sent, so that only one of several machines sends them.
//!
//! Called by the filter and by outbound delivery, which count, and by `services::reports`, which sends and receives. A
//! table that cannot be written causes one warning; the counts stay in memory for the next time.

mod claims;
mod counting;
mod failures;
mod received;

pub use counting::{Kind, Outcome, Reports, Tally};
pub use failures::Failure;
pub use received::{Received, ReceivedQuery};
