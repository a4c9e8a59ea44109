//! SORT (RFC 5256 §3, RFC 5957; extended by RFC 5267 §3): what is found, in an order.

use std::fmt::Write as _;

use super::{condition_of, failed, is_saved};
use crate::foundations::mail::SequenceSet;
use crate::foundations::wire::imap::encode::EsearchResult;
use crate::foundations::wire::imap::{Addressing, Sort};
use crate::protocols::imap::account::Selected;
use crate::protocols::imap::link::Link;
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::serve::Conversation;
use crate::protocols::imap::state::State;
use crate::services::search::{Condition, Hit, find, sort};

/// Finds messages and tells them in order.
pub async fn run(talk: &mut Conversation, tag: &str, command: Sort) -> Outcome {
    let condition = condition_of(talk, &command.search)?;
    let State::Selected(_, selected) = &mut talk.state else {
        return Err(Trouble::bad("Select a mailbox first"));
    };
    let sorted = async {
        let hits = find(&condition, &selected.view, talk.settings.search_batch).await?;
        sort(&command.criteria, hits, &selected.view).await
    };
    match sorted.await {
        Ok(hits) => answer(tag, &command, &condition, &hits, selected, &mut talk.link).await,
        Err(error) => Err(failed(talk, is_saved(&command.search), &error)),
    }
}

async fn answer(
    tag: &str,
    command: &Sort,
    condition: &Condition,
    hits: &[Hit],
    selected: &mut Selected,
    link: &mut Link,
) -> Outcome {
    let addressing = command.search.addressing;
    // RFC 7162 §3.1.5 and §3.1.6 hold for SORT too.
    let highest = |hits: &[Hit]| hits.iter().map(|hit| hit.mod_seq).max().filter(|_| condition.has_mod_seq());
    let Some(returns) = command.search.returns else {
        link.out.raw("* SORT");
        for hit in hits {
            link.out.raw(" ").number(hit.number(addressing));
            link.relieve().await?;
        }
        if let Some(mod_seq) = highest(hits) {
            link.out.raw(" (MODSEQ ").display(mod_seq).raw(")");
        }
        link.out.line_end();
        return Ok(Done::new("Sorted"));
    };
    // RFC 5267 §3.1: the first and the last in this order.
    let (first, last) = (hits.first().filter(|_| returns.min), hits.last().filter(|_| returns.max));
    let ends: Vec<Hit> = first.into_iter().chain(last).copied().collect();
    let whole = returns.all || returns.count;
    if returns.save {
        let kept = if whole || ends.is_empty() && !(returns.min || returns.max) { hits } else { &ends };
        selected.saved = kept.iter().map(|hit| hit.uid).collect::<SequenceSet<_>>();
    }
    if !(whole || returns.min || returns.max) {
        return Ok(Done::new("Sorted"));
    }
    link.out.esearch(&EsearchResult {
        tag: tag.to_owned(),
        addressing,
        min: first.map(|hit| hit.number(addressing)),
        max: last.map(|hit| hit.number(addressing)),
        all: returns.all.then(|| in_order(hits, addressing)),
        count: returns.count.then(|| u32::try_from(hits.len()).unwrap_or(u32::MAX)),
        partial: None,
        mod_seq: highest(if whole { hits } else { &ends }),
    });
    Ok(Done::new("Sorted"))
}

/// RFC 5267 §3.1: a set whose order is that of the result; numbers that follow each other are written as a range.
fn in_order(hits: &[Hit], addressing: Addressing) -> String {
    let mut text = String::new();
    let mut rest = hits;
    while let Some(hit) = rest.first() {
        let start = hit.number(addressing);
        let run = rest.iter().zip(start..).take_while(|(hit, number)| hit.number(addressing) == *number).count();
        let separator = if text.is_empty() { "" } else { "," };
        // Writing to memory cannot fail.
        let _ = match rest[run - 1].number(addressing) {
            end if end == start => write!(text, "{separator}{start}"),
            end => write!(text, "{separator}{start}:{end}"),
        };
        rest = &rest[run..];
    }
    text
}
