//! STORE (RFC 9051 §6.4.6; RFC 7162 §3.1.3).

use super::append::split_flags;
use super::trouble;
use crate::foundations::mail::{SequenceNumber, SequenceSet, Uid};
use crate::foundations::wire::imap::encode::Code;
use crate::foundations::wire::imap::{Addressing, Store, StoreAction, Telling};
use crate::protocols::imap::account::Account;
use crate::protocols::imap::command_table::Expunges;
use crate::protocols::imap::link::Link;
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::selected::{Own, Selected};
use crate::protocols::imap::serve::Conversation;
use crate::storage::mailbox::{FlagChange, FlagOperation, Stored};

/// Changes flags and tells the new ones.
pub async fn run(talk: &mut Conversation, store: Store) -> Outcome {
    let (account, selected) = talk.state.selected_mut()?;
    selected.demand_write()?;
    // RFC 7162 §3.1: UNCHANGEDSINCE enables CONDSTORE.
    if store.unchanged_since.is_some() {
        account.enable_condstore(selected, &mut talk.link);
    }
    let (flags, keywords) = split_flags(&store.flags)?;
    let uids = selected.uids(&store.messages)?;
    let change = FlagChange {
        operation: match store.action {
            StoreAction::Add => FlagOperation::Add,
            StoreAction::Remove => FlagOperation::Remove,
            StoreAction::Replace => FlagOperation::Replace,
        },
        flags,
        keywords,
        unchanged_since: store.unchanged_since,
    };
    let stored = match selected.view.store_flags(&uids, &change).await {
        Ok(stored) => stored,
        Err(error) => return Err(trouble(talk, &error)),
    };
    let addressing = store.messages.addressing();
    selected.addressing = addressing;
    // What others have changed is told even with .SILENT (RFC 9051 §6.4.6); without it all is told below.
    let overtaken = match store.telling {
        Telling::Silent => &stored.overtaken[..],
        Telling::Flags => &[],
    };
    let own = Own { changed: &stored.changed, overtaken };
    let told = selected.tell_all_but(account, Expunges::Hold, own, &mut talk.link).await;
    selected.addressing = Addressing::Sequence;
    told?;
    tell(account, selected, uids, &stored, &store, &mut talk.link).await?;
    if stored.modified.is_empty() {
        return Ok(match stored.gone[..] {
            [] => Done::new("Flags are changed"),
            // RFC 5530 §3: their EXPUNGE may not come with this command (RFC 9051 §7.5.1).
            _ => Done::with(Code::Word("EXPUNGEISSUED"), "Some of the messages are gone"),
        });
    }
    let modified = in_numbers_of_command(&stored.modified, addressing, selected);
    Ok(Done::with(Code::Modified(modified), "Some messages have changed meanwhile"))
}

/// RFC 7162 §3.1.3: MODIFIED names messages as the command does.
fn in_numbers_of_command(uids: &[Uid], addressing: Addressing, selected: &Selected) -> String {
    match addressing {
        Addressing::Uid => uids.iter().copied().collect::<SequenceSet<Uid>>().to_string(),
        Addressing::Sequence => {
            let numbers = uids.iter().filter_map(|uid| selected.view.sequence(*uid));
            numbers.collect::<SequenceSet<SequenceNumber>>().to_string()
        }
    }
}

/// The FETCH responses of the command itself: without `.SILENT` the flags of every message it was about; with it
/// the modification sequences of those changed, for clients that keep them (RFC 7162 §3.1.3).
async fn tell(
    account: &Account,
    selected: &Selected,
    uids: Vec<Uid>,
    stored: &Stored,
    store: &Store,
    link: &mut Link,
) -> Result<(), Trouble> {
    let enabled = account.enabled;
    let tell = match store.telling {
        Telling::Flags => uids,
        Telling::Silent if enabled.condstore => stored.uids(),
        Telling::Silent => Vec::new(),
    };
    for uid in tell {
        if stored.modified.binary_search(&uid).is_ok() || stored.gone.binary_search(&uid).is_ok() {
            continue;
        }
        let Some((sequence, row)) = selected.view.sequence(uid).and_then(|n| Some((n, selected.view.row(n)?))) else {
            continue;
        };
        let mut writer = link.out.fetch(sequence);
        if enabled.qresync || enabled.rev2 || store.messages.addressing() == Addressing::Uid {
            writer.uid(row.uid);
        }
        if store.telling == Telling::Flags {
            writer.flags(selected.flags(&row, enabled));
        }
        if enabled.condstore {
            writer.mod_seq(row.mod_seq);
        }
        writer.end();
        link.relieve().await?;
    }
    Ok(())
}
