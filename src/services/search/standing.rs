//! Searches whose results are followed (RFC 5267 §4.3): messages that enter or leave the result.
//!
//! A result is kept as UIDs, in runs or in its order. Only new or changed messages are evaluated again, so
//! a condition that depends only on the time (RFC 5032) changes nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::find::find_among;
use super::{Condition, Hit, Problem, Wording, sort};
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::{SequenceSet, Uid};
use crate::foundations::wire::imap::{Messages, Numbers, SearchKey, SortCriterion};
use crate::storage::mailbox::{self, View};

/// The search as the client has put it.
#[derive(Debug)]
pub struct SearchRequest<'a> {
    /// The condition.
    pub key: &'a SearchKey,
    /// The charset of its texts.
    pub charset: Option<&'a str>,
    /// What `$` stands for.
    pub saved: &'a SequenceSet<Uid>,
    /// The order of the result; `None` for the order of the mailbox.
    pub criteria: Option<&'a [SortCriterion]>,
}

/// How much of one result is kept, and how much is read to follow it.
#[derive(Debug, Clone, Copy)]
pub struct StandingLimits {
    /// Runs of consecutive UIDs; for a sorted result, messages.
    pub runs: usize,
    /// Decoded octets of one message that are looked at.
    pub text: usize,
    /// Messages read in one go.
    pub batch: usize,
}

/// A search whose result is followed.
#[derive(Debug)]
pub struct StandingSearch {
    key: SearchKey,
    charset: Option<String>,
    limits: StandingLimits,
    result: Kept,
}

#[derive(Debug)]
enum Kept {
    /// In the order of the mailbox.
    Plain(SequenceSet<Uid>),
    /// In its own order.
    Sorted(Vec<SortCriterion>, Vec<Uid>),
}

/// Consecutive messages in a result.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    /// The position of the first one, from 1; 0 if the result is in the order of the mailbox.
    pub place: u32,
    /// The messages, in the order of the result.
    pub uids: Vec<Uid>,
}

/// What has changed in a result: first all removals, then all additions, each run with its position at that point.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What has left it.
    pub removed: Vec<Run>,
    /// What has entered it.
    pub added: Vec<Run>,
}

/// Why a result is not followed, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum Unfollowed {
    /// The result or the search is larger than the limit.
    #[error("the result of the search is too large to be followed")]
    TooLarge,
    /// The search is invalid.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// Messages could not be read.
    #[error(transparent)]
    Store(#[from] mailbox::Error),
}

/// Octets that a condition may occupy.
const MOST_CONDITION: usize = 64 << 10;

impl StandingSearch {
    /// Starts following a result.
    ///
    /// # Errors
    /// It is too large.
    pub fn new(
        request: &SearchRequest<'_>,
        hits: &[Hit],
        view: &View,
        limits: StandingLimits,
    ) -> Result<Self, Unfollowed> {
        let key = as_of_now(request.key, view, request.saved);
        if weight(&key) > MOST_CONDITION {
            return Err(Unfollowed::TooLarge);
        }
        let uids = hits.iter().map(|hit| hit.uid);
        let result = match request.criteria {
            None => Kept::Plain(uids.collect()),
            Some(criteria) => Kept::Sorted(criteria.to_vec(), uids.collect()),
        };
        let standing = Self { key, charset: request.charset.map(str::to_owned), limits, result };
        standing.check()?;
        Ok(standing)
    }

    fn check(&self) -> Result<(), Unfollowed> {
        let runs = match &self.result {
            Kept::Plain(uids) => uids.ranges(uids.highest()).count(),
            Kept::Sorted(_, uids) => uids.len(),
        };
        if runs > self.limits.runs { Err(Unfollowed::TooLarge) } else { Ok(()) }
    }

    /// Removes expunged messages, given in ascending order, from the result, and returns those that were in it.
    pub fn lose(&mut self, gone: &[Uid]) -> Vec<Run> {
        match &mut self.result {
            Kept::Plain(uids) => {
                let lost: Vec<Uid> = gone.iter().copied().filter(|uid| uids.contains(*uid, uids.highest())).collect();
                if !lost.is_empty() {
                    *uids = uids.iter(uids.highest()).filter(|uid| lost.binary_search(uid).is_err()).collect();
                }
                plain(lost)
            }
            Kept::Sorted(_, uids) => {
                let is_lost = |uid: &Uid| gone.binary_search(uid).is_ok();
                let mut runs: Vec<Run> = Vec::new();
                let mut place = 1;
                let mut open = false;
                for uid in uids.iter() {
                    match (is_lost(uid), runs.last_mut().filter(|_| open)) {
                        (true, Some(run)) => run.uids.push(*uid),
                        (true, None) => runs.push(Run { place, uids: vec![*uid] }),
                        // Removed messages no longer occupy a position.
                        (false, _) => place += 1,
                    }
                    open = is_lost(uid);
                }
                uids.retain(|uid| !is_lost(uid));
                runs
            }
        }
    }

