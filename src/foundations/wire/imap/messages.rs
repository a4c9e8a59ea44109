//! Which messages a command refers to (RFC 9051 §6.4).

use std::fmt;
use std::num::NonZeroU32;
use std::ops::Range;

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
    /// Which kind of number the client uses.
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

/// A range of a result, counted from its beginning or its end (RFC 9394 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialRange {
    /// The lower number first, in whatever order the client gave them (RFC 5267 §4.4: `4:2` is equal to `2:4`).
    low: u32,
    high: u32,
    from_end: bool,
}

impl PartialRange {
    /// ```abnf
    /// partial-range       = partial-range-first / partial-range-last
    /// partial-range-first = nz-number ":" nz-number
    /// partial-range-last  = MINUS nz-number ":" MINUS nz-number
    /// ```
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        const WANTED: &str = "A range such as 1:100 or -1:-100";
        let from_end = cursor.eat(b'-');
        let first = cursor.nz_number::<NonZeroU32>(WANTED)?.get();
        cursor.expect(b':', WANTED)?;
        if cursor.eat(b'-') != from_end {
            return cursor.wanted(WANTED);
        }
        let second = cursor.nz_number::<NonZeroU32>(WANTED)?.get();
        Ok(Self { low: first.min(second), high: first.max(second), from_end })
    }

    /// Which positions of a result of this length it covers; none when it lies beyond.
    pub fn of(self, length: usize) -> Range<usize> {
        let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let (low, high) = (place(self.low), place(self.high).min(length));
        if low > length {
            return 0..0;
        }
        if self.from_end { length - high..length + 1 - low } else { low - 1..high }
    }
}

impl fmt::Display for PartialRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.from_end { "-" } else { "" };
        write!(f, "{sign}{}:{sign}{}", self.low, self.high)
    }
}

/// ```abnf
/// sequence-set =/ seq-last-command
/// seq-last-command = "$"
/// ```
fn numbers<T: Numbered>(cursor: &mut Cursor<'_>, wanted: &'static str) -> Parsed<Numbers<T>> {
    if cursor.eat(b'$') { Ok(Numbers::Saved) } else { cursor.sequence_set(wanted).map(Numbers::Set) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn ranges_of_results() {
        for (text, length, want) in [
            ("1:3", 10, Some(0..3)),
            ("3:1", 10, Some(0..3)),
            ("8:20", 10, Some(7..10)),
            ("10:11", 10, Some(9..10)),
            ("11:20", 10, Some(0..0)),
            ("-1:-3", 10, Some(7..10)),
            ("-3:-1", 10, Some(7..10)),
            ("-8:-20", 10, Some(0..3)),
            ("-11:-20", 10, Some(0..0)),
            ("1:4294967295", 0, Some(0..0)),
            ("0:1", 1, None),
            ("-1:1", 1, None),
            ("1:*", 1, None),
        ] {
            let bytes = Bytes::from(text);
            let range = PartialRange::parse(&mut Cursor::new(&bytes)).ok();
            assert_eq!(range.map(|range| range.of(length)), want, "{text}");
        }
    }

    #[test]
    fn a_range_is_told_with_the_lower_number_first() {
        for (text, told) in [("2:4", "2:4"), ("4:2", "2:4"), ("-1:-3", "-1:-3"), ("-3:-1", "-1:-3")] {
            let bytes = Bytes::from(text);
            assert_eq!(PartialRange::parse(&mut Cursor::new(&bytes)).unwrap().to_string(), told);
        }
    }
}
