//! What a FETCH asks for, and what must be read for it.

use crate::foundations::mail::{ListedNames, Uid};
use crate::foundations::wire::imap::encode::Out;
use crate::foundations::wire::imap::{Addressing, Fetch, FetchItem, Partial, Reading, Section, SectionText};
use crate::protocols::imap::account::Enabled;
use crate::storage::mailbox::Row;

/// What is asked for, and what must be read for it.
pub(super) struct Plan {
    pub fetch: Fetch,
    pub needs: Needs,
    /// Beside each item, how the cached summary answers it although it is a section of the message.
    pub listed: Vec<Option<Listed>>,
    /// Whether reading sets `\Seen`.
    pub marks: bool,
    /// Which messages are meant, ascending, when not all that are named (RFC 9394 §3.3).
    pub only: Option<Vec<Uid>>,
    /// Messages that this command has marked, ascending: their responses hold the new flags.
    pub newly_seen: Vec<Uid>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub summaries: bool,
    pub bodies: bool,
}

impl Plan {
    /// What FETCH or UID FETCH wants.
    pub fn new(mut fetch: Fetch, enabled: Enabled) -> Self {
        // RFC 9051 §6.4.9: the responses to UID FETCH hold the UID, asked for or not.
        if fetch.messages.addressing() == Addressing::Uid {
            fetch.items.insert(0, FetchItem::Uid);
        }
        Self::of(fetch, enabled)
    }

    /// What these items want, and nothing else.
    pub fn of(mut fetch: Fetch, enabled: Enabled) -> Self {
        let mut items: Vec<FetchItem> = Vec::with_capacity(fetch.items.len() + 1);
        for item in fetch.items.drain(..) {
            if !items.contains(&item) {
                items.push(item);
            }
        }
        // RFC 7162 §3.1.4.1, and §3.2.4 for flags.
        let mod_seq = fetch.changed_since.is_some() || (enabled.qresync && items.contains(&FetchItem::Flags));
        if mod_seq && !items.contains(&FetchItem::ModSeq) {
            items.push(FetchItem::ModSeq);
        }
        let listed: Vec<Option<Listed>> = items.iter().map(Listed::of).collect();
        let of_item = |(item, listed): (&FetchItem, &Option<Listed>)| match listed {
            Some(_) => Needs { summaries: true, bodies: false },
            None => item_needs(item),
        };
        let needs = items.iter().zip(&listed).fold(Needs::default(), |needs, item| of_item(item).and(needs));
        let marks = items.iter().any(|item| match item {
            FetchItem::BodySection { reading, .. } | FetchItem::Binary { reading, .. } => *reading == Reading::Marks,
            FetchItem::Rfc822 | FetchItem::Rfc822Text => true,
            _ => false,
        });
        fetch.items = items;
        Self { fetch, needs, listed, marks, only: None, newly_seen: Vec::new() }
    }

    /// Whether some of the fields that it asks for are not in every summary.
    pub fn asks_more(&self) -> bool {
        self.listed.iter().flatten().any(|listed| !listed.names.are_usual())
    }

    /// Whether a message is meant.
    pub fn wants(&self, row: &Row) -> bool {
        self.fetch.changed_since.is_none_or(|since| row.mod_seq > since)
            && self.only.as_ref().is_none_or(|only| only.binary_search(&row.uid).is_ok())
    }
}

/// Header fields that the cached summary can have.
pub(super) struct Listed {
    pub names: ListedNames,
    /// The item's name as it stands in the response.
    pub name: Vec<u8>,
    pub partial: Option<Partial>,
}

impl Listed {
    fn of(item: &FetchItem) -> Option<Self> {
        let FetchItem::BodySection { section, partial, reading: Reading::Peeks } = item else { return None };
        let SectionText::HeaderFields(names) = &section.text else { return None };
        if !section.part.0.is_empty() {
            return None;
        }
        let names = ListedNames::of(names.iter().map(String::as_str))?;
        let mut name = Out::new();
        name.raw("BODY").section(section).origin(partial.map(|partial| partial.first));
        Some(Self { names, name: name.take(), partial: *partial })
    }
}

impl Needs {
    const fn and(self, other: Self) -> Self {
        Self { summaries: self.summaries || other.summaries, bodies: self.bodies || other.bodies }
    }
}

/// What must be read for an item.
pub(super) fn item_needs(item: &FetchItem) -> Needs {
    match item {
        FetchItem::Body
        | FetchItem::BodyStructure
        | FetchItem::EmailId
        | FetchItem::Envelope
        | FetchItem::Preview
        | FetchItem::ThreadId => Needs { summaries: true, bodies: false },
        FetchItem::Rfc822 | FetchItem::Rfc822Header | FetchItem::Rfc822Text => Needs { summaries: false, bodies: true },
        FetchItem::BodySection { section: Section { part, .. }, .. }
        | FetchItem::Binary { part, .. }
        | FetchItem::BinarySize(part) => Needs { summaries: !part.0.is_empty(), bodies: true },
        FetchItem::Flags
        | FetchItem::InternalDate
        | FetchItem::ModSeq
        | FetchItem::Rfc822Size
        | FetchItem::SaveDate
        | FetchItem::Uid => Needs::default(),
    }
}

/// Whether an item of the message itself says something about where its header ends. The whole of a message can be had
/// without, also when it is too large to be summarised.
pub(super) fn item_asks_places(item: &FetchItem) -> bool {
    match item {
        FetchItem::BodySection { section, .. } => section.text != SectionText::Whole,
        FetchItem::Rfc822Header | FetchItem::Rfc822Text => true,
        _ => false,
    }
}
