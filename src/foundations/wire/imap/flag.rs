//! Flags and keywords of messages (RFC 9051 §2.3.2).

use std::fmt;

use super::cursor::{Cursor, Parsed, is_atom};

/// Longest keyword in octets; a longer one makes the command BAD.
pub const MAX_KEYWORD: usize = 255;

/// Most flags in one list.
pub const MAX_FLAGS: usize = 128;

/// A flag as a client may set it.
///
/// ```abnf
/// flag         = "\Answered" / "\Flagged" / "\Deleted" / "\Seen" / "\Draft" / flag-keyword / flag-extension
/// flag-keyword = "$MDNSent" / "$Forwarded" / "$Junk" / "$NotJunk" / "$Phishing" / atom
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Flag {
    /// One defined by the protocol.
    System(SystemFlag),
    /// Any other, such as `$Forwarded`. Keywords ignore case.
    Keyword(String),
}

/// The flags that begin with a backslash and can be changed. `\Recent` is not among them: it cannot (RFC 3501 §2.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SystemFlag {
    /// Has been replied to.
    Answered,
    /// Will be removed by EXPUNGE.
    Deleted,
    /// Not finished.
    Draft,
    /// Marked for attention.
    Flagged,
    /// Has been read.
    Seen,
}

impl SystemFlag {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Answered, Self::Deleted, Self::Draft, Self::Flagged, Self::Seen];

    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "\\Answered",
            Self::Deleted => "\\Deleted",
            Self::Draft => "\\Draft",
            Self::Flagged => "\\Flagged",
            Self::Seen => "\\Seen",
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(flag) => f.write_str(flag.as_str()),
            Self::Keyword(keyword) => f.write_str(keyword),
        }
    }
}

impl Flag {
    /// One flag. `\Recent` and flags of unknown extensions are refused (RFC 9051 §7.3.1: they cannot be stored).
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        let start = cursor.clone();
        if !cursor.eat(b'\\') {
            return keyword(cursor).map(Self::Keyword);
        }
        let word = cursor.chars(is_atom, "A flag")?;
        let flag = SystemFlag::ALL.into_iter().find(|flag| flag.as_str()[1..].eq_ignore_ascii_case(word));
        match flag {
            Some(flag) => Ok(Self::System(flag)),
            None => start.wanted("A flag that can be set"),
        }
    }

    /// ```abnf
    /// flag-list = "(" [flag *(SP flag)] ")"
    /// ```
    pub(super) fn parse_list(cursor: &mut Cursor<'_>) -> Parsed<Vec<Self>> {
        cursor.list(MAX_FLAGS, Self::parse)
    }
}

/// A keyword: an atom of bounded length.
pub(super) fn keyword(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let start = cursor.clone();
    let word = cursor.atom("A flag or keyword")?;
    if word.len() > MAX_KEYWORD { start.wanted("A shorter keyword") } else { Ok(word.to_owned()) }
}
