//! FETCH (RFC 9051 §6.4.5; RFC 3516; RFC 7162 §3.1.4, §3.2.6; RFC 8474; RFC 8514; RFC 8970; RFC 9394).

mod message;
mod plan;

use message::{Fetching, row_item, summary_item};
use plan::{Needs, Plan};

use super::section::cut;
use super::trouble_with;
use crate::foundations::mail::{SequenceNumber, SequenceSet, Summary, Uid};
use crate::foundations::wire::imap::encode::Code;
use crate::foundations::wire::imap::{Fetch, FetchItem, Messages, Numbers};
use crate::protocols::imap::account::{Account, Enabled};
use crate::protocols::imap::command_table::Expunges;
use crate::protocols::imap::link::Link;
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::selected::{Own, Selected};
use crate::protocols::imap::serve::Conversation;
use crate::storage::mailbox::{self, Access, FlagChange, FlagOperation, Flags, Row};

/// Tells about messages, one response for each, written straight into the output and sent as it fills.
pub async fn run(talk: &mut Conversation, fetch: Fetch) -> Outcome {
    let (account, selected) = talk.state.selected_mut()?;
    if fetch.vanished && !account.enabled.qresync {
        // RFC 7162 §3.2.3.
        return Err(Trouble::bad("Enable QRESYNC first"));
    }
    // RFC 7162 §3.1: both enable CONDSTORE.
    if fetch.changed_since.is_some() || fetch.items.contains(&FetchItem::ModSeq) {
        account.enable_condstore(selected, &mut talk.link);
    }
    let mut plan = Plan::new(fetch, account.enabled);
    if let Some(partial) = plan.fetch.partial {
        // RFC 9394 §3.4: first the range, then CHANGEDSINCE.
        let mut uids = selected.uids(&plan.fetch.messages)?;
        let range = partial.of(uids.len());
        plan.only = Some(uids.drain(range).collect());
    }
    if plan.fetch.vanished {
        tell_vanished(&plan.fetch, selected, &mut talk.link);
    }
    if plan.marks && selected.view.access() == Access::ReadWrite {
        match mark_seen(&plan, account, selected, &mut talk.link).await {
            Ok(uids) => plan.newly_seen = uids,
            Err(Marking::Trouble(trouble)) => return Err(trouble),
            // RFC 9051 says nothing about this; what was asked for can still be given.
            Err(Marking::Store(error)) => {
                log::warn!(error:% = error; "Messages that were read could not be marked as read")
            }
        }
    }
    let fetched = answer(&plan, account.enabled, selected, &mut talk.link).await?;
    mark_unseen(&plan, &fetched, selected).await;
    match fetched {
        // The others have been answered.
        Fetched { unreadable: Some(error), .. } => {
            Err(trouble_with(talk, &error, "Some of the messages cannot be read"))
        }
        Fetched { unknown_encoding: true, .. } => {
            Err(Trouble::coded("UNKNOWN-CTE", "A part has an unknown transfer encoding"))
        }
        Fetched { expunged: 0, .. } => Ok(Done::new("Fetched")),
        // RFC 2180 §4.1.3: the others have been answered; the client learns of the rest with its next NOOP.
        _ => Ok(Done::with(Code::Word("EXPUNGEISSUED"), "Some of the messages are gone")),
    }
}

/// Tells what a client has asked to be told of new messages (RFC 5465 §5.2): those from this UID on.
pub async fn tell_new(
    items: &[FetchItem],
    from: Uid,
    enabled: Enabled,
    selected: &Selected,
    link: &mut Link,
) -> std::io::Result<()> {
    match selected.view.last_uid() {
        Some(last) if last >= from => tell_some(items, SequenceSet::range(from, last), enabled, selected, link).await,
        _ => Ok(()),
    }
}

