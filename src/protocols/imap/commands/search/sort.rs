//! SORT (RFC 5256 §3, RFC 5957; extended by RFC 5267): what is found, in an order.

use super::tell::{Esearch, numbers};
use super::{condition_of, failed, follow, found, is_saved};
use crate::foundations::mail::SequenceSet;
use crate::foundations::wire::imap::{PartialRange, Sort};
use crate::protocols::imap::account::Selected;
use crate::protocols::imap::link::Link;
use crate::protocols::imap::outcome::{Done, Outcome};
use crate::protocols::imap::serve::Conversation;
use crate::services::search::{Condition, Hit, sort};

/// Finds messages and tells them in order.
pub async fn run(talk: &mut Conversation, tag: &str, command: Sort) -> Outcome {
    follow::demand_new_tag(talk, tag, &command.search)?;
    let condition = condition_of(talk, &command.search)?;
    let (_, selected) = talk.state.selected_mut()?;
    let sorted = async {
        let hits = found(&condition, &selected.view, talk.settings.search_batch, &mut talk.link).await?;
        sort(&command.criteria, hits, &selected.view).await
    };
    let hits = match sorted.await {
        Ok(hits) => hits,
        Err(error) => return Err(failed(talk, is_saved(&command.search), &error)),
    };
    let saved = follow::before(&command.search, selected);
    let outcome = answer(tag, &command, &condition, &hits, selected, &mut talk.link).await;
    follow::follow(talk, tag, &command.search, Some(&command.criteria), &hits, &saved);
    outcome
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
    let Some(returns) = &command.search.returns else {
        numbers("SORT", hits, addressing, highest(hits), link).await?;
        return Ok(Done::new("Sorted"));
    };
    // RFC 5267 §3.1: the first and the last in this order.
    let (first, last) = (hits.first().filter(|_| returns.min), hits.last().filter(|_| returns.max));
    // RFC 5267 §4.4: places in this order.
    let part = |range: PartialRange| &hits[range.of(hits.len())];
    let some: Vec<Hit> =
        first.into_iter().chain(last).chain(returns.partial.map(part).unwrap_or_default()).copied().collect();
    let whole = returns.all || returns.count;
    let is_partly = returns.min || returns.max || returns.partial.is_some();
    if returns.save {
        let kept = if whole || !is_partly { hits } else { &some };
        selected.saved = kept.iter().map(|hit| hit.uid).collect::<SequenceSet<_>>();
    }
    if !(whole || is_partly || returns.update.is_some()) {
        return Ok(Done::new("Sorted"));
    }
    let result = Esearch {
        tag,
        addressing,
        min: first.map(|hit| hit.number(addressing)),
        max: last.map(|hit| hit.number(addressing)),
        count: returns.count.then(|| u32::try_from(hits.len()).unwrap_or(u32::MAX)),
        all: returns.all.then_some(hits),
        partial: returns.partial.map(|range| (range, part(range))),
        mod_seq: highest(if whole { hits } else { &some }),
    };
    result.tell(link).await?;
    Ok(Done::new("Sorted"))
}
