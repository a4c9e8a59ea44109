use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Error;

/// How far a long run has come, and whether it should continue. Some threads count while another shows the progress.
#[derive(Debug, Default)]
pub struct Progress {
    messages: AtomicU64,
    octets: AtomicU64,
    stopped: AtomicBool,
}

impl Progress {
    /// Counts finished messages and octets.
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

    /// Makes the run end as soon as it can.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether the run should continue.
    ///
    /// # Errors
    /// It should not.
    pub fn goes_on(&self) -> Result<(), Error> {
        match self.stopped.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Error::Interrupted("it was told to stop".to_owned())),
        }
    }
}
