//! Reports between mail servers: what happened to a domain's mail at other servers.
//!
//! Once a day, [`Reporter`] sends what the filter and outbound delivery have counted: DMARC aggregate reports (RFC 7489 §7.2)
//! to the addresses in the author domains' records, if these have agreed (§7.1), and TLS reports (RFC 8460), by signed mail through
//! the queue or over HTTPS. [`Receiver`] reads such reports about our own domains from mail to the configured
//! addresses and keeps them for `postrider report` and the monitoring page.
//!
//! Promises: a day's report is sent once, by whichever of several machines is first (twice only if that machine dies in between); reports never
//! answer a message, and their failures cause no notification (the reverse-path is null unless configured). What strangers send is
//! unpacked within the limits of the settings, and never executed or fetched. A report that cannot be sent is given up with an event:
//! the next day brings the next one.
//!
//! Started by the `mta` role; [`Receiver`] is called by `services::intake`. Its log lines begin with `reports:`.

mod dmarc;
mod failures;
mod receive;
mod report_rows;
mod send;
mod settings;
mod tls;
mod unpack;

pub use receive::{Receiver, ReceiverParts};
pub use report_rows::{ReportRow, added_up, rows};
pub use send::{Reporter, ReporterParts};
pub use settings::ReportSettings;
