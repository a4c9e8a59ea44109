//! NOTIFY (RFC 5465).

use super::cursor::{Cursor, Parsed, is_atom};
use super::fetch::{FetchItem, MAX_ITEMS};
use super::mailbox::mailbox;
use super::name::RawName;

/// Most groups of events in one command.
pub const MAX_GROUPS: usize = 64;

/// Most mailboxes in one group.
pub const MAX_MAILBOXES: usize = 1_000;

/// NOTIFY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notify {
    /// Report nothing.
    None,
    /// Report these events.
    Set {
        /// Whether the mailboxes' STATUS is reported first.
        status: bool,
        /// Which events of which mailboxes.
        groups: Vec<EventGroup>,
    },
}

/// Events of some mailboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventGroup {
    /// Which mailboxes.
    pub mailboxes: MailboxFilter,
    /// Which events; all off for `NONE`.
    pub events: Events,
}

/// Which mailboxes a group covers (RFC 5465 §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailboxFilter {
    /// The selected one, at once.
    Selected,
    /// The selected one; expunges wait for a command.
    SelectedDelayed,
    /// Those that receive deliveries.
    Inboxes,
    /// The user's own.
    Personal,
    /// Those that are subscribed.
    Subscribed,
    /// These and all below them.
    Subtree(Vec<RawName>),
    /// These.
    Mailboxes(Vec<RawName>),
}

/// Which events are reported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Events {
    /// New and expunged messages, always together.
    pub messages: bool,
    /// What to fetch of new messages in the selected mailbox.
    pub fetch: Vec<FetchItem>,
    /// Flags.
    pub flags: bool,
    /// Mailboxes made, removed and renamed.
    pub names: bool,
    /// Subscriptions.
    pub subscriptions: bool,
    /// Metadata of mailboxes.
    pub metadata: bool,
    /// Metadata of the server.
    pub server_metadata: bool,
    /// An event unknown here: the command is refused.
    pub unknown: bool,
}

/// The names of the supported events, as BADEVENT lists them.
pub const EVENTS: [&str; 7] = [
    "MessageNew",
    "MessageExpunge",
    "FlagChange",
    "MailboxName",
    "SubscriptionChange",
    "MailboxMetadataChange",
    "ServerMetadataChange",
];

impl Notify {
    /// ```abnf
    /// notify           = "NOTIFY" SP (notify-set / notify-none)
    /// notify-set       = "SET" [status-indicator] SP event-groups
    /// status-indicator = SP "STATUS"
    /// event-groups     = event-group *(SP event-group)
    /// ```
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        cursor.space()?;
        if cursor.eat_word("NONE") {
            return Ok(Self::None);
        }
        if !cursor.eat_word("SET") {
            return cursor.wanted("SET or NONE");
        }
        cursor.space()?;
        let status = cursor.eat_word("STATUS");
        if status {
            cursor.space()?;
        }
        let mut groups: Vec<EventGroup> = Vec::new();
        loop {
            if groups.len() >= MAX_GROUPS {
                return cursor.wanted("Fewer groups of events");
            }
            let start = cursor.clone();
            let group = EventGroup::parse(cursor)?;
            // RFC 5465 §6.1: only one about the selected mailbox.
            if group.is_selected() && groups.iter().any(EventGroup::is_selected) {
                return start.wanted("One group about the selected mailbox");
            }
            groups.push(group);
            if !cursor.eat(b' ') {
                return Ok(Self::Set { status, groups });
            }
        }
    }
}

impl EventGroup {
    /// Whether it is about the selected mailbox.
    pub const fn is_selected(&self) -> bool {
        matches!(self.mailboxes, MailboxFilter::Selected | MailboxFilter::SelectedDelayed)
    }

    /// ```abnf
    /// event-group = "(" filter-mailboxes SP events ")"
    /// events      = ( "(" event *(SP event) ")" ) / "NONE"
    /// ```
    fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        cursor.expect(b'(', "An opening parenthesis")?;
        let mailboxes = MailboxFilter::parse(cursor)?;
        cursor.space()?;
        let start = cursor.clone();
        let mut group = Self { mailboxes, events: Events::default() };
        if !cursor.eat_word("NONE") {
            group.events(cursor)?;
        }
        cursor.expect(b')', "A closing parenthesis")?;
        let Events { fetch, names, subscriptions, metadata, server_metadata, .. } = &group.events;
        match group.is_selected() {
            // RFC 5465 §6.1 and §8.
            true if *names || *subscriptions || *metadata || *server_metadata => {
                start.wanted("Only events of messages for the selected mailbox")
            }
            false if !fetch.is_empty() => start.wanted("Items to fetch for the selected mailbox only"),
            _ => Ok(group),
        }
    }

    fn events(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let start = cursor.clone();
        let (mut new, mut expunge) = (false, false);
        let events = &mut self.events;
        cursor.list1(EVENTS.len() * 4, |cursor| {
            match cursor.chars(is_atom, "An event")?.to_ascii_uppercase().as_str() {
                "MESSAGENEW" => {
                    new = true;
                    if cursor.rest().starts_with(b" (") {
                        cursor.space()?;
                        events.fetch = cursor.list1(MAX_ITEMS, FetchItem::parse)?;
                    }
                }
                "MESSAGEEXPUNGE" => expunge = true,
                "FLAGCHANGE" => events.flags = true,
                "MAILBOXNAME" => events.names = true,
                "SUBSCRIPTIONCHANGE" => events.subscriptions = true,
                "MAILBOXMETADATACHANGE" => events.metadata = true,
                "SERVERMETADATACHANGE" => events.server_metadata = true,
                _ => events.unknown = true,
            }
            Ok(())
        })?;
        // RFC 5465 §5: both or neither, and both are required with flag changes.
        if new != expunge || (events.flags && !new) {
            return start.wanted("MessageNew and MessageExpunge together");
        }
        events.messages = new;
        Ok(())
    }
}

impl MailboxFilter {
    /// ```abnf
    /// filter-mailboxes = "selected" / "selected-delayed" / "inboxes" / "personal" / "subscribed" /
    ///                    ("subtree" SP one-or-more-mailbox) / ("mailboxes" SP one-or-more-mailbox)
    /// ```
    fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        const WANTED: &str = "Which mailboxes, such as PERSONAL";
        let start = cursor.clone();
        let word = cursor.chars(is_atom, WANTED)?.to_ascii_uppercase();
        Ok(match word.as_str() {
            "SELECTED" => Self::Selected,
            "SELECTED-DELAYED" => Self::SelectedDelayed,
            "INBOXES" => Self::Inboxes,
            "PERSONAL" => Self::Personal,
            "SUBSCRIBED" => Self::Subscribed,
            "SUBTREE" => Self::Subtree(names(cursor)?),
            "MAILBOXES" => Self::Mailboxes(names(cursor)?),
            _ => return start.wanted(WANTED),
        })
    }
}

/// ```abnf
/// one-or-more-mailbox = mailbox / "(" mailbox *(SP mailbox) ")"
/// ```
fn names(cursor: &mut Cursor<'_>) -> Parsed<Vec<RawName>> {
    cursor.space()?;
    match cursor.peek() {
        Some(b'(') => cursor.list1(MAX_MAILBOXES, mailbox),
        _ => Ok(vec![mailbox(cursor)?]),
    }
}
