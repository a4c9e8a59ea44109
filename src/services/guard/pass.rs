//! What an admitted connection holds.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::admission::Guard;
use super::client::Client;
use super::settings::{GuardSettings, Service};
use crate::foundations::net::{Link, Lost};

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

/// Whether a session may go on after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// It may.
    Left,
    /// It has made too many: say so and close the connection.
    Exhausted,
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

    /// Counts one more error of the session since it last did something useful. Trusted peers are never delayed, but
    /// they are disconnected: a session with so many errors does no work.
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

    /// Counts one more error of the session, as [`Pass::error`], and waits before the answer to it where a delay is due. What
    /// was answered before is sent first.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn hold_back(&mut self, link: &mut Link, stop: &CancellationToken) -> Result<Patience, Lost> {
        match self.error() {
            Penalty::None => Ok(Patience::Left),
            Penalty::Delay(delay) => {
                link.flush().await?;
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = stop.cancelled() => {}
                }
                Ok(Patience::Left)
            }
            Penalty::Disconnect => Ok(Patience::Exhausted),
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.guard.release(self.client);
    }
}
