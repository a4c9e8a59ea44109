//! How long this process may touch a user's mail.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::foundations::clock::Uptime;

/// This node's lease from joining to losing it.
#[derive(Debug)]
pub struct Term {
    /// Distinguishes this term from every other of a node of this name.
    pub epoch: i64,
    /// When it ends, by the machine's own clock, in microseconds.
    until: AtomicI64,
    over: CancellationToken,
}

impl Term {
    pub(super) fn begin(epoch: i64, until: Uptime) -> Arc<Self> {
        Arc::new(Self { epoch, until: AtomicI64::new(until.micros()), over: CancellationToken::new() })
    }

    /// Extends the term. An ended one stays ended: others have already acted upon the end.
    pub(super) fn prolong(&self, until: Uptime) -> bool {
        if !self.is_good() {
            return false;
        }
        self.until.fetch_max(until.micros(), Ordering::AcqRel);
        true
    }

    /// Whether it is still running.
    pub fn is_good(&self) -> bool {
        !self.over.is_cancelled() && Uptime::now().micros() < self.until.load(Ordering::Acquire)
    }

    /// How much of it is left.
    pub fn left(&self) -> Duration {
        let left = self.until.load(Ordering::Acquire).saturating_sub(Uptime::now().micros());
        Duration::from_micros(left.max(0).cast_unsigned())
    }

    /// Ends it for good.
    pub fn end(&self) {
        self.over.cancel();
    }

    /// Resolves when it was ended.
    pub async fn ended(&self) {
        self.over.cancelled().await;
    }
}

/// This process's right to a user's mail.
///
/// Code that changes files calls [`Tenure::check`] right before a name appears, changes or goes, and again before a
/// client is told that it has.
#[derive(Debug, Clone)]
pub struct Tenure(Arc<Hold>);

#[derive(Debug)]
struct Hold {
    /// `None` for a process that has the mail root to itself.
    term: Option<Arc<Term>>,
    given_up: AtomicBool,
}

/// Another node owns the mail, or may own it by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this node no longer owns the mailbox")]
pub struct Lapsed;

impl From<Lapsed> for io::Error {
    fn from(lapsed: Lapsed) -> Self {
        Self::other(lapsed)
    }
}

impl Tenure {
    /// For a process that has the mail root to itself.
    pub fn alone() -> Self {
        Self(Arc::new(Hold { term: None, given_up: AtomicBool::new(false) }))
    }

    pub(super) fn under(term: &Arc<Term>) -> Self {
        Self(Arc::new(Hold { term: Some(Arc::clone(term)), given_up: AtomicBool::new(false) }))
    }

    /// Whether the mail may be touched now.
    ///
    /// # Errors
    /// The lease has ended or the user was given up.
    pub fn check(&self) -> Result<(), Lapsed> {
        let lasts = self.0.term.as_ref().is_none_or(|term| term.is_good());
        if lasts && !self.0.given_up.load(Ordering::Acquire) { Ok(()) } else { Err(Lapsed) }
    }

    /// Stops all writing under it.
    pub fn give_up(&self) {
        self.0.given_up.store(true, Ordering::Release);
    }
}
