//! Reads messages, and those that will probably be wanted next before they are asked for.

use crate::foundations::mail::Uid;
use crate::foundations::wire::pop3::Number;
use crate::storage::mailbox::{Bodies, Content, Error, View};

use super::maildrop::Maildrop;

/// Most messages that reading ahead is told about at once.
const AHEAD: usize = 500;

/// What has been read, and what may come next. Clients fetch one message after the other; from the second in a row on
/// the store reads ahead, in batches it bounds itself.
#[derive(Default)]
pub(super) struct Reading {
    last: Option<Number>,
    ahead: Option<Bodies>,
}

impl Reading {
    /// Opens or reads one message.
    pub async fn message(&mut self, view: &View, number: Number, uid: Uid) -> Result<Content, Error> {
        if self.follows(number)
            && let Some(bodies) = &mut self.ahead
        {
            match bodies.next().await {
                Some((read, content)) if read == uid => return content,
                // Not the expected one: some have been deleted or skipped.
                _ => {}
            }
        }
        self.ahead = None;
        view.body(uid).await.map(Content::Large)
    }

    /// A message has been sent whole.
    pub fn sent(&mut self, view: &View, maildrop: &Maildrop, number: Number) {
        if self.follows(number) && self.ahead.is_none() {
            self.ahead = Some(view.bodies(maildrop.following(number, AHEAD)));
        }
        self.last = Some(number);
    }

    /// Whether there is something to be forgotten.
    pub const fn is_ahead(&self) -> bool {
        self.ahead.is_some()
    }

    /// Gives up what has been read ahead: the client takes its time.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    fn follows(&self, number: Number) -> bool {
        self.last.and_then(|last| last.checked_add(1)) == Some(number)
    }
}
