//! Single messages that were not what they said, for domains that want to hear of each (RFC 7489 §7.3).

use std::net::IpAddr;

use super::Reports;
use crate::foundations::clock::Timestamp;

/// A message that has failed DMARC, as far as its domain may know of it: no recipient, no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The domain whose record asks for it.
    pub domain: String,
    /// The URIs of `ruf=`.
    pub to: Vec<String>,
    /// When it came.
    pub at: Timestamp,
    /// From where.
    pub client: Option<IpAddr>,
    /// Its reverse-path.
    pub reverse_path: String,
    /// Our Authentication-Results.
    pub results: String,
    /// The fields of its header that tell where it is from.
    pub header: String,
    /// What became of it, as the filter's decisions are called.
    pub decision: &'static str,
    /// Whether a signature was of the author's domain.
    pub dkim_aligned: bool,
    /// Whether SPF has passed for the author's domain.
    pub spf_aligned: bool,
}

/// Most failures in memory; further ones are not told.
const MOST: usize = 200;

impl Reports {
    /// Remembers a failure until [`Reports::take_failures`]. Never waits; a crash forgets it.
    pub fn note_failure(&self, failure: Failure) {
        let mut failures = self.0.failures.lock();
        if failures.len() < MOST {
            failures.push(failure);
        }
    }

    /// The failures since this was asked last.
    pub fn take_failures(&self) -> Vec<Failure> {
        std::mem::take(&mut self.0.failures.lock())
    }
}
