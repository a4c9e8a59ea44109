//! Copying and moving messages from folder to folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use parking_lot::MutexGuard;

use super::append::NoRoom;
use super::change::{ATTEMPTS, BATCH, Only};
use super::commit::{Ticket, Touched};
use super::folder::{Folder, Pending, State};
use super::maildir::directory::Directories;
use super::maildir::filename::{self, Place};
use super::reconcile::Known;
use super::snapshot::Record;
use super::{Error, FlagChange, FlagOperation, KeywordSet};
use crate::foundations::mail::{ModSeq, Uid};

/// Whether messages stay at their source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transfer {
    /// They do.
    Copy,
    /// They do not.
    Move,
}

/// What has arrived from another folder so far.
struct Received {
    messages: Vec<Arrived>,
    /// What to wait for until all of it is on disk.
    ticket: Option<Ticket>,
}

/// A message that has arrived from another folder.
pub(super) struct Arrived {
    /// The UID it has there.
    pub old: Uid,
    /// The mod-sequence it had there.
    mod_seq: ModSeq,
    /// The UID it has here.
    pub new: Uid,
}

impl Folder {
    /// Copies messages from another folder here by a second link to the same file, all or none; on disk when this
    /// returns. Blocks.
    pub fn receive(self: &Arc<Self>, from: &Arc<Self>, uids: &[Uid]) -> Result<Vec<Arrived>, Error> {
        let (source, target) = (from.directories()?, self.directories()?);
        let mut received = Received { messages: Vec::with_capacity(uids.len()), ticket: None };
        let mut result = Ok(());
        for batch in uids.chunks(BATCH) {
            result = self.receive_batch(from, (&source, &target), batch, &mut received);
            if result.is_err() {
                break;
            }
        }
        if let Some(ticket) = received.ticket {
            result = self.commit(&target, ticket).and(result);
        }
        if let Err(error) = result {
            let new: Vec<Uid> = received.messages.iter().map(|copied| copied.new).collect();
            self.expunge(&new, Only::Named)?;
            return Err(error);
        }
        Ok(received.messages)
    }

