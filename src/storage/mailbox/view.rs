//! A session's view of a folder.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::body::{Bodies, Body, Summaries};
use super::change::Only;
use super::folder::Folder;
use super::snapshot::{Claims, Difference, Record, Snapshot, saved_at};
use super::transfer::Transfer;
use super::user::User;
use super::{
    Access, Copied, Error, Expunges, FlagChange, Flags, FolderName, Keywords, Missing, Row, Status, Stored, Unfinished,
    Update,
};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::{MailboxId, ModSeq, SequenceNumber, SequenceSet, Uid, UidValidity};
use crate::foundations::settings::ByteSize;

/// One session's view of an open folder: its own numbering, which changes only in [`View::sync`].
pub struct View {
    user: Arc<User>,
    folder: Arc<Folder>,
    access: Access,
    base: Arc<Snapshot>,
    /// Messages that are gone but still numbered, ascending.
    ghosts: Vec<Ghost>,
    /// UIDs of messages that are recent here, ascending.
    recent: Vec<Uid>,
    receiver: watch::Receiver<Arc<Snapshot>>,
}

/// A message that is gone.
#[derive(Debug, Clone, Copy)]
struct Ghost {
    /// Its zero-based number.
    index: usize,
    record: Record,
}

impl View {
    pub(super) fn new(user: Arc<User>, folder: Arc<Folder>, access: Access) -> Self {
        let receiver = folder.subscribe();
        let base = folder.current();
        Self { user, folder, access, base, ghosts: Vec::new(), recent: Vec::new(), receiver }
    }

    /// The same view of the folder as it is now, with the given access.
    pub(super) fn renewed(mut self, access: Access) -> Self {
        self.access = access;
        self.base = Arc::clone(&self.receiver.borrow_and_update());
        self.recent.clear();
        let base = Arc::clone(&self.base);
        let claims = self.claim();
        self.take_recent(claims.recent(&base));
        self
    }

    /// The account.
    pub fn account(&self) -> &Address {
        self.user.account()
    }

    /// The folder.
    pub fn folder(&self) -> &FolderName {
        &self.folder.name
    }

    /// How it was opened.
    pub fn access(&self) -> Access {
        self.access
    }

    /// UIDVALIDITY.
    pub fn uid_validity(&self) -> UidValidity {
        self.base.uid_validity
    }

    /// MAILBOXID (RFC 8474).
    pub fn mailbox_id(&self) -> Option<MailboxId> {
        self.folder.id
    }

    /// When a message came into the folder (RFC 8514); `None` when that is not known.
    pub fn saved_at(&self, uid: Uid) -> Option<Timestamp> {
        self.base.by_uid(uid).and_then(|(_, stored)| saved_at(stored))
    }

    /// UIDNEXT.
    pub fn uid_next(&self) -> Uid {
        self.base.uid_next
    }

    /// HIGHESTMODSEQ.
    pub fn highest_mod_seq(&self) -> ModSeq {
        self.base.highest
    }

    /// Whether it still numbers messages that are gone, because the client could not be told yet.
    pub const fn holds_expunges(&self) -> bool {
        !self.ghosts.is_empty()
    }

