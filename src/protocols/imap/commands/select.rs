//! SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3; RFC 7162 §3.1.8, §3.2.5).

use super::trouble;
use crate::foundations::mail::{SequenceSet, Uid};
use crate::foundations::wire::imap::encode::{Code, Condition, ListAttributes, ListLine};
use crate::foundations::wire::imap::{Resync, Select};
use crate::protocols::imap::account::Account;
use crate::protocols::imap::link::Link;
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::selected::Selected;
use crate::protocols::imap::serve::Conversation;
use crate::protocols::imap::state::State;
use crate::storage::mailbox::{Access, View};

/// Opens a mailbox. Whatever was selected before is left, even when this fails (RFC 9051 §6.3.2).
pub async fn run(talk: &mut Conversation, select: Select, access: Access) -> Outcome {
    // RFC 7162 §3.2.5. Like every BAD, this changes nothing: a selected mailbox stays selected.
    if select.qresync.is_some() && !talk.state.account().is_some_and(|account| account.enabled.qresync) {
        return Err(Trouble::bad("Enable QRESYNC first"));
    }
    let was_selected = matches!(talk.state, State::Selected(..));
    talk.unselect();
    let account = talk.state.logged_in_mut()?;
    account.enabled.condstore |= select.condstore;
    if was_selected {
        // RFC 9051 §7.1: what follows is about the new mailbox.
        talk.link.out.untagged(Condition::Ok, Some(&Code::Word("CLOSED")), "The previous mailbox is closed");
    }
    let folder = account.folder(&select.mailbox)?;
    let view = match account.user.open(&folder, access).await {
        Ok(view) => view,
        Err(error) => return Err(trouble(talk, &error)),
    };
    let selected = Box::new(Selected::new(view));
    describe(account, &selected, &mut talk.link);
    if let Some(resync) = &select.qresync {
        tell_changes(account, &selected, resync, &mut talk.link).await?;
    }
    if let State::Authenticated(account) = std::mem::replace(&mut talk.state, State::Logout) {
        talk.state = State::Selected(account, selected);
    }
    Ok(match access {
        Access::ReadWrite => Done::with(Code::Word("READ-WRITE"), "Selected"),
        Access::ReadOnly => Done::with(Code::Word("READ-ONLY"), "Selected for reading"),
    })
}

fn describe(account: &Account, selected: &Selected, link: &mut Link) {
    let view = &selected.view;
    link.out.exists(view.len());
    if !account.enabled.rev2 {
        link.out.recent(view.recent());
    }
    selected.tell_flags(link);
    let mut say = |code, text| _ = link.out.untagged(Condition::Ok, Some(&code), text);
    if let Some(first) = view.first_unseen().filter(|_| !account.enabled.rev2) {
        say(Code::Unseen(first.get()), "The first unread message");
    }
    say(Code::UidValidity(view.uid_validity()), "UIDs are valid");
    say(Code::UidNext(view.uid_next()), "The next UID");
    // RFC 8474 §4.2.
    if let Some(id) = view.mailbox_id() {
        say(Code::MailboxId(id), "The mailbox, whatever it is called");
    }
    // RFC 7162 §3.1.2.1: told to everybody, so that clients see that mod-sequences are kept.
    say(Code::HighestModSeq(view.highest_mod_seq()), "The highest mod-sequence");
    if account.enabled.rev2 {
        // RFC 9051 §6.3.2 REQUIRED: LIST, so that the client learns the name's canonical form.
        let attributes = ListAttributes::default();
        let line = ListLine {
            attributes: &attributes,
            delimiter: Some('/'),
            name: view.folder().as_str(),
            child_subscribed: false,
            old_name: None,
        };
        link.out.list_line("LIST", &line, account.enabled.names());
    }
}

/// RFC 7162 §3.2.5: VANISHED (EARLIER), then the flags of what has changed.
async fn tell_changes(account: &Account, selected: &Selected, resync: &Resync, link: &mut Link) -> Result<(), Trouble> {
    let view = &selected.view;
    if resync.uid_validity != view.uid_validity() {
        // Everything the client knows is void; it will see that from UIDVALIDITY.
        return Ok(());
    }
    let all = SequenceSet::<Uid>::all();
    let known = resync.known_uids.as_ref().unwrap_or(&all);
    let vanished = view.vanished(resync.mod_seq, known);
    let first_unknown = first_mismatch(view, resync);
    let vanished = match first_unknown {
        // RFC 7162 §3.2.5.2: the client is up to date below this UID.
        Some(first) => {
            let ranges = vanished.ranges(vanished.highest()).filter(|range| *range.end() >= first);
            SequenceSet::of_ranges(ranges.map(|range| (first.max(*range.start()), *range.end())).collect())
        }
        None => vanished,
    };
    if !vanished.is_empty() {
        link.out.vanished_earlier(&vanished);
    }
    for (sequence, row) in view.rows_by_uid(known) {
        if row.mod_seq > resync.mod_seq {
            let mut writer = link.out.fetch(sequence);
            writer.uid(row.uid).flags(selected.flags(&row, account.enabled)).mod_seq(row.mod_seq);
            writer.end();
            link.relieve().await?;
        }
    }
    Ok(())
}

/// The UID from which on the client's numbering differs from ours, when it gave samples of it: below it nothing has
/// vanished. Only a shortcut; `None` says nothing.
fn first_mismatch(view: &View, resync: &Resync) -> Option<Uid> {
    let (numbers, uids) = resync.sequence_match.as_ref()?;
    let mut matched = None;
    for (number, uid) in numbers.iter(numbers.highest()).zip(uids.iter(uids.highest())).take(MOST_SAMPLES) {
        if view.row(number).is_none_or(|row| row.uid != uid) {
            break;
        }
        matched = Some(uid);
    }
    matched.and_then(Uid::next)
}

/// Most pairs of the client's numbering that are compared.
const MOST_SAMPLES: usize = 10_000;
