//! The syntax tree of RFC 5228 §8.2: commands, tests and arguments, before anything is known about their names.

use crate::foundations::said::{Said, said};

/// A place in the text of a script; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Position {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A command or a test: both look the same.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// In lower case: identifiers ignore case (RFC 5228 §2.1).
    pub(super) name: String,
    pub(super) at: Position,
    pub(super) arguments: Vec<Argument>,
    pub(super) tests: Vec<Call>,
    /// Whether the tests stand in parentheses.
    pub(super) is_list: bool,
    /// Whether commands follow in braces, and which.
    pub(super) block: Option<Vec<Call>>,
    /// The text of the call up to its tests or block, on one line; for the trace.
    pub(super) shown: String,
}

/// One argument and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Argument {
    pub(super) at: Position,
    pub(super) value: Given,
}

/// An argument as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    Number(u64),
    /// Without the colon, in lower case.
    Tag(String),
    Text(String),
    Texts(Vec<(Position, String)>),
}

impl Given {
    /// What it is, for people.
    pub(super) fn noun(&self) -> Said {
        match self {
            Self::Number(_) => a_number(),
            Self::Tag(tag) => the_tag(tag),
            Self::Text(_) => a_string(),
            Self::Texts(_) => a_string_list(),
        }
    }
}

pub(super) fn a_number() -> Said {
    said!("sieve-a-number", "a number")
}

pub(super) fn a_string() -> Said {
    said!("sieve-a-string", "a string")
}

pub(super) fn a_string_list() -> Said {
    said!("sieve-a-string-list", "a string list")
}

pub(super) fn the_tag(tag: &str) -> Said {
    said!("sieve-the-tag", "the tag ':{tag}'", tag)
}