    /// How many messages the view has.
    pub fn len(&self) -> u32 {
        u32::try_from(self.count()).unwrap_or(u32::MAX)
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    fn count(&self) -> usize {
        self.base.len() + self.ghosts.len()
    }

    /// The number of the last message; `None` in an empty view. The maximum for sets of sequence numbers.
    pub fn last(&self) -> Option<SequenceNumber> {
        self.count().checked_sub(1).and_then(SequenceNumber::from_index)
    }

    /// The UID of the last message; the maximum for sets of UIDs.
    pub fn last_uid(&self) -> Option<Uid> {
        self.record(self.count().checked_sub(1)?).map(|record| record.uid)
    }

    /// How many messages are recent in this session (RFC 3501 §2.3.2).
    pub fn recent(&self) -> u32 {
        u32::try_from(self.recent.len()).unwrap_or(u32::MAX)
    }

    /// Whether a message is recent in this session.
    pub fn is_recent(&self, uid: Uid) -> bool {
        self.recent.binary_search(&uid).is_ok()
    }

    /// How many messages are unseen.
    pub fn unseen(&self) -> u32 {
        let unseen = |ghost: &&Ghost| !ghost.record.flags.contains(Flags::SEEN);
        self.base.counts.unseen + u32::try_from(self.ghosts.iter().filter(unseen).count()).unwrap_or(0)
    }

    /// The first unseen message.
    pub fn first_unseen(&self) -> Option<SequenceNumber> {
        let first = self.base.first_unseen().and_then(|index| self.base.get(index)).map(|record| record.uid);
        let ghost = self.ghosts.iter().find(|ghost| !ghost.record.flags.contains(Flags::SEEN));
        let index = [first.map(|uid| self.index(uid)), ghost.map(|ghost| ghost.index)].into_iter().flatten().min()?;
        SequenceNumber::from_index(index)
    }

    /// The folder's current counts, whatever this view has been told.
    pub fn status(&self) -> Status {
        self.folder.current().status(self.recent())
    }

    /// The keywords the folder knows.
    pub fn keywords(&self) -> &Keywords {
        &self.base.keywords
    }

    /// The zero-based number of a UID, or the one it would have.
    fn index(&self, uid: Uid) -> usize {
        let before = self.ghosts.partition_point(|ghost| ghost.record.uid < uid);
        before + self.base.find(uid).unwrap_or_else(|index| index)
    }

    fn record(&self, index: usize) -> Option<&Record> {
        if self.ghosts.is_empty() {
            return self.base.get(index);
        }
        let before = self.ghosts.partition_point(|ghost| ghost.index < index);
        match self.ghosts.get(before) {
            Some(ghost) if ghost.index == index => Some(&ghost.record),
            _ => self.base.get(index - before),
        }
    }

    /// The message with a number.
    pub fn row(&self, sequence: SequenceNumber) -> Option<Row> {
        self.record(sequence.index()).map(Record::row)
    }

    /// The message with a UID.
    pub fn row_of(&self, uid: Uid) -> Option<Row> {
        self.row(self.sequence(uid)?)
    }

    /// The number of the message with a UID.
    pub fn sequence(&self, uid: Uid) -> Option<SequenceNumber> {
        let index = self.index(uid);
        self.record(index).filter(|record| record.uid == uid)?;
        SequenceNumber::from_index(index)
    }

    /// The messages of a set of numbers, ascending.
    pub fn rows(&self, set: &SequenceSet<SequenceNumber>) -> impl Iterator<Item = (SequenceNumber, Row)> + Send {
        let ranges: Vec<_> = set.ranges(self.last()).collect();
        ranges.into_iter().flat_map(|range| self.rows_between(range.start().index(), range.end().index() + 1))
    }

    /// The messages of a set of UIDs, ascending; UIDs that do not exist are skipped.
    pub fn rows_by_uid(&self, set: &SequenceSet<Uid>) -> impl Iterator<Item = (SequenceNumber, Row)> + Send {
        let ranges: Vec<_> = set.ranges(self.last_uid()).collect();
        ranges.into_iter().flat_map(|range| {
            let end = range.end().next().map_or(self.count(), |next| self.index(next));
            self.rows_between(self.index(*range.start()), end)
        })
    }

    fn rows_between(&self, start: usize, end: usize) -> impl Iterator<Item = (SequenceNumber, Row)> + Send {
        (start..end).filter_map(|index| Some((SequenceNumber::from_index(index)?, self.record(index)?.row())))
    }

    /// Brings the view up to date and returns the news for the client, in the order in which it must be told.
    pub fn sync(&mut self, expunges: Expunges) -> Vec<Update> {
        let new = Arc::clone(&self.receiver.borrow_and_update());
        let mut updates = Vec::new();
        let same = Arc::ptr_eq(&new, &self.base);
        if same && (self.ghosts.is_empty() || expunges == Expunges::Hold) {
            return updates;
        }
        if new.gone || new.uid_validity != self.base.uid_validity {
            self.base = new;
            return vec![Update::Gone];
        }
        let difference = Difference::between(&self.base, &new);
        self.expunged(&difference.removed, &new, expunges, &mut updates);
        let keywords = !Arc::ptr_eq(&self.base.keywords, &new.keywords) && self.base.keywords != new.keywords;
        self.base = new;
        if !difference.added.is_empty() {
            let base = Arc::clone(&self.base);
            let before = self.recent.len();
            let claims = self.claim();
            let added = difference.added.iter().filter_map(|uid| base.by_uid(*uid)).map(|(record, _)| record);
            self.take_recent(added.filter(|record| claims.leave_recent(record)));
            updates.push(Update::Exists(self.len()));
            if self.recent.len() != before {
                updates.push(Update::Recent(self.recent()));
            }
        }
        if keywords {
            updates.push(Update::Keywords);
        }
        let changed = difference.changed.into_iter();
        updates.extend(changed.filter_map(|uid| Some(Update::Flags { sequence: self.sequence(uid)?, uid })));
        updates
    }

    fn expunged(&mut self, removed: &[Record], new: &Snapshot, expunges: Expunges, updates: &mut Vec<Update>) {
        let removed = removed.iter().map(|record| Ghost { index: self.index(record.uid), record: *record });
        let mut gone: Vec<Ghost> = removed.chain(self.ghosts.iter().copied()).collect();
        self.ghosts.clear();
        gone.sort_unstable_by_key(|ghost| ghost.record.uid);
        match expunges {
            Expunges::Tell => {
                // Highest first, so that each number is still right when it is reported.
                updates.extend(gone.iter().rev().filter_map(|ghost| {
                    let sequence = SequenceNumber::from_index(ghost.index)?;
                    Some(Update::Expunged { sequence, uid: ghost.record.uid })
                }));
                if !gone.is_empty() {
                    self.recent.retain(|uid| gone.binary_search_by_key(uid, |ghost| ghost.record.uid).is_err());
                }
            }
            Expunges::Hold => {
                for (before, ghost) in gone.iter_mut().enumerate() {
                    ghost.index = before + new.find(ghost.record.uid).unwrap_or_else(|index| index);
                }
                self.ghosts = gone;
            }
        }
    }

    /// Messages recent to this session; if it may change the folder, to no other one.
    fn claim(&self) -> Claims {
        match self.access {
            Access::ReadWrite => self.folder.claim(self.base.uid_next),
            Access::ReadOnly => self.folder.claims(),
        }
    }

    fn take_recent<'a>(&mut self, fresh: impl Iterator<Item = &'a Record>) {
        let before = self.recent.len();
        self.recent.extend(fresh.map(|record| record.uid));
        if self.recent.len() > before && self.access == Access::ReadWrite {
            self.folder.settle_recent_soon();
        }
    }

