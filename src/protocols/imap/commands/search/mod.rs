//! SEARCH (RFC 9051 §6.4.4; RFC 4731; RFC 5182; RFC 7162 §3.1.5).
//!
//! Most conditions are decided by rows in memory. What is left asks the cached summaries, and only then files are
//! read, in batches of bounded size on a blocking thread.

mod answer;
mod condition;
mod text;

use std::sync::Arc;

use self::answer::Hit;
use self::condition::{Condition, Facts};
use super::trouble;
use crate::foundations::mail::{SequenceNumber, Summary, Uid};
use crate::foundations::wire::imap::Search;
use crate::protocols::imap::account::Selected;
use crate::protocols::imap::outcome::{Outcome, Trouble};
use crate::protocols::imap::serve::{Conversation, State};
use crate::protocols::imap::settings::ImapSettings;
use crate::storage::mailbox::{self, Content, Row};

/// Octets of files held at once.
const BATCH_OCTETS: usize = 8 << 20;

/// Summaries looked at in one go.
const BATCH_SUMMARIES: usize = 512;

/// Finds messages and answers in the form the client wants.
pub async fn run(talk: &mut Conversation, tag: &str, search: Search) -> Outcome {
    let State::Selected(account, selected) = &mut talk.state else {
        return Err(Trouble::bad("Select a mailbox first"));
    };
    if account.enabled.utf8 && search.charset.is_some() {
        // RFC 6855 §3.
        return Err(Trouble::bad("After UTF8=ACCEPT everything is in UTF-8"));
    }
    let save = search.returns.is_some_and(|returns| returns.save);
    let condition = match Condition::new(&search, selected, talk.room.needs.clock.now(), &talk.settings) {
        Ok(condition) => Arc::new(condition),
        Err(trouble) => {
            // RFC 5182 §2.1: a search that fails saves an empty result.
            if save {
                selected.saved = Default::default();
            }
            return Err(trouble);
        }
    };
    // RFC 7162 §3.1: MODSEQ enables CONDSTORE.
    if condition.has_mod_seq() {
        account.enable_condstore(selected, &mut talk.link);
    }
    let found = find(&condition, selected, &talk.settings).await;
    match found {
        Ok(hits) => answer::answer(tag, &search, &condition, &hits, account.enabled, selected, &mut talk.link).await,
        Err(error) => {
            if save {
                selected.saved = Default::default();
            }
            Err(trouble(talk, &error))
        }
    }
}

/// A message about which the row alone decides nothing.
#[derive(Debug, Clone, Copy)]
struct Open {
    sequence: SequenceNumber,
    row: Row,
}

impl Open {
    const fn hit(&self) -> Hit {
        Hit { sequence: self.sequence, uid: self.row.uid, mod_seq: self.row.mod_seq }
    }
}

/// All messages that satisfy the condition, ascending.
async fn find(
    condition: &Arc<Condition>,
    selected: &Selected,
    settings: &ImapSettings,
) -> Result<Vec<Hit>, mailbox::Error> {
    let mut hits = Vec::new();
    let mut open = Vec::new();
    let all = crate::foundations::mail::SequenceSet::all();
    for (sequence, row) in selected.view.rows(&all) {
        let facts = Facts::of_row(sequence, &row, selected);
        match condition.holds(&facts) {
            Some(true) => hits.push(Open { sequence, row }.hit()),
            Some(false) => {}
            None => open.push(Open { sequence, row }),
        }
    }
    if !open.is_empty() && condition.asks_summaries() {
        open = by_summary(condition, open, selected, &mut hits).await?;
    }
    if !open.is_empty() {
        by_body(condition, &open, selected, settings, &mut hits).await?;
    }
    hits.sort_unstable_by_key(|hit| hit.sequence);
    Ok(hits)
}

fn uids(open: &[Open]) -> Vec<Uid> {
    open.iter().map(|open| open.row.uid).collect()
}

/// Decides what summaries can; what is left.
async fn by_summary(
    condition: &Arc<Condition>,
    open: Vec<Open>,
    selected: &Selected,
    hits: &mut Vec<Hit>,
) -> Result<Vec<Open>, mailbox::Error> {
    let mut stream = selected.view.summaries(uids(&open));
    let mut left = Vec::new();
    for batch in open.chunks(BATCH_SUMMARIES) {
        let mut known = Vec::with_capacity(batch.len());
        for open in batch {
            match stream.next().await {
                Some((_, Ok(stored))) => known.push((*open, selected.view.is_recent(open.row.uid), stored)),
                // A message that is gone matches nothing.
                Some((_, Err(mailbox::Error::NoMessage(_)))) => {}
                Some((_, Err(error))) => return Err(error),
                None => break,
            }
        }
        let condition = Arc::clone(condition);
        let decided = blocking(move || {
            let decide = |(open, recent, stored): (Open, bool, bytes::Bytes)| {
                let summary = Summary::read(&stored);
                let facts =
                    Facts { sequence: open.sequence, row: &open.row, recent, summary: summary.as_ref(), body: None };
                (open, condition.holds(&facts))
            };
            known.into_iter().map(decide).collect::<Vec<_>>()
        });
        for (open, holds) in decided.await? {
            match holds {
                Some(true) => hits.push(open.hit()),
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
    selected: &Selected,
    settings: &ImapSettings,
    hits: &mut Vec<Hit>,
) -> Result<(), mailbox::Error> {
    let mut summaries = condition.asks_summaries().then(|| selected.view.summaries(uids(open)));
    let mut contents = selected.view.bodies(uids(open));
    let mut batch = Vec::new();
    let mut octets = 0;
    for open in open {
        let stored = match &mut summaries {
            Some(stream) => stream.next().await.and_then(|(_, stored)| stored.ok()),
            None => None,
        };
        match contents.next().await {
            Some((_, Ok(content))) => {
                // Twice the text that is looked at, for its transfer encoding.
                let body = read(content, settings.search_text.len().saturating_mul(2)).await?;
                octets += body.len();
                batch.push((*open, selected.view.is_recent(open.row.uid), stored, body));
            }
            Some((_, Err(mailbox::Error::NoMessage(_)))) => {}
            Some((_, Err(error))) => return Err(error),
            None => {}
        }
        if batch.len() >= settings.search_batch.max(1) || octets >= BATCH_OCTETS {
            octets = 0;
            decide(condition, std::mem::take(&mut batch), hits).await?;
        }
    }
    decide(condition, batch, hits).await
}

type Read = (Open, bool, Option<bytes::Bytes>, bytes::Bytes);

async fn decide(condition: &Arc<Condition>, batch: Vec<Read>, hits: &mut Vec<Hit>) -> Result<(), mailbox::Error> {
    if batch.is_empty() {
        return Ok(());
    }
    let condition = Arc::clone(condition);
    let decided = blocking(move || {
        let holds = |(open, recent, stored, body): &Read| {
            let summary = stored.as_ref().and_then(|stored| Summary::read(stored));
            let facts = Facts {
                sequence: open.sequence,
                row: &open.row,
                recent: *recent,
                summary: summary.as_ref(),
                body: Some(body),
            };
            condition.holds(&facts) == Some(true)
        };
        batch.iter().filter(|read| holds(read)).map(|read| read.0.hit()).collect::<Vec<_>>()
    });
    hits.extend(decided.await?);
    Ok(())
}

/// The beginning of a message, as much as is looked at.
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

/// Runs work that takes the processor for a while.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, mailbox::Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| mailbox::Error::Closing)
}
