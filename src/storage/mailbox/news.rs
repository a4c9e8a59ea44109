//! News about a user's mailboxes, for sessions that have asked for it (RFC 5465).
//!
//! Created only while somebody listens. A listener that falls behind is told that it has missed something.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::snapshot::{Difference, Snapshot};
use super::{FolderName, Status};

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Messages of a folder have changed.
    Messages {
        /// The folder.
        folder: FolderName,
        /// The folder's present counts, except RECENT.
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
    /// A name has been subscribed or unsubscribed.
    Subscription(FolderName),
    /// Annotations have been set or removed.
    Metadata {
        /// The folder; `None` for the user's account.
        folder: Option<FolderName>,
        /// Their names.
        entries: Vec<String>,
    },
}

/// The sender of a user's news.
#[derive(Debug, Default)]
pub(super) struct Hub {
    sender: Mutex<Option<broadcast::Sender<Arc<News>>>>,
}

impl Hub {
    /// Starts to listen; the first listener determines how much news may wait.
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

    /// Sends news, if anybody listens.
    pub fn tell(&self, news: impl FnOnce() -> News) {
        let mut sender = self.sender.lock();
        if let Some(open) = &*sender {
            if open.receiver_count() == 0 {
                *sender = None;
            } else {
                // The last listener may have just gone.
                let _ = open.send(Arc::new(news()));
            }
        }
    }

    /// Whether anybody listens.
    fn is_heard(&self) -> bool {
        self.sender.lock().as_ref().is_some_and(|sender| sender.receiver_count() > 0)
    }

    /// Sends the differences between two states of a folder.
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

/// A listener to a user's news.
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
            // The listening session holds the user, so there will always be a sender.
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
