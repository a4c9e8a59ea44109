//! What an admitted connection holds.

use std::sync::Arc;
use std::time::Duration;

use super::client::Client;
use super::ledger::Guard;
use super::settings::{GuardSettings, Service};

/// The right to be connected. Dropping it gives the place back.
#[derive(Debug)]
pub struct Pass {
    guard: Guard,
    client: Option<(Client, Service)>,
    settings: Arc<GuardSettings>,
    errors: u32,
}

/// What follows from one more error of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Penalty {
    /// Nothing.
    None,
    /// Answer only after this time.
    Delay(Duration),
    /// Say so and close the connection.
    Disconnect,
}

impl Pass {
    pub(super) const fn new(guard: Guard, client: Option<(Client, Service)>, settings: Arc<GuardSettings>) -> Self {
        Self { guard, client, settings, errors: 0 }
    }

    /// Whether the peer is one that is not counted: a trusted network, or a process on this machine.
    pub const fn is_trusted(&self) -> bool {
        self.client.is_none()
    }

    /// The session has done something useful: its errors so far are forgiven.
    pub const fn forgive(&mut self) {
        self.errors = 0;
    }

    /// Counts one more error of the session since it was last of use. Trusted peers are never delayed, but disconnected they are: what
    /// goes on after so many errors does no work.
    pub fn error(&mut self) -> Penalty {
        self.errors = self.errors.saturating_add(1);
        if self.errors > self.settings.most_errors {
            return Penalty::Disconnect;
        }
        let surplus = self.errors.saturating_sub(self.settings.patient_errors);
        if surplus == 0 || self.client.is_none() {
            return Penalty::None;
        }
        let delay = self.settings.error_delay.duration().saturating_mul(surplus);
        Penalty::Delay(delay.min(self.settings.longest_delay.duration()))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.guard.release(self.client);
    }
}
