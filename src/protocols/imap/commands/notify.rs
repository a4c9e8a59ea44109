//! NOTIFY (RFC 5465), and what it has told between commands.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{list, status, trouble};
use crate::foundations::wire::imap::encode::{Code, Condition, StatusValue};
use crate::foundations::wire::imap::{EVENTS, EventGroup, MailboxFilter, Notify, StatusItem};
use crate::protocols::imap::account::Account;
use crate::protocols::imap::attention::{Attention, Group, Names, SelectedEvents, Wakeup, Wanted, Watching};
use crate::protocols::imap::command_table::Expunges;
use crate::protocols::imap::link::Link;
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::serve::Conversation;
use crate::protocols::imap::state::State;
use crate::storage::mailbox::{FolderEntry, FolderName, Missed, News};

/// Notes what the client wants to be told of.
pub async fn run(talk: &mut Conversation, notify: Notify) -> Outcome {
    let account = talk.state.logged_in_mut()?;
    let Notify::Set { status, groups } = notify else {
        account.attention = Attention::Quiet;
        return Ok(Done::new("Notifications are off"));
    };
    if groups.iter().any(|group| group.events.unknown) {
        let code = Some(Code::BadEvent(&EVENTS));
        return Err(Trouble::No { code, text: "One of these events is not supported".into() });
    }
    // Subscribed to before anything is read, so that nothing happens unnoticed in between.
    let listener = account.user.listen();
    let watching = Watching {
        listener,
        selected: groups.iter().find_map(selected_events),
        groups: groups.iter().filter_map(|group| other_events(account, group)).collect(),
        subscribed: BTreeSet::new(),
        own: Vec::new(),
    };
    let asks_names = status || watching.asks_subscribed();
    account.attention = Attention::Watching(Box::new(watching));
    if asks_names {
        let user = Arc::clone(&account.user);
        let folders = match user.folders().await {
            Ok(folders) => folders,
            Err(error) => {
                let trouble = trouble(talk, &error);
                forget(talk);
                return Err(trouble);
            }
        };
        note_subscribed(talk, &folders);
        if status {
            tell_all(talk, &folders).await?;
        }
    }
    // RFC 5465 §3.1: with it comes what has gathered of the selected mailbox, as if by NOOP.
    if let State::Selected(account, selected) = &mut talk.state {
        selected.tell_updates(account, Expunges::Tell, &mut talk.link).await?;
    }
    Ok(Done::new("Notifications are on"))
}

fn forget(talk: &mut Conversation) {
    if let Some(account) = talk.state.account_mut() {
        account.attention = Attention::Usual;
    }
}

/// What a group says of the selected mailbox; `NONE` is as if there were no group.
fn selected_events(group: &EventGroup) -> Option<SelectedEvents> {
    let delayed = group.mailboxes == MailboxFilter::SelectedDelayed;
    let wanted = group.is_selected() && group.events.messages;
    wanted.then(|| SelectedEvents { delayed, flags: group.events.flags, fetch: group.events.fetch.clone().into() })
}

fn other_events(account: &Account, group: &EventGroup) -> Option<Group> {
    // RFC 5465 §3.1: names that are no mailbox are ignored.
    let folders = |names: &[_]| names.iter().filter_map(|name| account.folder(name).ok()).collect();
    let names = match &group.mailboxes {
        MailboxFilter::Selected | MailboxFilter::SelectedDelayed => return None,
        MailboxFilter::Inboxes | MailboxFilter::Personal => Names::All,
        MailboxFilter::Subscribed => Names::Subscribed,
        MailboxFilter::Subtree(names) => Names::Subtree(folders(names)),
        MailboxFilter::Mailboxes(names) => Names::Listed(folders(names)),
    };
    Some(Group { names, events: group.events.clone() })
}

fn note_subscribed(talk: &mut Conversation, folders: &[FolderEntry]) {
    if let Some(account) = talk.state.account_mut()
        && let Attention::Watching(watching) = &mut account.attention
    {
        let subscribed = folders.iter().filter(|folder| folder.subscribed);
        watching.subscribed = subscribed.map(|folder| folder.name.clone()).collect();
    }
}

/// STATUS of every mailbox that messages are told of (RFC 5465 §3.1).
async fn tell_all(talk: &mut Conversation, folders: &[FolderEntry]) -> Result<(), Trouble> {
    for folder in folders.iter().filter(|folder| folder.exists) {
        let Some(account) = talk.state.account() else { return Ok(()) };
        let Attention::Watching(watching) = &account.attention else { return Ok(()) };
        let wanted = watching.wanted(&folder.name);
        if !wanted.messages || talk.has_selected(&folder.name) {
            continue;
        }
        let mut items = vec![StatusItem::Messages, StatusItem::UidNext, StatusItem::UidValidity];
        if wanted.flags {
            items.extend([StatusItem::Unseen, StatusItem::HighestModSeq]);
        }
        if let Err(error) = status::tell(talk, &folder.name, &items).await {
            // One that cannot be asked gets no STATUS.
            let _ = trouble(talk, &error);
        }
        talk.link.relieve().await?;
    }
    Ok(())
}

/// Tells what has happened while no command ran.
pub async fn tell(talk: &mut Conversation, wakeup: Wakeup) -> std::io::Result<()> {
    match wakeup {
        Wakeup::Selected => {
            if let State::Selected(account, selected) = &mut talk.state {
                let delayed = account.attention.selected().is_some_and(|selected| selected.delayed);
                let expunges = if delayed { Expunges::Hold } else { Expunges::Tell };
                selected.tell_between(account, expunges, &mut talk.link).await?;
            }
            Ok(())
        }
        Wakeup::News(news) => tell_news(talk, news).await,
    }
}