/// Tells of messages what a client has asked for before, as far as it can be read.
pub async fn tell_some(
    items: &[FetchItem],
    uids: SequenceSet<Uid>,
    enabled: Enabled,
    selected: &Selected,
    link: &mut Link,
) -> std::io::Result<()> {
    if uids.is_empty() {
        return Ok(());
    }
    let messages = Messages::Uid(Numbers::Set(uids));
    // As with FETCH by sequence number: a response has the UID only if the client has asked for it.
    let mut items = items.to_vec();
    if enabled.condstore {
        // RFC 7162 §3.1: in every FETCH response that the client has not asked for at this moment.
        items.push(FetchItem::ModSeq);
    }
    let fetch = Fetch { messages, items, changed_since: None, vanished: false, partial: None };
    let plan = Plan::of(fetch, enabled);
    match answer(&plan, enabled, selected, link).await {
        // What cannot be read now can be fetched later.
        Ok(Fetched { unreadable: Some(error), .. }) => {
            log::warn!(error:% = error; "New messages could not be announced");
            Ok(())
        }
        Err(Trouble::Gone(error)) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What could not be answered.
#[derive(Debug, Default)]
struct Fetched {
    /// Messages that are gone.
    expunged: usize,
    /// Why the first of `missed` could not be read.
    unreadable: Option<mailbox::Error>,
    /// The messages that could not be read.
    missed: Vec<Uid>,
    /// A part has an unknown transfer encoding (RFC 3516 §4.3).
    unknown_encoding: bool,
}

impl Fetched {
    /// Notes that a message was not reported; the others can be.
    fn miss(&mut self, uid: Uid, error: mailbox::Error) {
        match error {
            mailbox::Error::NoMessage(_) => self.expunged += 1,
            error => {
                self.missed.push(uid);
                self.unreadable.get_or_insert(error);
            }
        }
    }
}

/// RFC 7162 §3.2.6: which of the messages asked for are gone since then.
fn tell_vanished(fetch: &Fetch, selected: &Selected, link: &mut Link) {
    let known = match &fetch.messages {
        Messages::Uid(Numbers::Set(set)) => set,
        Messages::Uid(Numbers::Saved) | Messages::Sequence(_) => &selected.saved,
    };
    if let Some(since) = fetch.changed_since {
        let vanished = selected.view.vanished(since, known);
        if !vanished.is_empty() {
            link.out.vanished_earlier(&vanished);
        }
    }
}

enum Marking {
    Trouble(Trouble),
    Store(mailbox::Error),
}

/// Sets `\Seen` where it is not set; which messages got it.
async fn mark_seen(
    plan: &Plan,
    account: &Account,
    selected: &mut Selected,
    link: &mut Link,
) -> Result<Vec<Uid>, Marking> {
    let unseen = |(_, row): &(SequenceNumber, Row)| plan.wants(row) && !row.flags.contains(Flags::SEEN);
    let rows = selected.rows(&plan.fetch.messages).map_err(Marking::Trouble)?;
    let uids: Vec<Uid> = rows.filter(unseen).map(|(_, row)| row.uid).collect();
    if uids.is_empty() {
        return Ok(uids);
    }
    let change =
        FlagChange { operation: FlagOperation::Add, flags: Flags::SEEN, keywords: Vec::new(), unchanged_since: None };
    let stored = selected.view.store_flags(&uids, &change).await.map_err(Marking::Store)?;
    let own = Own { changed: &stored.changed, overtaken: &[] };
    let told = selected.tell_all_but(account, Expunges::Hold, own, link).await;
    told.map_err(|error| Marking::Trouble(error.into()))?;
    Ok(stored.uids())
}

/// Removes `\Seen` again from messages that could not be shown. The client learns of that as if others had done it.
async fn mark_unseen(plan: &Plan, fetched: &Fetched, selected: &Selected) {
    let marked = |uid: &&Uid| plan.newly_seen.binary_search(uid).is_ok();
    let uids: Vec<Uid> = fetched.missed.iter().filter(marked).copied().collect();
    if uids.is_empty() {
        return;
    }
    let operation = FlagOperation::Remove;
    let change = FlagChange { operation, flags: Flags::SEEN, keywords: Vec::new(), unchanged_since: None };
    if let Err(error) = selected.view.store_flags(&uids, &change).await {
        log::warn!(error:% = error; "Messages that could not be read stay marked as read");
    }
}

async fn answer(plan: &Plan, enabled: Enabled, selected: &Selected, link: &mut Link) -> Result<Fetched, Trouble> {
    match plan.needs {
        Needs { bodies: false, summaries: false } => rows(plan, enabled, selected, link).await,
        Needs { bodies: false, summaries: true } => summaries(plan, enabled, selected, link).await,
        Needs { bodies: true, .. } => bodies(plan, enabled, selected, link).await,
    }
}

/// Items that need no file: from the view, at the speed of memory.
async fn rows(plan: &Plan, enabled: Enabled, selected: &Selected, link: &mut Link) -> Result<Fetched, Trouble> {
    for (sequence, row) in selected.rows(&plan.fetch.messages)? {
        if plan.wants(&row) {
            let mut writer = link.out.fetch(sequence);
            for item in &plan.fetch.items {
                row_item(item, &row, selected, enabled, &mut writer);
            }
            writer.end();
            link.relieve().await?;
        }
    }
    Ok(Fetched::default())
}

/// Items that the cached summaries answer.
async fn summaries(plan: &Plan, enabled: Enabled, selected: &Selected, link: &mut Link) -> Result<Fetched, Trouble> {
    let wanted = |(_, row): &(SequenceNumber, Row)| plan.wants(row);
    let uids = selected.rows(&plan.fetch.messages)?.filter(wanted).map(|(_, row)| row.uid).collect();
    let mut stream = match plan.asks_more() {
        true => selected.view.fuller_summaries(uids),
        false => selected.view.summaries(uids),
    };
    let mut fetched = Fetched::default();
    let mut fields = Vec::new();
    for (sequence, row) in selected.rows(&plan.fetch.messages)?.filter(wanted) {
        // The stream ends early after an error that concerns more than one message.
        let Some((_, stored)) = stream.next().await else { break };
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => {
                fetched.miss(row.uid, error);
                continue;
            }
        };
        let summary = Summary::stored(&stored);
        let kept = summary.and_then(|summary| summary.listed);
        let kept = kept.is_some_and(|kept| plan.listed.iter().flatten().all(|listed| kept.has(listed.names)));
        if !kept && plan.listed.iter().any(Option::is_some) {
            // Its fields are too long to be kept.
            let Some((_, content)) = selected.view.bodies(vec![row.uid]).next().await else { continue };
            let message = Fetching { plan, enabled, selected, sequence, row };
            message.open(content, Some(stored), link, &mut fetched).await?;
            continue;
        }
        let mut writer = link.out.fetch(sequence);
        for (item, listed) in plan.fetch.items.iter().zip(&plan.listed) {
            match (listed, summary.and_then(|summary| summary.listed)) {
                (Some(listed), Some(kept)) => {
                    fields.clear();
                    kept.write(listed.names, &mut fields);
                    let range = cut(0..fields.len() as u64, listed.partial);
                    writer.literal(&listed.name, &fields[range.start as usize..range.end as usize]);
                }
                _ => summary_item(item, &row, summary.as_ref(), selected, enabled, &mut writer),
            }
        }
        writer.end();
        link.relieve().await?;
    }
    Ok(fetched)
}

/// Items for which files are opened.
async fn bodies(plan: &Plan, enabled: Enabled, selected: &Selected, link: &mut Link) -> Result<Fetched, Trouble> {
    let wanted = |(_, row): &(SequenceNumber, Row)| plan.wants(row);
    let uids: Vec<Uid> = selected.rows(&plan.fetch.messages)?.filter(wanted).map(|(_, row)| row.uid).collect();
    let mut stored = plan.needs.summaries.then(|| selected.view.summaries(uids.clone()));
    let mut contents = selected.view.bodies(uids);
    let mut fetched = Fetched::default();
    for (sequence, row) in selected.rows(&plan.fetch.messages)?.filter(wanted) {
        let stored = match &mut stored {
            Some(stream) => {
                // The stream ends early after an error that concerns more than one message.
                let Some((_, stored)) = stream.next().await else { break };
                Some(stored)
            }
            None => None,
        };
        let Some((_, content)) = contents.next().await else { break };
        let message = Fetching { plan, enabled, selected, sequence, row };
        match stored.transpose() {
            Ok(stored) => message.open(content, stored, link, &mut fetched).await?,
            Err(error) => fetched.miss(row.uid, error),
        }
    }
    Ok(fetched)
}
