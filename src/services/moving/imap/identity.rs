//! Which messages are the same in several mailboxes.

use std::collections::HashSet;

use super::response::Value;

/// What identifies a message on a server, in whatever mailbox it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// EMAILID of OBJECTID (RFC 8474 §5.1).
    Email,
    /// X-GM-MSGID of Gmail's X-GM-EXT-1.
    Gmail,
}

impl Identity {
    /// What a server with these capabilities has.
    pub(super) fn among(has: impl Fn(&str) -> bool) -> Option<Self> {
        [("OBJECTID", Self::Email), ("X-GM-EXT-1", Self::Gmail)]
            .into_iter()
            .find(|(name, _)| has(name))
            .map(|(_, is)| is)
    }

    /// The item of a FETCH.
    pub(super) const fn item(self) -> &'static str {
        match self {
            Self::Email => "EMAILID",
            Self::Gmail => "X-GM-MSGID",
        }
    }

    /// What the item holds; `None` for NIL or nonsense.
    pub(super) fn read(self, value: &Value) -> Option<String> {
        let value = match self {
            Self::Email => value.list()?.first()?,
            Self::Gmail => value,
        };
        String::from_utf8(value.text()?.to_vec()).ok()
    }
}

/// The messages seen so far.
#[derive(Debug)]
pub(super) struct Identities {
    kind: Identity,
    seen: HashSet<String>,
}

impl Identities {
    pub(super) fn new(kind: Identity) -> Self {
        Self { kind, seen: HashSet::new() }
    }

    pub(super) fn kind(&self) -> Identity {
        self.kind
    }

    /// Whether a message was seen; one without an identity counts as not seen.
    pub(super) fn has(&self, identity: Option<&str>) -> bool {
        identity.is_some_and(|identity| self.seen.contains(identity))
    }

    pub(super) fn add<'a>(&mut self, identities: impl Iterator<Item = &'a str>) {
        self.seen.extend(identities.map(str::to_owned));
    }
}
