//! The answer to SEARCH or SORT, and what is kept as `$`.

use std::io;

use super::tell::{Esearch, numbers};
use crate::foundations::mail::ModSeq;
use crate::foundations::wire::imap::{Addressing, Search, SearchReturn};
use crate::protocols::imap::link::Link;
use crate::protocols::imap::selected::Selected;
use crate::services::search::{Condition, Hit};

impl Hit {
    pub(super) const fn number(&self, addressing: Addressing) -> u32 {
        match addressing {
            Addressing::Sequence => self.sequence.get(),
            Addressing::Uid => self.uid.get(),
        }
    }
}

/// What a command has found.
pub struct Answer<'a> {
    /// The tag of the command.
    pub tag: &'a str,
    /// What was searched for.
    pub search: &'a Search,
    /// The same, as messages were compared with it.
    pub condition: &'a Condition,
    /// The messages, in the order in which they are told.
    pub hits: &'a [Hit],
}

impl Answer<'_> {
    /// Tells all numbers, in the response for clients that do not say what they want to know.
    pub async fn tell_numbers(&self, response: &str, link: &mut Link) -> io::Result<()> {
        numbers(response, self.hits, self.search.addressing, self.highest(self.hits), link).await
    }

    /// Tells what the client wants to know in an ESEARCH response, and keeps what is to be kept.
    pub async fn tell(&self, returns: &SearchReturn, selected: &mut Selected, link: &mut Link) -> io::Result<()> {
        let (hits, addressing) = (self.hits, self.search.addressing);
        // RFC 5267 §3.1, §4.4: the first, the last, and places in this order.
        let (first, last) = (hits.first().filter(|_| returns.min), hits.last().filter(|_| returns.max));
        let part = returns.partial.map(|range| &hits[range.of(hits.len())]);
        let some: Vec<Hit> = first.into_iter().chain(last).chain(part.unwrap_or_default()).copied().collect();
        let is_whole = returns.all || returns.count;
        let is_partly = returns.min || returns.max || returns.partial.is_some();
        if returns.save {
            // RFC 5182 §2.4: with only MIN or MAX beside SAVE, only those are kept; RFC 9394 §3.2: and PARTIAL.
            let kept = if is_whole || !is_partly { hits } else { &some };
            selected.saved = kept.iter().map(|hit| hit.uid).collect();
        }
        // RFC 9051 §6.4.4: SAVE alone returns nothing. UPDATE alone has an empty answer, from which the client knows that it goes on.
        if !(is_whole || is_partly || returns.update.is_some()) {
            return Ok(());
        }
        let result = Esearch {
            tag: self.tag,
            addressing,
            min: first.map(|hit| hit.number(addressing)),
            max: last.map(|hit| hit.number(addressing)),
            count: returns.count.then(|| u32::try_from(hits.len()).unwrap_or(u32::MAX)),
            all: returns.all.then_some(hits),
            partial: returns.partial.zip(part),
            mod_seq: self.highest(if is_whole { hits } else { &some }),
        };
        result.tell(link).await
    }

    /// The highest modification sequence of the messages returned, if it matters to the client (RFC 7162 §3.1.5, §3.1.10).
    fn highest(&self, hits: &[Hit]) -> Option<ModSeq> {
        hits.iter().map(|hit| hit.mod_seq).max().filter(|_| self.condition.has_mod_seq())
    }
}
