//! Searches whose results the client is told to follow (RFC 5267 §4.3), and what it is told of them.

use std::io;
use std::sync::Arc;

use super::account::Enabled;
use super::commands::tell_some;
use super::link::Link;
use super::selected::Selected;
use crate::foundations::clock::SharedClock;
use crate::foundations::mail::{SequenceSet, Uid};
use crate::foundations::wire::imap::encode::{Code, Condition};
use crate::foundations::wire::imap::{Addressing, FetchItem};
use crate::services::search::{Run, StandingSearch, Unfollowed};
use crate::storage::mailbox::Update;

/// One search that goes on until the mailbox is left.
pub struct Context {
    /// The tag of the command, by which the client knows it.
    pub tag: String,
    /// Which numbers it is told.
    pub addressing: Addressing,
    /// What it is told of messages that come new into the mailbox and the result (RFC 5465 §7).
    pub fetch: Arc<[FetchItem]>,
    /// The result.
    pub standing: StandingSearch,
    /// The time that dates are compared with.
    pub clock: SharedClock,
}

/// What a client has to know of a mailbox's changes before it is told of results.
#[derive(Debug, Default)]
pub struct Touched {
    /// Messages that are new.
    new: SequenceSet<Uid>,
    /// Messages that are new or have other flags.
    all: SequenceSet<Uid>,
}

impl Touched {
    /// Takes from the updates of a view what concerns results; `next` is the UID that was to come next before them.
    pub fn of(updates: &[Update], next: Uid, selected: &Selected) -> Self {
        let new = match selected.view.last_uid() {
            Some(last) if last >= next => SequenceSet::range(next, last),
            _ => SequenceSet::new(),
        };
        let changed = updates.iter().filter_map(|update| match update {
            Update::Flags { uid, .. } => Some(*uid),
            _ => None,
        });
        let arrived = selected.view.rows_by_uid(&new).map(|(_, row)| row.uid);
        Self { all: changed.chain(arrived).collect(), new }
    }
}

/// Tells that expunged messages leave results. RFC 5267 §4.3.4: before their EXPUNGE, in the numbers of then.
pub fn tell_expunged(selected: &mut Selected, updates: &[Update], link: &mut Link) {
    if selected.contexts.is_empty() {
        return;
    }
    let expunged = updates.iter().filter_map(|update| match update {
        Update::Expunged { sequence, uid } => Some((*uid, sequence.get())),
        _ => None,
    });
    // Told from the highest number down, so that each is still the one that the client knows.
    let mut expunged: Vec<(Uid, u32)> = expunged.collect();
    expunged.sort_unstable();
    if expunged.is_empty() {
        return;
    }
    let gone: Vec<Uid> = expunged.iter().map(|(uid, _)| *uid).collect();
    for context in &mut selected.contexts {
        let runs = context.standing.lose(&gone);
        let number = |uid: Uid| match context.addressing {
            Addressing::Uid => Some(uid.get()),
            Addressing::Sequence => gone.binary_search(&uid).ok().map(|at| expunged[at].1),
        };
        tell(&context.tag, context.addressing, &written(&runs, number), &[], link);
    }
}

/// Tells what new messages and other flags have changed in results. RFC 5267 §4.3.3: after EXISTS; RFC 5465 §7: after what is
/// fetched of new messages.
pub async fn tell_touched(
    selected: &mut Selected,
    touched: &Touched,
    enabled: Enabled,
    link: &mut Link,
) -> io::Result<()> {
    if touched.all.is_empty() {
        return Ok(());
    }
    // Taken out of the session meanwhile, because its view is borrowed.
    for mut context in std::mem::take(&mut selected.contexts) {
        let now = context.clock.now();
        let changes = match context.standing.look_again(&touched.all, &selected.view, now).await {
            Ok(changes) => changes,
            Err(error) => {
                refuse(&context.tag, &error, link);
                continue;
            }
        };
        if !context.fetch.is_empty() {
            let added = changes.added.iter().flat_map(|run| &run.uids).copied();
            let new = added.filter(|uid| touched.new.contains(*uid, touched.new.highest())).collect();
            tell_some(&context.fetch, new, enabled, selected, link).await?;
        }
        let number = |uid: Uid| match context.addressing {
            Addressing::Uid => Some(uid.get()),
            Addressing::Sequence => selected.view.sequence(uid).map(|sequence| sequence.get()),
        };
        let (removed, added) = (written(&changes.removed, number), written(&changes.added, number));
        tell(&context.tag, context.addressing, &removed, &added, link);
        selected.contexts.push(context);
        link.relieve().await?;
    }
    Ok(())
}

fn tell(tag: &str, addressing: Addressing, removed: &[(u32, String)], added: &[(u32, String)], link: &mut Link) {
    if !(removed.is_empty() && added.is_empty()) {
        link.out.esearch_update(tag, addressing, removed, added);
    }
}

/// RFC 5267 §4.3.1: the result is not followed, or no longer.
pub fn refuse(tag: &str, error: &Unfollowed, link: &mut Link) {
    if let Unfollowed::Store(error) = error {
        log::warn!(error:% = error; "The result of a search could not be followed");
    }
    let text = match error {
        Unfollowed::TooLarge => "The result is too large to be followed",
        Unfollowed::Problem(_) | Unfollowed::Store(_) => "The result cannot be followed any more",
    };
    link.out.untagged(Condition::No, Some(&Code::NoUpdate(tag.to_owned())), text);
}

/// Runs with their places, in the numbers that the client uses.
fn written(runs: &[Run], number: impl Fn(Uid) -> Option<u32>) -> Vec<(u32, String)> {
    let written = runs.iter().map(|run| (run.place, in_order(run.uids.iter().copied().filter_map(&number))));
    written.filter(|(_, set)| !set.is_empty()).collect()
}

/// RFC 5267 §3.2: a set whose order is that of the result; consecutive numbers are written as a range.
fn in_order(numbers: impl IntoIterator<Item = u32>) -> String {
    let numbers: Vec<u32> = numbers.into_iter().collect();
    let runs = numbers.chunk_by(|one, next| one.checked_add(1) == Some(*next));
    let written = runs.map(|run| match run {
        [first, .., last] => format!("{first}:{last}"),
        run => run.iter().map(ToString::to_string).collect(),
    });
    written.collect::<Vec<String>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_and_runs_become_ranges() {
        for (numbers, want) in
            [(&[][..], ""), (&[7], "7"), (&[5, 6, 7, 3, 2, 4, 5], "5:7,3,2,4:5"), (&[u32::MAX, 1], "4294967295,1")]
        {
            assert_eq!(in_order(numbers.iter().copied()), want);
        }
    }
}
