//! Flags and keywords of messages.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Not};

/// System flags of a message (RFC 9051 §2.3.2), one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Flags(u8);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// `\Draft`, letter D.
    pub const DRAFT: Self = Self(1);
    /// `\Flagged`, letter F.
    pub const FLAGGED: Self = Self(2);
    /// The keyword `$Forwarded`, which Maildir knows as the flag "passed", letter P.
    pub const FORWARDED: Self = Self(4);
    /// `\Answered`, letter R.
    pub const ANSWERED: Self = Self(8);
    /// `\Seen`, letter S.
    pub const SEEN: Self = Self(16);
    /// `\Deleted`, letter T.
    pub const DELETED: Self = Self(32);
    /// All of them.
    pub const ALL: Self = Self(63);

    /// Each flag with its letter in file names, in the order in which names hold them.
    pub(super) const LETTERS: [(Self, u8); 6] = [
        (Self::DRAFT, b'D'),
        (Self::FLAGGED, b'F'),
        (Self::FORWARDED, b'P'),
        (Self::ANSWERED, b'R'),
        (Self::SEEN, b'S'),
        (Self::DELETED, b'T'),
    ];

    /// Whether all flags of `other` are in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no flag is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The bits, as the index holds them.
    pub(super) const fn bits(self) -> u8 {
        self.0
    }

    /// From the index.
    pub(super) const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }
}

impl BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for Flags {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Flags {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0 & Self::ALL.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flags(")?;
        for (flag, letter) in Self::LETTERS {
            if self.contains(flag) {
                write!(f, "{}", char::from(letter))?;
            }
        }
        f.write_str(")")
    }
}

/// The text is not a keyword.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a keyword has 1 to {max} printable ASCII characters without spaces, brackets, quotes, % and *", max = Keyword::MAX_LENGTH)]
pub struct InvalidKeyword;

/// A keyword of a message (RFC 9051 §2.3.2 `flag-keyword`), such as `$Junk`. Comparison ignores case.
#[derive(Debug, Clone, Eq)]
pub struct Keyword(Box<str>);

impl Keyword {
    /// Longest keyword in octets.
    pub const MAX_LENGTH: usize = 128;

    /// Parses an atom.
    pub fn parse(text: &str) -> Result<Self, InvalidKeyword> {
        let valid = |b: u8| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b);
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !text.bytes().all(valid) {
            return Err(InvalidKeyword);
        }
        Ok(Self(text.into()))
    }

    /// As it was first written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which of a folder's keywords a message has: one bit for each letter from a to z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct KeywordSet(u32);

impl KeywordSet {
    /// None.
    pub const NONE: Self = Self(0);

    /// The set with one slot of the folder's table.
    pub const fn slot(slot: u8) -> Self {
        Self(1 << (slot & 31))
    }

    /// Whether all keywords of `other` are in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether it is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The slots in it, ascending.
    pub fn slots(self) -> impl Iterator<Item = u8> {
        (0..Keywords::MOST as u8).filter(move |slot| self.contains(Self::slot(*slot)))
    }

    /// With the other's slots.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without the other's slots.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The bits, as the index holds them.
    pub(super) const fn bits(self) -> u32 {
        self.0
    }

    /// From the index.
    pub(super) const fn from_bits(bits: u32) -> Self {
        Self(bits & ((1 << Keywords::MOST) - 1))
    }
}

/// The keywords a folder knows, by slot: slot 0 is the letter `a` in file names, as Dovecot has it in
/// `dovecot-keywords`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keywords {
    names: Vec<Option<Keyword>>,
}

impl Keywords {
    /// Most keywords of a folder: the letters of the alphabet.
    pub const MOST: usize = 26;

    /// A folder without keywords.
    pub const fn none() -> Self {
        Self { names: Vec::new() }
    }

    /// The keyword in a slot; `None` when files use a letter without a name.
    pub fn name(&self, slot: u8) -> Option<&Keyword> {
        self.names.get(usize::from(slot)).and_then(Option::as_ref)
    }

    /// The slot of a keyword.
    pub fn slot(&self, keyword: &Keyword) -> Option<u8> {
        let at = self.names.iter().position(|name| name.as_ref() == Some(keyword))?;
        u8::try_from(at).ok()
    }

    /// The slots of those given keywords that the folder knows.
    pub fn set<'a>(&self, keywords: impl IntoIterator<Item = &'a Keyword>) -> KeywordSet {
        keywords
            .into_iter()
            .filter_map(|keyword| self.slot(keyword))
            .map(KeywordSet::slot)
            .fold(KeywordSet::NONE, KeywordSet::with)
    }

    /// The names of a message's keywords.
    pub fn names(&self, set: KeywordSet) -> impl Iterator<Item = &Keyword> {
        set.slots().filter_map(|slot| self.name(slot))
    }

    /// All keywords the folder knows, with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &Keyword)> {
        (0u8..).zip(&self.names).filter_map(|(slot, name)| name.as_ref().map(|name| (slot, name)))
    }

    /// Puts a keyword into a slot, for reading `dovecot-keywords`.
    pub(super) fn put(&mut self, slot: usize, keyword: Keyword) {
        if slot < Self::MOST {
            if self.names.len() <= slot {
                self.names.resize(slot + 1, None);
            }
            self.names[slot] = Some(keyword);
        }
    }

    /// The slot of a keyword, a free one if it is new; `None` when the table is full.
    pub(super) fn learn(&mut self, keyword: &Keyword) -> Option<u8> {
        if let Some(slot) = self.slot(keyword) {
            return Some(slot);
        }
        let free = self.names.iter().position(Option::is_none).unwrap_or(self.names.len());
        if free >= Self::MOST {
            return None;
        }
        self.put(free, keyword.clone());
        u8::try_from(free).ok()
    }
}