    /// Evaluates new or changed messages, and returns how that changes the result.
    ///
    /// # Errors
    /// They could not be read, or the result has become too large.
    pub async fn look_again(
        &mut self,
        changed: &SequenceSet<Uid>,
        view: &View,
        now: Timestamp,
    ) -> Result<Changes, Unfollowed> {
        let saved = SequenceSet::new();
        let wording = Wording { charset: self.charset.as_deref(), saved: &saved, text_limit: self.limits.text };
        // Prepared again, since the mailbox may know more keywords than before.
        let condition = Arc::new(Condition::new(&self.key, &wording, view, now)?);
        let found = find_among(changed, &condition, view, self.limits.batch).await?;
        found.unreadable.refuse()?;
        let matching: Vec<Uid> = found.hits.iter().map(|hit| hit.uid).collect();
        let known = self.among(changed, view);
        let gone: Vec<Uid> = known.iter().copied().filter(|uid| matching.binary_search(uid).is_err()).collect();
        let new: Vec<Uid> = matching.into_iter().filter(|uid| known.binary_search(uid).is_err()).collect();
        let removed = self.lose(&gone);
        let added = if new.is_empty() { Vec::new() } else { self.gain(new, view).await? };
        self.check()?;
        Ok(Changes { removed, added })
    }

    /// Those messages of a set that are in the result, ascending.
    fn among(&self, set: &SequenceSet<Uid>, view: &View) -> Vec<Uid> {
        match &self.result {
            Kept::Plain(uids) => {
                let last = uids.highest();
                view.rows_by_uid(set).map(|(_, row)| row.uid).filter(|uid| uids.contains(*uid, last)).collect()
            }
            Kept::Sorted(_, uids) => {
                let last = view.last_uid();
                let mut known: Vec<Uid> = uids.iter().copied().filter(|uid| set.contains(*uid, last)).collect();
                known.sort_unstable();
                known
            }
        }
    }

    async fn gain(&mut self, new: Vec<Uid>, view: &View) -> Result<Vec<Run>, Unfollowed> {
        let (criteria, uids) = match &mut self.result {
            Kept::Plain(uids) => {
                let known = uids.ranges(uids.highest()).map(|range| (*range.start(), *range.end()));
                *uids = SequenceSet::of_ranges(known.chain(new.iter().map(|uid| (*uid, *uid))).collect());
                return Ok(plain(new));
            }
            Kept::Sorted(criteria, uids) => (criteria, uids),
        };
        let all: SequenceSet<Uid> = uids.iter().chain(&new).copied().collect();
        let hit = |(sequence, row): (_, mailbox::Row)| Hit { sequence, uid: row.uid, mod_seq: row.mod_seq };
        let hits = view.rows_by_uid(&all).map(hit).collect();
        let order = sort(criteria, hits, view).await?.into_iter().map(|hit| hit.uid);
        let (merged, runs) = merge(uids, &new, order);
        *uids = merged;
        Ok(runs)
    }
}

/// One run of a result in the order of the mailbox.
fn plain(uids: Vec<Uid>) -> Vec<Run> {
    if uids.is_empty() { Vec::new() } else { vec![Run { place: 0, uids }] }
}

/// Inserts new messages into a result, each after the known one that precedes it in the order: the client keeps the known ones
/// where it was told they are.
fn merge(known: &[Uid], new: &[Uid], order: impl Iterator<Item = Uid>) -> (Vec<Uid>, Vec<Run>) {
    let new: HashSet<Uid> = new.iter().copied().collect();
    let mut behind: HashMap<Option<Uid>, Vec<Uid>> = HashMap::new();
    let mut before = None;
    for uid in order {
        if new.contains(&uid) {
            behind.entry(before).or_default().push(uid);
        } else {
            before = Some(uid);
        }
    }
    let mut merged = Vec::with_capacity(known.len() + new.len());
    let mut runs = Vec::new();
    for uid in std::iter::once(None).chain(known.iter().copied().map(Some)) {
        merged.extend(uid);
        if let Some(uids) = behind.remove(&uid) {
            let place = u32::try_from(merged.len() + 1).unwrap_or(u32::MAX);
            merged.extend(&uids);
            runs.push(Run { place, uids });
        }
    }
    (merged, runs)
}

