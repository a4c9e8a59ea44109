//! Reports between mail servers: how a domain's mail has fared at another's hands.
//!
//! [`Reporter`] sends once a day what the filter and outbound delivery have counted: DMARC aggregate reports (RFC 7489 §7.2)
//! to where the author domains' records say, when those have agreed to it (§7.1), and reports about TLS (RFC 8460), by mail through
//! the queue, signed, or over HTTPS. [`Receiver`] reads such reports about our own domains out of mail to the configured
//! addresses and keeps them for `postrider report` and the monitoring page.
//!
//! Promises: a day's report goes out once, from whichever of several machines is first (twice only when that one dies in between); reports are never an answer to a
//! message, and their failures make no notification (the reverse-path is null unless configured). What strangers send is unpacked
//! within the limits of the settings, never executed or fetched. A report that cannot be sent is given up with an event: the next day
//! brings the next one.
//!
//! Started by the `mta` role; [`Receiver`] is called by `services::intake`. In the log its lines begin with `reports:`.

mod digest;
mod dmarc;
mod failures;
mod receive;
mod send;
mod settings;
mod tls;
mod unpack;

pub use digest::{ReportRow, added_up, rows};
pub use receive::{Receiver, ReceiverParts};
pub use send::{Reporter, ReporterParts};
pub use settings::ReportSettings;
