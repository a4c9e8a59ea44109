use std::sync::atomic::{AtomicU64, Ordering};

/// How far a long run has come. Read by whoever shows it, while others count.
#[derive(Debug, Default)]
pub struct Progress {
    messages: AtomicU64,
    octets: AtomicU64,
}

impl Progress {
    /// Counts messages and octets that are done.
    pub fn add(&self, messages: u64, octets: u64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.octets.fetch_add(octets, Ordering::Relaxed);
    }

    /// Messages done.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Octets read or written.
    pub fn octets(&self) -> u64 {
        self.octets.load(Ordering::Relaxed)
    }
}
