//! Sets of the numbers that identify messages in a mailbox (RFC 9051 §9).

use std::fmt;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::{Numbered, Uid};

/// The text is not a sequence set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSequenceSet {
    /// Not of the form `1,3:5,7:*`.
    #[error("expected a set of numbers such as 1,3:5,7:*")]
    Malformed,
    /// More ranges than [`SequenceSet::MAX_RANGES`] after merging.
    #[error("a set of numbers may have at most {} ranges", SequenceSet::<Uid>::MAX_RANGES)]
    TooManyRanges,
}

/// A set of message numbers (RFC 9051 §9 `sequence-set`): sorted, merged ranges and perhaps `*`.
///
/// `*` stands for the largest number in use, so every method that looks into a set takes that maximum; `None` says that
/// the folder is empty. Numbers above the maximum are never produced. As RFC 9051 §9 demands, `9:*` in a folder whose
/// largest number is 5 means 5.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SequenceSet<T> {
    /// Ascending, not touching each other; all below `open` when that is [`Open::From`].
    ranges: Vec<(T, T)>,
    open: Open<T>,
}

/// The part of a set that ends with `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Open<T> {
    /// There is none.
    None,
    /// `*` alone.
    Last,
    /// `n:*`.
    From(T),
}

impl<T> Default for SequenceSet<T> {
    fn default() -> Self {
        Self { ranges: Vec::new(), open: Open::None }
    }
}

impl<T: Numbered> SequenceSet<T> {
    /// Most ranges a parsed set may have after merging. Sets we make ourselves are bounded by the folder's size.
    pub const MAX_RANGES: usize = 16_384;

    /// The empty set, which has no written form.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every message: `1:*`.
    pub fn all() -> Self {
        Self { ranges: Vec::new(), open: Open::From(T::from_number(NonZeroU32::MIN)) }
    }

    /// A range; the ends may come in either order.
    pub fn range(a: T, b: T) -> Self {
        Self { ranges: vec![(a.min(b), a.max(b))], open: Open::None }
    }

    /// Parses the written form.
    ///
    /// ```abnf
    /// sequence-set = (seq-number / seq-range) ["," sequence-set]
    /// seq-range    = seq-number ":" seq-number
    /// seq-number   = nz-number / "*"
    /// ```
    pub fn parse(text: &[u8]) -> Result<Self, InvalidSequenceSet> {
        let mut ranges = Vec::new();
        let mut open = Open::None;
        for part in text.split(|b| *b == b',') {
            let (first, last) = match memchr::memchr(b':', part) {
                Some(colon) => (end::<T>(&part[..colon])?, end::<T>(&part[colon + 1..])?),
                None => (end::<T>(part)?, end::<T>(part)?),
            };
            match (first, last) {
                (Some(a), Some(b)) => ranges.push((a.min(b), a.max(b))),
                (Some(from), None) | (None, Some(from)) => open = open.or(Open::From(from)),
                (None, None) => open = open.or(Open::Last),
            }
        }
        let set = Self::merged(ranges, open);
        if set.ranges.len() > Self::MAX_RANGES { Err(InvalidSequenceSet::TooManyRanges) } else { Ok(set) }
    }

    /// All numbers from the first to the second of each pair.
    pub fn of_ranges(ranges: Vec<(T, T)>) -> Self {
        Self::merged(ranges, Open::None)
    }