    /// Waits until [`View::sync`] has something to report. Cancel-safe.
    pub async fn changed(&mut self) {
        if self.receiver.changed().await.is_err() {
            // The folder holds the sender and this view the folder, so there will always be one.
            std::future::pending().await
        }
    }

    /// UIDs among `known` that were expunged after `since` (RFC 7162 §3.2.5.1). When the history does not reach back
    /// that far, all absent UIDs of `known` below UIDNEXT, as RFC 7162 §3.2.5.2 allows.
    pub fn vanished(&self, since: ModSeq, known: &SequenceSet<Uid>) -> SequenceSet<Uid> {
        let last = self.base.uid_next.previous();
        let Some(expunged) = self.folder.history.lock().since(since) else {
            return self.absent(known, last);
        };
        let expunged = expunged.into_iter().filter(|uid| known.contains(*uid, last));
        expunged.filter(|uid| self.sequence(*uid).is_none()).collect()
    }

    /// All UIDs of a set that no message has.
    fn absent(&self, known: &SequenceSet<Uid>, last: Option<Uid>) -> SequenceSet<Uid> {
        let mut ranges = Vec::new();
        let mut add = |from: Option<Uid>, to: Option<Uid>| ranges.extend(from.zip(to).filter(|(from, to)| from <= to));
        for range in known.ranges(last) {
            let mut from = Some(*range.start());
            for (_, row) in self.rows_by_uid(&SequenceSet::range(*range.start(), *range.end())) {
                add(from, row.uid.previous());
                from = row.uid.next();
            }
            add(from, Some(*range.end()));
        }
        SequenceSet::of_ranges(ranges)
    }

