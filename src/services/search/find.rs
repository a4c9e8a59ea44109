//! Finding messages: rows in memory first, then summaries, then files.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use super::condition::{Condition, Facts};
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::{ModSeq, SequenceNumber, SequenceSet, Summary, Uid};
use crate::foundations::processor::{self, Parties};
use crate::foundations::tasks::Turn;
use crate::storage::mailbox::{self, Content, Row, Unreadable, View};

/// Octets of files in memory at once.
const BATCH_OCTETS: usize = 8 << 20;

/// Summaries read in one go.
const BATCH_SUMMARIES: usize = 512;

/// Accounts whose searches read messages: one batch of each is in memory at a time.
static READERS: LazyLock<Parties> = LazyLock::new(Parties::default);

/// How long messages are searched before others have their turn.
const SLICE: Duration = Duration::from_millis(50);

/// Rows checked before others have their turn.
const ROWS_AT_ONCE: usize = 16;

/// A message that was found.
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    /// Its number.
    pub sequence: SequenceNumber,
    /// Its UID.
    pub uid: Uid,
    /// Its modification sequence.
    pub mod_seq: ModSeq,
}

/// What a search has found.
#[derive(Debug)]
pub struct Found {
    /// The messages that satisfy the condition, ascending.
    pub hits: Vec<Hit>,
    /// Messages that could not be read although that was needed. They are never hits: a client that
    /// expunges messages without a word (`NOT`) must not expunge messages that were not read.
    pub unreadable: Unreadable,
}

/// A message that is looked at, with what is known of it without reading anything.
#[derive(Debug, Clone, Copy)]
struct Open {
    sequence: SequenceNumber,
    row: Row,
    recent: bool,
    saved: Option<Timestamp>,
}

impl Open {
    fn facts<'a>(&'a self, summary: Option<&'a Summary>, body: Option<&'a [u8]>) -> Facts<'a> {
        let Self { sequence, row, recent, saved } = self;
        Facts { sequence: *sequence, row, recent: *recent, saved: *saved, summary, body }
    }

    const fn hit(&self) -> Hit {
        Hit { sequence: self.sequence, uid: self.row.uid, mod_seq: self.row.mod_seq }
    }
}

/// All messages that satisfy the condition. Files are read in batches of at most `batch`.
///
/// # Errors
/// The store cannot read what is needed.
pub async fn find(condition: &Arc<Condition>, view: &View, batch: usize) -> Result<Found, mailbox::Error> {
    find_among(&SequenceSet::all(), condition, view, batch).await
}

/// Like [`find`], but among these messages only.
pub(super) async fn find_among(
    uids: &SequenceSet<Uid>,
    condition: &Arc<Condition>,
    view: &View,
    batch: usize,
) -> Result<Found, mailbox::Error> {
    let mut found = Found { hits: Vec::new(), unreadable: Unreadable::default() };
    let mut open = Vec::new();
    let mut turn = Turn::begin();
    for (looked_at, (sequence, row)) in view.rows_by_uid(uids).enumerate() {
        if looked_at % ROWS_AT_ONCE == 0 {
            turn.share().await;
        }
        let saved = if condition.asks_saved() { view.saved_at(row.uid) } else { None };
        let message = Open { sequence, row, recent: view.is_recent(row.uid), saved };
        match condition.holds(&message.facts(None, None)) {
            Some(true) => found.hits.push(message.hit()),
            Some(false) => {}
            None => open.push(message),
        }
    }
    if !open.is_empty() && condition.asks_summaries() {
        open = by_summary(condition, open, view, &mut found).await?;
    }
    if !open.is_empty() {
        by_body(condition, &open, view, batch, &mut found).await?;
    }
    found.hits.sort_unstable_by_key(|hit| hit.sequence);
    Ok(found)
}

fn uids(open: &[Open]) -> Vec<Uid> {
    open.iter().map(|open| open.row.uid).collect()
}

