//! Whether every listener serves the intended certificate.
//!
//! [`Inspector`] connects to each listener of this process as a client would, once for every name of a certificate,
//! compares what is served with what [`crate::services::certificates`] means to be served, and remembers the answers for the
//! figures, the monitoring page and the command line. It does so a minute after the start, after every change of certificates
//! and every `tls.check_every`.
//!
//! Promises: changes nothing; a check takes at most the patience of the settings for each name; a change for the worse leaves an
//! event of kind `certificate`, and so does the first check after a change of certificates. Takes no locks but the one that lets
//! checks follow each other.

mod check;
mod inspector;

pub use check::Check;
pub use inspector::{Inspection, Inspector, InspectorParts, Report};
