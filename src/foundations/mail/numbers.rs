//! The numbers that identify messages in a mailbox (RFC 9051 §2.3.1).

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;

/// The text or value is not such a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a number from 1 to {max}")]
pub struct InvalidNumber {
    max: u64,
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty, $primitive:ty), max $max:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($inner);

        impl $name {
            /// The smallest.
            pub const MIN: Self = Self(<$inner>::MIN);

            /// The largest.
            pub const MAX: Self = Self::new($max).expect("no maximum is zero");

            /// The value; `None` when it is zero or too large.
            pub const fn new(value: $primitive) -> Option<Self> {
                if value > $max {
                    return None;
                }
                match <$inner>::new(value) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// The bare number.
            pub const fn get(self) -> $primitive {
                self.0.get()
            }

            /// The number after this one; `None` after the last.
            pub const fn next(self) -> Option<Self> {
                match self.0.get().checked_add(1) {
                    Some(next) => Self::new(next),
                    None => None,
                }
            }

            /// The number before this one; `None` before the first.
            pub const fn previous(self) -> Option<Self> {
                Self::new(self.0.get() - 1)
            }

            /// The number this much further on, or the largest if there is none.
            pub const fn saturating_add(self, by: $primitive) -> Self {
                match Self::new(self.0.get().saturating_add(by)) {
                    Some(sum) => sum,
                    None => Self::MAX,
                }
            }
        }

        impl TryFrom<$primitive> for $name {
            type Error = InvalidNumber;
            fn try_from(value: $primitive) -> Result<Self, InvalidNumber> {
                Self::new(value).ok_or(InvalidNumber { max: u64::from($max) })
            }
        }

        impl From<$name> for $primitive {
            fn from(number: $name) -> Self {
                number.get()
            }
        }

        impl FromStr for $name {
            type Err = InvalidNumber;
            fn from_str(text: &str) -> Result<Self, InvalidNumber> {
                let invalid = InvalidNumber { max: u64::from($max) };
                if !text.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(invalid);
                }
                text.parse().ok().and_then(Self::new).ok_or(invalid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A message's unique identifier in its folder (RFC 9051 §2.3.1.1): ascending, never given out twice.
    Uid(NonZeroU32, u32), max u32::MAX
}
number! {
    /// The epoch of a folder's UIDs (RFC 9051 §2.3.1.1): UIDs of different epochs have nothing to do with each other.
    UidValidity(NonZeroU32, u32), max u32::MAX
}
number! {
    /// A message's position in a session's view of a folder, counted from 1 (RFC 9051 §2.3.1.2).
    SequenceNumber(NonZeroU32, u32), max u32::MAX
}
number! {
    /// A modification sequence (RFC 7162 §3.1): grows with every change in a folder; 63 bits.
    ModSeq(NonZeroU64, u64), max i64::MAX as u64
}

impl SequenceNumber {
    /// The number of the message at a zero-based position; `None` beyond what 32 bits can count.
    pub fn from_index(index: usize) -> Option<Self> {
        u32::try_from(index).ok().and_then(|index| index.checked_add(1)).and_then(Self::new)
    }

    /// The zero-based position.
    pub const fn index(self) -> usize {
        // 32 bits fit into a usize on every machine tokio runs on.
        (self.get() - 1) as usize
    }
}

/// The condition of a STORE with UNCHANGEDSINCE (RFC 7162 §3.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnchangedSince {
    /// Messages with this modification sequence or a lower one pass.
    ModSeq(ModSeq),
    /// 0: no message passes, since all have a modification sequence.
    Zero,
}

impl UnchangedSince {
    /// Whether a message with this modification sequence passes.
    pub fn passes(self, mod_seq: ModSeq) -> bool {
        match self {
            Self::ModSeq(since) => mod_seq <= since,
            Self::Zero => false,
        }
    }
}

/// What a [`SequenceSet`](super::SequenceSet) can hold: [`Uid`] and [`SequenceNumber`]. The two cannot be mixed.
pub trait Numbered: Copy + Ord + fmt::Display + fmt::Debug {
    /// From the bare number.
    fn from_number(number: NonZeroU32) -> Self;
    /// The bare number.
    fn number(self) -> u32;
}

impl Numbered for Uid {
    fn from_number(number: NonZeroU32) -> Self {
        Self(number)
    }
    fn number(self) -> u32 {
        self.get()
    }
}

impl Numbered for SequenceNumber {
    fn from_number(number: NonZeroU32) -> Self {
        Self(number)
    }
    fn number(self) -> u32 {
        self.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_range() {
        assert_eq!("0".parse::<Uid>().ok(), None);
        assert_eq!("+1".parse::<Uid>().ok(), None);
        assert_eq!("4294967296".parse::<Uid>().ok(), None);
        assert_eq!(ModSeq::new(1 << 63), None);
        assert_eq!((Uid::MAX.next(), Uid::MIN.previous()), (None, None));
        assert_eq!((Uid::MIN.next(), Uid::MIN.saturating_add(1).previous()), (Uid::new(2), Some(Uid::MIN)));
        assert_eq!((Uid::MAX.get(), Uid::MAX.saturating_add(7)), (u32::MAX, Uid::MAX));
        assert_eq!((ModSeq::MAX.get(), ModSeq::MAX.next()), (i64::MAX as u64, None));
        assert_eq!((ModSeq::MIN.saturating_add(u64::MAX), ModSeq::MAX.saturating_add(1)), (ModSeq::MAX, ModSeq::MAX));
        let (one, two) = (ModSeq::MIN, ModSeq::MIN.saturating_add(1));
        assert!(UnchangedSince::ModSeq(two).passes(one) && UnchangedSince::ModSeq(one).passes(one));
        assert!(!UnchangedSince::ModSeq(one).passes(two) && !UnchangedSince::Zero.passes(one));
        assert_eq!(SequenceNumber::from_index(4).map(SequenceNumber::index), Some(4));
    }
}
