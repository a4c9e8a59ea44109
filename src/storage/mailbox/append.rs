//! Storing a new message.

use std::sync::Arc;

use bytes::Bytes;

use super::commit::{Ticket, Touched};
use super::folder::{Folder, Pending};
use super::maildir::directory::Directories;
use super::maildir::filename::{self, Place};
use super::maildir::keywords_file;
use super::snapshot::Record;
use super::{AppendOptions, Appended, Error, Keyword, KeywordSet, Keywords};
use crate::foundations::files::lock_directory;
use crate::foundations::mail::{Message, ModSeq, Uid};

/// What to do with keywords for which the folder's table has no free slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// The change fails: the client has asked for this very keyword.
    Fail,
    /// The message goes without them: storing it is more important.
    LeaveOut,
}

impl Folder {
    /// Stores a message; on disk with its UID and flags when this returns. Blocks.
    pub fn append(self: &Arc<Self>, message: &Message, options: &AppendOptions) -> Result<Appended, Error> {
        let directories = self.directories()?;
        let unique = self.environment.unique();
        let date = options.internal_date.unwrap_or_else(|| self.environment.clock.now());
        let flags = options.flags;
        let keywords = self.learn(&directories, &options.keywords, NoRoom::LeaveOut)?;
        let written = directories.write_temporary(&unique, &message.pieces(), date);
        // That of the file, which is all that is left if the index is lost.
        let date = written.map_err(self.failed("write a message"))?;
        let place = if flags.is_empty() && keywords.is_empty() { Place::New } else { Place::Cur };
        let size = message.len() as u64;
        let record = |uid| Record {
            uid,
            mod_seq: ModSeq::MIN,
            size,
            virtual_size: size,
            date: date.unix_seconds(),
            keywords,
            flags,
            place,
            regular: true,
        };
        let placed = self.place(&directories, &unique, record);
        if placed.is_err() {
            directories.remove_temporary(&unique);
        }
        let (uid, ticket) = placed?;
        self.summarize(&directories, uid, &message.bytes());
        self.commit(&directories, ticket)?;
        let uid_validity = self.current().uid_validity;
        Ok(Appended { uid_validity, uid })
    }

    /// Gives a finished file in `tmp/` its UID and name. Returns also what to wait for until it is on disk.
    pub fn place(
        self: &Arc<Self>,
        directories: &Arc<Directories>,
        unique: &str,
        record: impl FnOnce(Uid) -> Record,
    ) -> Result<(Uid, Ticket), Error> {
        let mut state = self.lock();
        self.still_there()?;
        state.before_change(directories);
        let uid = state.take_uid(&self.name)?;
        let record = record(uid);
        let stored = filename::fresh(unique, uid, record.size, record.virtual_size).into_bytes();
        let renamed = directories.publish(unique, record.place, &record.file_name(&stored));
        let mut ours = Touched::default();
        ours.add(record.place);
        state.after_change(directories, ours);
        renamed.map_err(self.failed("store a message"))?;
        let ticket = state.touch(record.place);
        state.pending.push_back(Pending { ticket, record, name: stored });
        Ok((uid, ticket))
    }

    /// Caches what lists of messages need.
    pub fn summarize(&self, directories: &Directories, uid: Uid, message: &[u8]) {
        let summary = (self.environment.summarizer.summarize)(message);
        if !summary.is_empty() {
            self.keep_summary(directories, uid, Bytes::from(summary));
        }
    }

    /// Caches a summary. Those of very many messages do not wait for the task that writes them: it may be waiting itself, for a
    /// folder that somebody changes.
    pub fn keep_summary(&self, directories: &Directories, uid: Uid, summary: Bytes) {
        let write = || self.summaries.flush(directories.own_root()?, self.stamp());
        if self.summaries.add(uid, summary)
            && let Err(error) = write()
        {
            log::warn!(folder:% = self.name, error:% = error; "The cache of a folder cannot be written: its messages will be read again");
        }
    }

    /// The folder's slots for keywords; new ones are written to its table before any name uses them.
    pub fn learn(
        self: &Arc<Self>,
        directories: &Directories,
        keywords: &[Keyword],
        no_room: NoRoom,
    ) -> Result<KeywordSet, Error> {
        let known = Arc::clone(&self.current().keywords);
        if keywords.iter().all(|keyword| known.slot(keyword).is_some()) {
            return Ok(known.set(keywords));
        }
        let _state = self.lock();
        self.still_there()?;
        let mut snapshot = (*self.current()).clone();
        // Another program may have added some, or be about to.
        let _turn = lock_directory(&self.path)?;
        let mut table: Keywords = keywords_file::read(directories.root()).map_err(self.failed("read the keywords"))?;
        let full = keywords.iter().filter(|keyword| table.learn(keyword).is_none()).count() > 0;
        if full && no_room == NoRoom::Fail {
            return Err(Error::TooManyKeywords(self.name.clone()));
        }
        let root = directories.own_root().map_err(self.failed("write the keywords"))?;
        keywords_file::write(root, &table).map_err(self.failed("write the keywords"))?;
        let set = table.set(keywords);
        snapshot.keywords = Arc::new(table);
        self.publish(snapshot);
        Ok(set)
    }
}
