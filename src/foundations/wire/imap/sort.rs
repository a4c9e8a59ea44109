//! SORT and THREAD (RFC 5256 §5, RFC 5267 §3, RFC 5957 §4).

use super::cursor::{Cursor, Parsed};
use super::messages::Addressing;
use super::search::{Search, SearchReturn};

/// Most keys of one SORT: more than exist.
pub const MAX_CRITERIA: usize = 32;

/// SORT or UID SORT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// The order, most important first.
    pub criteria: Vec<SortCriterion>,
    /// Which messages, and what is returned.
    pub search: Search,
}

/// One key with its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortCriterion {
    /// What is compared.
    pub key: SortKey,
    /// In which direction.
    pub direction: Direction,
}

/// Which way a key sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The least first.
    Ascending,
    /// The greatest first: REVERSE.
    Descending,
}

/// What SORT compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// The internal date.
    Arrival,
    /// The local part of the first Cc address.
    Cc,
    /// The date of sending.
    Date,
    /// The name that the first From address shows (RFC 5957).
    DisplayFrom,
    /// The name that the first To address shows (RFC 5957).
    DisplayTo,
    /// The local part of the first From address.
    From,
    /// Octets.
    Size,
    /// The base subject.
    Subject,
    /// The local part of the first To address.
    To,
}

impl SortKey {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Arrival, "ARRIVAL"),
        (Self::Cc, "CC"),
        (Self::Date, "DATE"),
        (Self::DisplayFrom, "DISPLAYFROM"),
        (Self::DisplayTo, "DISPLAYTO"),
        (Self::From, "FROM"),
        (Self::Size, "SIZE"),
        (Self::Subject, "SUBJECT"),
        (Self::To, "TO"),
    ];
}

impl Sort {
    /// ```abnf
    /// sort          = ["UID" SP] "SORT" [search-return-opts] SP sort-criteria SP search-criteria
    /// sort-criteria = "(" sort-criterion *(SP sort-criterion) ")"
    /// ```
    pub(super) fn parse(cursor: &mut Cursor<'_>, addressing: Addressing) -> Parsed<Self> {
        cursor.space()?;
        let returns = SearchReturn::parse_optional(cursor)?;
        let criteria = cursor.list1(MAX_CRITERIA, SortCriterion::parse)?;
        cursor.space()?;
        Ok(Self { criteria, search: Search::parse_criteria(cursor, addressing, returns)? })
    }
}

impl SortCriterion {
    /// ```abnf
    /// sort-criterion = ["REVERSE" SP] sort-key
    /// ```
    fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        let direction = if cursor.eat_word("REVERSE") {
            cursor.space()?;
            Direction::Descending
        } else {
            Direction::Ascending
        };
        let start = cursor.clone();
        let word = cursor.atom("A key to sort by")?;
        match SortKey::ALL.into_iter().find(|(_, name)| name.eq_ignore_ascii_case(word)) {
            Some((key, _)) => Ok(Self { key, direction }),
            None => start.wanted("A key to sort by"),
        }
    }
}

/// THREAD or UID THREAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// How messages are put into trees.
    pub algorithm: ThreadAlgorithm,
    /// Which messages.
    pub search: Search,
}

/// How THREAD puts messages into trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadAlgorithm {
    /// By base subject, in the order of sending.
    OrderedSubject,
    /// By references, then by base subject.
    References,
    /// By references only; the thread with the latest message comes last.
    Refs,
}

impl Thread {
    /// ```abnf
    /// thread = ["UID" SP] "THREAD" SP thread-alg SP search-criteria
    /// ```
    pub(super) fn parse(cursor: &mut Cursor<'_>, addressing: Addressing) -> Parsed<Self> {
        cursor.space()?;
        let start = cursor.clone();
        let algorithm = match cursor.atom("A threading algorithm")?.to_ascii_uppercase().as_str() {
            "ORDEREDSUBJECT" => ThreadAlgorithm::OrderedSubject,
            "REFERENCES" => ThreadAlgorithm::References,
            "REFS" => ThreadAlgorithm::Refs,
            _ => return start.wanted("ORDEREDSUBJECT, REFERENCES or REFS"),
        };
        cursor.space()?;
        Ok(Self { algorithm, search: Search::parse_criteria(cursor, addressing, None)? })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn orders() {
        let parse =
            |text: &'static str| Sort::parse(&mut Cursor::new(&Bytes::from_static(text.as_bytes())), Addressing::Uid);
        let sort = parse(" RETURN (MIN SAVE) (subject REVERSE DATE) UTF-8 UNSEEN 1:2").unwrap();
        let [first, second] = sort.criteria[..] else { panic!("{sort:?}") };
        assert_eq!((first.key, first.direction), (SortKey::Subject, Direction::Ascending));
        assert_eq!((second.key, second.direction), (SortKey::Date, Direction::Descending));
        assert_eq!(sort.search.charset.as_deref(), Some("UTF-8"));
        assert!(sort.search.returns.is_some_and(|returns| returns.min && returns.save && !returns.all));
        for text in [" () UTF-8 ALL", " (SUBJECT)", " (SUBJECT) UTF-8", " (COLOUR) UTF-8 ALL", " (REVERSE) UTF-8 ALL"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn algorithms() {
        let parse = |text: &'static str| {
            Thread::parse(&mut Cursor::new(&Bytes::from_static(text.as_bytes())), Addressing::Sequence)
        };
        assert_eq!(parse(" references us-ascii ALL").map(|thread| thread.algorithm), Ok(ThreadAlgorithm::References));
        assert!(parse(" JWZ us-ascii ALL").is_err());
        assert!(parse(" REFS us-ascii").is_err());
    }
}