/// The condition with numbers and `$` fixed to the messages that they mean now (RFC 5267 §4.3).
fn as_of_now(key: &SearchKey, view: &View, saved: &SequenceSet<Uid>) -> SearchKey {
    let again = |key: &SearchKey| as_of_now(key, view, saved);
    match key {
        SearchKey::And(keys) => SearchKey::And(keys.iter().map(again).collect()),
        SearchKey::Or(keys) => SearchKey::Or(keys.iter().map(again).collect()),
        SearchKey::Not(key) => SearchKey::Not(Box::new(again(key))),
        SearchKey::Messages(Messages::Sequence(Numbers::Set(set))) => {
            let uids = view.rows(set).map(|(_, row)| row.uid).collect();
            SearchKey::Messages(Messages::Uid(Numbers::Set(uids)))
        }
        SearchKey::Messages(Messages::Sequence(Numbers::Saved) | Messages::Uid(Numbers::Saved)) => {
            SearchKey::Messages(Messages::Uid(Numbers::Set(saved.clone())))
        }
        key => key.clone(),
    }
}

/// Approximate size of a condition in octets.
fn weight(key: &SearchKey) -> usize {
    size_of::<SearchKey>()
        + match key {
            SearchKey::And(keys) | SearchKey::Or(keys) => keys.iter().map(weight).sum(),
            SearchKey::Not(key) => weight(key),
            SearchKey::Messages(Messages::Uid(Numbers::Set(set))) => {
                set.ranges(set.highest()).count() * size_of::<(Uid, Uid)>()
            }
            SearchKey::Body(text) | SearchKey::Text(text) => text.0.len(),
            SearchKey::Header { field, text } => field.len() + text.0.len(),
            SearchKey::Keyword(text) | SearchKey::EmailId(text) | SearchKey::ThreadId(text) => text.len(),
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uids(numbers: &[u32]) -> Vec<Uid> {
        numbers.iter().copied().filter_map(Uid::new).collect()
    }

    fn standing(result: Kept) -> StandingSearch {
        let limits = StandingLimits { runs: 3, text: 0, batch: 1 };
        StandingSearch { key: SearchKey::All, charset: None, limits, result }
    }

    fn run(place: u32, numbers: &[u32]) -> Run {
        Run { place, uids: uids(numbers) }
    }

    #[test]
    fn what_goes_out_is_told_by_place() {
        let mut sorted = standing(Kept::Sorted(Vec::new(), uids(&[9, 3, 5, 1, 7])));
        // After the first run, 5 is the first one.
        assert_eq!(sorted.lose(&uids(&[1, 3, 9])), [run(1, &[9, 3]), run(2, &[1])]);
        assert_eq!(sorted.lose(&uids(&[1, 2, 7])), [run(2, &[7])]);
        assert_eq!(sorted.lose(&uids(&[2])), []);
        let mut plain = standing(Kept::Plain(uids(&[1, 2, 3, 7]).into_iter().collect()));
        assert_eq!(plain.lose(&uids(&[2, 4, 7])), [run(0, &[2, 7])]);
        assert_eq!(plain.lose(&uids(&[2])), []);
    }

    #[test]
    fn what_comes_in_is_told_by_place() {
        let merged =
            |known: &[u32], new: &[u32], order: &[u32]| merge(&uids(known), &uids(new), uids(order).into_iter());
        let (result, runs) = merged(&[9, 3, 5], &[1, 2, 4, 8], &[8, 9, 3, 4, 2, 5, 1]);
        assert_eq!((result, runs), (uids(&[8, 9, 3, 4, 2, 5, 1]), vec![run(1, &[8]), run(4, &[4, 2]), run(7, &[1])]));
        // A known one that has changed meanwhile would be sorted elsewhere, but stays where the client has it.
        let (result, runs) = merged(&[9, 3, 5], &[1], &[5, 1, 9, 3]);
        assert_eq!((result, runs), (uids(&[9, 3, 5, 1]), vec![run(4, &[1])]));
        assert_eq!(merged(&[], &[1, 2], &[2, 1]), (uids(&[2, 1]), vec![run(1, &[2, 1])]));
    }

    #[test]
    fn results_are_bounded() {
        assert!(standing(Kept::Plain((1..1_000).filter_map(Uid::new).collect())).check().is_ok());
        assert!(standing(Kept::Plain(uids(&[1, 3, 5, 7]).into_iter().collect())).check().is_err());
        assert!(standing(Kept::Sorted(Vec::new(), uids(&[1, 2, 3, 4]))).check().is_err());
        let text = |octets| SearchKey::Text(crate::foundations::wire::imap::SearchText(vec![b'a'; octets]));
        assert!(weight(&SearchKey::And(vec![text(40_000), text(40_000)])) > MOST_CONDITION);
    }
}