/// Reports pending news before a command ends.
pub async fn tell_ready(talk: &mut Conversation) -> std::io::Result<()> {
    loop {
        let Some(account) = talk.state.account_mut() else { return Ok(()) };
        let Attention::Watching(watching) = &mut account.attention else { return Ok(()) };
        let news = match watching.listener.ready() {
            Ok(None) => {
                watching.own.clear();
                return Ok(());
            }
            Ok(Some(news)) => Ok(news),
            Err(missed) => Err(missed),
        };
        if let Ok(news) = &news
            && let Some(own) = watching.own.iter().position(|own| own == &**news)
        {
            watching.own.swap_remove(own);
            if matches!(**news, News::Subscription(_))
                && let Some(folders) = folders(talk).await
            {
                note_subscribed(talk, &folders);
            }
            continue;
        }
        tell_news(talk, news).await?;
    }
}

async fn tell_news(talk: &mut Conversation, news: Result<Arc<News>, Missed>) -> std::io::Result<()> {
    let Ok(news) = news else {
        // RFC 5465 §5.8.
        let code = Code::Word("NOTIFICATIONOVERFLOW");
        talk.link.out.untagged(Condition::Ok, Some(&code), "Too many notifications were pending; ask again");
        if let Some(account) = talk.state.account_mut() {
            account.attention = Attention::Quiet;
        }
        return Ok(());
    };
    match &*news {
        News::Messages { .. } => tell_messages(talk, &news),
        News::Created(name) | News::Deleted(name) => {
            let parent = name.parent();
            tell_names(talk, [Some(name), parent.as_ref()].into_iter().flatten(), |wanted| wanted.name, None).await;
        }
        News::Renamed { from, to } => {
            tell_names(talk, [to].into_iter(), |wanted| wanted.name, Some(from)).await;
        }
        News::Subscription(name) => {
            tell_names(talk, [name].into_iter(), |wanted| wanted.subscription, None).await;
        }
        News::Metadata { folder, entries } => tell_metadata(talk, folder.as_ref(), entries),
    }
    talk.link.relieve().await
}

/// STATUS of a mailbox that is not selected (RFC 5465 §5.1 to §5.3).
fn tell_messages(talk: &mut Conversation, news: &News) {
    let News::Messages { folder, status, messages, flags } = news else { return };
    if talk.has_selected(folder) {
        return;
    }
    let Some((account, link)) = watcher(talk) else { return };
    let Attention::Watching(watching) = &account.attention else { return };
    let wanted = watching.wanted(folder);
    let mut values = Vec::new();
    if wanted.messages && *messages {
        values.push(StatusValue(StatusItem::Messages, status.messages.into()));
        values.push(StatusValue(StatusItem::UidNext, status.uid_next.get().into()));
    }
    if wanted.flags && (*flags || *messages) {
        values.push(StatusValue(StatusItem::Unseen, status.unseen.into()));
    }
    if values.is_empty() {
        return;
    }
    if account.enabled.condstore {
        values.push(StatusValue(StatusItem::UidValidity, status.uid_validity.get().into()));
        values.push(StatusValue(StatusItem::HighestModSeq, status.highest_mod_seq.get()));
    }
    link.out.status(folder.as_str(), account.enabled.names(), &values);
}

/// LIST of names that have changed (RFC 5465 §5.4, §5.5).
async fn tell_names(
    talk: &mut Conversation,
    names: impl Iterator<Item = &FolderName>,
    is_wanted: impl Fn(Wanted) -> bool,
    old_name: Option<&FolderName>,
) {
    let Some(folders) = folders(talk).await else { return };
    let wants = |talk: &Conversation, name: &FolderName| {
        let Some(Attention::Watching(watching)) = talk.state.account().map(|account| &account.attention) else {
            return false;
        };
        is_wanted(watching.wanted(name)) || old_name.is_some_and(|old| is_wanted(watching.wanted(old)))
    };
    // RFC 5465 §6.4: the subscribed names change with them, so both the old and the new ones count.
    let names: Vec<(&FolderName, bool)> = names.map(|name| (name, wants(talk, name))).collect();
    note_subscribed(talk, &folders);
    for (name, wanted) in names {
        if (wanted || wants(talk, name))
            && let Some((account, link)) = watcher(talk)
        {
            list::tell_changed(&folders, name, old_name, account.enabled, link);
        }
    }
}

/// All names; `None` when they cannot be read now.
async fn folders(talk: &Conversation) -> Option<Vec<FolderEntry>> {
    let user = Arc::clone(&talk.state.account()?.user);
    match user.folders().await {
        Ok(folders) => Some(folders),
        Err(error) => {
            let _ = trouble(talk, &error);
            None
        }
    }
}

/// METADATA with the names of what has changed (RFC 5465 §5.6, §5.7).
fn tell_metadata(talk: &mut Conversation, folder: Option<&FolderName>, entries: &[String]) {
    let Some((account, link)) = watcher(talk) else { return };
    let Attention::Watching(watching) = &account.attention else { return };
    let wanted = match folder {
        Some(folder) => watching.wanted(folder).metadata,
        None => watching.wants_server_metadata(),
    };
    if wanted {
        let name = folder.map_or("", FolderName::as_str);
        link.out.metadata_changed(name, account.enabled.names(), entries.iter().map(String::as_str));
    }
}

fn watcher(talk: &mut Conversation) -> Option<(&Account, &mut Link)> {
    Some((talk.state.account()?, &mut talk.link))
}