    fn merged(mut ranges: Vec<(T, T)>, open: Open<T>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if touches(*last, range.0) => last.1 = last.1.max(range.1),
                _ => merged.push(range),
            }
        }
        let mut open = open;
        if let Open::From(mut from) = open {
            while let Some(last) = merged.last().copied()
                && (last.0 >= from || touches(last, from))
            {
                from = from.min(last.0);
                merged.pop();
            }
            open = Open::From(from);
        }
        Self { ranges: merged, open }
    }

    /// Adds a number. Cheap when numbers come in ascending order.
    pub fn insert(&mut self, number: T) {
        if let Open::From(from) = self.open
            && touches((from, from), number)
            && number >= from
        {
            return;
        }
        match self.ranges.last_mut() {
            None => self.ranges.push((number, number)),
            Some(last) if number > last.1 => {
                if touches(*last, number) {
                    last.1 = number;
                } else {
                    self.ranges.push((number, number));
                }
            }
            Some(_) => self.insert_inside(number),
        }
        if matches!(self.open, Open::From(_)) {
            *self = Self::merged(std::mem::take(&mut self.ranges), self.open);
        }
    }

    fn insert_inside(&mut self, number: T) {
        let at = self.ranges.partition_point(|range| range.1 < number);
        if at < self.ranges.len() && self.ranges[at].0 <= number {
            return;
        }
        self.ranges.insert(at, (number, number));
        if at + 1 < self.ranges.len() && touches(self.ranges[at], self.ranges[at + 1].0) {
            self.ranges[at].1 = self.ranges[at + 1].1;
            self.ranges.remove(at + 1);
        }
        if at > 0 && touches(self.ranges[at - 1], self.ranges[at].0) {
            self.ranges[at - 1].1 = self.ranges[at].1;
            self.ranges.remove(at);
        }
    }

    /// Whether there is nothing in it, whatever the maximum.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty() && matches!(self.open, Open::None)
    }

    /// Whether `*` occurs in it.
    pub fn has_star(&self) -> bool {
        !matches!(self.open, Open::None)
    }

    /// The largest number written out; `None` when there is only `*`.
    pub fn highest(&self) -> Option<T> {
        match self.open {
            Open::From(from) => Some(from),
            Open::None | Open::Last => self.ranges.last().map(|range| range.1),
        }
    }

    /// Whether a number belongs to the set when `max` is the largest in use.
    pub fn contains(&self, number: T, max: Option<T>) -> bool {
        let Some(max) = max.filter(|max| number <= *max) else { return false };
        let open = match self.open {
            Open::None => false,
            Open::Last => number == max,
            Open::From(from) => number >= from || number == max,
        };
        let at = self.ranges.partition_point(|range| range.1 < number);
        open || self.ranges.get(at).is_some_and(|range| range.0 <= number)
    }

    /// The ranges, ascending and without overlap, cut off at the largest number in use.
    pub fn ranges(&self, max: Option<T>) -> impl Iterator<Item = RangeInclusive<T>> {
        let tail = max.and_then(|max| match self.open {
            Open::None => None,
            Open::Last if self.closed_contains(max) => None,
            Open::From(from) if from > max && self.closed_contains(max) => None,
            Open::Last => Some((max, max)),
            Open::From(from) => Some((from.min(max), max)),
        });
        let closed = self.ranges.iter().copied().filter_map(move |(first, last)| {
            let max = max.filter(|max| first <= *max)?;
            Some(first..=last.min(max))
        });
        closed.chain(tail.map(|(first, last)| first..=last))
    }

    fn closed_contains(&self, number: T) -> bool {
        let at = self.ranges.partition_point(|range| range.1 < number);
        self.ranges.get(at).is_some_and(|range| range.0 <= number)
    }

    /// The numbers, ascending. Their count is bounded only by `max`.
    pub fn iter(&self, max: Option<T>) -> impl Iterator<Item = T> {
        self.ranges(max).flat_map(|range| {
            (range.start().number()..=range.end().number()).filter_map(NonZeroU32::new).map(T::from_number)
        })
    }

    /// How many numbers the set has when `max` is the largest in use.
    pub fn count(&self, max: Option<T>) -> u64 {
        self.ranges(max).map(|range| u64::from(range.end().number() - range.start().number()) + 1).sum()
    }
}

impl<T: Numbered> Open<T> {
    /// The union of two open ends; `n:*` always includes `*`.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::From(a), Self::From(b)) => Self::From(a.min(b)),
            (Self::From(from), _) | (_, Self::From(from)) => Self::From(from),
            (Self::Last, _) | (_, Self::Last) => Self::Last,
            (Self::None, Self::None) => Self::None,
        }
    }
}

impl<T: Numbered> FromIterator<T> for SequenceSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(numbers: I) -> Self {
        let ranges = numbers.into_iter().fold(Vec::new(), |mut ranges: Vec<(T, T)>, number| {
            match ranges.last_mut() {
                Some(last) if number > last.1 && touches(*last, number) => last.1 = number,
                _ => ranges.push((number, number)),
            }
            ranges
        });
        Self::merged(ranges, Open::None)
    }
}

impl<T: Numbered> FromStr for SequenceSet<T> {
    type Err = InvalidSequenceSet;
    fn from_str(text: &str) -> Result<Self, InvalidSequenceSet> {
        Self::parse(text.as_bytes())
    }
}

impl<T: Numbered> fmt::Display for SequenceSet<T> {
    /// The written form; nothing at all for the empty set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (first, last) in &self.ranges {
            if first == last {
                write!(f, "{separator}{first}")?;
            } else {
                write!(f, "{separator}{first}:{last}")?;
            }
            separator = ",";
        }
        match self.open {
            Open::None => Ok(()),
            Open::Last => write!(f, "{separator}*"),
            Open::From(from) => write!(f, "{separator}{from}:*"),
        }
    }
}

/// Whether `number` lies in the range or directly behind it.
fn touches<T: Numbered>(range: (T, T), number: T) -> bool {
    number >= range.0 && number.number() <= range.1.number().saturating_add(1)
}

