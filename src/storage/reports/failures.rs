//! Single messages that were not what they claimed, for domains that want a report of each (RFC 7489 §7.3).

use std::net::IpAddr;

use super::Reports;
use crate::foundations::clock::Timestamp;

/// A message that has failed DMARC, limited to what its domain may know: no recipient, no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The domain whose record asks for it.
    pub domain: String,
    /// The URIs of `ruf=`.
    pub to: Vec<String>,
    /// When it came.
    pub at: Timestamp,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// Its reverse-path.
    pub reverse_path: String,
    /// Our Authentication-Results.
    pub results: String,
    /// The header fields that show its origin.
    pub header: String,
    /// What was done with it, in the terms of the filter's decisions.
    pub decision: &'static str,
    /// Whether a signature was of the author's domain.
    pub dkim_aligned: bool,
    /// Whether SPF has passed for the author's domain.
    pub spf_aligned: bool,
}

/// Most failures in memory; further ones are dropped.
const MOST: usize = 200;

impl Reports {
    /// Keeps a failure until [`Reports::take_failures`]. Never waits; lost in a crash.
    pub fn note_failure(&self, failure: Failure) {
        let mut failures = self.0.failures.lock();
        if failures.len() < MOST {
            failures.push(failure);
        }
    }

    /// The failures since the last call.
    pub fn take_failures(&self) -> Vec<Failure> {
        std::mem::take(&mut self.0.failures.lock())
    }
}