    fn writable(&self) -> Result<(), Error> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(Error::ReadOnly(self.folder.name.clone())),
        }
    }

    /// Changes flags; durable when it returns. UIDs that are gone are skipped. The view itself learns of the change in
    /// its next [`View::sync`].
    pub async fn store_flags(&self, uids: &[Uid], change: &FlagChange) -> Result<Stored, Error> {
        self.writable()?;
        let (uids, change, seen) = (uids.to_vec(), change.clone(), Arc::clone(&self.base));
        self.work(move |folder| folder.store_flags(&uids, &change, Some(&seen))).await
    }

    /// Expunges the messages marked `\Deleted`, or only those in the set if there is one (UID EXPUNGE); durable when it
    /// returns. Returns the expunged UIDs, ascending. Only messages in this view are touched.
    pub async fn expunge(&self, among: Option<&SequenceSet<Uid>>) -> Result<Vec<Uid>, Unfinished> {
        self.writable()?;
        let last = self.last_uid();
        let meant = |uid: &Uid| among.is_none_or(|set| set.contains(*uid, last));
        // RFC 9051 §6.4.3: messages that another session has marked in the meantime may go or stay.
        let uids: Vec<Uid> = self.base.deleted().map(|record| record.uid).filter(meant).collect();
        self.work(move |folder| Ok(folder.expunge(&uids, Only::Deleted))).await?
    }

    /// Removes messages whether or not they are marked `\Deleted` (POP3's update state); durable when it returns.
    pub async fn remove(&self, uids: &[Uid]) -> Result<Vec<Uid>, Unfinished> {
        self.writable()?;
        let uids = uids.to_vec();
        self.work(move |folder| Ok(folder.expunge(&uids, Only::Named))).await?
    }

    /// Copies messages to the end of another (or the same) folder, all or none; durable when it returns.
    pub async fn copy(
        &self,
        uids: &[Uid],
        to: &FolderName,
        missing: Missing,
        quota: Option<ByteSize>,
    ) -> Result<Copied, Error> {
        self.transfer(uids, to, missing, quota, Transfer::Copy).await
    }

    /// Moves messages to another folder (RFC 6851); durable when it returns.
    pub async fn move_to(&self, uids: &[Uid], to: &FolderName, missing: Missing) -> Result<Copied, Error> {
        self.writable()?;
        self.transfer(uids, to, missing, None, Transfer::Move).await
    }

    async fn transfer(
        &self,
        uids: &[Uid],
        to: &FolderName,
        missing: Missing,
        quota: Option<ByteSize>,
        transfer: Transfer,
    ) -> Result<Copied, Error> {
        let (user, folder, to, uids) = (Arc::clone(&self.user), Arc::clone(&self.folder), to.clone(), uids.to_vec());
        self.job(move || {
            user.know_usage()?;
            let _gate = user.enter_with(&to, missing)?;
            user.transfer(&folder, &uids, &to, quota, transfer)
        })
        .await
    }

    /// Opens one message for reading.
    pub async fn body(&self, uid: Uid) -> Result<Body, Error> {
        let folder = Arc::clone(&self.folder);
        self.job(move || folder.open_body(uid)).await
    }

    /// Reads many messages one after the other, with a bounded look-ahead.
    pub fn bodies(&self, uids: Vec<Uid>) -> Bodies {
        Bodies::new(Arc::clone(&self.folder), uids)
    }

    /// Reads the cached summaries of many messages, and computes missing ones.
    pub fn summaries(&self, uids: Vec<Uid>) -> Summaries {
        Summaries::new(Arc::clone(&self.folder), uids)
    }

    /// The same with those that hold more; see [`Fuller`](super::Fuller).
    pub fn fuller_summaries(&self, uids: Vec<Uid>) -> Summaries {
        Summaries::fuller(Arc::clone(&self.folder), uids)
    }

    /// Changes the folder on a blocking thread, while no folder of the user is deleted or renamed.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(Arc<Folder>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (user, folder) = (Arc::clone(&self.user), Arc::clone(&self.folder));
        self.job(move || {
            user.know_usage()?;
            let _gate = user.enter();
            work(folder)
        })
        .await
    }

    /// Runs work of the user, who has so many turns: it may wait for others who change the same folder.
    async fn job<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (account, environment) = (Arc::clone(&self.folder.account), Arc::clone(&self.folder.environment));
        account.job(&environment, work).await
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if self.folder.views.fetch_sub(1, Ordering::AcqRel) == 1 {
            // The last one: the flush ends the watch.
            self.folder.want_flush();
        }
    }
}

impl Folder {
    /// Has messages that are recent to some session moved to `cur/`, in the background.
    fn settle_recent_soon(self: &Arc<Self>) {
        if self.settling.swap(true, Ordering::AcqRel) {
            return;
        }
        let folder = Arc::clone(self);
        self.environment.tasks.spawn(async move {
            let (account, environment) = (Arc::clone(&folder.account), Arc::clone(&folder.environment));
            let job = move || {
                folder.settling.store(false, Ordering::Release);
                folder.settle_recent()
            };
            if let Err(error) = account.job(&environment, job).await {
                log::debug!(error:% = error; "Recent messages stay in `new/` for now");
            }
        });
    }
}
