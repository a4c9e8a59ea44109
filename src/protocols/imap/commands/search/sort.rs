//! SORT (RFC 5256 §3, RFC 5957; extended by RFC 5267): what is found, in an order.

use super::answer::Answer;
use super::{condition_of, failed, follow, found};
use crate::foundations::wire::imap::Sort;
use crate::protocols::imap::outcome::{Done, Outcome};
use crate::protocols::imap::serve::Conversation;
use crate::services::search::sort;

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
        Err(error) => return Err(failed(talk, &command.search, &error)),
    };
    let saved = follow::before(&command.search, selected);
    let answer = Answer { tag, search: &command.search, condition: &condition, hits: &hits };
    let told = match &command.search.returns {
        Some(returns) => answer.tell(returns, selected, &mut talk.link).await,
        None => answer.tell_numbers("SORT", &mut talk.link).await,
    };
    follow::follow(talk, tag, &command.search, Some(&command.criteria), &hits, &saved);
    told?;
    Ok(Done::new("Sorted"))
}
