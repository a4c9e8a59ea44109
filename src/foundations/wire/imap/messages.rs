//! Which messages a command means (RFC 9051 §6.4).

use super::cursor::{Cursor, Parsed};
use crate::foundations::mail::{Numbered, SequenceNumber, SequenceSet, Uid};

/// The messages a command names: by sequence number, or by UID when it begins with `UID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Messages {
    /// By position in the session's view.
    Sequence(Numbers<SequenceNumber>),
    /// By unique identifier.
    Uid(Numbers<Uid>),
}

/// Numbers of one kind, or the saved result of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Numbers<T> {
    /// A sequence set.
    Set(SequenceSet<T>),
    /// `$` (RFC 5182).
    Saved,
}

/// Whether a command was preceded by `UID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// It was not: sequence numbers.
    Sequence,
    /// It was: unique identifiers.
    Uid,
}

impl Messages {
    /// Which kind of number the client speaks of.
    pub const fn addressing(&self) -> Addressing {
        match self {
            Self::Sequence(_) => Addressing::Sequence,
            Self::Uid(_) => Addressing::Uid,
        }
    }

    pub(super) fn parse(cursor: &mut Cursor<'_>, addressing: Addressing) -> Parsed<Self> {
        match addressing {
            Addressing::Sequence => numbers(cursor, "A set of sequence numbers").map(Self::Sequence),
            Addressing::Uid => numbers(cursor, "A set of UIDs").map(Self::Uid),
        }
    }
}

/// ```abnf
/// sequence-set =/ seq-last-command
/// seq-last-command = "$"
/// ```
fn numbers<T: Numbered>(cursor: &mut Cursor<'_>, wanted: &'static str) -> Parsed<Numbers<T>> {
    if cursor.eat(b'$') { Ok(Numbers::Saved) } else { cursor.sequence_set(wanted).map(Numbers::Set) }
}
