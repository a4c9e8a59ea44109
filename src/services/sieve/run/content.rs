//! The message as the script sees it: header fields that may be edited, and parts.

use std::cell::OnceCell;

use bytes::{Bytes, BytesMut};

use crate::foundations::mail::{Field, Fields, HeaderSection, Kind, Message, Structure, encoded_words};

/// A message being looked at.
#[derive(Debug)]
pub(in crate::services::sieve) struct Content {
    given: Message,
    /// The fields without the empty line.
    lines: Bytes,
    /// Offset of the body in the original bytes of the message.
    body: usize,
    edited: bool,
    /// The message with its edited header, until it is edited again.
    message: OnceCell<Message>,
    parts: OnceCell<Vec<Part>>,
    /// How many fields were added.
    pub(in crate::services::sieve) added: u32,
}

/// One part: its place in the bytes, as [`Structure`] found it.
#[derive(Debug, Clone)]
pub(in crate::services::sieve) struct Part {
    start: usize,
    body: usize,
    end: usize,
    /// Index of the first part that is not inside this one.
    pub(in crate::services::sieve) next: usize,
    pub(in crate::services::sieve) kind: Kind,
}

/// A header field that has been copied out of a message.
#[derive(Debug, Clone)]
pub(in crate::services::sieve) struct HeaderField {
    /// The body as written, with folds.
    pub(in crate::services::sieve) body: Vec<u8>,
}

impl HeaderField {
    /// As text: unfolded, encoded words decoded.
    pub(in crate::services::sieve) fn text(&self) -> String {
        encoded_words::decode(&self.value())
    }

    /// On one line.
    pub(in crate::services::sieve) fn value(&self) -> Vec<u8> {
        field(&self.body).value().into_owned()
    }
}

fn field(body: &[u8]) -> Field<'_> {
    Field { name: b"", body, raw: body, range: 0..body.len() }
}

impl Content {
    pub(in crate::services::sieve) fn of(message: &Message) -> Self {
        let [added, original] = message.pieces();
        let section = HeaderSection::of(original);
        let lines = if added.is_empty() {
            message.original().slice(..section.lines().len())
        } else {
            let mut lines = BytesMut::with_capacity(added.len() + section.lines().len());
            lines.extend_from_slice(added);
            lines.extend_from_slice(section.lines());
            lines.freeze()
        };
        Self {
            given: message.clone(),
            lines,
            body: section.body_start(),
            edited: false,
            message: OnceCell::new(),
            parts: OnceCell::new(),
            added: 0,
        }
    }

    /// The message as it is now.
    pub(in crate::services::sieve) fn message(&self) -> Message {
        if !self.edited {
            return self.given.clone();
        }
        let join = || {
            let body = self.body();
            let mut whole = BytesMut::with_capacity(self.lines.len() + 2 + body.len());
            whole.extend_from_slice(&self.lines);
            whole.extend_from_slice(b"\r\n");
            whole.extend_from_slice(body);
            Message::new(whole.freeze())
        };
        self.message.get_or_init(join).clone()
    }

    /// Whether [`Content::message`] has to copy it all.
    pub(in crate::services::sieve) fn is_to_be_joined(&self) -> bool {
        self.edited && self.message.get().is_none()
    }

    /// Size in octets.
    pub(in crate::services::sieve) fn len(&self) -> usize {
        if self.edited { self.lines.len() + 2 + self.body().len() } else { self.given.len() }
    }

    /// The header as it is now, without the empty line.
    pub(in crate::services::sieve) fn lines(&self) -> &Bytes {
        &self.lines
    }

    /// Everything after the empty line.
    pub(in crate::services::sieve) fn body(&self) -> &[u8] {
        &self.given.original()[self.body..]
    }

    /// Whether there is an empty line after the header.
    pub(in crate::services::sieve) fn has_body(&self) -> bool {
        let original = self.given.original();
        self.body > HeaderSection::of(original).lines().len() || self.body < original.len()
    }

    /// Puts another header in place.
    pub(in crate::services::sieve) fn set_lines(&mut self, lines: impl Into<Bytes>) {
        self.lines = lines.into();
        self.edited = true;
        self.message = OnceCell::new();
    }

    /// All parts, depth first; the first is the message. They are those of the message as it came: edited fields change nothing
    /// about them.
    pub(in crate::services::sieve) fn parts(&self) -> &[Part] {
        self.parts.get_or_init(|| {
            let structure = Structure::of(self.given.original());
            let part = |part: &crate::foundations::mail::structure::Part<'_>| Part {
                start: part.start,
                body: part.body,
                end: part.end,
                next: part.next,
                kind: part.kind,
            };
            structure.parts().iter().map(part).collect()
        })
    }

    /// The header lines of a part; those of the whole message as they are now.
    pub(in crate::services::sieve) fn part_lines(&self, index: usize) -> &[u8] {
        match self.parts().get(index) {
            Some(part) if index > 0 => HeaderSection::of(&self.given.original()[part.start..part.body]).lines(),
            _ => &self.lines,
        }
    }

    /// The body of a part, transfer encoding and all.
    pub(in crate::services::sieve) fn part_body(&self, index: usize) -> &[u8] {
        self.parts().get(index).map_or(&[], |part| &self.given.original()[part.body..part.end])
    }

    /// The first field of that name in the header of a part.
    pub(in crate::services::sieve) fn part_field(&self, index: usize, name: &str) -> Option<&[u8]> {
        Fields::new(self.part_lines(index)).find(|field| field.is(name)).map(|field| field.body)
    }

    /// The fields of that name in a header, from top to bottom.
    pub(in crate::services::sieve) fn fields(lines: &[u8], name: &str) -> Vec<HeaderField> {
        Fields::new(lines)
            .filter(|field| field.is(name))
            .map(|field| HeaderField { body: field.body.to_vec() })
            .collect()
    }
}
