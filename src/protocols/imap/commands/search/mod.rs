//! SEARCH (RFC 9051 §6.4.4; RFC 4731; RFC 5182; RFC 5267; RFC 7162 §3.1.5): what [`services::search`](crate::services::search) finds.

mod answer;
mod follow;
pub mod sort;
mod tell;
pub mod thread;

pub use follow::cancel;

use std::sync::Arc;

use self::answer::Answer;
use super::trouble;
use crate::foundations::clock::Timestamp;
use crate::foundations::wire::imap::encode::{self, Code};
use crate::foundations::wire::imap::{Search, SearchReturn};
use crate::protocols::imap::link::Link;
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::selected::Selected;
use crate::protocols::imap::serve::Conversation;
use crate::protocols::imap::state::State;
use crate::services::search::{Condition, Found, Hit, Problem, Wording, find};
use crate::storage::mailbox::{self, View};

/// Finds messages and answers in the form the client wants.
pub async fn run(talk: &mut Conversation, tag: &str, search: Search) -> Outcome {
    if let (State::Selected(account, _), Some(_)) = (&talk.state, &search.charset)
        && account.enabled.utf8
    {
        // RFC 6855 §3.
        return Err(Trouble::bad("After UTF8=ACCEPT everything is in UTF-8"));
    }
    follow::demand_new_tag(talk, tag, &search)?;
    let condition = condition_of(talk, &search)?;
    let (account, selected) = talk.state.selected_mut()?;
    let hits = match found(&condition, &selected.view, talk.settings.search_batch, &mut talk.link).await {
        Ok(hits) => hits,
        Err(error) => return Err(failed(talk, &search, &error)),
    };
    let saved = follow::before(&search, selected);
    let answer = Answer { tag, search: &search, condition: &condition, hits: &hits };
    // RFC 9051 §6.4.4: with IMAP4rev2 every answer is an ESEARCH.
    let all = SearchReturn { all: true, ..SearchReturn::default() };
    let told = match search.returns.as_ref().or(account.enabled.rev2.then_some(&all)) {
        Some(returns) => answer.tell(returns, selected, &mut talk.link).await,
        None => answer.tell_numbers("SEARCH", &mut talk.link).await,
    };
    follow::follow(talk, tag, &search, None, &hits, &saved);
    told?;
    Ok(Done::new("Searched"))
}

/// Finds messages. If some could not be searched, the client is warned that they are not among the result (RFC 9051
/// §7.1.2: an untagged NO).
async fn found(
    condition: &Arc<Condition>,
    view: &View,
    batch: usize,
    link: &mut Link,
) -> Result<Vec<Hit>, mailbox::Error> {
    let Found { hits, unreadable } = find(condition, view, batch).await?;
    if !unreadable.is_empty() {
        unreadable.log(view);
        let text = "Some of the messages cannot be read, and were not searched";
        link.out.untagged(encode::Condition::No, Some(&Code::Word("UNAVAILABLE")), text);
    }
    Ok(hits)
}

/// Whether the result is to be kept as `$`.
fn is_saved(search: &Search) -> bool {
    search.returns.as_ref().is_some_and(|returns| returns.save)
}

/// The condition of a search, of SORT or of THREAD, ready to be asked.
fn condition_of(talk: &mut Conversation, search: &Search) -> Result<Arc<Condition>, Trouble> {
    let (now, text_limit) = (talk.room.needs.clock.now(), talk.settings.search_text.len());
    let most = talk.settings.search_texts;
    let (account, selected) = talk.state.selected_mut()?;
    if account.enabled.utf8 && search.charset.as_deref().is_some_and(|charset| !is_utf8(charset)) {
        // RFC 6855 §3. SORT and THREAD cannot leave the charset out, so that UTF-8 must be allowed to them.
        return Err(Trouble::bad("After UTF8=ACCEPT everything is in UTF-8"));
    }
    let prepared = prepare(search, selected, now, text_limit).and_then(|condition| match condition.texts() {
        texts if texts > most => Err(Trouble::coded(
            "LIMIT",
            format!("This search looks for {texts} texts at once; at most {most} are allowed"),
        )),
        _ => Ok(condition),
    });
    let condition = match prepared {
        Ok(condition) => Arc::new(condition),
        Err(trouble) => {
            // RFC 5182 §2.1: a search that fails saves an empty result, an invalid one leaves what is there.
            if is_saved(search) && matches!(trouble, Trouble::No { .. }) {
                selected.saved = Default::default();
            }
            return Err(trouble);
        }
    };
    // RFC 7162 §3.1: MODSEQ enables CONDSTORE.
    if condition.has_mod_seq() {
        account.enable_condstore(selected, &mut talk.link);
    }
    Ok(condition)
}

fn is_utf8(charset: &str) -> bool {
    ["UTF-8", "US-ASCII"].iter().any(|known| charset.eq_ignore_ascii_case(known))
}

/// The store failed while messages were looked for.
fn failed(talk: &mut Conversation, search: &Search, error: &mailbox::Error) -> Trouble {
    if let (true, State::Selected(_, selected)) = (is_saved(search), &mut talk.state) {
        selected.saved = Default::default();
    }
    trouble(talk, error)
}

fn prepare(search: &Search, selected: &Selected, now: Timestamp, text_limit: usize) -> Result<Condition, Trouble> {
    let wording = Wording { charset: search.charset.as_deref(), saved: &selected.saved, text_limit };
    Condition::new(&search.key, &wording, &selected.view, now).map_err(|problem| match problem {
        Problem::UnknownCharset => Trouble::No {
            code: Some(Code::BadCharset(&["US-ASCII", "UTF-8", "ISO-8859-1", "ISO-8859-15", "WINDOWS-1252"])),
            text: "This charset is not supported".into(),
        },
        Problem::NotInCharset => Trouble::bad("The search text is not valid in its charset"),
    })
}
