//! The answer to a search: SEARCH or ESEARCH, and what is kept as `$`.

use super::tell::{Esearch, numbers};
use crate::foundations::mail::{SequenceSet, Uid};
use crate::foundations::wire::imap::{Addressing, PartialRange, Search, SearchReturn};
use crate::protocols::imap::account::{Enabled, Selected};
use crate::protocols::imap::link::Link;
use crate::protocols::imap::outcome::{Done, Outcome};
use crate::services::search::{Condition, Hit};

impl Hit {
    pub(super) const fn number(&self, addressing: Addressing) -> u32 {
        match addressing {
            Addressing::Sequence => self.sequence.get(),
            Addressing::Uid => self.uid.get(),
        }
    }
}

/// Writes the response and keeps what is to be kept.
pub async fn answer(
    tag: &str,
    search: &Search,
    condition: &Condition,
    hits: &[Hit],
    enabled: Enabled,
    selected: &mut Selected,
    link: &mut Link,
) -> Outcome {
    // RFC 9051 §6.4.4: with IMAP4rev2 every answer is an ESEARCH.
    let plain = SearchReturn { all: true, ..SearchReturn::default() };
    let returns = match &search.returns {
        None if !enabled.rev2 => {
            let mod_seq = hits.iter().map(|hit| hit.mod_seq).max().filter(|_| condition.has_mod_seq());
            numbers("SEARCH", hits, search.addressing, mod_seq, link).await?;
            return Ok(Done::new("Searched"));
        }
        returns => returns.as_ref().unwrap_or(&plain),
    };
    let (first, last) = (hits.first(), hits.last());
    if returns.save {
        selected.saved = saved(returns, hits);
    }
    let part = |range: PartialRange| &hits[range.of(hits.len())];
    let mod_seq = match (condition.has_mod_seq(), returns.all || returns.count) {
        (false, _) => None,
        (true, true) => hits.iter().map(|hit| hit.mod_seq).max(),
        // RFC 7162 §3.1.10: of the messages returned.
        (true, false) => {
            let (min, max) = (first.filter(|_| returns.min), last.filter(|_| returns.max));
            let part = returns.partial.map(part).unwrap_or_default();
            min.into_iter().chain(max).chain(part).map(|hit| hit.mod_seq).max()
        }
    };
    // RFC 9051 §6.4.4: SAVE alone returns nothing. UPDATE alone has an empty answer, from which the client knows that it goes on.
    let is_asked = returns.min || returns.max || returns.all || returns.count || returns.partial.is_some();
    if !is_asked && returns.update.is_none() {
        return Ok(Done::new("Searched"));
    }
    let result = Esearch {
        tag,
        addressing: search.addressing,
        min: first.filter(|_| returns.min).map(|hit| hit.number(search.addressing)),
        max: last.filter(|_| returns.max).map(|hit| hit.number(search.addressing)),
        count: returns.count.then(|| u32::try_from(hits.len()).unwrap_or(u32::MAX)),
        all: returns.all.then_some(hits),
        partial: returns.partial.map(|range| (range, part(range))),
        mod_seq,
    };
    result.tell(link).await?;
    Ok(Done::new("Searched"))
}

/// RFC 5182 §2.4: with only MIN or MAX beside SAVE, only those are kept; RFC 9394 §3.2: and PARTIAL.
fn saved(returns: &SearchReturn, hits: &[Hit]) -> SequenceSet<Uid> {
    if returns.all || returns.count || !(returns.min || returns.max || returns.partial.is_some()) {
        return hits.iter().map(|hit| hit.uid).collect();
    }
    let (min, max) = (hits.first().filter(|_| returns.min), hits.last().filter(|_| returns.max));
    let part = returns.partial.map(|range| &hits[range.of(hits.len())]).unwrap_or_default();
    min.into_iter().chain(max).chain(part).map(|hit| hit.uid).collect()
}
