use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Error;

/// How far a long run has come, and whether it is to go on. Read by whoever shows it, while others count.
#[derive(Debug, Default)]
pub struct Progress {
    messages: AtomicU64,
    octets: AtomicU64,
    stopped: AtomicBool,
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

    /// Has the run end as soon as it can.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether the run is to go on.
    ///
    /// # Errors
    /// It is not.
    pub fn goes_on(&self) -> Result<(), Error> {
        match self.stopped.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Error::Interrupted("it was told to end".to_owned())),
        }
    }
}
