//! The notifications that a session has asked for (RFC 5465).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::selected::Selected;
use crate::foundations::wire::imap::{Events, FetchItem};
use crate::storage::mailbox::{FolderName, Listener, Missed, News};

/// What a session is notified of.
#[derive(Debug, Default)]
pub enum Attention {
    /// The default: changes of the selected mailbox, while commands run.
    #[default]
    Usual,
    /// Nothing (NOTIFY NONE).
    Quiet,
    /// What it has asked for (NOTIFY SET).
    Watching(Box<Watching>),
}

/// What a session has asked for.
#[derive(Debug)]
pub struct Watching {
    /// News of all folders.
    pub listener: Listener,
    /// What it wants to know of the selected mailbox; `None` for nothing.
    pub selected: Option<SelectedEvents>,
    /// What it wants to know of others.
    pub groups: Vec<Group>,
    /// The subscribed names, when a group speaks of them.
    pub subscribed: BTreeSet<FolderName>,
    /// What the current command has caused itself (RFC 5465 §5: not to be reported).
    pub own: Vec<News>,
}

/// Events of the selected mailbox; new and expunged messages are always among them.
#[derive(Debug, Clone)]
pub struct SelectedEvents {
    /// Expunges wait for a command.
    pub delayed: bool,
    /// Changes of flags too.
    pub flags: bool,
    /// What is told of new messages.
    pub fetch: Arc<[FetchItem]>,
}

/// Events of some mailboxes.
#[derive(Debug)]
pub struct Group {
    /// Which mailboxes.
    pub names: Names,
    /// Which events.
    pub events: Events,
}

/// Which mailboxes a group means.
#[derive(Debug)]
pub enum Names {
    /// All of the user's. RFC 5465 §6.3: those that mail is delivered into are the same, since scripts may put it anywhere.
    All,
    /// The subscribed ones.
    Subscribed,
    /// These and those below.
    Subtree(Vec<FolderName>),
    /// These.
    Listed(Vec<FolderName>),
}

/// Something to tell while no command runs.
#[derive(Debug)]
pub enum Wakeup {
    /// The selected mailbox has changed.
    Selected,
    /// Something has happened to a folder.
    News(Result<Arc<News>, Missed>),
}

impl Attention {
    /// What is told of the selected mailbox.
    pub fn selected(&self) -> Option<&SelectedEvents> {
        match self {
            Self::Watching(watching) => watching.selected.as_ref(),
            Self::Usual | Self::Quiet => None,
        }
    }

    /// Whether only what commands themselves cause is reported of the selected mailbox.
    pub fn ignores_selected(&self) -> bool {
        match self {
            Self::Usual => false,
            Self::Quiet => true,
            Self::Watching(watching) => watching.selected.is_none(),
        }
    }

    /// Whether changes of flags in the selected mailbox are told.
    pub fn tells_flags(&self) -> bool {
        match self {
            Self::Usual => true,
            Self::Quiet => false,
            Self::Watching(watching) => watching.selected.as_ref().is_some_and(|selected| selected.flags),
        }
    }

    /// Notes what the session does itself.
    pub fn note_own(&mut self, news: impl FnOnce() -> News) {
        if let Self::Watching(watching) = self {
            watching.own.push(news());
        }
    }

    /// Waits for something that is to be told at once; forever when the session has not asked for it. Cancel-safe.
    pub async fn wake(&mut self, selected: Option<&mut Selected>) -> Wakeup {
        let Self::Watching(watching) = self else { return std::future::pending().await };
        let wants_selected = watching.selected.is_some();
        let changed = async {
            match selected {
                Some(selected) if wants_selected => selected.view.changed().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => Wakeup::Selected,
            news = watching.listener.next() => Wakeup::News(news),
        }
    }
}

impl Watching {
    /// What is wanted of a folder, by its present name or the one it had.
    pub fn wanted(&self, folder: &FolderName) -> Wanted {
        let events = self.groups.iter().filter(|group| group.names.has(folder, &self.subscribed));
        events.fold(Wanted::default(), |wanted, group| wanted.and(&group.events))
    }

    /// Whether changes of the account's annotations are told: they belong to no mailbox.
    pub fn wants_server_metadata(&self) -> bool {
        self.groups.iter().any(|group| group.events.server_metadata)
    }

    /// Whether a group speaks of subscribed names.
    pub fn asks_subscribed(&self) -> bool {
        self.groups.iter().any(|group| matches!(group.names, Names::Subscribed))
    }
}

/// What is wanted of one folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// New and expunged messages.
    pub messages: bool,
    /// Flags.
    pub flags: bool,
    /// Its name.
    pub name: bool,
    /// Whether it is subscribed.
    pub subscription: bool,
    /// Its annotations.
    pub metadata: bool,
}

impl Wanted {
    const fn and(self, events: &Events) -> Self {
        Self {
            messages: self.messages || events.messages,
            flags: self.flags || events.flags,
            name: self.name || events.names,
            subscription: self.subscription || events.subscriptions,
            metadata: self.metadata || events.metadata,
        }
    }
}

impl Names {
    fn has(&self, folder: &FolderName, subscribed: &BTreeSet<FolderName>) -> bool {
        match self {
            Self::All => true,
            Self::Subscribed => subscribed.contains(folder),
            Self::Subtree(names) => names.iter().any(|name| name == folder || folder.is_below(name)),
            Self::Listed(names) => names.contains(folder),
        }
    }
}
