//! Results that are followed: UPDATE and CANCELUPDATE (RFC 5267 §4.3).

use crate::foundations::mail::{SequenceSet, Uid};
use crate::foundations::wire::imap::encode::{Code, Condition};
use crate::foundations::wire::imap::{Search, SortCriterion};
use crate::protocols::imap::contexts::{Context, refuse};
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::selected::Selected;
use crate::protocols::imap::serve::Conversation;
use crate::services::search::{Hit, SearchRequest, StandingLimits, StandingSearch};

/// Refuses a tag by which a result is followed already (RFC 5267 §4.3).
pub fn demand_new_tag(talk: &Conversation, tag: &str, search: &Search) -> Result<(), Trouble> {
    let (_, selected) = talk.state.selected()?;
    if asks(search) && selected.contexts.iter().any(|context| context.tag == tag) {
        return Err(Trouble::bad("The result of a command with this tag is already being followed"));
    }
    Ok(())
}

fn asks(search: &Search) -> bool {
    search.returns.as_ref().is_some_and(|returns| returns.update.is_some())
}

/// What `$` stands for in a search that is to be followed, before its answer may set it.
pub fn before(search: &Search, selected: &Selected) -> SequenceSet<Uid> {
    if asks(search) { selected.saved.clone() } else { SequenceSet::new() }
}

/// Follows what a search has found, when its client has asked for that; `saved` is what `$` stood for in it.
pub fn follow(
    talk: &mut Conversation,
    tag: &str,
    search: &Search,
    criteria: Option<&[SortCriterion]>,
    hits: &[Hit],
    saved: &SequenceSet<Uid>,
) {
    let Some(items) = search.returns.as_ref().and_then(|returns| returns.update.as_ref()) else { return };
    let settings = &talk.settings;
    let (most, limits) = (
        settings.search_contexts.max(1),
        StandingLimits {
            runs: settings.search_context_runs,
            text: settings.search_text.len(),
            batch: settings.search_batch,
        },
    );
    let Ok((_, selected)) = talk.state.selected_mut() else { return };
    if selected.contexts.len() >= most {
        let text = "No more results can be followed in this session; cancel one";
        talk.link.out.untagged(Condition::No, Some(&Code::NoUpdate(tag.to_owned())), text);
        return;
    }
    let request = SearchRequest { key: &search.key, charset: search.charset.as_deref(), saved, criteria };
    match StandingSearch::new(&request, hits, &selected.view, limits) {
        Ok(standing) => selected.contexts.push(Context {
            tag: tag.to_owned(),
            addressing: search.addressing,
            fetch: items.clone().into(),
            standing,
            clock: talk.room.needs.clock.clone(),
        }),
        Err(error) => refuse(tag, &error, &mut talk.link),
    }
}

/// CANCELUPDATE.
pub fn cancel(talk: &mut Conversation, tags: &[String]) -> Outcome {
    let (_, selected) = talk.state.selected_mut()?;
    let before = selected.contexts.len();
    selected.contexts.retain(|context| !tags.contains(&context.tag));
    match before == selected.contexts.len() {
        true => Err(Trouble::no("No result with this tag is being followed")),
        false => Ok(Done::new("No longer followed")),
    }
}