    fn receive_batch(
        self: &Arc<Self>,
        from: &Arc<Self>,
        (source, target): (&Arc<Directories>, &Arc<Directories>),
        uids: &[Uid],
        received: &mut Received,
    ) -> Result<(), Error> {
        let (translation, (mut from_state, mut state)) = self.lock_translated(from, target, uids)?;
        from.still_there()?;
        self.still_there()?;
        state.before_change(target);
        let result = uids.iter().try_for_each(|uid| {
            for _ in 0..ATTEMPTS {
                let names = from.current();
                // In the order given, so that the new UIDs ascend as the old ones do.
                let Some((record, stored)) = names.by_uid(*uid) else { return Ok(()) };
                match self.receive_one(&mut state, (source, target), (record, stored), &translation) {
                    Ok(new) => {
                        received.ticket = Some(state.ticket);
                        received.messages.push(Arrived { old: *uid, mod_seq: record.mod_seq, new });
                        return Ok(());
                    }
                    Err(error) if is_missing(&error) => {
                        // Another program has renamed or removed it.
                        let from_state = from_state.as_deref_mut().unwrap_or(&mut state);
                        from.reconcile(from_state, source, Known::Live)?;
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        state.after_change(target, Touched { cur: true, new: false });
        result
    }

    /// Gives one message a UID and a name here.
    fn receive_one(
        &self,
        state: &mut State,
        (source, target): (&Directories, &Directories),
        (record, stored): (&Record, &[u8]),
        translation: &Translation,
    ) -> Result<Uid, Error> {
        let uid = state.take_uid(&self.name)?;
        let keywords = translation.of(record.keywords);
        let after = Record { uid, mod_seq: ModSeq::MIN, keywords, regular: true, place: Place::Cur, ..*record };
        let unique = self.environment.unique();
        let name = filename::fresh(&unique, uid, record.size, record.virtual_size).into_bytes();
        let (old, new) = (record.file_name(stored), after.file_name(&name));
        let placed = source.link((record.place, &old), target, (after.place, &new));
        if placed.is_err() {
            // The folder is locked, so nobody else has taken a UID since.
            state.next_uid = uid;
        }
        placed.map_err(self.failed("store a message"))?;
        let ticket = state.touch(after.place);
        state.pending.push_back(Pending { ticket, record: after, name });
        Ok(uid)
    }

    /// Moves messages from another folder here; on disk in both when this returns. Those that somebody else has moved
    /// or expunged meanwhile do not arrive. Blocks.
    ///
    /// A message is removed there only once its name here is on disk. A rename would be one step instead of two, but if
    /// somebody synced the other folder in between, the message would be on disk in neither. If several sessions move a
    /// message at once, the first one does. A copy whose original somebody has expunged meanwhile is dropped.
    pub fn take_over(self: &Arc<Self>, from: &Arc<Self>, uids: &[Uid]) -> Result<Vec<Arrived>, Error> {
        let _claim = from.moving.claim(uids);
        let mut copied = self.receive(from, uids)?;
        let lost = match self.release(from, &copied) {
            Ok(lost) => lost,
            Err(error) => {
                self.give_back(from, &copied)?;
                return Err(error);
            }
        };
        let given_up: Vec<Uid> =
            copied.extract_if(.., |arrived| lost.contains(&arrived.old)).map(|arrived| arrived.new).collect();
        if !given_up.is_empty() {
            self.expunge(&given_up, Only::Named)?;
        }
        Ok(copied)
    }

    /// Removes messages from the folder they were copied from. Returns the UIDs there of those that somebody else has
    /// removed.
    pub fn release(self: &Arc<Self>, from: &Arc<Self>, copied: &[Arrived]) -> Result<BTreeSet<Uid>, Error> {
        let mut left: BTreeMap<Uid, ModSeq> = copied.iter().map(|arrived| (arrived.old, arrived.mod_seq)).collect();
        let mut lost = BTreeSet::new();
        for _ in 0..ATTEMPTS {
            let named: Vec<Uid> = left.keys().copied().collect();
            for gone in from.expunge(&named, Only::Unchanged(&left))? {
                left.remove(&gone);
            }
            if left.is_empty() {
                break;
            }
            // Their flags were changed since they were copied, or they are gone.
            self.follow(from, copied, &mut left, &mut lost)?;
        }
        let named: Vec<Uid> = left.keys().copied().collect();
        for gone in from.expunge(&named, Only::Named)? {
            left.remove(&gone);
        }
        lost.extend(left.into_keys());
        Ok(lost)
    }

    /// RFC 6851 §3.3: if originals cannot be removed, their copies do not stay either. But if an original has gone, its
    /// copy is all that is left of the message.
    fn give_back(self: &Arc<Self>, from: &Arc<Self>, copied: &[Arrived]) -> Result<(), Error> {
        let there = from.current();
        if there.gone {
            return Ok(());
        }
        let both = copied.iter().filter(|arrived| there.by_uid(arrived.old).is_some());
        let both: Vec<Uid> = both.map(|arrived| arrived.new).collect();
        self.expunge(&both, Only::Named)?;
        Ok(())
    }

    /// Gives copies the present flags of their originals; those without an original are dropped.
    fn follow(
        self: &Arc<Self>,
        from: &Arc<Self>,
        copied: &[Arrived],
        left: &mut BTreeMap<Uid, ModSeq>,
        lost: &mut BTreeSet<Uid>,
    ) -> Result<(), Error> {
        let (there, target) = (from.current(), self.directories()?);
        for Arrived { old, new, .. } in copied {
            let Some(known) = left.get_mut(old) else { continue };
            let Some((record, _)) = there.by_uid(*old) else {
                left.remove(old);
                lost.insert(*old);
                continue;
            };
            *known = record.mod_seq;
            let mut keywords: Vec<_> = there.keywords.names(record.keywords).cloned().collect();
            // As when the message was copied, keywords without room are left out.
            self.learn(&target, &keywords, NoRoom::LeaveOut)?;
            let mine = Arc::clone(&self.current().keywords);
            keywords.retain(|keyword| mine.slot(keyword).is_some());
            self.store_flags(
                &[*new],
                &FlagChange { operation: FlagOperation::Replace, flags: record.flags, keywords, unchanged_since: None },
                None,
            )?;
        }
        Ok(())
    }

    /// Locks both folders once there is a slot here for every keyword of the messages. Checks again after locking,
    /// because another session may have given them one more before.
    fn lock_translated<'a>(
        self: &'a Arc<Self>,
        from: &'a Arc<Self>,
        target: &Directories,
        uids: &[Uid],
    ) -> Result<(Translation, Locks<'a>), Error> {
        let mut used = from.keywords_of(uids);
        loop {
            let translation = self.translate(from, target, used)?;
            let locks = lock_both(from, self);
            let now = from.keywords_of(uids);
            if used.contains(now) {
                return Ok((translation, locks));
            }
            used = used.with(now);
        }
    }

    /// The keywords that any of the messages has.
    fn keywords_of(&self, uids: &[Uid]) -> KeywordSet {
        let snapshot = self.current();
        let known = uids.iter().filter_map(|uid| snapshot.by_uid(*uid));
        known.map(|(record, _)| record.keywords).fold(KeywordSet::NONE, KeywordSet::with)
    }

    /// What these keywords of another folder are here.
    fn translate(
        self: &Arc<Self>,
        from: &Arc<Self>,
        target: &Directories,
        used: KeywordSet,
    ) -> Result<Translation, Error> {
        if used.is_empty() {
            return Ok(Translation::default());
        }
        let theirs = Arc::clone(&from.current().keywords);
        let keywords: Vec<_> = theirs.names(used).cloned().collect();
        self.learn(target, &keywords, NoRoom::LeaveOut)?;
        let ours = Arc::clone(&self.current().keywords);
        let here = |slot| theirs.name(slot).and_then(|keyword| ours.slot(keyword)).map(KeywordSet::slot);
        let pairs = used.slots().filter_map(|slot| Some((KeywordSet::slot(slot), here(slot)?)));
        Ok(Translation(pairs.collect()))
    }
}

/// Single keywords as another folder's table has them, each with what it is in this one's. Those for which there is no
/// room here are missing.
#[derive(Debug, Default)]
struct Translation(Vec<(KeywordSet, KeywordSet)>);

impl Translation {
    fn of(&self, keywords: KeywordSet) -> KeywordSet {
        let present = self.0.iter().filter(|(there, _)| keywords.contains(*there));
        present.map(|(_, here)| *here).fold(KeywordSet::NONE, KeywordSet::with)
    }
}

/// Two locked folders; the first is missing if both are the same.
type Locks<'a> = (Option<MutexGuard<'a, State>>, MutexGuard<'a, State>);

/// Locks two folders, which may be the same. All code that locks two uses this, so that the order is always the same.
fn lock_both<'a>(first: &'a Arc<Folder>, second: &'a Arc<Folder>) -> Locks<'a> {
    match Arc::as_ptr(first).cmp(&Arc::as_ptr(second)) {
        std::cmp::Ordering::Equal => (None, second.lock()),
        std::cmp::Ordering::Less => {
            let first = first.lock();
            (Some(first), second.lock())
        }
        std::cmp::Ordering::Greater => {
            let second = second.lock();
            (Some(first.lock()), second)
        }
    }
}

fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}
