//! A user's sessions, which end when the process releases the user's mail.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The sessions of one user. Their number is bounded by that of connections.
#[derive(Debug, Default)]
pub(super) struct Visits(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    ends: HashMap<u64, CancellationToken>,
    is_over: bool,
}

/// A session of a user. Dropping it ends the count.
#[derive(Debug)]
pub struct Visit {
    visits: Arc<Visits>,
    number: u64,
}

impl Visits {
    pub(super) fn enter(visits: &Arc<Self>, end: CancellationToken) -> Visit {
        let mut open = visits.0.lock();
        let number = open.next;
        open.next += 1;
        if open.is_over {
            end.cancel();
        } else {
            open.ends.insert(number, end);
        }
        Visit { visits: Arc::clone(visits), number }
    }

    /// Ends the present sessions, and later ones at once.
    pub(super) fn end(&self) {
        let mut open = self.0.lock();
        open.is_over = true;
        for (_, end) in open.ends.drain() {
            end.cancel();
        }
    }
}

impl Visit {
    /// Whether the session ends because the process releases the user's mail.
    pub fn is_over(&self) -> bool {
        self.visits.0.lock().is_over
    }

    /// What the client of such a session is told.
    pub const FAREWELL: &str = "Your mailboxes have moved to another server; connect again";
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.visits.0.lock().ends.remove(&self.number);
    }
}