/// Decides what summaries can decide, and returns the rest.
async fn by_summary(
    condition: &Arc<Condition>,
    open: Vec<Open>,
    view: &View,
    found: &mut Found,
) -> Result<Vec<Open>, mailbox::Error> {
    let mut stream = view.summaries(uids(&open));
    let mut left = Vec::new();
    for batch in open.chunks(BATCH_SUMMARIES) {
        let mut known = Vec::with_capacity(batch.len());
        for open in batch {
            // A message that no longer exists matches nothing.
            if let Some(stored) = found.unreadable.pass(stream.next().await)? {
                known.push((*open, stored));
            }
        }
        let condition = Arc::clone(condition);
        let decided = blocking(move || {
            let decide = |(open, stored): (Open, bytes::Bytes)| {
                let summary = Summary::read(&stored);
                (open, condition.holds(&open.facts(summary.as_ref(), None)))
            };
            known.into_iter().map(decide).collect::<Vec<_>>()
        });
        for (open, holds) in decided.await? {
            match holds {
                Some(true) => found.hits.push(open.hit()),
                Some(false) => {}
                None => left.push(open),
            }
        }
    }
    Ok(left)
}

/// Decides the rest by reading files.
async fn by_body(
    condition: &Arc<Condition>,
    open: &[Open],
    view: &View,
    most: usize,
    found: &mut Found,
) -> Result<(), mailbox::Error> {
    let mut summaries = condition.asks_summaries().then(|| view.summaries(uids(open)));
    let mut contents = view.bodies(uids(open));
    let account = view.account().key();
    let mut batch = Vec::new();
    let mut octets = 0;
    let mut place = None;
    for open in open {
        if place.is_none() {
            place = Some(READERS.place(&account).await);
        }
        let stored = match &mut summaries {
            Some(stream) => found.unreadable.pass(stream.next().await)?,
            None => None,
        };
        let next = match contents.next().await {
            // Twice the searched text, because of its transfer encoding.
            Some((uid, Ok(content))) => Some((uid, read(content, condition.text_limit().saturating_mul(2)).await)),
            Some((uid, Err(error))) => Some((uid, Err(error))),
            None => None,
        };
        if let Some(body) = found.unreadable.pass(next)? {
            octets += body.len();
            batch.push(ReadMessage { open: *open, summary: stored, body });
        }
        if batch.len() >= most.max(1) || octets >= BATCH_OCTETS {
            octets = 0;
            decide(condition, std::mem::take(&mut batch), &mut found.hits).await?;
            place = None;
        }
    }
    decide(condition, batch, &mut found.hits).await
}

/// A message whose file has been read.
struct ReadMessage {
    open: Open,
    summary: Option<bytes::Bytes>,
    body: bytes::Bytes,
}

impl ReadMessage {
    fn satisfies(&self, condition: &Condition) -> bool {
        let summary = self.summary.as_ref().and_then(|stored| Summary::read(stored));
        condition.holds(&self.open.facts(summary.as_ref(), Some(&self.body))) == Some(true)
    }
}

async fn decide(
    condition: &Arc<Condition>,
    batch: Vec<ReadMessage>,
    hits: &mut Vec<Hit>,
) -> Result<(), mailbox::Error> {
    let mut left = batch.into_iter();
    while left.len() > 0 {
        let condition = Arc::clone(condition);
        let (found, rest) = blocking(move || {
            let (begun, mut found) = (Instant::now(), Vec::new());
            for read in left.by_ref() {
                if read.satisfies(&condition) {
                    found.push(read.open.hit());
                }
                if begun.elapsed() >= SLICE {
                    break;
                }
            }
            (found, left)
        })
        .await?;
        hits.extend(found);
        left = rest;
    }
    Ok(())
}

/// The beginning of a message, as much as is searched.
async fn read(content: Content, most: usize) -> Result<bytes::Bytes, mailbox::Error> {
    match content {
        Content::Whole(bytes) => Ok(bytes.slice(..bytes.len().min(most))),
        Content::Large(mut body) => {
            let mut octets = Vec::new();
            while octets.len() < most {
                let piece = body.read(octets.len() as u64, (most - octets.len()).min(1 << 20)).await?;
                if piece.is_empty() {
                    break;
                }
                octets.extend_from_slice(&piece);
            }
            Ok(octets.into())
        }
    }
}

/// Runs work that needs the processor for a while, when its turn comes.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, mailbox::Error> {
    processor::in_turn(work).await.map_err(|_| mailbox::Error::Closing)
}
