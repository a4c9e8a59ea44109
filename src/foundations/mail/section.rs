//! Section part numbers: which bytes of a message `BODY[1.2.HEADER]` means (RFC 9051 §6.4.5.1).

use std::ops::Range;

/// Which piece of a message, or of the part that a part number names, is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Piece {
    /// All of it: the whole message, or the body of the part without the part's MIME header.
    Whole,
    /// The header of the message, or of the message inside a message/rfc822 part, with its empty line.
    Header,
    /// The MIME header of a part, with its empty line.
    Mime,
    /// The body of the message, or of the message inside a message/rfc822 part.
    Text,
}

/// The offsets of every part of one message: what is needed to answer any section without reading the message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sections {
    /// Depth first; each entry knows where its subtree ends. Never empty for a message.
    pub(super) entries: Vec<Entry>,
}

/// One part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Offset of the header.
    pub start: u64,
    /// Offset of the body: just after the header's empty line.
    pub body: u64,
    /// Offset after the last octet of the body.
    pub end: u64,
    /// What is inside.
    pub kind: Kind,
    /// Index of the first entry that is not inside this one.
    pub next: u32,
}

/// What the body of a part is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A leaf.
    Leaf,
    /// Parts between boundaries.
    Multipart,
    /// One message: message/rfc822 or message/global.
    Message,
}

impl Sections {
    /// The octets that a section means, or `None` when the message has no such part or the part has no such piece.
    ///
    /// `path` is the section part number, `[1, 2]` for `1.2`, empty for the message itself.
    pub fn find(&self, path: &[u32], piece: Piece) -> Option<Range<u64>> {
        let root = *self.entries.first()?;
        if path.is_empty() {
            return match piece {
                Piece::Whole => Some(root.start..root.end),
                Piece::Header => Some(root.start..root.body),
                Piece::Text => Some(root.body..root.end),
                Piece::Mime => None,
            };
        }
        let at = self.descend(path)?;
        let part = self.entries[at];
        // RFC 9051 §6.4.5.1: HEADER and TEXT after a number refer to the message inside a message/rfc822 part.
        let inner = (part.kind == Kind::Message).then(|| self.entries[at + 1]);
        match piece {
            Piece::Whole => Some(part.body..part.end),
            Piece::Mime => Some(part.start..part.body),
            Piece::Header => inner.map(|message| message.start..message.body),
            Piece::Text => inner.map(|message| message.body..message.end),
        }
    }

    /// Number of parts, counting multiparts and nested messages.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing has been computed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Index of the part a number path names.
    fn descend(&self, path: &[u32]) -> Option<usize> {
        // RFC 9051 §6.4.5.1: every message has at least part 1. At a message, the first number selects inside its
        // multipart body, or is 1 for the body itself.
        let (mut at, mut is_message) = (0, true);
        for number in path {
            if !is_message {
                match self.entries[at].kind {
                    Kind::Leaf => return None,
                    Kind::Message => at += 1,
                    Kind::Multipart => {
                        at = self.child(at, *number)?;
                        continue;
                    }
                }
            }
            match self.entries[at].kind {
                Kind::Multipart => at = self.child(at, *number)?,
                Kind::Leaf | Kind::Message if *number == 1 => {}
                Kind::Leaf | Kind::Message => return None,
            }
            is_message = false;
        }
        Some(at)
    }

    fn child(&self, parent: usize, number: u32) -> Option<usize> {
        let end = self.entries[parent].next as usize;
        let mut at = parent + 1;
        for _ in 1..number {
            if at >= end {
                return None;
            }
            at = self.entries[at].next as usize;
        }
        (number > 0 && at < end).then_some(at)
    }
}