/// One end of a range: a number, or `None` for `*`.
fn end<T: Numbered>(text: &[u8]) -> Result<Option<T>, InvalidSequenceSet> {
    if text == b"*" {
        return Ok(None);
    }
    // RFC 9051 §9: nz-number begins with a digit other than zero.
    if text.is_empty() || text[0] == b'0' || text.len() > 10 {
        return Err(InvalidSequenceSet::Malformed);
    }
    let value = text.iter().try_fold(0u32, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u32::from(digit))
    });
    let number = value.and_then(NonZeroU32::new).ok_or(InvalidSequenceSet::Malformed)?;
    Ok(Some(T::from_number(number)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn uid(n: u32) -> Uid {
        Uid::new(n).expect("not zero")
    }

    fn set(text: &str) -> SequenceSet<Uid> {
        text.parse().expect(text)
    }

    fn numbers(text: &str, max: u32) -> Vec<u32> {
        set(text).iter(Uid::new(max)).map(Uid::get).collect()
    }

    #[test]
    fn is_sorted_and_merged() {
        for (text, written) in [
            ("1", "1"),
            ("5:3", "3:5"),
            ("4,1:2,3", "1:4"),
            ("1:5,2:3", "1:5"),
            ("9:*,3:10", "3:*"),
            ("*:9,*", "9:*"),
            ("*,7", "7,*"),
            ("*:*", "*"),
            ("4294967295,4294967294", "4294967294:4294967295"),
            ("5:*,1:4", "1:*"),
        ] {
            assert_eq!(set(text).to_string(), written, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_one() {
        for text in ["", "0", "01", "1,", ",1", "1:", ":1", "1:2:3", "a", "1 2", "4294967296", "-1", "1:0", "**", "$"] {
            assert!(text.parse::<SequenceSet<Uid>>().is_err(), "{text}");
        }
        let many = (1..=SequenceSet::<Uid>::MAX_RANGES as u32 + 1).map(|n| (n * 2).to_string()).collect::<Vec<_>>();
        assert_eq!(many.join(",").parse::<SequenceSet<Uid>>(), Err(InvalidSequenceSet::TooManyRanges));
    }

    #[test]
    fn star_is_the_largest_in_use() {
        assert_eq!(numbers("9:*", 5), [5]);
        assert_eq!(numbers("*", 5), [5]);
        assert_eq!(numbers("3:7,9:*", 5), [3, 4, 5]);
        assert_eq!(numbers("5,*", 5), [5]);
        assert_eq!(numbers("1:3,7", 5), [1, 2, 3]);
        assert_eq!(set("1:*").iter(None).count(), 0);
        assert_eq!(set("1:*").count(Uid::new(7)), 7);
        assert!(set("9:*").contains(uid(5), Uid::new(5)));
        assert!(!set("9:*").contains(uid(4), Uid::new(5)));
    }

    #[test]
    fn highest_is_what_was_written() {
        assert_eq!(set("3:9,1").highest(), Some(uid(9)));
        assert_eq!(set("3,12:*").highest(), Some(uid(12)));
        assert_eq!(set("*").highest(), None);
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(parts in prop::collection::vec((1u32..40, 1u32..40, 0u8..6), 1..12), max in 1u32..40, more in 1u32..40) {
            let mut text = Vec::new();
            let mut model = BTreeSet::new();
            for (a, b, kind) in parts {
                match kind {
                    0 => { text.push("*".to_owned()); model.insert(max); }
                    1 => { text.push(format!("{a}:*")); model.extend(a.min(max)..=a.max(max)); }
                    2 => { text.push(a.to_string()); model.insert(a); }
                    _ => { text.push(format!("{a}:{b}")); model.extend(a.min(b)..=a.max(b)); }
                }
            }
            let mut set = set(&text.join(","));
            let expect = |model: &BTreeSet<u32>| model.iter().copied().filter(|n| *n <= max).collect::<Vec<_>>();
            let found = |set: &SequenceSet<Uid>| set.iter(Uid::new(max)).map(Uid::get).collect::<Vec<_>>();
            prop_assert_eq!(found(&set), expect(&model));
            for n in 1..=max {
                prop_assert_eq!(set.contains(uid(n), Uid::new(max)), model.contains(&n));
            }
            prop_assert_eq!(set.to_string().parse::<SequenceSet<Uid>>(), Ok(set.clone()));
            set.insert(uid(more));
            model.insert(more);
            prop_assert_eq!(found(&set), expect(&model));
            prop_assert_eq!(set.to_string().parse::<SequenceSet<Uid>>(), Ok(set.clone()));
            let collected: SequenceSet<Uid> = expect(&model).into_iter().rev().map(uid).collect();
            prop_assert_eq!(found(&collected), expect(&model));
        }
    }
}
