//! What happens to a user's mailboxes, told to sessions that have asked for it (RFC 5465).
//!
//! Made only while somebody listens. Whoever does not keep up is told so and has missed something.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::snapshot::{Difference, Snapshot};
use super::{FolderName, Status};

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Messages of a folder have changed.
    Messages {
        /// The folder.
        folder: FolderName,
        /// What it holds now; RECENT is not counted.
        status: Status,
        /// Whether messages have come or gone.
        messages: bool,
        /// Whether flags have changed.
        flags: bool,
    },
    /// A folder has been made.
    Created(FolderName),
    /// A folder has been deleted.
    Deleted(FolderName),
    /// A folder has another name, and those below it too.
    Renamed {
        /// Its name until now.
        from: FolderName,
        /// Its name.
        to: FolderName,
    },
    /// A name has been added to the subscribed ones, or removed.
    Subscription(FolderName),
    /// Annotations have been set or removed.
    Metadata {
        /// Of which folder; of the user's account when `None`.
        folder: Option<FolderName>,
        /// Their names.
        entries: Vec<String>,
    },
}

/// Where a user's news is told.
#[derive(Debug, Default)]
pub(super) struct Hub {
    sender: Mutex<Option<broadcast::Sender<Arc<News>>>>,
}

impl Hub {
    /// Listens from now on; at most so many news wait for whoever listens first.
    pub fn listen(&self, most: usize) -> Listener {
        let mut sender = self.sender.lock();
        let receiver = match &*sender {
            Some(sender) if sender.receiver_count() > 0 => sender.subscribe(),
            _ => {
                let (made, receiver) = broadcast::channel(most.clamp(1, MOST));
                *sender = Some(made);
                receiver
            }
        };
        Listener(receiver)
    }

    /// Tells something, if anybody listens.
    pub fn tell(&self, news: impl FnOnce() -> News) {
        let mut sender = self.sender.lock();
        if let Some(open) = &*sender {
            if open.receiver_count() == 0 {
                *sender = None;
            } else {
                // The last listener may have gone in this moment.
                let _ = open.send(Arc::new(news()));
            }
        }
    }

    /// Whether anybody listens.
    fn is_heard(&self) -> bool {
        self.sender.lock().as_ref().is_some_and(|sender| sender.receiver_count() > 0)
    }

    /// Tells in what two states of a folder differ.
    pub fn tell_difference(&self, folder: &FolderName, old: &Snapshot, new: &Snapshot) {
        if !self.is_heard() {
            return;
        }
        let difference = Difference::between(old, new);
        let messages = !difference.added.is_empty() || !difference.removed.is_empty();
        let flags = !difference.changed.is_empty();
        if messages || flags {
            let status = new.status(0);
            self.tell(|| News::Messages { folder: folder.clone(), status, messages, flags });
        }
    }
}

/// Most news that may wait.
const MOST: usize = 1 << 16;

/// Who listens to a user's news.
#[derive(Debug)]
pub struct Listener(broadcast::Receiver<Arc<News>>);

/// Some news was lost because the listener did not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("some changes were missed")]
pub struct Missed;

impl Listener {
    /// Waits for the next news. Cancel-safe.
    pub async fn next(&mut self) -> Result<Arc<News>, Missed> {
        match self.0.recv().await {
            Ok(news) => Ok(news),
            Err(RecvError::Lagged(_)) => Err(Missed),
            // The user is kept by the session that listens, so there will always be a sender.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }

    /// The next news if there is some already.
    pub fn ready(&mut self) -> Result<Option<Arc<News>>, Missed> {
        match self.0.try_recv() {
            Ok(news) => Ok(Some(news)),
            Err(TryRecvError::Lagged(_)) => Err(Missed),
            Err(TryRecvError::Empty | TryRecvError::Closed) => Ok(None),
        }
    }
}
