//! Reading messages: one in pieces, or many one after the other.
//!
//! Messages are served with CRLF line ends. A file whose size differs from its size with CRLF line ends (`S` and `W` in
//! its name) has bare LFs, as Dovecot writes by default, and is converted on reading; all others, including all of
//! ours, are served octet by octet, so positions in the message are positions in the file.

mod reader;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use tokio::task::JoinHandle;

use self::reader::Reader;
use super::Error;
use super::environment::Environment;
use super::folder::Folder;
use super::mailboxes::Fuller;
use super::maildir::directory::Directories;
use super::maildir::small::read_at;
use super::snapshot::Record;
use super::usage::Account;
use crate::foundations::mail::{Uid, crlf, crlf_onto};

/// One message, open for reading.
pub struct Body {
    account: Arc<Account>,
    environment: Arc<Environment>,
    inner: Arc<parking_lot::Mutex<Reader>>,
    size: u64,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Body {
    fn new(folder: &Folder, reader: Reader, size: u64) -> Self {
        let (account, environment) = (Arc::clone(&folder.account), Arc::clone(&folder.environment));
        Self { account, environment, inner: Arc::new(parking_lot::Mutex::new(reader)), size }
    }

    /// Its size in octets, as clients see it (CRLF line ends).
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Reads at most `length` octets from `offset`; fewer only at the end.
    pub async fn read(&mut self, offset: u64, length: usize) -> Result<Bytes, Error> {
        let inner = Arc::clone(&self.inner);
        let read = move || {
            let read = inner.lock().read(offset, length);
            read.map(Bytes::from).map_err(|error| Error::io("cannot read a message", error))
        };
        self.account.job(&self.environment, read).await
    }
}

/// A message as [`Bodies`] hands it out.
#[derive(Debug)]
pub enum Content {
    /// All of it.
    Whole(Bytes),
    /// Too large to be loaded unless asked for.
    Large(Body),
}

/// Messages larger than this are handed out unread.
const LARGE: u64 = 1 << 20;
/// A batch ends with the message that makes it larger than this.
const BATCH_OCTETS: u64 = 1 << 20;
/// Most messages in a batch.
const BATCH: usize = 256;
/// Most summaries in a batch.
const SUMMARIES: usize = 256;

impl Folder {
    /// Opens a message for reading. Blocks.
    pub fn open_body(self: &Arc<Self>, uid: Uid) -> Result<Body, Error> {
        let (reader, size) = self.open_reader(uid)?;
        Ok(Body::new(self, reader, size))
    }

    /// What reads a message, and its size as clients see it.
    fn open_reader(self: &Arc<Self>, uid: Uid) -> Result<(Reader, u64), Error> {
        let (file, record) = self.open_file(uid)?;
        Ok((Reader::new(file, record.size == record.virtual_size), record.virtual_size))
    }

    /// A message's file and what is known about it. If the file has another size by now, it is another message.
    fn open_file(self: &Arc<Self>, uid: Uid) -> Result<(File, Record), Error> {
        let directories = self.directories()?;
        let gone = || Error::NoMessage(uid);
        for last in [false, true] {
            let snapshot = self.current();
            let (record, stored) = snapshot.by_uid(uid).ok_or_else(gone)?;
            match directories.open_message(record.place, &record.file_name(stored)) {
                Ok(file) if file.metadata().is_ok_and(|metadata| metadata.len() != record.size) => {
                    let mut state = self.lock();
                    self.take_anew(&mut state, &directories, &[uid])?;
                    return Err(gone());
                }
                Ok(file) => return Ok((file, *record)),
                Err(error) if error.kind() == io::ErrorKind::NotFound && !last => {
                    let mut state = self.lock();
                    // Renamed by us a moment ago, or by another program.
                    if Arc::ptr_eq(&snapshot, &self.current()) {
                        self.reconcile(&mut state, &directories, super::reconcile::Known::Live)?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(gone()),
                Err(error) => return Err(self.failed("open a message")(error)),
            }
        }
        Err(gone())
    }

    /// A whole message. Blocks.
    fn read_whole(self: &Arc<Self>, uid: Uid) -> Result<Bytes, Error> {
        let (file, record) = self.open_file(uid)?;
        let length = usize::try_from(record.size).unwrap_or(usize::MAX);
        let bytes = read_at(file.as_fd(), 0, length).map_err(self.failed("read a message"))?;
        Ok(Bytes::from(if record.size == record.virtual_size { bytes } else { crlf(&bytes).into_owned() }))
    }

    fn read_batch(self: &Arc<Self>, uids: &[Uid]) -> Batch<Content> {
        let mut batch = Batched::default();
        let snapshot = self.current();
        let directories = self.directories();
        let known = uids.iter().take(BATCH).filter_map(|uid| snapshot.by_uid(*uid));
        let sizes = known.map(|(record, _)| record.virtual_size);
        batch.expect(sizes);
        for uid in uids.iter().take(BATCH) {
            let known = snapshot.by_uid(*uid);
            let size = known.map_or(0, |(record, _)| record.virtual_size);
            let content = match (&directories, known) {
                _ if size > LARGE => Some(self.open_body(*uid).map(Content::Large)),
                // The usual case: the file is where it is expected to be.
                (Ok(directories), Some((record, stored))) if batch.read(directories, record, stored) => None,
                _ => Some(self.read_whole(*uid).map(Content::Whole)),
            };
            batch.push(*uid, content);
            if batch.is_full() {
                break;
            }
        }
        batch.finish()
    }

    fn summary_batch(self: &Arc<Self>, uids: &[Uid], fuller: Option<Fuller>) -> Result<Batch<Bytes>, Error> {
        let directories = self.directories()?;
        let uids = &uids[..uids.len().min(SUMMARIES)];
        let cached = self.summaries.read(directories.root(), self.stamp(), uids).unwrap_or_else(|error| {
            // On a full disk there may be none, and people must be able to see what they could remove.
            log::warn!(folder:% = self.name, error:% = error; "The cache of a folder cannot be read: its messages are read instead");
            self.summaries.waiting(uids)
        });
        let mut made = false;
        let mut batch = Vec::with_capacity(uids.len());
        for (uid, cached) in uids.iter().zip(cached) {
            let summary = self.summary(*uid, cached, fuller).map(|(summary, is_new)| {
                if is_new {
                    self.keep_summary(&directories, *uid, summary.clone());
                    made = true;
                }
                summary
            });
            batch.push((*uid, summary));
        }
        if made {
            self.want_flush();
        }
        Ok(batch)
    }

    /// A message's summary, and whether it is not the cached one. A usual one is extended out of the message's header alone: the
    /// whole of a large message would take its time each time one has arrived.
    fn summary(
        self: &Arc<Self>,
        uid: Uid,
        cached: Option<Bytes>,
        fuller: Option<Fuller>,
    ) -> Result<(Bytes, bool), Error> {
        let is_new = cached.is_none();
        let usual = cached.map_or_else(|| self.summarize_file(uid), Ok)?;
        let Some((length, extend)) = fuller.and_then(|fuller| Some(((fuller.lacks)(&usual)?, fuller.extend))) else {
            return Ok((usual, is_new));
        };
        let _turn = (length > LARGE).then(|| self.environment.summarizing.lock());
        let (mut reader, _) = self.open_reader(uid)?;
        let header = reader.read(0, usize::try_from(length).unwrap_or(usize::MAX));
        Ok((Bytes::from(extend(&usual, &header.map_err(self.failed("read a message"))?)), true))
    }

    /// Reads a message and computes its summary. Of large ones, which other programs have put there, one is in memory
    /// at a time.
    fn summarize_file(self: &Arc<Self>, uid: Uid) -> Result<Bytes, Error> {
        let known = self.current().by_uid(uid).map_or(0, |(record, _)| record.virtual_size);
        let most = self.environment.settings.get().summarized_size.get();
        if known > most {
            let text = format!("the message has {known} octets, more than mailbox.summarized_size");
            let error = io::Error::new(io::ErrorKind::FileTooLarge, text);
            return Err(self.failed("summarise a message")(error));
        }
        let _turn = (known > LARGE).then(|| self.environment.summarizing.lock());
        let message = self.read_whole(uid)?;
        Ok(Bytes::from((self.environment.summarizer.summarize)(&message)))
    }
}

/// Messages read one after another into the same memory.
#[derive(Default)]
struct Batched {
    octets: Vec<u8>,
    /// The file with bare LFs that was read last.
    bare: Vec<u8>,
    name: Vec<u8>,
    messages: Vec<(Uid, Placed)>,
    /// Octets of messages stored separately.
    apart: u64,
    /// Where the message read last begins.
    start: usize,
}

/// Where a message of a batch is stored.
enum Placed {
    /// Among the octets read together.
    Inside(Range<usize>),
    /// Separately.
    Apart(Result<Content, Error>),
}

impl Batched {
    /// Reserves room for messages of these sizes.
    fn expect(&mut self, sizes: impl Iterator<Item = u64>) {
        let mut octets = 0;
        for size in sizes {
            octets += if size > LARGE { 0 } else { size };
            if octets >= BATCH_OCTETS {
                break;
            }
        }
        self.octets.reserve(usize::try_from(octets).unwrap_or(0).saturating_add(1));
    }

    /// Reads a message; returns whether its file is there, complete.
    fn read(&mut self, directories: &Directories, record: &Record, stored: &[u8]) -> bool {
        let Ok(size) = usize::try_from(record.size) else { return false };
        self.name.clear();
        record.write_file_name(stored, &mut self.name);
        self.start = self.octets.len();
        let read = directories.open_message(record.place, &self.name).and_then(|file| {
            if record.size == record.virtual_size {
                return read_onto(&file, size, &mut self.octets);
            }
            self.bare.clear();
            let ends = read_onto(&file, size, &mut self.bare)?;
            crlf_onto(&self.bare, &mut self.octets);
            Ok(ends)
        });
        // Another program may have written to it.
        let whole = read.is_ok_and(|ends| ends) && (self.octets.len() - self.start) as u64 == record.virtual_size;
        if !whole {
            self.octets.truncate(self.start);
        }
        whole
    }

    /// Adds a message: this one, or the one read last.
    fn push(&mut self, uid: Uid, content: Option<Result<Content, Error>>) {
        let placed = match content {
            Some(content) => {
                self.apart += match &content {
                    Ok(Content::Whole(bytes)) => bytes.len() as u64,
                    // So that few files are open at once.
                    Ok(Content::Large(_)) => LARGE,
                    Err(_) => 0,
                };
                Placed::Apart(content)
            }
            None => Placed::Inside(self.start..self.octets.len()),
        };
        self.messages.push((uid, placed));
    }

    /// Whether enough is in memory.
    fn is_full(&self) -> bool {
        self.octets.len() as u64 + self.apart >= BATCH_OCTETS
    }

    fn finish(self) -> Batch<Content> {
        let octets = Bytes::from(self.octets);
        let content = |placed| match placed {
            Placed::Inside(range) => Ok(Content::Whole(octets.slice(range))),
            Placed::Apart(content) => content,
        };
        self.messages.into_iter().map(|(uid, placed)| (uid, content(placed))).collect()
    }
}

/// Appends the first octets of a file; fewer only if it ends before. Returns whether it has exactly so many.
fn read_onto(file: &File, length: usize, out: &mut Vec<u8>) -> io::Result<bool> {
    let end = out.len() + length;
    // One more than is wanted shows that there is more, also if nothing is wanted.
    out.reserve(length + 1);
    loop {
        let read = rustix::io::read(file, spare_capacity(out));
        match read {
            Ok(octets) if octets > 0 && out.len() < end => {}
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let ends = out.len() == end;
    out.truncate(end);
    Ok(ends)
}

/// A batch being read.
type Ahead<T> = JoinHandle<Result<Batch<T>, Error>>;
/// Reads the first of some items.
type Read<T> = fn(&Arc<Folder>, &[Uid]) -> Result<Batch<T>, Error>;
/// Items read, each with its UID.
type Batch<T> = Vec<(Uid, Result<T, Error>)>;

/// Items read in batches, one batch ahead of the reader.
struct Batches<T> {
    folder: Arc<Folder>,
    left: VecDeque<Uid>,
    ready: VecDeque<(Uid, Result<T, Error>)>,
    ahead: Option<Ahead<T>>,
    most: usize,
    read: Read<T>,
}

impl<T: Send + 'static> Batches<T> {
    fn start(&mut self) {
        if self.left.is_empty() {
            return;
        }
        let uids: Vec<Uid> = self.left.iter().take(self.most).copied().collect();
        let folder = Arc::clone(&self.folder);
        let read = self.read;
        let (account, environment) = (Arc::clone(&self.folder.account), Arc::clone(&self.folder.environment));
        let job = async move { account.job(&environment, move || read(&folder, &uids)).await };
        self.ahead = Some(self.folder.environment.tasks.spawn(job));
    }

    async fn next(&mut self) -> Option<(Uid, Result<T, Error>)> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            if self.ahead.is_none() {
                self.start();
            }
            let result = self.ahead.as_mut()?.await.unwrap_or(Err(Error::Closing));
            self.ahead = None;
            match result {
                Ok(batch) if !batch.is_empty() => {
                    self.left.drain(..batch.len().min(self.left.len()));
                    self.ready.extend(batch);
                }
                Ok(_) => return None,
                Err(error) => {
                    let uid = self.left.pop_front()?;
                    self.left.clear();
                    return Some((uid, Err(error)));
                }
            }
            self.start();
        }
    }
}

/// Messages read in batches on a blocking thread.
pub struct Bodies(Batches<Content>);

impl Bodies {
    pub(super) fn new(folder: Arc<Folder>, uids: Vec<Uid>) -> Self {
        let read = |folder: &Arc<Folder>, uids: &[Uid]| Ok(folder.read_batch(uids));
        Self(Batches { folder, left: uids.into(), ready: VecDeque::new(), ahead: None, most: BATCH, read })
    }

    /// The next message in the given order; `None` after the last. For a message that is gone the result is an error.
    pub async fn next(&mut self) -> Option<(Uid, Result<Content, Error>)> {
        self.0.next().await
    }
}

/// Summaries read in batches on a blocking thread.
pub struct Summaries(Batches<Bytes>);

impl Summaries {
    pub(super) fn new(folder: Arc<Folder>, uids: Vec<Uid>) -> Self {
        Self::by(|folder, uids| folder.summary_batch(uids, None), folder, uids)
    }

    pub(super) fn fuller(folder: Arc<Folder>, uids: Vec<Uid>) -> Self {
        Self::by(|folder, uids| folder.summary_batch(uids, folder.environment.summarizer.fuller), folder, uids)
    }

    fn by(read: Read<Bytes>, folder: Arc<Folder>, uids: Vec<Uid>) -> Self {
        Self(Batches { folder, left: uids.into(), ready: VecDeque::new(), ahead: None, most: SUMMARIES, read })
    }

    /// The next summary in the given order; `None` after the last.
    pub async fn next(&mut self) -> Option<(Uid, Result<Bytes, Error>)> {
        self.0.next().await
    }
}
